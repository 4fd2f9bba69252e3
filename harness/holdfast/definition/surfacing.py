"""Whether somebody learns of a compensation that fails for good: it comes to an end, and a task tells of it there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from holdfast.definition.error_names import OTHER, TIMEOUT
from holdfast.definition.findings import Finding, FindingKind
from holdfast.definition.model import Kind, State
from holdfast.definition.paths import Machine
from holdfast.definition.steps import Step
from holdfast.verdict.model import Verdict

_Test = Callable[[str], bool]


def surfacing_findings(machine: Machine) -> Iterable[Finding]:
    """Compensations of whose failure for good nobody is told: it never ends, or ends where no task tells of it.

    One that nothing catches is told of elsewhere (`holdfast.definition.rules`).
    """
    for step in machine.steps.steps:
        for compensation in dict.fromkeys(step.compensations):
            state = machine.graph.states[compensation]
            for task in [state, *(each for flow in state.flows for each in flow.walk())]:
                if task.work is None or not machine.effects.reached(task.id):
                    continue
                errors = (TIMEOUT, OTHER)
                passing = {error: machine.graph.tolerated(task.id, error) for error in errors}
                over = next((each for each in passing.values() if each is not None), None)
                if over is not None:
                    yield _passed_over(step, task, over)
                targets = (machine.graph.route(task.id, error).target for error in errors if passing[error] is None)
                for target in dict.fromkeys(targets):
                    if target is not None:
                        yield from _untold(machine, step, task, target)


def _untold(machine: Machine, step: Step, task: State, target: str) -> Iterable[Finding]:
    graph = machine.graph
    ahead = graph.reachable([target], past=lambda state: state != task.id) - {task.id}
    if all(graph.following(state) for state in ahead):
        back = _way(machine, target, lambda state: state == task.id)
        way = (task.id, *(back or _way(machine, target, lambda state: _comes_back(machine, state))))
        what = f"when it fails for good, {' > '.join(way)} never ends, and nobody is told"
        yield _found(step, task, way, what, FindingKind.COMPENSATION_ENDLESS)
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
            doubt = doubt or "whether an alarm watches executions that fail is not known"
        kind = FindingKind.COMPENSATION_NOT_TOLD
        yield _found(step, task, way, f"{what}; {doubt}" if doubt else what, kind, sure=not doubt)


def _passed_over(step: Step, task: State, passing: State) -> Finding:
    """That a Map which tolerates failures may go on after one of a compensation."""
    what = f"when it fails for good, {passing.id} tolerates that and may go on without a task that tells of it"
    way = (task.id, passing.id)
    return _found(step, task, way, what, FindingKind.COMPENSATION_NOT_TOLD, sure=False)


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
            way, at = [state], came_from[state]
            while at is not None:
                way.append(at)
                at = came_from[at]
            return tuple(reversed(way))
        for following in machine.graph.following(state):
            if following not in came_from:
                came_from[following] = state
                waiting.append(following)
    return ()


def _found(
    step: Step, task: State, way: tuple[str, ...], what: str, kind: FindingKind, *, sure: bool = True
) -> Finding:
    return Finding(
        kind=kind,
        verdict=Verdict.VIOLATED if sure and step.certain else Verdict.INCONCLUSIVE,
        state=task.id,
        file=task.file,
        line=next((catcher.line for catcher in task.catchers if catcher.next == way[1]), task.line),
        steps=(step.name,),
        witness=way,
        sentence=f"{task.id} undoes {step.name}; {what}.",
        remedy="give up after some attempts, and hand the input to a queue, a topic or an alarm",
    )
