"""What one command of a sweep came to: what is known of it, and which mark that makes of the promises it breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from holdfast.checkers import saga, saga_ends
from holdfast.checkers.projections import Stream
from holdfast.checkers.saga_traces import OUT_OF_ORDER
from holdfast.history.executions import EXECUTION
from holdfast.history.model import DeadLetterSeen, History, Observation, Operation, Outcome
from holdfast.sweep.plan import Schedule
from holdfast.verdict.model import Finding


class Mark(StrEnum):
    """What is known of one fault point and one kind; merging keeps the first of these."""

    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    UNREACHED = "unreached"
    HELD = "held"
    INAPPLICABLE = "inapplicable"


OPEN = frozenset({Mark.INCONCLUSIVE, Mark.UNREACHED})
"""What decides nothing."""


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
        slowed: whether it ended late, and the machine was too busy for that to say anything.
        deliveries: how many failures in a row use up the deliveries of a request.
        anonymous: dead-letter ports that received letters whose key cannot be told.
        unbalanced: how what is conserved was wrong after commands with this schedule alone, all of them whole.
        unweighed: why it cannot be told whether what is conserved moved; empty where it can, or nothing is conserved.
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
    slowed: bool = False
    deliveries: int = 1
    anonymous: tuple[str, ...] = ()
    unbalanced: tuple[Finding, ...] = ()
    unweighed: str = ""
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

    def finding(self, title: str, sentence: str, *ports: str | None) -> Finding:
        """A promise that it breaks, with the submissions and the last look at these ports as the witness."""
        return Finding(title=title, sentence=sentence, key=self.key, witness=self.witness(*ports))


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
    broken = (*invariants.broken(case), *case.unbalanced)
    # what was never undone is also undone too late: the worse of the two is told first
    findings = tuple(sorted(broken, key=lambda finding: (finding.title == OUT_OF_ORDER, len(finding.witness))))
    if findings and case.starved:
        return Judgement(
            mark=Mark.INCONCLUSIVE,
            why=f"the machine was too busy: a function ran out of time that it was not given ({findings[0].sentence})",
        )
    if findings and case.slowed and all(finding.title == saga_ends.UNFINISHED for finding in findings):
        return Judgement(mark=Mark.INCONCLUSIVE, why=f"the machine was too busy to tell: {findings[0].sentence}")
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
    left = invariants.open(case) or case.unweighed
    if left:
        return Judgement(mark=Mark.INCONCLUSIVE, why=left)
    return Judgement(mark=Mark.HELD, why=_how(case))


REPEATED, REFUSED = "repeated effect", "refused and done"
"""Titles of findings about one effect."""

_FINAL = frozenset(
    {
        REPEATED,
        REFUSED,
        "step repeated",
        f"saga {saga.Fate.REPEATED}",
        saga_ends.UNFINISHED,
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
