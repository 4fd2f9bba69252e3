"""Runs plans of generated sagas side by side, each saga on a key of its own, and sees which are left half done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.checkers.saga import all_or_nothing
from holdfast.history.model import History, Observation
from holdfast.levers.signals import interrupts
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.saga_places import fault, place_of, saga_of
from holdfast.provocations.saga_plans import Plan, PlanRun
from holdfast.provocations.saga_runs import await_ends
from holdfast.stack.base import Json
from holdfast.stack.generate import Submission
from holdfast.verdict.model import Finding

MOST_AT_ONCE = 32
"""Sagas of all plans that are under way at once; more would be a load test of a small machine."""

WAVE_SECONDS = 1.0

SETTLE_SECONDS = 5.0
"""How long a saga that has ended half done may take to become whole before its plan counts as broken."""


@dataclass(frozen=True, slots=True)
class PlanRunner:
    """Runs plans on a bench, many at a time.

    Attributes:
        bench: where.
        inputs: the fields of each special input; the ordinary one, which has none, first.
        role: of the operations.
    """

    bench: Bench
    inputs: Sequence[Mapping[str, Json]]
    role: str

    def __call__(self, chosen: Sequence[Plan]) -> list[PlanRun]:
        """Run plans side by side, as many as there is room for.

        Raises:
            Inconclusive: the target has no interceptor.
        """
        found: list[PlanRun] = []
        batch: list[Plan] = []
        for plan in chosen:
            if batch and sum(len(one.sagas) for one in (*batch, plan)) > MOST_AT_ONCE:
                found += self._together(batch)
                batch = []
            batch.append(plan)
        return found + (self._together(batch) if batch else [])

    def _together(self, chosen: Sequence[Plan]) -> list[PlanRun]:
        bench = self.bench
        drawn = [[bench.draw(1, dict(self.inputs[saga.input]))[0] for saga in plan.sagas] for plan in chosen]
        everyone = [one for submissions in drawn for one in submissions]
        steps = {step.name: step for step in saga_of(bench.situation).steps}
        planned_faults = [
            (submission.key, planned)
            for plan, submissions in zip(chosen, drawn, strict=True)
            for saga, submission in zip(plan.sagas, submissions, strict=True)
            for planned in saga.faults
        ]
        places = [place_of(bench.situation, steps[one.step], undo=one.undo) for _, one in planned_faults]
        aimed = [(*one, place) for one, place in zip(planned_faults, places, strict=True) if place is not None]
        faults = [
            fault(bench.situation, place, planned.kind, key, times=1 if "once" in planned.kind else 0)
            for key, planned, place in aimed
        ]
        with bench.aimed(faults) as aim:
            for wave in range(1 + max(saga.wave for plan in chosen for saga in plan.sagas)):
                together = [
                    submission
                    for plan, submissions in zip(chosen, drawn, strict=True)
                    for saga, submission in zip(plan.sagas, submissions, strict=True)
                    if saga.wave == wave
                ]
                side_by_side(lambda one: bench.submit(one, self.role), together, len(together) or 1)
                interrupts.pause(WAVE_SECONDS)
            late = {one.key for one in await_ends(bench, everyone)}
            hit = {
                (key, planned)
                for (key, planned, _), rule in zip(aimed, aim.rules, strict=True)
                if aim.interceptor.hits(rule.id)
            }
        unhit = frozenset(planned_faults) - hit
        missed = {key for key, _ in unhit}
        half = self._half_done([one for one in everyone if one.key not in late])
        return [
            PlanRun(
                findings=tuple(half[one.key] for one in submissions if one.key in half),
                late=tuple(one.key for one in submissions if one.key in late),
                missed=tuple(one.key for one in submissions if one.key in missed),
                keys=tuple(one.key for one in submissions),
                unhit=unhit,
            )
            for submissions in drawn
        ]

    def _half_done(self, submissions: Sequence[Submission]) -> dict[str, Finding]:
        """The ended sagas that are neither done nor undone, and stay so, by key."""
        half: dict[str, Finding] = {}
        left = list(submissions)

        def look() -> dict[str, Finding]:
            nonlocal half, left
            half = half_done(self.bench, left)
            left = [one for one in left if one.key in half]
            return half

        self.bench.until(f"what {len(left)} sagas have left", look, lambda found: not found, SETTLE_SECONDS)
        return half


def half_done(bench: Bench, submissions: Sequence[Submission]) -> dict[str, Finding]:
    """The sagas that are neither done nor undone as a whole, by key."""
    saga = saga_of(bench.situation)

    def observe(one: Submission) -> list[Observation]:
        return [bench.ports.observe(port, one, provocation=bench.name) for port in saga.of_steps]

    seen = [each for found in side_by_side(observe, submissions, 4) for each in found]
    keys = {one.key for one in submissions}
    sent = tuple(one for one in bench.operations() if one.key in keys)
    return {finding.key: finding for finding in all_or_nothing(History(sent, tuple(seen)), saga)}
