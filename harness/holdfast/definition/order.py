"""Whether compensations run in the reverse order of their steps."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import permutations

from holdfast.definition.findings import Finding, FindingKind
from holdfast.definition.paths import FailureExit, Machine
from holdfast.definition.steps import Step
from holdfast.verdict.model import Verdict


def order_findings(machine: Machine) -> Iterable[Finding]:
    """Pairs of steps whose compensations run in the order of the steps, or side by side.

    Each pair is reported once, at the first failure that shows it.
    """
    reach = {state: machine.graph.reachable(machine.graph.following(state)) for state in machine.steps.compensations}
    for first, second in permutations(machine.steps.steps, 2):
        if not _comes_before(machine, first, second):
            continue
        found = next(
            (
                finding
                for failure in machine.exits
                if not machine.graph.states[failure.state].may_match_nothing
                and {first.name, second.name} <= failure.to_undo
                and failure.route.target is not None
                for finding in _disorder(machine, failure, first, second, reach)
            ),
            None,
        )
        if found is not None:
            yield found


def _comes_before(machine: Machine, first: Step, second: Step) -> bool:
    """Whether a step is done, and so has to be undone, in an order with another; declared order goes first."""
    if not first.compensations or not second.compensations:
        return False
    if second.after is not None:
        return first.name in second.after
    return _leads_to(machine, first, second) and not _leads_to(machine, second, first)


def _leads_to(machine: Machine, first: Step, second: Step) -> bool:
    graph, undoing = machine.graph, machine.steps.compensations
    starts = [following for state in first.states for following in graph.following(state)]
    return not graph.reachable(starts, past=lambda state: state not in undoing).isdisjoint(second.states)


def _disorder(
    machine: Machine, failure: FailureExit, first: Step, second: Step, reach: dict[str, set[str]]
) -> Iterable[Finding]:
    assert failure.route.target is not None
    ahead = machine.graph.reachable([failure.route.target], past=lambda state: state not in machine.success)
    for early in first.compensations:
        for late in second.compensations:
            if early == late or early not in ahead or late not in ahead:
                continue
            beside = _side_by_side(machine, early, late)
            if beside:
                yield _finding(machine, failure, first, second, (early, late), beside=beside)
            elif late in reach[early] and early not in reach[late]:
                yield _finding(machine, failure, first, second, (early, late), beside="")


def _side_by_side(machine: Machine, one: str, other: str) -> str:
    """The Parallel in two branches of which two states are; empty when there is none."""
    branches = {composite.id: branch for composite, branch in machine.graph.composites(one)}
    for composite, branch in machine.graph.composites(other):
        if composite.id in branches and branches[composite.id] != branch:
            return composite.id
    return ""


def _finding(
    machine: Machine, failure: FailureExit, first: Step, second: Step, undoing: tuple[str, str], *, beside: str
) -> Finding:
    early, late = undoing
    declared = first.certain and second.certain and (not beside or second.after is not None)
    state = machine.graph.states[early]
    how = f"side by side in {beside}" if beside else f"{early} before {late}"
    return Finding(
        kind=FindingKind.OUT_OF_ORDER,
        verdict=Verdict.VIOLATED if declared else Verdict.INCONCLUSIVE,
        state=early,
        file=state.file,
        line=state.line,
        steps=(first.name, second.name),
        witness=(failure.state, beside) if beside else (failure.state, early, late),
        sentence=f"{first.name} is done before {second.name}, but after a failure of {failure.state} they are undone"
        f" {how}" + ("; whether their order matters is not declared." if beside and not declared else "."),
        remedy=f"undo {second.name} first; where it does not rest on {first.name}, say so with `after` of its step in"
        " a descriptor",
    )
