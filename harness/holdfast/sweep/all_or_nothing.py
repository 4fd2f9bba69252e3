"""The promises of a saga, for one command of a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.checkers import saga, saga_ends, saga_traces
from holdfast.history.executions import EXECUTION, ExecutionStatus
from holdfast.stack.effects import Status
from holdfast.stack.patterns import SagaPattern
from holdfast.sweep.judging import Case
from holdfast.sweep.kinds import LASTING
from holdfast.sweep.points import Point
from holdfast.verdict.model import Finding


@dataclass(frozen=True, slots=True)
class AllOrNothing:
    """Saga: every step is done once, or every step is undone; what it reports is what happened.

    Attributes:
        pattern: the pattern, with its steps.
        status: its status port, if it has one.
        answers: whether the client is answered when the saga has ended.
        bound_seconds: from the start of a saga to its end.
    """

    pattern: SagaPattern
    status: Status | None = None
    answers: bool = False
    bound_seconds: float = float("inf")

    @property
    def effects(self) -> tuple[str, ...]:
        """What undoes a step before what it undoes, so that a step is never seen undone more often than done."""
        ports = [port for step in self.pattern.steps for port in (step.undone, step.effect)]
        return tuple(dict.fromkeys(port for port in (*ports, self.pattern.lock) if port is not None))

    def broken(self, case: Case) -> Iterator[Finding]:
        """What the checkers of sagas find; a saga that was surfaced, as it may be, need not be whole or reported."""
        history = case.history()
        yield from self._unfinished(case)
        may_be_half = self._may_be_stuck(case) and bool(case.dead_letters or case.anonymous)
        for finding in (*saga.all_or_nothing(history, self.pattern), *saga.once(history, self.pattern)):
            if not may_be_half or finding.title != f"saga {saga.Fate.HALF}":
                yield finding
        (left,) = saga.left(history, self.pattern)
        if left.fate is saga.Fate.COMPENSATED and self._only_after_pivot(case):
            yield from saga.went_forward(history, self.pattern, {case.key})
        elif self.pattern.pivot is not None and self._only_after_pivot(case):
            yield from saga.not_undone(history, self.pattern, {case.key})
        if may_be_half and case.dead_letters:
            yield from saga_ends.surfaced(history, self.pattern, letters=case.dead_letters, keys={case.key})
        if may_be_half and left.fate is saga.Fate.HALF:
            return
        yield from saga_traces.in_order(history, self.pattern)
        yield from saga_ends.answers_agree(history, self.pattern, tells_outcome=self.answers)
        if may_be_half and self._under_way(case):
            return
        if self.pattern.lock is not None:
            yield from saga.locks_left(history, self.pattern)
        if self.status is not None and self.pattern.status is not None:
            yield from saga_ends.agree(history, self.pattern, port=self.pattern.status, claims=self._claims())
            yield from self._lost(case)

    def open(self, case: Case) -> str:
        """A saga of which something was not counted, or that is half done while letters came that tell no key."""
        (left,) = saga.left(case.history(), self.pattern)
        if not left.whole or not left.settled:
            return "not every step was counted to the end"
        if left.fate is saga.Fate.HALF and not case.dead_letters:
            return f"it may be among the letters of {', '.join(case.anonymous)}, which do not tell their key"
        return ""

    def _unfinished(self, case: Case) -> Iterator[Finding]:
        """A saga that is under way past its bound, and not among the dead letters."""
        history, bound_seconds = case.history(), self.bound_seconds
        running = {EXECUTION: frozenset({ExecutionStatus.RUNNING.value})}
        promised = case.acknowledged and not case.quiet and not case.dead_letters
        if self.status is not None and self.pattern.status is not None and promised:
            running[self.pattern.status] = frozenset(self.status.pending)
        for port, states in running.items():
            if case.seen(port) is not None:
                yield from saga_ends.unfinished(history, port=port, running=states, bound_seconds=bound_seconds)

    def _under_way(self, case: Case) -> bool:
        """Whether a saga claims no end, so that it is for whoever reads its dead letter to bring it there."""
        status = case.seen(self.pattern.status)
        return self.status is None or status is None or not status.state or status.state in self.status.pending

    def _claims(self) -> dict[str, saga_ends.Claim]:
        assert self.status is not None
        return {
            **dict.fromkeys(self.status.done, saga_ends.Claim.DONE),
            **dict.fromkeys(self.status.failed, saga_ends.Claim.UNDONE),
            **dict.fromkeys(self.status.pending, saga_ends.Claim.OPEN),
        }

    def _may_be_stuck(self, case: Case) -> bool:
        """Whether a saga may end half done, if it is surfaced.

        Where a state machine leads, a step that can be undone and fails for good is to be compensated, and what fails
        for a while is to be tried again: only a compensation, or what comes after the pivot, may be the end.
        """
        if self.pattern.state_machine is None:
            return case.may_give_up
        return any(fault.kind in LASTING and not self._undoable(fault.point) for fault in case.schedule.faults)

    def _only_after_pivot(self, case: Case) -> bool:
        """Whether everything that was broken is in steps after the pivot, so that the saga must not have gone back."""
        later = [step for step in self.pattern.steps if self.pattern.after_pivot(step.name)]
        states, functions = {step.state for step in later} - {None}, {step.function for step in later} - {None}
        points = [fault.point for fault in case.schedule.faults]
        return bool(points) and all(
            point.state in states if point.caller.type == "state_machine" else point.caller.component in functions
            for point in points
        )

    def _undoable(self, point: Point) -> bool:
        """Whether a point is in a step that has a way back."""
        caller = point.caller
        compensating = {step.compensation.function for step in self.pattern.steps if step.compensation is not None}
        if caller.component in compensating:
            return False
        return any(
            point.state == step.state if caller.type == "state_machine" else caller.component == step.function
            for step in self.pattern.steps
            if not self.pattern.after_pivot(step.name)
        )

    def _lost(self, case: Case) -> Iterator[Finding]:
        """A saga that was acknowledged, of which nothing was done and nothing is reported."""
        status = case.seen(self.pattern.status)
        (left,) = saga.left(case.history(), self.pattern)
        nothing_done = left.whole and not any(step.done for step in left.steps)
        if case.acknowledged and nothing_done and status is not None and not status.state:
            sentence = f"{case.key} was acknowledged, nothing of it was done, and nothing is reported of it"
            yield case.finding("acknowledged and lost", sentence, self.pattern.status)
