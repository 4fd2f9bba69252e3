"""Which failures leave a step in effect that nothing undoes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from holdfast.definition.findings import Finding, FindingKind, listed, verdict_about
from holdfast.definition.model import Kind, State
from holdfast.definition.paths import FailureExit, Leaving, Machine
from holdfast.definition.steps import Step
from holdfast.verdict.model import Verdict

_CATCH_ALL = '"Catch": [{"ErrorEquals": ["States.ALL"], "Next": ...}]'
_NAME_THE_PIVOT = ", or name the pivot (`holdfast lint --pivot TASK`, or steps and `pivot` in a descriptor)"


def leftovers(machine: Machine) -> Iterable[Finding]:
    """Steps that stay in effect after a failure, the failing step's own effect included."""
    for failure in machine.exits:
        if failure.state in machine.steps.compensations:
            continue
        state = machine.graph.states[failure.state]
        target = failure.route.target
        found = _uncaught(machine, failure, state) if target is None else _caught(machine, failure, state, target)
        yield from map(_of_choice, found) if state.may_match_nothing else found
    yield from _refused(machine)
    yield from _after_pivot(machine)
    for step in machine.steps.steps:
        yield from _without_compensation(machine, step)


def _relevant(machine: Machine, failure: FailureExit) -> list[Step]:
    """The steps to account for at a failure: those before the pivot and the pivot that can be undone at all.

    What runs side by side is accounted for where the whole composite fails.
    """
    names = failure.to_undo
    if failure.state not in machine.success:
        # what nothing undoes from here on even without this failure is told at the failure that leads here
        onward = (machine.compensations.may_run(state) for state in machine.graph.following(failure.state))
        names &= machine.effects.beside(failure.state).union(*onward)
    if not failure.route.crossed:
        names -= machine.effects.beside(failure.state)
    elif machine.graph.states[failure.state].kind is Kind.FAIL:
        names &= machine.effects.beside(failure.state)
    return [
        step
        for step in machine.steps.steps
        if step.name in names and not machine.steps.is_after_pivot(step.name) and step.compensations
    ]


def _uncaught(machine: Machine, failure: FailureExit, state: State) -> Iterable[Finding]:
    steps = _relevant(machine, failure)
    if not steps:
        return
    caught = [name for catcher in state.catchers for name in catcher.errors]
    sure = machine.certainly_before_pivot(state.id)
    what = f"{state.id} catches {listed(caught)} only: {listed(failure.errors)}" if caught else ""
    what = what or f"No catcher takes a failure of {state.id}: it"
    open_end = "" if sure else f", unless {state.id} comes after the pivot, which the definition does not tell"
    yield Finding(
        kind=FindingKind.MISSING_CATCHER,
        verdict=verdict_about(steps, sure=sure),
        state=state.id,
        file=state.file,
        line=state.line,
        steps=_names(steps),
        witness=(state.id,),
        sentence=f"{what} ends the execution with {listed(_names(steps))} in effect and not undone{open_end}.",
        remedy=f"add {_CATCH_ALL} to {state.id}, leading to {listed(_undoing(steps))}"
        + ("" if sure else _NAME_THE_PIVOT),
    )


def _of_choice(finding: Finding) -> Finding:
    """A finding at a Choice that fails when no rule matches, which may never be."""
    doubt = "; whether one of its rules always matches, data decide."
    return replace(
        finding,
        verdict=Verdict.INCONCLUSIVE,
        sentence=finding.sentence.removesuffix(".") + doubt,
        remedy=f"give {finding.state} a Default that leads to {listed(finding.steps)} being undone",
    )


def _caught(machine: Machine, failure: FailureExit, state: State, target: str) -> Iterable[Finding]:
    own = machine.steps.by_state.get(state.id)
    left: dict[tuple[bool, _Judgement], list[tuple[Step, tuple[str, ...]]]] = {}
    for step in _relevant(machine, failure):
        leaving = machine.leaving(target, step)
        judgement = _judged(machine, failure, state, step, leaving)
        if judgement is not None:
            left.setdefault((step is own, judgement), []).append((step, leaving.ended or leaving.rejoined or ()))
    for (is_own, judgement), entries in left.items():
        steps = [step for step, _ in entries]
        way = (state.id, *min((each for _, each in entries), key=len))
        yield _left_behind(failure, state, steps, way, judgement, is_own=is_own)


@dataclass(frozen=True, slots=True)
class _Judgement:
    """That a step stays in effect, and what makes it doubtful; without a doubt it is violated."""

    doubt: str = ""
    goes_on: bool = False


_DATA = "whether it has to be, or is on another way, data decide at run time"
_PIVOT = "whether this comes after the pivot is not known"
_DERIVED = "what undoes it is derived and not sure"


def _judged(machine: Machine, failure: FailureExit, state: State, step: Step, leaving: Leaving) -> _Judgement | None:
    """Whether a step that may be in effect at a failure stays so; None when it does not."""
    own = machine.steps.by_state.get(state.id)
    if leaving.ended is not None:
        depends = leaving.undone or leaving.rejoined is not None or step.name in failure.may_run
        sure = machine.certainly_before_pivot(state.id)
        return _Judgement(_DATA if depends else _PIVOT if not sure else "" if step.certain else _DERIVED)
    if leaving.rejoined is None:
        return None
    ahead = machine.graph.reachable([leaving.rejoined[-1]])
    if step is own:
        # coming back to the step is another attempt at it
        return None if ahead & set(step.states) else _Judgement(_DATA, goes_on=True)
    if ahead & machine.steps.by_state.keys() or (own is None and not _steps_after(machine, state)):
        return None  # the saga goes on, and what fails later is judged there; or all its steps were done
    return _Judgement(_DATA, goes_on=True)


def _steps_after(machine: Machine, state: State) -> bool:
    return bool(machine.graph.reachable(machine.graph.following(state.id)) & machine.steps.by_state.keys())


def _left_behind(
    failure: FailureExit,
    state: State,
    steps: Sequence[Step],
    way: tuple[str, ...],
    judgement: _Judgement,
    *,
    is_own: bool,
) -> Finding:
    names, shown, errors = _names(steps), " > ".join(way), listed(failure.errors)
    catcher = failure.route.catcher
    assert catcher is not None
    doubt = f"; {judgement.doubt}" if judgement.doubt else ""
    if judgement.goes_on:
        kind = FindingKind.GOES_ON
        sentence = (
            f"After {errors} in {state.id} the saga goes on at {way[-1]} with {listed(names)} perhaps in effect;"
            " whether it then commits or gives up cannot be read from the definition."
        )
        remedy = f"undo {listed(names)} before going on, or retry {state.id} until it is done"
    elif is_own:
        kind = FindingKind.ORPHANED
        sentence = (
            f"{state.id} may have had its effect when it fails with {errors}, but {shown} does not undo it{doubt}."
        )
        remedy = f"lead this catcher to {listed(_undoing(steps))} first, and let that bear that nothing was done"
    else:
        kind = FindingKind.UNCOMPENSATED
        them = "it" if len(names) == 1 else "them"
        sentence = (
            f"When {state.id} fails with {errors}, {listed(names)} may be in effect, but {shown} does not undo"
            f" {them}{doubt}."
        )
        remedy = f"lead this catcher to {listed(_undoing(steps))}"
    if judgement.doubt == _PIVOT:
        remedy += _NAME_THE_PIVOT
    return Finding(
        kind=kind,
        verdict=Verdict.INCONCLUSIVE if judgement.doubt else Verdict.VIOLATED,
        state=state.id,
        file=failure.file,
        line=catcher.line,
        steps=names,
        witness=way,
        sentence=sentence,
        remedy=remedy,
    )


def _refused(machine: Machine) -> Iterable[Finding]:
    """Choices that leave the way of success, with steps in effect that were followed by others, so surely done.

    The last step before the Choice does not count: that it was refused may be what the Choice has seen.
    """
    for choice in machine.graph.states.values():
        if choice.kind is not Kind.CHOICE or choice.id not in machine.success:
            continue
        in_effect = machine.effects.on_entry(choice.id) - machine.effects.beside(choice.id)
        for target in choice.choices:
            if target in machine.success:
                continue
            for step in machine.steps.steps:
                if step.name not in in_effect or not step.compensations or not _followed(machine, step, choice):
                    continue
                leaving = machine.leaving(target, step)
                may_run = machine.compensations.may_run(target)
                if leaving.ended is None or leaving.undone or leaving.rejoined or step.name in may_run:
                    continue
                way = (choice.id, *leaving.ended)
                yield Finding(
                    kind=FindingKind.UNCOMPENSATED,
                    verdict=verdict_about([step], sure=machine.certainly_before_pivot(choice.id)),
                    state=choice.id,
                    file=choice.file,
                    line=choice.line,
                    steps=(step.name,),
                    witness=way,
                    sentence=f"{choice.id} may give up with {step.name} in effect, but {' > '.join(way)} does not"
                    " undo it.",
                    remedy=f"lead this way to {listed(step.compensations)}",
                )


def _followed(machine: Machine, step: Step, choice: State) -> bool:
    graph = machine.graph
    onward = graph.reachable(
        (each for state in step.states for each in graph.following(state)),
        past=lambda state: state not in step.compensations,
    )
    later = [state for state in onward if state in machine.steps.by_state and state not in step.states]
    return choice.id in graph.reachable(later, past=lambda state: state not in step.compensations)


def _after_pivot(machine: Machine) -> Iterable[Finding]:
    """Failures after the pivot that lead back to compensations."""
    for failure in machine.exits:
        if not machine.effects.passed_pivot(failure.state) or failure.state in machine.steps.compensations:
            continue
        target, state = failure.route.target, machine.graph.states[failure.state]
        if target is None or not failure.may_run:
            continue
        undone = sorted(failure.must_run or failure.may_run)
        yield Finding(
            kind=FindingKind.AFTER_PIVOT,
            verdict=Verdict.VIOLATED if failure.must_run and not state.may_match_nothing else Verdict.INCONCLUSIVE,
            state=state.id,
            file=state.file,
            line=failure.route.catcher.line if failure.route.catcher else state.line,
            steps=tuple(undone),
            witness=(state.id, target),
            sentence=f"{state.id} comes after the pivot {machine.steps.pivot}, but its failure leads to the"
            f" compensation of {listed(undone)}" + ("." if failure.must_run else " on some ways."),
            remedy=f"retry {state.id} until it is done; past the pivot a saga only goes forward",
        )


def _without_compensation(machine: Machine, step: Step) -> Iterable[Finding]:
    if step.compensations or not machine.steps.is_before_pivot(step.name):
        return
    state = machine.graph.states[step.states[0]]
    yield Finding(
        kind=FindingKind.NO_COMPENSATION,
        verdict=Verdict.VIOLATED,
        state=state.id,
        file=state.file,
        line=state.line,
        steps=(step.name,),
        sentence=f"{step.name} comes before the pivot and nothing undoes it.",
        remedy="name what undoes it, make it the pivot or a later step, or, where it has no effect, do not list it",
    )


def _names(steps: Iterable[Step]) -> tuple[str, ...]:
    return tuple(step.name for step in steps)


def _undoing(steps: Sequence[Step]) -> list[str]:
    """What undoes these steps, the last one first."""
    return [step.compensations[0] for step in reversed(steps) if step.compensations]
