"""The order of a saga's moves: T1..Tn, or T1..Tj Cj..C1, or what a declared partial order allows instead.

The automaton: a step may be done when every step it comes after was done and not undone; it may be undone when it was
done and, in reverse order, no step that comes after it still stands. A history is accepted when each of its moves was
allowed when it came. Moves that began at one moment are not ordered, and prove nothing. As each move happens once, the
automaton comes down to pairs of moves, which are small witnesses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from holdfast.checkers.records import finding, ranked, records
from holdfast.history.executions import Execution
from holdfast.history.model import History, Observation, Operation
from holdfast.stack.patterns import SagaPattern
from holdfast.verdict.describe import Event, shorten
from holdfast.verdict.model import Finding

OUT_OF_ORDER = "out of order"
"""Title of the findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One step done, or undone.

    Attributes:
        step: the step.
        undo: whether it was undone.
        place: where it began in the order; a rank or seconds, comparable within one saga.
        end: where it ended; the same place where that is not told.
        shown: the place as a person reads it.
    """

    step: str
    undo: bool
    place: float
    end: float
    shown: str

    def __str__(self) -> str:
        return f"step {self.step} was {'undone' if self.undo else 'done'} at {self.shown}"


@dataclass(frozen=True, slots=True)
class Misplaced:
    """Two moves that no saga makes in this order; or one whose step lacks another.

    Attributes:
        earlier: what came first.
        later: what came after it; None where something is missing.
        why: what the order should have been.
    """

    earlier: Move
    later: Move | None
    why: str


def misplaced(moves: Sequence[Move], saga: SagaPattern) -> tuple[Misplaced, ...]:
    """The pairs of moves that the automaton refuses.

    Args:
        moves: of one saga; of a step that moved more than once the first counts.
        saga: the pattern with its steps.
    """
    done = _first(move for move in moves if not move.undo)
    undone = _first(move for move in moves if move.undo)
    before = saga.predecessors()
    counted = {step.name for step in saga.steps if step.undone is not None}
    found = []
    for step, move in undone.items():
        if step in done and _precedes(move, done[step]):
            found.append(Misplaced(move, done[step], f"{step} is undone after it was done"))
    for later, names in before.items():
        for earlier in sorted(names):
            if later in done:
                if earlier not in done and earlier in counted:
                    found.append(Misplaced(done[later], None, f"{earlier} is done before {later}"))
                elif earlier in done and _precedes(done[later], done[earlier]):
                    found.append(Misplaced(done[later], done[earlier], f"{earlier} is done before {later}"))
                if earlier in undone and _precedes(undone[earlier], done[later]):
                    found.append(
                        Misplaced(undone[earlier], done[later], f"nothing after {earlier} is done once it is undone")
                    )
            if saga.compensation_order == "reverse" and earlier in undone:
                if later in undone and _overtakes(undone[earlier], undone[later]):
                    found.append(Misplaced(undone[earlier], undone[later], f"{later} is undone before {earlier}"))
                elif later in done and later not in undone and _precedes(done[later], undone[earlier]):
                    why = f"{later} is undone before {earlier}, and it never was"
                    found.append(Misplaced(done[later], undone[earlier], why))
    return tuple(dict.fromkeys(found))


def _first(moves: Iterable[Move]) -> dict[str, Move]:
    found: dict[str, Move] = {}
    for move in moves:
        known = found.get(move.step)
        if known is None or _precedes(move, known):
            found[move.step] = move
    return found


def _precedes(one: Move, other: Move) -> bool:
    return one.place < other.place


def _overtakes(one: Move, other: Move) -> bool:
    """Whether a move began before another had ended that should have been over."""
    if other.end == other.place:
        return _precedes(one, other)
    return one.place < other.end


def in_order(history: History, saga: SagaPattern) -> tuple[Finding, ...]:
    """Steps and compensations came in an order that the saga allows, as the positions of their effects tell.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps; their ports show positions (`Observation.orders`).
    """
    found = []
    for key, (operations, reads, moves) in _placed(history, saga).items():
        for pair in misplaced(moves, saga):
            steps = {move.step for move in (pair.earlier, pair.later) if move is not None}
            ports = {port for step in saga.steps if step.name in steps for port in (step.effect, step.undone)}
            witness: list[Event] = [*operations, *(read for read in reads if read.port in ports)]
            found.append(finding(OUT_OF_ORDER, _said(key, pair), key, witness))
    return ranked(found)


def executed_in_order(executions: Iterable[Execution], history: History, saga: SagaPattern) -> tuple[Finding, ...]:
    """Compensations ran in an order that the saga allows, as the histories of the executions tell.

    A compensation state that had nothing to undo counts as well: it could have had.

    Args:
        executions: with their histories; redriven ones are left out, they may run a state again.
        history: what concerns the clause.
        saga: the pattern with its steps and their states.
    """
    operations: dict[str, list[Operation]] = {}
    for operation in history.operations:
        operations.setdefault(operation.key, []).append(operation)
    found = []
    for execution in executions:
        if execution.redrives or execution.key not in operations:
            continue
        moves = [move for move in moves_of(execution, saga) if move.undo]
        found += [
            finding(OUT_OF_ORDER, _said(execution.key, pair), execution.key, operations[execution.key][:1])
            for pair in misplaced(moves, saga)
        ]
    return ranked(found)


def moves_of(execution: Execution, saga: SagaPattern) -> tuple[Move, ...]:
    """The moves that an execution made: its successful visits of the states of steps and compensations."""
    does = {step.state: step.name for step in saga.steps if step.state is not None}
    undoes = {
        step.compensation.state: step.name
        for step in saga.steps
        if step.compensation is not None and step.compensation.state is not None
    }
    moves = []
    for visit in execution.visits:
        step = does.get(visit.state) or undoes.get(visit.state)
        if step is not None and visit.succeeded and visit.exited_seconds is not None:
            began, ended = (
                second - execution.started_seconds for second in (visit.entered_seconds, visit.exited_seconds)
            )
            shown = f"{began:.3f} s of execution {execution.name}"
            moves.append(Move(step=step, undo=visit.state in undoes, place=began, end=ended, shown=shown))
    return tuple(moves)


def with_known_order(executions: Iterable[Execution], history: History, saga: SagaPattern) -> frozenset[str]:
    """Keys of which the order of two compensations is known: by the positions of their effects, or by an execution.

    Args:
        executions: with their histories.
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    known = [(key, moves) for key, (_, _, moves) in _placed(history, saga).items()]
    known += [(one.key, moves_of(one, saga)) for one in executions if not one.redrives]
    return frozenset(key for key, moves in known if len({move.step for move in moves if move.undo}) > 1)


def unplaced(history: History, saga: SagaPattern) -> tuple[str, ...]:
    """Keys of which more than one step was undone and the positions are not known, so that no order can be told.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
    """
    placed = _placed(history, saga)
    of_port = {step.undone: records(history, step.undone) for step in saga.steps if step.undone is not None}
    undone: dict[str, int] = {}
    for port in of_port.values():
        for record in port:
            undone[record.key] = undone.get(record.key, 0) + (record.final is not None and record.final.count > 0)
    return tuple(key for key, count in undone.items() if count > 1 and key not in placed)


def _placed(
    history: History, saga: SagaPattern
) -> Mapping[str, tuple[tuple[Operation, ...], list[Observation], Sequence[Move]]]:
    """The moves of each key whose every effect shows a position, with the reads that show them."""
    ports = [(step.name, False, step.effect) for step in saga.steps]
    ports += [(step.name, True, step.undone) for step in saga.steps if step.undone is not None]
    by_port = {port: {record.key: record for record in records(history, port)} for _, _, port in ports}
    found = {}
    for key in dict.fromkeys(operation.key for operation in history.operations):
        finals = [(step, undo, by_port[port][key].final) for step, undo, port in ports]
        reads = [(step, undo, read) for step, undo, read in finals if read is not None and read.count > 0]
        if not reads or any(not read.orders for _, _, read in reads) or any(read is None for _, _, read in finals):
            continue
        ranks = _ranks({place for _, _, read in reads for place in read.orders})
        moves = [
            Move(step=step, undo=undo, place=ranks[place], end=ranks[place], shown=shorten(place))
            for step, undo, read in reads
            for place in [min(read.orders, key=ranks.__getitem__)]
        ]
        found[key] = (by_port[ports[0][2]][key].operations, [read for _, _, read in reads], moves)
    return found


def _ranks(places: Collection[str]) -> Mapping[str, int]:
    """The rank of each place: as numbers when all are numbers, as text otherwise; equal numbers have one rank."""
    values: dict[str, Decimal] = {}
    try:
        values = {place: Decimal(place) for place in places}
    except InvalidOperation:
        values = {}
    if values and all(value.is_finite() for value in values.values()):
        order = sorted(set(values.values()))
        return {place: order.index(value) for place, value in values.items()}
    return {place: rank for rank, place in enumerate(sorted(places))}


def _said(key: str, pair: Misplaced) -> str:
    if pair.later is None:
        return f"Key {key}: {pair.earlier}, and the step that comes before it was not; expected that {pair.why}."
    return f"Key {key}: {pair.earlier}, before {str(pair.later).removeprefix('step ')}; expected that {pair.why}."
