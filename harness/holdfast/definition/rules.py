"""The parts of SG-14 that single states decide: timeouts, order of catchers, and retries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from holdfast.definition.error_names import (
    ALL,
    BRANCH_FAILED,
    OTHER,
    RUNTIME,
    TASK_FAILED,
    TIMEOUT,
    is_ambiguous,
    matches,
    retrier_of,
)
from holdfast.definition.findings import Finding, FindingKind, listed, verdict_about
from holdfast.definition.model import Catcher, Kind, Retrier, State
from holdfast.definition.paths import Machine
from holdfast.definition.steps import Step
from holdfast.verdict.model import Verdict

_RETRY_ALL = '"Retry": [{"ErrorEquals": ["States.ALL"], ...}]'


def rule_findings(machine: Machine) -> Iterable[Finding]:
    """Findings about single states."""
    for state in machine.graph.definition.flow.walk():
        if not machine.effects.reached(state.id):
            continue
        if state.work is not None:
            yield from _timeout(state)
            yield from _unknown_machine(machine, state)
        yield from _misordered(state, state.catchers, FindingKind.MISORDERED_CATCHERS, "catcher")
        yield from _misordered(state, state.retriers, FindingKind.MISORDERED_RETRIERS, "retrier")
        yield from _retried(machine, state)
    for step in machine.steps.steps:
        for compensation in dict.fromkeys(step.compensations):
            yield from _compensation(machine, step, compensation)
        for doing in step.states if machine.steps.is_after_pivot(step.name) else ():
            yield from _not_retried(
                machine,
                step,
                doing,
                FindingKind.STEP_NOT_RETRIED,
                does=f"does {step.name} after the pivot",
                so_that=f"a passing failure does not keep {step.name} from being done",
            )
    yield from _undecided(machine)


def _timeout(state: State) -> Iterable[Finding]:
    assert state.work is not None
    if state.work.has_heartbeat and not state.work.has_timeout:
        yield _about(
            state,
            FindingKind.MISSING_TIMEOUT,
            f"{state.id} has no TimeoutSeconds: while heartbeats come, it waits as long as the execution may live, and"
            " nothing is compensated; whether they come without end is not known.",
            "give it TimeoutSeconds beside HeartbeatSeconds",
            verdict=Verdict.INCONCLUSIVE,
        )
    elif not state.work.has_timeout:
        yield _about(
            state,
            FindingKind.MISSING_TIMEOUT,
            f"{state.id} has no TimeoutSeconds: when no answer comes, it waits as long as the execution may live, and"
            " nothing is compensated.",
            "give it TimeoutSeconds, a little more than its work may take",
        )


def _unknown_machine(machine: Machine, state: State) -> Iterable[Finding]:
    assert state.work is not None
    known = state.id in machine.steps.by_state or state.id in machine.steps.compensations
    if state.work.starts and not state.flows and not known and state.id not in machine.steps.read_only:
        yield _about(
            state,
            FindingKind.UNKNOWN_MACHINE,
            f"{state.id} starts {state.work.starts} and waits for it; what that machine does is not known here.",
            "name its definition's file too; for a descriptor, list that machine under [components]",
            verdict=Verdict.INCONCLUSIVE,
        )


def _misordered(state: State, entries: Sequence[Catcher | Retrier], kind: FindingKind, word: str) -> Iterable[Finding]:
    composite = state.kind in (Kind.PARALLEL, Kind.MAP)
    for at, entry in enumerate(entries):
        problem, remedy = "", ""
        earlier = [name for before in entries[:at] for name in before.errors]
        hidden = [name for name in entry.errors if any(_covers(each, name, composite=composite) for each in earlier)]
        if hidden and len(hidden) == len(entry.errors):
            problem = f"{word} {at + 1} of {state.id} is never reached: an earlier one takes {listed(hidden)}"
            remedy = f"put the {word} of the narrower errors first, and States.ALL last"
        elif ALL in entry.errors and len(entry.errors) > 1:
            problem = f"{word} {at + 1} of {state.id} names States.ALL beside other errors"
            remedy = "States.ALL must stand alone in ErrorEquals"
        elif entry.errors == (RUNTIME,):
            problem = f"{word} {at + 1} of {state.id} waits for States.Runtime, which always fails the execution"
            remedy = f"remove it; no {word} takes States.Runtime"
        elif ALL in entry.errors and at + 1 < len(entries):
            continue  # told at those that come after it
        if problem:
            yield _about(state, kind, problem + ".", remedy, line=entry.line)


def _covers(pattern: str, name: str, *, composite: bool) -> bool:
    """Whether whatever one name in ``ErrorEquals`` matches is matched by an earlier one."""
    if pattern == name:
        return True
    if name == ALL:
        return False
    if name == TASK_FAILED:
        return pattern == ALL or (composite and pattern == BRANCH_FAILED)
    return matches(pattern, name, composite=composite)


def _retried(machine: Machine, state: State) -> Iterable[Finding]:
    """A retrier, of a step or of what is around it, that repeats a step which must not be repeated."""
    inside = [state, *(each for flow in state.flows for each in flow.walk())]
    once = [
        step
        for step in machine.steps.steps
        if step.idempotent is False and any(each.id in step.states for each in inside)
    ]
    for retrier in state.retriers if once else ():
        ambiguous = [error for error in retrier.errors if is_ambiguous(error)]
        if retrier.maximum_attempts > 0 and ambiguous:
            names = tuple(step.name for step in once)
            yield _about(
                state,
                FindingKind.RETRIED_NOT_IDEMPOTENT,
                f"{state.id} is retried after {listed(ambiguous)}, when {listed(names)} may have taken effect, but"
                " is not idempotent.",
                "make it idempotent, or retry errors only that show that it had no effect",
                line=retrier.line,
                steps=names,
            )


def _not_retried(
    machine: Machine, step: Step, state: str, kind: FindingKind, *, does: str, so_that: str
) -> Iterable[Finding]:
    """What must be done in the end gives up at its first failure: no retrier, and no catcher that leads back to it."""
    errors = (TIMEOUT, OTHER)
    for task in machine.tasks_in(state):
        targets = [machine.graph.route(task.id, error).target for error in errors]
        back = [target is not None and task.id in machine.graph.reachable([target]) for target in targets]
        if all(back) or all(_repeated(machine, task, error) for error in errors):
            continue
        tried = [name for retrier in task.retriers if retrier.maximum_attempts for name in retrier.errors]
        yield _about(
            task,
            kind,
            f"{task.id} {does} and "
            + (f"is retried after {listed(tried)} only." if tried else "is not retried when it fails."),
            f"add {_RETRY_ALL} to it, so that {so_that}",
            verdict=verdict_about([step]),
            steps=(step.name,),
        )


def _compensation(machine: Machine, step: Step, state: str) -> Iterable[Finding]:
    yield from _not_retried(
        machine,
        step,
        state,
        FindingKind.COMPENSATION_NOT_RETRIED,
        does=f"undoes {step.name}",
        so_that=f"a passing failure does not leave {step.name} in effect",
    )
    for task in machine.tasks_in(state):
        routes = {error: machine.graph.route(task.id, error) for error in (TIMEOUT, OTHER)}
        open_errors = [
            error
            for error, route in routes.items()
            if route.target is None and machine.graph.tolerated(task.id, error) is None
        ]
        if open_errors:
            yield _about(
                task,
                FindingKind.COMPENSATION_NOT_CAUGHT,
                f"{task.id} undoes {step.name}; when it fails for good with {listed(open_errors)}, nothing catches it"
                " and nobody is told.",
                "catch States.ALL and hand the input to a queue, a topic or an alarm",
                verdict=verdict_about([step]),
                steps=(step.name,),
                witness=(task.id,),
            )


def _repeated(machine: Machine, task: State, error: str) -> bool:
    """Whether a failure is retried, by the task or by a composite that fails with it."""
    around = [task]
    for composite, _ in machine.graph.composites(task.id):
        if machine.graph.route(task.id, error).owner in {each.id for each in around}:
            break
        around.append(composite)
    return any(retrier_of(each, error) is not None for each in around)


def _undecided(machine: Machine) -> Iterable[Finding]:
    """Tasks before a compensated step of which a derivation could not tell what undoes them."""
    pivot = {state for step in machine.steps.steps if step.name == machine.steps.pivot for state in step.states}
    for each in machine.steps.undecided if machine.steps.steps else ():
        state = machine.graph.states[each.state]
        later = machine.graph.reachable(machine.graph.following(each.state))
        if each.state not in machine.success or later.isdisjoint(machine.steps.by_state):
            continue
        if machine.effects.passed_pivot(each.state) and later.isdisjoint(pivot):
            continue
        before = "steps that are compensated" if later.isdisjoint(pivot) else f"the pivot {machine.steps.pivot}"
        yield _about(
            state,
            FindingKind.NO_COMPENSATION,
            f"{each.state} comes before {before}, but {each.reason}.",
            "list the saga's steps in a descriptor ([[patterns.saga.steps]]; a task that is not listed is taken to have"
            " no effect) and verify SG-14",
            verdict=Verdict.INCONCLUSIVE,
        )


def _about(
    state: State,
    kind: FindingKind,
    sentence: str,
    remedy: str,
    *,
    line: int = 0,
    verdict: Verdict = Verdict.VIOLATED,
    steps: tuple[str, ...] = (),
    witness: tuple[str, ...] = (),
) -> Finding:
    return Finding(
        kind=kind,
        verdict=verdict,
        state=state.id,
        file=state.file,
        line=line or state.line,
        steps=steps,
        witness=witness,
        sentence=sentence[0].upper() + sentence[1:],
        remedy=remedy,
    )
