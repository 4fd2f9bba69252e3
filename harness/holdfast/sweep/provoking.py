"""The fault schedules that show what the analysis of a definition says: each anomaly at the task that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from holdfast.definition import Analysis, FailureExit, Finding, FindingKind
from holdfast.definition.graph import Graph
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Fault, Schedule
from holdfast.sweep.points import Point

_FAILING = (Kind.LOST_FOR_GOOD, Kind.FOR_GOOD)
_KINDS: Mapping[FindingKind, tuple[Kind, ...]] = {
    FindingKind.MISSING_TIMEOUT: (Kind.DELAYED,),
    FindingKind.MISSING_CATCHER: _FAILING,
    FindingKind.UNCOMPENSATED: _FAILING,
    FindingKind.ORPHANED: (Kind.LOST_FOR_GOOD,),
    FindingKind.GOES_ON: _FAILING,
    FindingKind.OUT_OF_ORDER: _FAILING,
    FindingKind.AFTER_PIVOT: _FAILING,
    FindingKind.RETRIED_NOT_IDEMPOTENT: (Kind.ANSWER_LOST,),
    FindingKind.EXPRESS_NOT_IDEMPOTENT: (Kind.ANSWER_LOST,),
    FindingKind.COMPENSATION_NOT_RETRIED: (Kind.REFUSED, Kind.THROTTLED),
    FindingKind.COMPENSATION_NOT_CAUGHT: (Kind.FOR_GOOD,),
    FindingKind.COMPENSATION_NOT_TOLD: (Kind.FOR_GOOD,),
    FindingKind.COMPENSATION_ENDLESS: (Kind.FOR_GOOD,),
    FindingKind.STEP_NOT_RETRIED: (Kind.REFUSED, Kind.THROTTLED),
    FindingKind.STEP_NOT_TOLD: (Kind.FOR_GOOD,),
    FindingKind.STEP_ENDLESS: (Kind.FOR_GOOD,),
}
"""What to do at the task of a finding; no fault shows the other kinds."""

_AT_WITNESS = frozenset({FindingKind.OUT_OF_ORDER})
"""Kinds whose finding is about a compensation, and shows when the first state of the witness fails."""


def shown_by(kind: FindingKind) -> tuple[Kind, ...]:
    """The kinds of faults that show a kind of finding; none where no fault does."""
    return _KINDS.get(kind, ())


@dataclass(frozen=True, slots=True)
class Provoker:
    """Finds the schedules for one machine.

    Attributes:
        analysis: of its definition.
        points: its own calls, by the state that makes them.
        synchronous: whether its client waits for its end, and so can undo a half-done saga by sending it again.
    """

    analysis: Analysis
    points: Mapping[str, Point]
    synchronous: bool = False

    @classmethod
    def of(cls, analysis: Analysis, points: Iterable[Point], *, synchronous: bool = False) -> Provoker:
        """The schedules among these points: those of the state machine count."""
        return cls(analysis, {one.state: one for one in points if one.state}, synchronous)

    def showing(self, finding: Finding) -> tuple[Schedule, ...]:
        """The schedules each of which shows a finding; none where no fault does, or no call of its state is known."""
        kinds = shown_by(finding.kind)
        at = finding.witness[0] if finding.kind in _AT_WITNESS else finding.state
        steps = {step.name: step for step in self.analysis.steps.steps}
        states = [at] if at else [state for name in finding.steps for state in steps[name].states]
        found = (one for state in states for kind in kinds for first in _FAILING for one in self.at(state, kind, first))
        return tuple(dict.fromkeys(found))

    def elsewhere(self) -> Iterator[Schedule]:
        """A failure that passes, and failures that do not, at every task: what a sound definition survives.

        Where a saga that was given up has nobody left to tell, none is promised to be told.
        """
        for state in self.points:
            for kind in (Kind.REFUSED, *_FAILING):
                if kind is not Kind.FOR_GOOD or not self._tells_last(state):
                    yield from self.at(state, kind, Kind.LOST_FOR_GOOD)

    def way(self, schedule: Schedule) -> frozenset[str]:
        """The states that a schedule strikes, and those that their failures lead to."""
        struck = {fault.point.state for fault in schedule.faults}
        behind = (self._behind(one) for one in self.analysis.exits if one.state in struck)
        return frozenset(struck.union(*behind))

    def at(self, state: str, kind: Kind, first: Kind) -> Iterator[Schedule]:
        """A fault at a state.

        Args:
            state: the state whose call is struck.
            kind: what is done to it.
            first: what is done to the last step that leads there, where a success does not pass the state.
        """
        if state not in self.points:
            return
        fault, passed = Fault(self.points[state], kind), self._passed()
        leading = [one for one in self._failing() if state in self._behind(one)]
        for patient in (True, False) if self.synchronous else (True,):
            if state in passed:
                yield Schedule(faults=(fault,), patient=patient)
            elif leading and leading[-1].state in self.points:
                yield Schedule(faults=(Fault(self.points[leading[-1].state], first), fault), patient=patient)

    def _passed(self) -> set[str]:
        """The states that a saga without a failure may pass."""
        undoing = self.analysis.steps.compensations
        graph = Graph(self.analysis.definition)
        return graph.reachable([graph.definition.flow.start], past=lambda each: each not in undoing) - undoing

    def _failing(self) -> list[FailureExit]:
        return [one for one in self.analysis.exits if one.state in self.analysis.steps.by_state]

    def _tells_last(self, state: str) -> bool:
        """Whether a task is no part of the saga, runs after a failure alone, and its own failure leads to no other."""
        tasks = {one.state for one in self.analysis.exits}
        further = [self._behind(one) & tasks - {state} for one in self.analysis.exits if one.state == state]
        return state not in self._passed() | self.analysis.steps.compensations and not any(further)

    def _behind(self, failure: FailureExit) -> set[str]:
        """The states that a failure leads to, while nothing more fails."""
        target = failure.route.target
        return set() if target is None else Graph(self.analysis.definition).reachable([target])
