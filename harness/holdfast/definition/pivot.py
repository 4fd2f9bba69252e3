"""A pivot that nothing undoes, may have had its effect when it fails, and is followed by compensations all the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from holdfast.definition.error_names import OTHER, WILDCARDS, is_ambiguous
from holdfast.definition.findings import Finding, FindingKind, listed, verdict_about
from holdfast.definition.paths import FailureExit, Machine


def pivot_findings(machine: Machine) -> Iterable[Finding]:
    """Failures that leave an uncompensated pivot in effect, while what was done before it is undone.

    Where a task on the way refuses by an error of its own, and that leads back to the way of success, the machine asks
    what has become of the pivot; a compensation that may refuse otherwise makes it doubtful.
    """
    pivot = machine.by_name.get(machine.steps.pivot or "")
    if pivot is None or pivot.compensations:
        return
    for failure in machine.exits:
        target, catcher = failure.route.target, failure.route.catcher
        undone = [step.name for step in machine.steps.steps if step.name in failure.must_run & failure.to_undo]
        if target is None or catcher is None or not undone or not _left(machine, failure, pivot.name):
            continue
        asks, refuses = _refusals(machine, target)
        if asks:
            continue
        shown = f"{failure.state} > {target}"
        errors = listed([error for error in failure.errors if is_ambiguous(error)] or failure.errors)
        doubt = "; whether that is refused once it has taken effect is not known" if refuses else ""
        yield Finding(
            kind=FindingKind.ORPHANED,
            verdict=verdict_about([pivot], sure=not refuses),
            state=failure.state,
            file=failure.file,
            line=catcher.line,
            steps=(pivot.name,),
            witness=(failure.state, target),
            sentence=f"The pivot {pivot.name} may have had its effect when {failure.state} fails with {errors}, and"
            f" nothing undoes it, but {shown} undoes {listed(undone)}{doubt}.",
            remedy=f"declare what undoes {pivot.name} and lead this catcher to it first, or find out whether it took"
            " effect before anything is undone",
        )


def _left(machine: Machine, failure: FailureExit, pivot: str) -> bool:
    """Whether a failure on the way of success leaves the pivot in effect."""
    if pivot not in failure.to_undo or failure.state not in machine.success:
        return False
    beside = pivot in machine.effects.beside(failure.state)
    return bool(failure.route.crossed) or not beside


def _refusals(machine: Machine, start: str) -> tuple[bool, bool]:
    """Whether definite errors of the tasks from a state on lead to the way of success, and whether any are caught."""
    caught = False
    seen: set[str] = set()
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if state in machine.success:
            return True, True
        if state in seen:
            continue
        seen.add(state)
        waiting.extend(machine.graph.following(state))
        for catcher in machine.graph.states[state].catchers:
            if any(error not in WILDCARDS and error != OTHER and not is_ambiguous(error) for error in catcher.errors):
                caught = caught or state in machine.steps.compensations
                waiting.append(catcher.next)
    return False, caught
