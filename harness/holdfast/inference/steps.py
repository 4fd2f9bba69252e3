"""Which entries belong to which step of a saga, and which to its compensation. Pure.

Names pair a state or function with entries (``BookFlight`` and ``flight-taken``); what only a saga that turned back has
left belongs to compensations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.definition import Definition, derive_steps
from holdfast.definition.graph import Graph
from holdfast.definition.model import State
from holdfast.inference.evidence import Effect, likeness, placed, snake
from holdfast.inference.inventory import Inventory
from holdfast.inference.learning import Trial
from holdfast.inference.patterns import ChoreographedStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does a step: a state of the machine or a function, and who undoes it; empty for nobody."""

    name: str
    state: str = ""
    function: str = ""
    undo_state: str = ""
    undo_function: str = ""

    @property
    def done_by(self) -> str:
        """A name that speaks of what is done."""
        return self.state or self.function.removesuffix("Function")

    @property
    def undone_by(self) -> str:
        """A name that speaks of its undoing; empty where nothing undoes it."""
        return self.undo_state or self.undo_function.removesuffix("Function")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStep:
    """A step with the effects that count how often it was done and undone; None where none was seen."""

    actor: Actor
    done: Effect | None
    undone: Effect | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a definition alone tells of a saga's steps.

    Attributes:
        actors: who does a step and who undoes it, in order.
        unsure: by its state, what speaks for a step whose undoing is not beyond doubt.
        undecided: states of which it is not told whether they do a step.
    """

    actors: tuple[Actor, ...] = ()
    unsure: Mapping[str, str] = field(default_factory=dict)
    undecided: tuple[str, ...] = ()


NOTHING_TOLD = Told()


def told_steps(definition: Definition, functions: Sequence[str]) -> Told:
    """The steps that a definition tells, certain or not.

    Args:
        definition: the state machine.
        functions: logical ids of the functions that it may call.
    """
    found = derive_steps(definition)
    steps = {step.states[0]: step for step in found.steps}
    states = {state.id: state for state in in_order(definition)}
    undecided = {each.state for each in found.undecided}
    return Told(
        actors=tuple(
            _actor(state, states, steps[one].compensations, functions) for one, state in states.items() if one in steps
        ),
        unsure={states[one].name: ", ".join(step.evidence) for one, step in steps.items() if not step.certain},
        undecided=tuple(state.name for one, state in states.items() if one in undecided),
    )


def in_order(definition: Definition) -> tuple[State, ...]:
    """The tasks of a definition: those of an undisturbed execution in the order it comes to them, then the others."""
    graph = Graph(definition)
    order = dict.fromkeys((*graph.forward_order(), *graph.states))
    return tuple(graph.states[name] for name in order if graph.states[name].work is not None)


def actors_of_machine(definition: Definition, functions: Sequence[str]) -> tuple[Actor, ...]:
    """The steps that a definition shows, in order; tasks of which it is not told what they are come without an undo.

    Args:
        definition: the state machine.
        functions: logical ids of the functions that it may call.
    """
    steps = {step.states[0]: step for step in derive_steps(definition).steps if step.certain}
    undoing = {state for step in steps.values() for state in step.compensations}
    states = {state.id: state for state in in_order(definition)}
    found = []
    for name, state in states.items():
        if name in undoing:
            continue
        found.append(_actor(state, states, steps[name].compensations if name in steps else (), functions))
    return tuple(found)


def _actor(state: State, states: Mapping[str, State], compensations: Sequence[str], functions: Sequence[str]) -> Actor:
    undo = next(iter(compensations), "")
    return Actor(
        name=snake(state.name),
        state=state.name,
        function=_function(state, functions),
        undo_state=undo.rpartition("/")[2],
        undo_function=_function(states[undo], functions) if undo in states else "",
    )


def _function(state: State, functions: Sequence[str]) -> str:
    """The function that a task calls, by what its definition says of it."""
    said = f"{state.work.subject} {state.work.resource}" if state.work else ""
    return next((name for name in sorted(functions, key=len, reverse=True) if name in said), "")


def last_task(definition: Definition) -> str:
    """The last task to which an execution comes that nothing disturbs and no choice leads away; empty for none."""
    states = {state.id: state for state in definition.flow.states}
    name, last, seen = definition.flow.start, "", set()
    while name in states and name not in seen:
        seen.add(name)
        last = states[name].name if states[name].work is not None else last
        name = states[name].next or ""
    return last


def actors_of_choreography(steps: Iterable[ChoreographedStep], workers: Iterable[str]) -> tuple[Actor, ...]:
    """The steps of a choreography, and the other functions, which could do a step that nothing undoes."""
    actors = tuple(Actor(name=snake(one.name), function=one.function, undo_function=one.undone_by) for one in steps)
    taken = {name for actor in actors for name in (actor.function, actor.undo_function)}
    others = (name for name in workers if name not in taken)
    return actors + tuple(Actor(name=snake(name.removesuffix("Function")), function=name) for name in others)


def found_steps(
    there: Inventory, actors: Sequence[Actor], effects: Sequence[Effect], good: Trial, failed: Trial | None
) -> tuple[FoundStep, ...]:
    """The steps that left entries.

    Args:
        there: what the stack consists of.
        actors: who could have done a step, in order.
        effects: where entries are.
        good: a saga that was completed.
        failed: one that turned back; None for none.
    """
    ledger = _ledger(there, effects, good, failed)
    forward = [one for one in ledger if placed(there, one, good)]
    back = [one for one in ledger if one not in forward]
    matched = dict(_matched([(actor, actor.done_by) for actor in actors], forward))
    matched |= _only_one_left(there, [actor for actor in actors if actor not in matched], forward, matched)
    undone = dict(
        _matched([(actor, f"{actor.undone_by} {actor.done_by}") for actor in matched if actor.undone_by], back)
    )
    rest = [one for one in back if one not in undone.values()]
    open_ones = [actor for actor in matched if actor not in undone and failed and placed(there, matched[actor], failed)]
    if len(rest) == 1 and len(open_ones) == 1:
        undone[open_ones[0]] = rest[0]
    idle = [actor for actor in actors if actor not in matched]
    steps = [
        FoundStep(actor=_with_undo(actor, undone.get(actor), idle), done=matched[actor], undone=undone.get(actor))
        for actor in actors
        if actor in matched
    ]
    return tuple(sorted(steps, key=lambda step: _when(there, step, good)))


def _only_one_left(
    there: Inventory, actors: Sequence[Actor], effects: Sequence[Effect], matched: Mapping[Actor, Effect]
) -> dict[Actor, Effect]:
    """The one entry that belongs to nobody by its name, with the one function left that may write it."""
    rest = [one for one in effects if one not in matched.values()]
    writing = [
        actor for actor in actors if rest and actor.function and rest[0].table in there.functions[actor.function].writes
    ]
    return {writing[0]: rest[0]} if len(rest) == 1 and len(writing) == 1 else {}


def _with_undo(actor: Actor, undone: Effect | None, idle: Sequence[Actor]) -> Actor:
    """An actor with who undoes it: where nothing else tells, the task that is called like the entry of its undoing."""
    if undone is None or actor.undone_by:
        return actor
    by = max(idle, key=lambda one: likeness(one.done_by, undone.prefix), default=None)
    if by is None or not likeness(by.done_by, undone.prefix):
        return actor
    return replace(actor, undo_state=by.state, undo_function=by.function)


def _when(there: Inventory, step: FoundStep, good: Trial) -> str:
    """When a step was done in a saga that was completed; steps without a time keep their order."""
    assert step.done is not None
    rows = placed(there, step.done, good)
    return str(rows[0].get(step.done.order, "")) if rows and step.done.order else ""


def _ledger(there: Inventory, effects: Sequence[Effect], good: Trial, failed: Trial | None) -> tuple[Effect, ...]:
    """The effects of the table that tells most steps and their undoing apart."""
    tables = dict.fromkeys(effect.table for effect in effects if effect.prefix)

    def worth(table: str) -> tuple[int, int]:
        own = [one for one in effects if one.table == table]
        told = sum(not placed(there, one, good) for one in own) if failed else 0
        return told, len(own)

    best = max(tables, key=worth, default="")
    return tuple(one for one in effects if one.table == best)


def _matched(named: Sequence[tuple[Actor, str]], effects: Sequence[Effect]) -> Iterator[tuple[Actor, Effect]]:
    """Each name with the effect that is most like it; the likeliest pairs first, none twice."""
    pairs = sorted(
        (
            (-likeness(name, effect.prefix), at, number)
            for at, (_, name) in enumerate(named)
            for number, effect in enumerate(effects)
            if likeness(name, effect.prefix)
        ),
    )
    taken_names: set[int] = set()
    taken_effects: set[int] = set()
    for _, at, number in pairs:
        if at not in taken_names and number not in taken_effects:
            taken_names.add(at)
            taken_effects.add(number)
            yield named[at][0], effects[number]


def pivot(steps: Sequence[FoundStep], failing: str = "") -> str:
    """The last step at which a saga still turns back; empty where that is the last one and can be undone, too.

    Args:
        steps: in order.
        failing: the step whose failure made a saga turn back; empty for none.
    """
    turning = [at for at, step in enumerate(steps) if step.undone is not None or step.actor.name == failing]
    if not turning or not any(step.undone for step in steps):
        return ""
    last = steps[turning[-1]]
    return last.actor.name if last is not steps[-1] or last.undone is None else ""
