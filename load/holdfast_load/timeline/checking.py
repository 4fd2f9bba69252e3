"""What is wrong with a plan of faults, found before anything is sent, and the levers that an entry stands for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.errors import Inconclusive
from holdfast.levers import making
from holdfast.levers.base import Lever
from holdfast.levers.invocation import InvocationFault
from holdfast.provocations.faults import WINDOW_REQUIREMENTS, levers_of
from holdfast.provocations.requirements import Situation, unmet
from holdfast.stack.configuration import Configuration
from holdfast.stack.patterns import PatternName
from holdfast.stack.resolve import Stack
from holdfast.stack.templates import suggestion
from holdfast.targets.base import Capability, Rule
from holdfast.targets.interceptor.rules import problems as rule_problems
from holdfast_load.timeline.plan import WINDOWS, FaultPart, FaultPlan, mistakes


def check(path: Path, plan: FaultPlan, stack: Stack, configuration: Configuration, run_seconds: float) -> None:
    """See that every entry can be put on this stack, on this target, within this run.

    Args:
        path: of the plan, for messages.
        plan: the plan.
        stack: the resolved stack.
        configuration: how it is deployed.
        run_seconds: how long arrivals come.

    Raises:
        HoldfastError: something is wrong; every mistake is told, a line each.
    """
    found = [
        f"fault {number} ({entry.name}): {problem}"
        for number, entry in enumerate(plan.fault, start=1)
        for problem in (*_times(entry, run_seconds), *_problems(entry, stack, configuration))
    ]
    if not found:
        found = _clashes(plan, stack, configuration, run_seconds)
    if found:
        raise mistakes(path, found)


def levers(entry: FaultPart, stack: Stack, configuration: Configuration, *, run: str, seed: int) -> tuple[Lever, ...]:
    """The levers of an entry without mistakes; nothing is changed yet.

    Args:
        entry: of a plan that was checked.
        stack: the resolved stack.
        configuration: how it is deployed.
        run: id of the run, for the names of what is added.
        seed: of the choice of what a rule strikes.

    Raises:
        HoldfastError: a component cannot be read.
        Inconclusive: the target cannot do this.
    """
    if entry.lever is not None:
        assert entry.component is not None
        return making.make(stack, entry.lever, entry.component, entry.options, run=run)
    if entry.window is not None:
        situation = _situation(entry, stack, configuration)
        assert situation is not None
        return tuple(levers_of(WINDOWS[entry.window], situation, run))
    assert entry.component is not None
    return (InvocationFault.on(stack, entry.component, _rule(entry, run, seed)),)


def _times(entry: FaultPart, run_seconds: float) -> list[str]:
    if entry.at >= run_seconds:
        return [f"it begins at {entry.at:g} s, and the run ends at {run_seconds:g} s"]
    if entry.for_ is not None and entry.at + entry.for_ > run_seconds:
        return [f"it ends at {entry.at + entry.for_:g} s, and the run at {run_seconds:g} s"]
    return []


def _problems(entry: FaultPart, stack: Stack, configuration: Configuration) -> Sequence[str]:
    if entry.lever is not None:
        return making.problems(stack, entry.lever, entry.component or "", entry.options)
    if entry.window is not None:
        return _window_problems(entry, stack, configuration)
    named = making.component_problems(stack, entry.component or "", (), "")
    if named:
        return named
    rule = InvocationFault.on(stack, entry.component or "", _rule(entry, "check", 0)).rule
    capability = Capability.INVOCATION_FAULTS if rule.point == "invocation" else Capability.CALL_FAULTS
    support = stack.target.supports(capability)
    if stack.target.interceptor is None or not support.supported:
        return [f"the {stack.target.kind} target has no such rules: {support.reason or 'it has no interceptor'}"]
    return rule_problems(rule)


def _window_problems(entry: FaultPart, stack: Stack, configuration: Configuration) -> Sequence[str]:
    if entry.window not in WINDOWS:
        return [f"there is no window {entry.window}; {suggestion(entry.window or '', WINDOWS)}"]
    if entry.pattern is not None and entry.pattern not in stack.descriptor.patterns:
        return [f"the stack does not claim {entry.pattern}; {suggestion(entry.pattern, stack.descriptor.patterns)}"]
    if _situation(entry, stack, configuration) is not None:
        return []
    reasons = [_refusal(entry, situation) for situation in _candidates(entry, stack, configuration)]
    return tuple(dict.fromkeys(reason for reason in reasons if reason))


def _candidates(entry: FaultPart, stack: Stack, configuration: Configuration) -> list[Situation]:
    names: Sequence[PatternName] = [entry.pattern] if entry.pattern is not None else list(stack.descriptor.patterns)
    return [
        Situation(stack=stack, pattern=stack.descriptor.patterns[name], configuration=configuration) for name in names
    ]


def _situation(entry: FaultPart, stack: Stack, configuration: Configuration) -> Situation | None:
    """The first pattern on which the window can be opened."""
    candidates = _candidates(entry, stack, configuration)
    return next((one for one in candidates if not _refusal(entry, one)), None)


def _refusal(entry: FaultPart, situation: Situation) -> str:
    window = WINDOWS[entry.window or ""]
    missing = unmet(WINDOW_REQUIREMENTS[window], situation)
    if missing:
        return missing[0]
    try:
        opened = levers_of(window, situation, "check")
    except (Inconclusive, AssertionError) as reason:
        return str(reason) or f"the pattern is no {entry.window} pattern"
    return "" if opened else "nothing that the descriptor names would be broken by it"


def _rule(entry: FaultPart, run: str, seed: int) -> Rule:
    part = entry.rule
    assert part is not None
    return Rule(
        id=f"{run}-{entry.component}-{part.action}-{entry.at:g}",
        action=part.action,
        point=part.point,
        when=part.when,
        service=part.service,
        operation=part.operation,
        error=part.error,
        delay_seconds=part.delay,
        probability=part.share,
        seed=seed,
    )


def _clashes(plan: FaultPlan, stack: Stack, configuration: Configuration, run_seconds: float) -> list[str]:
    """Entries that would be on one resource at one time: the second would find what the first has put there."""
    resources = [
        {one.resource for one in levers(entry, stack, configuration, run="check", seed=0) if not one.aimed}
        for entry in plan.fault
    ]
    return [
        f"fault {later + 1} ({plan.fault[later].name}): it is on the same resource at the same time as"
        f" fault {earlier + 1} ({plan.fault[earlier].name})"
        for later in range(len(plan.fault))
        for earlier in range(later)
        if resources[earlier] & resources[later] and _overlap(plan.fault[earlier], plan.fault[later], run_seconds)
    ]


def _overlap(one: FaultPart, other: FaultPart, run_seconds: float) -> bool:
    others = list(other.occurrences(run_seconds))
    return any(
        begin < other_end and other_begin < end
        for begin, end in one.occurrences(run_seconds)
        for other_begin, other_end in others
    )
