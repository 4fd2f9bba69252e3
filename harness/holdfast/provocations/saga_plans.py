"""Plans of concurrent sagas, as data: what is drawn, run many at a time, and made smaller when it breaks a promise.

A plan that broke a promise once is proven; one that did not may do so the next time. So failures are remembered for
good, while passes only count against the number of times that a plan is tried.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from holdfast.verdict.model import Finding

PlannedKind = Literal["fail once", "answer lost", "fail", "fail after"]

SIMPLEST: tuple[PlannedKind, ...] = ("fail", "fail once", "answer lost", "fail after")
"""Kinds of faults, the one first that is the easiest to understand: what fails before its effect has done nothing."""


@dataclass(frozen=True, slots=True, order=True)
class PlannedFault:
    """A fault at one step of one saga.

    Attributes:
        step: name of the step.
        undo: whether at its compensation.
        kind: what happens.
    """

    step: str
    undo: bool
    kind: PlannedKind

    def __str__(self) -> str:
        return f"{self.kind} at {'the compensation of ' if self.undo else ''}{self.step}"


@dataclass(frozen=True, slots=True, order=True)
class PlannedSaga:
    """One saga of a plan.

    Attributes:
        input: which special input it has; 0 is an ordinary one.
        wave: the sagas of a wave are released together, a wave after the one before.
        faults: what befalls it.
    """

    input: int = 0
    wave: int = 0
    faults: tuple[PlannedFault, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Plan:
    """Sagas that are run beside each other."""

    sagas: tuple[PlannedSaga, ...]

    @property
    def size(self) -> tuple[int, int, int, int, int]:
        """How much it says: sagas, faults, special inputs, waves, and how simple its faults are."""
        faults = [fault for saga in self.sagas for fault in saga.faults]
        return (
            len(self.sagas),
            len(faults),
            sum(saga.input > 0 for saga in self.sagas),
            max((saga.wave for saga in self.sagas), default=0),
            sum(SIMPLEST.index(fault.kind) for fault in faults),
        )

    def told(self, inputs: Sequence[str]) -> str:
        """The plan in words.

        Args:
            inputs: the special inputs in words, the ordinary one first.
        """
        several = len({saga.wave for saga in self.sagas}) > 1
        return "; ".join(
            f"{f'wave {saga.wave + 1}: ' if several else ''}{inputs[saga.input]}"
            + "".join(f", {fault}" for fault in saga.faults)
            for saga in self.sagas
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenPlan:
    """A plan that broke a promise, with all that it takes to run it again.

    Attributes:
        plan: the plan.
        inputs: the fields of each special input; the ordinary one, which has none, first.
        finding: a saga that it left half done.
        violated: how many of its runs did.
        runs: how often it was run.
    """

    plan: Plan
    inputs: Sequence[Mapping[str, Any]]
    finding: Finding
    violated: int
    runs: int

    @property
    def reproduced(self) -> str:
        """How often it broke the promise, e.g. ``3 of 3``."""
        return f"{self.violated} of {self.runs}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRun:
    """What one run of a plan showed.

    Attributes:
        findings: the sagas that ended neither done nor undone.
        late: the keys of those that did not end within their bound.
        missed: the keys of those that some fault did not hit.
        keys: the keys of the plan's sagas, in its order.
        unhit: the faults that did not hit, each with the key it was aimed at.
    """

    findings: tuple[Finding, ...] = ()
    late: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    unhit: frozenset[tuple[str, PlannedFault]] = frozenset()


def about(inputs: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Special inputs in words."""
    return tuple(json.dumps(fields, sort_keys=True) if fields else "ordinary" for fields in inputs)


def smaller(plan: Plan) -> tuple[Plan, ...]:
    """The plans that say a little less than a plan, and each of its sagas alone; the smallest first."""
    found = [Plan((replace(saga, wave=0),)) for saga in plan.sagas if len(plan.sagas) > 1]
    for at, saga in enumerate(plan.sagas):
        rest = (plan.sagas[:at], plan.sagas[at + 1 :])
        if len(plan.sagas) > 1:
            found.append(Plan((*rest[0], *rest[1])))
        found += [Plan((*rest[0], less, *rest[1])) for less in _less(saga)]
    return tuple(sorted({one for one in map(_first_wave_first, found) if one.size < plan.size}, key=_order))


def _order(plan: Plan) -> tuple[tuple[int, ...], Plan]:
    return plan.size, plan


def _less(saga: PlannedSaga) -> Iterator[PlannedSaga]:
    """The sagas that say less than one: a fault less, an ordinary input, the first wave, a simpler kind."""
    for at, fault in enumerate(saga.faults):
        before, after = saga.faults[:at], saga.faults[at + 1 :]
        yield replace(saga, faults=(*before, *after))
        for kind in SIMPLEST[: SIMPLEST.index(fault.kind)]:
            yield replace(saga, faults=(*before, replace(fault, kind=kind), *after))
    if saga.input:
        yield replace(saga, input=0)
    if saga.wave:
        yield replace(saga, wave=0)


def _first_wave_first(plan: Plan) -> Plan:
    """The same plan with waves from 0 without gaps."""
    numbers = {wave: at for at, wave in enumerate(sorted({saga.wave for saga in plan.sagas}))}
    return Plan(tuple(replace(saga, wave=numbers[saga.wave]) for saga in plan.sagas))


def telling(plans: Iterable[Plan], most: int) -> list[Plan]:
    """The plans that together strike with every drawn fault, and bring the most pairs of circumstances together.

    Pairs of the input and the faults of one saga, and of inputs that meet in one wave: a greedy cover, as tools for
    pairwise testing build it (Cohen et al., "The AETG system", IEEE TSE 1997).

    Args:
        plans: all that were drawn.
        most: how many to keep.
    """
    left = list(dict.fromkeys(plans))
    struck: set[PlannedFault] = set()
    seen: set[object] = set()
    kept: list[Plan] = []
    while left and len(kept) < most:
        best = max(left, key=lambda plan: (len(_faults(plan) - struck), len(_circumstances(plan) - seen)))
        struck |= _faults(best)
        seen |= _circumstances(best)
        left.remove(best)
        kept.append(best)
    return kept


def _faults(plan: Plan) -> set[PlannedFault]:
    return {fault for saga in plan.sagas for fault in saga.faults}


def _circumstances(plan: Plan) -> set[object]:
    found: set[object] = set()
    for at, saga in enumerate(plan.sagas):
        about: list[object] = [saga.input, *saga.faults]
        found |= {(one, other) for number, one in enumerate(about) for other in about[number + 1 :]}
        found |= {
            ("met", *sorted((saga.input, other.input)))
            for other in plan.sagas[at + 1 :]
            if other.wave == saga.wave and saga.input
        }
    return found


Run = Callable[[Sequence[Plan]], Sequence[bool]]
"""Runs plans side by side; for each whether it broke a promise."""


@dataclass(slots=True)
class Tried:
    """What plans have shown: how often each was run, and how often it broke a promise.

    Args:
        run: runs plans.
        repeats: how often a plan is run before it counts as one that keeps its promises.
        time_left: whether more may be run.
    """

    run: Run
    repeats: int
    time_left: Callable[[], bool] = field(default=lambda: True)
    runs: dict[Plan, int] = field(default_factory=dict)
    violated: dict[Plan, int] = field(default_factory=dict)

    def once(self, plans: Sequence[Plan]) -> None:
        """Run plans once more, and remember."""
        for plan, broke in zip(plans, self.run(plans), strict=True):
            self.runs[plan] = self.runs.get(plan, 0) + 1
            self.violated[plan] = self.violated.get(plan, 0) + bool(broke)

    def broken(self, plans: Iterable[Plan]) -> Plan | None:
        """The smallest of these that has broken a promise."""
        return min((plan for plan in plans if self.violated.get(plan)), key=_order, default=None)

    def find(self, plans: Sequence[Plan]) -> Plan | None:
        """Run plans until one breaks a promise, each so often at most; returns the smallest that did."""
        while not (found := self.broken(plans)):
            again = [plan for plan in plans if self.runs.get(plan, 0) < self.repeats]
            if not again or not self.time_left():
                return None
            self.once(again)
        return found

    def shrink(self, plan: Plan) -> Plan:
        """The smallest plan within a violating one that was seen to break a promise, as far as time allows."""
        while found := self.find(smaller(plan)):
            plan = found
        return plan
