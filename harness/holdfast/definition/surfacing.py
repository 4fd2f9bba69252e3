"""Whether somebody learns of what must not fail: it comes to an end, and a task tells of it there.

That is a compensation, and a step after the pivot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holdfast.definition.error_names import OTHER, TIMEOUT
from holdfast.definition.findings import Finding, FindingKind, verdict_about
from holdfast.definition.graph import way_to
from holdfast.definition.model import Kind, State
from holdfast.definition.paths import Machine
from holdfast.definition.steps import Step

_Test = Callable[[str], bool]
_NO_ALARM = "whether an alarm watches executions that fail is not known"


@dataclass(frozen=True, slots=True)
class _Duty:
    """What must not fail for good unheard: the step, whether it is undone, and what the findings are."""

    step: Step
    undo: bool

    @property
    def endless(self) -> FindingKind:
        return FindingKind.COMPENSATION_ENDLESS if self.undo else FindingKind.STEP_ENDLESS

    @property
    def not_told(self) -> FindingKind:
        return FindingKind.COMPENSATION_NOT_TOLD if self.undo else FindingKind.STEP_NOT_TOLD

    def does(self, task: State) -> str:
        return f"{task.id} undoes {self.step.name}" if self.undo else f"{task.id} does {self.step.name} after the pivot"


def surfacing_findings(machine: Machine) -> Iterable[Finding]:
    """Compensations and steps after the pivot of whose failure for good nobody is told: it never ends, or in silence.

    Compensations that nothing catches, and those that come after the pivot, are told of elsewhere
    (`holdfast.definition.rules`, `holdfast.definition.leftovers`).
    """
    for step in machine.steps.steps:
        for compensation in dict.fromkeys(step.compensations):
            yield from _unheard(machine, _Duty(step, undo=True), compensation)
        if machine.steps.is_after_pivot(step.name):
            for state in step.states:
                yield from _unheard(machine, _Duty(step, undo=False), state)


def _unheard(machine: Machine, duty: _Duty, id_: str) -> Iterable[Finding]:
    for task in machine.tasks_in(id_):
        errors = (TIMEOUT, OTHER)
        passing = {error: machine.graph.tolerated(task.id, error) for error in errors}
        over = next((each for each in passing.values() if each is not None), None)
        if over is not None:
            yield _passed_over(duty, task, over)
        targets = (machine.graph.route(task.id, error).target for error in errors if passing[error] is None)
        for target in dict.fromkeys(targets):
            if target is not None:
                yield from _untold(machine, duty, task, target)
            elif not duty.undo:
                what = f"when it fails for good, nothing catches it; {_NO_ALARM}"
                yield _found(duty, task, (task.id,), what, duty.not_told, sure=False)


def _untold(machine: Machine, duty: _Duty, task: State, target: str) -> Iterable[Finding]:
    graph = machine.graph
    ahead = graph.reachable([target], past=lambda state: state != task.id) - {task.id}
    if not duty.undo and not machine.steps.compensations.isdisjoint(ahead):
        return
    if all(graph.following(state) for state in ahead):
        back = _way(machine, target, lambda state: state == task.id)
        way = (task.id, *(back or _way(machine, target, lambda state: _comes_back(machine, state))))
        what = f"when it fails for good, {' > '.join(way)} never ends, and nobody is told"
        yield _found(duty, task, way, what, duty.endless)
        return
    ordinary = graph.reachable(graph.following(task.id))
    telling = {state for state in ahead if _tells(machine, state) and state not in ordinary}
    silent = _way(
        machine,
        target,
        lambda state: not graph.following(state),
        past=lambda state: state not in telling and state != task.id,
    )
    if silent:
        way = (task.id, *silent)
        what = f"when it fails for good, {' > '.join(way)} ends without a task that tells of it"
        common = next((state for state in silent if _tells(machine, state)), "")
        doubt = f"whether {common}, which a success passes too, tells of it is not known" if common else ""
        if telling and any(graph.states[state].kind is Kind.CHOICE for state in silent):
            doubt = doubt or "data decide at run time"
        if graph.states[silent[-1]].kind is Kind.FAIL:
            doubt = doubt or _NO_ALARM
        yield _found(duty, task, way, f"{what}; {doubt}" if doubt else what, duty.not_told, sure=not doubt)


def _passed_over(duty: _Duty, task: State, passing: State) -> Finding:
    """That a Map which tolerates failures may go on after this one."""
    what = f"when it fails for good, {passing.id} tolerates that and may go on without a task that tells of it"
    way = (task.id, passing.id)
    return _found(duty, task, way, what, duty.not_told, sure=False)


def _comes_back(machine: Machine, state: str) -> bool:
    return state in machine.graph.reachable(machine.graph.following(state))


def _tells(machine: Machine, state: str) -> bool:
    """Whether a state does work that is no part of the saga itself."""
    steps = machine.steps
    part = state in steps.by_state or state in steps.compensations or state in steps.read_only
    return machine.graph.states[state].work is not None and not part


def _way(machine: Machine, start: str, wanted: _Test, *, past: _Test = lambda _: True) -> tuple[str, ...]:
    """The shortest way from a state to one that is wanted, both included; empty when there is none."""
    came_from: dict[str, str | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if not past(state):
            continue
        if wanted(state):
            return way_to(state, came_from)
        for following in machine.graph.following(state):
            if following not in came_from:
                came_from[following] = state
                waiting.append(following)
    return ()


def _found(
    duty: _Duty, task: State, way: tuple[str, ...], what: str, kind: FindingKind, *, sure: bool = True
) -> Finding:
    return Finding(
        kind=kind,
        verdict=verdict_about([duty.step], sure=sure),
        state=task.id,
        file=task.file,
        line=next((catcher.line for catcher in task.catchers if catcher.next in way[1:2]), task.line),
        steps=(duty.step.name,),
        witness=way,
        sentence=f"{duty.does(task)}; {what}.",
        remedy="give up after some attempts, and hand the input to a queue, a topic or an alarm",
    )
