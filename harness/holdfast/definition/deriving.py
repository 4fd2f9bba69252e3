"""Reads from a definition which tasks are steps and which undo them, and says how sure it is and from what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.definition.graph import Graph
from holdfast.definition.model import Definition, Kind, State
from holdfast.definition.names import Phrase, may_undo, only_reads, only_tells, phrase, says_undo, undoes
from holdfast.definition.steps import SagaSteps, Step, Undecided

_PAIRS = {
    ("dynamodb", "putitem"): "deleteitem",
    ("s3", "putobject"): "deleteobject",
    ("events", "putrule"): "deleterule",
    ("scheduler", "createschedule"): "deleteschedule",
}
"""Actions of services that undo others when both act on the same thing."""

_READING_ACTIONS = ("get", "query", "scan", "describe", "list", "head", "batchget", "select")
_TELLING_SERVICES = ("sns", "ses", "sesv2", "events", "eventbridge", "logs", "cloudwatch")


def derive_steps(definition: Definition, *, pivot: str | None = None) -> SagaSteps:
    """Derive the steps of a saga from its names, its SDK actions, and where its catchers lead.

    A pair of names (``ReserveHotel``, ``CancelHotel``) is beyond doubt only if the second lies on a way that a failure
    opens. The pivot and idempotency cannot be derived.

    Args:
        definition: the state machine.
        pivot: id of the task after whose success the saga only goes forward, one of ``possible_pivots``; it becomes a
            step, also where nothing undoes it. None: not known.
    """
    graph = Graph(definition)
    tasks = _tasks(graph)
    undoing = {task: entry for task, entry in _undoing(graph, tasks).items() if task != pivot}
    steps = (*_steps(tasks, undoing, pivot), *(_after(graph, tasks, undoing, pivot) if pivot is not None else ()))
    in_steps = {state for step in steps for state in (*step.states, *step.compensations)}
    rest = [task for task in tasks if task.id not in in_steps]
    return SagaSteps(
        steps=steps,
        pivot=pivot,
        read_only=frozenset(task.id for task in rest if _reads(task)),
        derived=True,
        undecided=tuple(
            Undecided(state=task.id, reason=_why_undecided(task))
            for task in rest
            if not _reads(task) and not _tells(task)
        ),
    )


def possible_pivots(definition: Definition) -> tuple[str, ...]:
    """Ids of the tasks that can be the pivot, in the order in which they are done.

    They are done where no task fails, and undo nothing, or what always comes before them: that pair may be two halves
    of the work, such as ``Debit`` and ``Credit``.

    Args:
        definition: the state machine.
    """
    graph = Graph(definition)
    tasks = _tasks(graph)
    undoing = _undoing(graph, tasks)
    forward = graph.reachable([definition.flow.start])
    return tuple(
        task.id
        for task in tasks
        if task.id in forward and (task.id not in undoing or undoing[task.id].opened == "always")
    )


def _tasks(graph: Graph) -> list[State]:
    """The tasks that are no machines known here, in the order in which they are done."""
    at = {state: number for number, state in enumerate(graph.forward_order())}
    tasks = [state for state in graph.definition.flow.walk() if state.work is not None and not state.flows]
    return sorted(tasks, key=lambda task: at.get(task.id, len(at)))


@dataclass(frozen=True, slots=True)
class _Undoing:
    """Which task another undoes, why, what opens the way there, and whether that is beyond doubt."""

    earlier: State
    why: str
    opened: str
    certain: bool


def _undoing(graph: Graph, tasks: Sequence[State]) -> dict[str, _Undoing]:
    ways = _Ways(graph)
    found = {later.id: _undone_by(later, tasks, ways) for later in tasks if _may_undo(later)}
    return {later: entry for later, entry in found.items() if entry is not None}


class _Ways:
    """Which states can follow a state, and what opens the way there: a failure, a choice, or nothing at all."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._found: dict[str, tuple[set[str], set[str], set[str]]] = {}

    def opened_by(self, earlier: str, later: str) -> str:
        """``failure``, ``choice`` or ``always``; empty when the one never follows the other."""
        if earlier not in self._found:
            self._found[earlier] = self._from(earlier)
        always, ahead, after_failure = self._found[earlier]
        if later in always:
            return "always"
        if later in after_failure:
            return "failure"
        return "choice" if later in ahead else ""

    def _from(self, earlier: str) -> tuple[set[str], set[str], set[str]]:
        graph = self._graph
        onward = graph.following(earlier)
        always = graph.reachable(onward, past=lambda state: graph.states[state].kind is not Kind.CHOICE)
        ahead = graph.reachable([earlier])
        after_failure: set[str] = set()
        waiting = [*ahead, *(composite.id for composite, _ in graph.composites(earlier))]
        seen: set[str] = set()
        while waiting:
            state = waiting.pop()
            if state in seen:
                continue
            seen.add(state)
            new = graph.reachable([catcher.next for catcher in graph.states[state].catchers]) - after_failure
            after_failure |= new
            waiting += new
        return always, ahead, after_failure


def _undone_by(later: State, tasks: Iterable[State], ways: _Ways) -> _Undoing | None:
    candidates = []
    for earlier in tasks:
        if earlier.id == later.id or _reads(earlier):
            continue
        by_name = undoes(_phrase(later), _phrase(earlier))
        by_function = by_name or _by_function(later, earlier)
        by_action = by_function or _by_action(later, earlier)
        opened = ways.opened_by(earlier.id, later.id) if by_action else ""
        if opened:
            rank = 0 if by_name else 1 if by_function else 2
            candidates.append((rank, earlier, by_action, opened))
    if not candidates:
        return None
    best = min(candidate[0] for candidate in candidates)
    chosen = [candidate for candidate in candidates if candidate[0] == best]
    rank, earlier, why, opened = chosen[0]
    # what always follows may be the end of the work, as a lock's release is; what a choice opens, an alternative
    certain = rank < 2 and opened == "failure" and len(chosen) == 1
    return _Undoing(earlier, f"{why}, {_OPENED[opened]}", opened, certain)


_OPENED = {
    "failure": "on the way of a failure",
    "choice": "where a choice leads to it only",
    "always": "which always follows",
}


def _steps(tasks: Iterable[State], undoing: dict[str, _Undoing], pivot: str | None) -> Iterable[Step]:
    for task in tasks:
        mine = {later: entry for later, entry in undoing.items() if entry.earlier.id == task.id}
        if task.id in undoing or not (mine or task.id == pivot):
            continue
        yield Step(
            name=task.id,
            states=(task.id,),
            compensations=tuple(mine),
            certain=all(entry.certain for entry in mine.values()),
            evidence=tuple(f"{later}: {entry.why}" for later, entry in mine.items()),
        )


def _after(graph: Graph, tasks: Iterable[State], undoing: dict[str, _Undoing], pivot: str) -> Iterable[Step]:
    """What a success passes after the pivot has to be done, as far as it is known to have an effect."""
    ahead = graph.reachable(graph.following(pivot)) - {pivot, *undoing, *(one.earlier.id for one in undoing.values())}
    for task in tasks:
        if task.id in ahead and not (_reads(task) or _tells(task) or says_undo(_phrase(task))):
            yield Step(name=task.id, states=(task.id,), certain=False, evidence=("it comes after the pivot",))


def _may_undo(task: State) -> bool:
    assert task.work is not None
    action = task.work.action.lower().partition(":")[2]
    return may_undo(_phrase(task)) or may_undo(phrase(task.work.subject)) or action in _PAIRS.values()


def _phrase(task: State) -> Phrase:
    return phrase(task.name)


def _by_function(later: State, earlier: State) -> str:
    """The same question asked of the functions' names."""
    if not (later.work and earlier.work and later.work.subject and earlier.work.subject):
        return ""
    if not (later.work.action in ("", "lambda:invoke") and earlier.work.action in ("", "lambda:invoke")):
        return ""
    return undoes(phrase(later.work.subject), phrase(earlier.work.subject))


def _by_action(later: State, earlier: State) -> str:
    if not (later.work and earlier.work and later.work.subject) or later.work.subject != earlier.work.subject:
        return ""
    service, _, action = earlier.work.action.lower().partition(":")
    if _PAIRS.get((service, action)) == later.work.action.lower().partition(":")[2]:
        return f"actions: {later.work.action} and {earlier.work.action} of {later.work.subject}"
    return ""


def _reads(task: State) -> bool:
    assert task.work is not None
    action = task.work.action.lower().partition(":")[2]
    if task.work.action not in ("", "lambda:invoke"):
        return action.startswith(_READING_ACTIONS)
    return only_reads(_phrase(task))


def _tells(task: State) -> bool:
    assert task.work is not None
    return task.work.action.lower().partition(":")[0] in _TELLING_SERVICES or only_tells(_phrase(task))


def _why_undecided(task: State) -> str:
    if says_undo(_phrase(task)):
        return "what it undoes cannot be told"
    return "nothing that undoes it was found"
