"""What one command of a sweep came to: the promises of its pattern, judged from the data that is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from holdfast.checkers import recovery, saga, saga_ends, saga_traces
from holdfast.checkers.projections import Stream
from holdfast.history.executions import EXECUTION, ExecutionStatus
from holdfast.history.model import DeadLetterSeen, History, Observation, Operation, Outcome
from holdfast.stack.effects import Status
from holdfast.stack.patterns import Pattern, SagaPattern
from holdfast.sweep.kinds import LASTING
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Point
from holdfast.verdict.model import Finding


class Mark(StrEnum):
    """What is known of one fault point and one kind; merging keeps the first of these."""

    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    UNREACHED = "unreached"
    HELD = "held"
    INAPPLICABLE = "inapplicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that is known of one command when everything is healed and at rest.

    Attributes:
        key: its key.
        schedule: its faults.
        operations: how it was submitted, in order.
        observations: the last look at each port, by its name.
        dead_letters: the dead letters with its key.
        missed: the faults that did not hit, each with why.
        unproven: the faults that hit and were not shown to bite, each with why.
        quiet: whether the stack came to rest.
        starved: whether an invocation ran out of time because the machine was too busy.
        deliveries: how many failures in a row use up the deliveries of a request.
        anonymous: dead-letter ports that received letters whose key cannot be told.
        unbalanced: how what is conserved was wrong after commands with this schedule alone, all of them whole.
        aggregate: the log and the views of the command's aggregate, which no other command has, where there are any.
    """

    key: str
    schedule: Schedule
    operations: tuple[Operation, ...] = ()
    observations: Mapping[str, Observation]
    dead_letters: tuple[DeadLetterSeen, ...] = ()
    missed: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    quiet: bool = True
    starved: bool = False
    deliveries: int = 1
    anonymous: tuple[str, ...] = ()
    unbalanced: tuple[Finding, ...] = ()
    aggregate: Stream | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether some submission was acknowledged."""
        return any(operation.outcome is Outcome.OK for operation in self.operations)

    @property
    def refused(self) -> bool:
        """Whether every submission was refused for certain."""
        return bool(self.operations) and all(operation.outcome is Outcome.FAIL for operation in self.operations)

    @property
    def may_give_up(self) -> bool:
        """Whether a dead letter is an end that was declared: its faults used up the deliveries, or do not pass."""
        return self.schedule.for_good or len(self.schedule.faults) >= self.deliveries

    def seen(self, port: str | None) -> Observation | None:
        """The last look at a port, if it was looked at to the end."""
        found = self.observations.get(port or "")
        return found if found is not None and found.complete else None

    def history(self) -> History:
        """What checkers judge: the submissions, and the last look at each port."""
        return History(self.operations, tuple(self.observations.values()))

    def witness(self, *ports: str | None) -> tuple[Operation | Observation, ...]:
        """The submissions, and the last look at these ports."""
        looks = (self.observations.get(port or "") for port in ports)
        return (*self.operations, *(look for look in looks if look is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one command showed.

    Attributes:
        mark: what is known.
        why: one sentence.
        findings: the counterexamples.
    """

    mark: Mark
    why: str
    findings: tuple[Finding, ...] = ()


class Invariants(Protocol):
    """The promises of one pattern, for one command."""

    @property
    def effects(self) -> tuple[str, ...]:
        """The effect ports to look at, in an order in which an absence proves something."""

    def broken(self, case: Case) -> Iterator[Finding]:
        """The promises that a case breaks."""

    def open(self, case: Case) -> str:
        """Why a case that breaks nothing shows nothing either; empty when it does."""


def judge(case: Case, invariants: Invariants) -> Judgement:  # noqa: PLR0911 - one return for each answer
    """What one command shows: violated whatever was hit, held only where every fault hit and all was seen to its end.

    Args:
        case: the command.
        invariants: its pattern's promises.
    """
    findings = tuple(sorted((*invariants.broken(case), *case.unbalanced), key=lambda finding: len(finding.witness)))
    if findings and case.starved:
        return Judgement(
            mark=Mark.INCONCLUSIVE,
            why=f"the machine was too busy: a function ran out of time that it was not given ({findings[0].sentence})",
        )
    if case.missed:
        # what went wrong although a fault did not hit belongs to other faults, which have commands of their own
        found = f"; yet {findings[0].sentence}" if findings else ""
        return Judgement(mark=Mark.UNREACHED, why="; ".join(case.missed) + found)
    if findings and (case.quiet or any(finding.title in _FINAL for finding in findings)):
        return Judgement(mark=Mark.VIOLATED, why=findings[0].sentence, findings=findings)
    if case.unproven:
        return Judgement(mark=Mark.UNREACHED, why="; ".join(case.unproven))
    if not case.quiet:
        return Judgement(mark=Mark.INCONCLUSIVE, why="the stack did not come to rest, so it may come to something yet")
    unseen = sorted(port for port, look in case.observations.items() if not look.complete)
    if unseen:
        return Judgement(mark=Mark.INCONCLUSIVE, why=f"{', '.join(unseen)} could not be read at the end")
    left = invariants.open(case)
    if left:
        return Judgement(mark=Mark.INCONCLUSIVE, why=left)
    return Judgement(mark=Mark.HELD, why=_how(case))


_REPEATED, _REFUSED = "repeated effect", "refused and done"
_FINAL = frozenset(
    {
        _REPEATED,
        _REFUSED,
        "step repeated",
        f"saga {saga.Fate.REPEATED}",
        "unfinished",
        "event twice",
        "refused and there",
    }
)
"""What no waiting can put right."""


def _how(case: Case) -> str:
    sent = "acknowledged" if case.acknowledged else "refused" if case.refused else "not answered"
    ends = [f"{port}: {look.count}" for port, look in case.observations.items() if not look.state]
    ends += [f"{port}: {look.state}" for port, look in case.observations.items() if look.state and port != EXECUTION]
    return f"{sent}; {', '.join([*ends, *(['dead-lettered'] if case.dead_letters else [])])}"


@dataclass(frozen=True, slots=True)
class OneEffect:
    """External Storage and Storage-First: what is acknowledged takes effect once, or is surfaced when it never can.

    Attributes:
        pattern: the pattern.
        status: its status port, if it has one.
    """

    pattern: Pattern
    status: Status | None = None

    @property
    def effects(self) -> tuple[str, ...]:
        """The outbox row again after the message: only a read that began later can contradict what was seen."""
        ports = (self.pattern.row, self.pattern.message, self.pattern.row, self.pattern.effect)
        return tuple(port for port in ports if port is not None)

    def broken(self, case: Case) -> Iterator[Finding]:
        """Repeated, done although refused, lost, given up without its input, half done, reported wrongly."""
        name = self.pattern.effect
        effect = case.seen(name)
        if effect is not None:
            if effect.count > 1:
                yield _finding(case, _REPEATED, f"{name} of {case.key} is there {effect.count} times", name)
            if effect.count and case.refused:
                yield _finding(case, _REFUSED, f"{case.key} was refused, and {name} is there", name)
            if case.acknowledged and not effect.count and not self._surfaced(case):
                yield self._lost(case)
            if not effect.count and case.dead_letters:
                yield from recovery.dead_lettered(case.history(), letters=case.dead_letters, keys=[case.key])
        yield from self._half(case)
        yield from self._reported(case)

    def open(self, case: Case) -> str:
        """An acknowledged request that is nowhere, while dead letters came that do not tell whose they are."""
        effect = case.seen(self.pattern.effect)
        if case.acknowledged and effect is not None and not effect.count and not case.dead_letters:
            return f"it may be among the letters of {', '.join(case.anonymous)}, which do not tell their key"
        return ""

    def _surfaced(self, case: Case) -> bool:
        return case.may_give_up and bool(case.dead_letters or case.anonymous)

    def _lost(self, case: Case) -> Finding:
        name = self.pattern.effect
        if case.dead_letters:
            sentence = (
                f"{case.key} was acknowledged and given up after {len(case.schedule.faults)} of {case.deliveries} "
                f"failures: it is among the dead letters, and {name} is not there"
            )
            return _finding(case, "given up too early", sentence, name)
        return _finding(case, "acknowledged and lost", f"{case.key} was acknowledged, and {name} is not there", name)

    def _half(self, case: Case) -> Iterator[Finding]:
        row, message = case.seen(self.pattern.row), case.seen(self.pattern.message)
        if row is None or message is None or bool(row.count) == bool(message.count) or self._surfaced(case):
            return
        there, absent = (self.pattern.row, self.pattern.message)
        if message.count:
            there, absent = absent, there
        sentence = f"{there} of {case.key} is there, and {absent} is not"
        yield _finding(case, "half done", sentence, self.pattern.row, self.pattern.message)

    def _reported(self, case: Case) -> Iterator[Finding]:
        status, effect = case.seen(self.pattern.status), case.seen(self.pattern.effect)
        if self.status is None or status is None or effect is None:
            return
        ports = (self.pattern.status, self.pattern.effect)
        if status.state in self.status.done and not effect.count:
            sentence = f"{case.key} is reported {status.state}, and {self.pattern.effect} is not there"
            yield _finding(case, "reported wrongly", sentence, *ports)
        if status.state in self.status.failed and effect.count:
            sentence = f"{case.key} is reported {status.state}, and {self.pattern.effect} is there"
            yield _finding(case, "reported wrongly", sentence, *ports)


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
        if may_be_half:
            if case.dead_letters:
                yield from saga_ends.surfaced(history, self.pattern, letters=case.dead_letters, keys={case.key})
            return
        yield from saga_traces.in_order(history, self.pattern)
        yield from saga_ends.answers_agree(history, self.pattern, tells_outcome=self.answers)
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
            yield _finding(case, "acknowledged and lost", sentence, self.pattern.status)


def _finding(case: Case, title: str, sentence: str, *ports: str | None) -> Finding:
    return Finding(title=title, sentence=sentence, key=case.key, witness=case.witness(*ports))


def invariants_of(
    pattern: Pattern, status: Status | None, *, answers: bool = False, bound_seconds: float = float("inf")
) -> Invariants:
    """The promises of a pattern, as the sweep judges them.

    Args:
        pattern: the pattern.
        status: its status port, if it has one.
        answers: whether a saga's client is answered when the saga has ended.
        bound_seconds: from the start of a saga to its end.
    """
    if isinstance(pattern, SagaPattern):
        return AllOrNothing(pattern, status, answers, bound_seconds)
    return OneEffect(pattern, status)
