"""What a history says about each key: its submissions and the reads of one port, in time order.

Conventions of every checker:

- The last complete observation of a key at a port is its state at quiescence. Incomplete observations decide nothing,
  so a key whose last observation is incomplete is *undecided* about what is absent: an absence seen before a read that
  failed may have ended. What a complete read has counted stands, whatever failed afterwards.
- Intervals are closed, so *after* is strict: a read that began the moment an answer came in is concurrent with it.
- Observations of keys without an operation in the history are somebody else's and are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from holdfast.history.model import History, Observation, Operation, Outcome
from holdfast.verdict.describe import Event, began_seconds, in_time_order
from holdfast.verdict.model import Finding

Compare = Literal["value", "body"]
"""What is compared: the unique value of the command, or the exact payload that was submitted."""

MAY_APPLY = (Outcome.OK, Outcome.UNKNOWN)
"""Outcomes of submissions that may have an effect."""


def answered_seconds(operation: Operation) -> float:
    """When the answer was in, or when the operation was sent if none came."""
    return operation.invoked_seconds if operation.completed_seconds is None else operation.completed_seconds


def submitted(operation: Operation, compare: Compare) -> str | None:
    """The payload of an operation in the sense of the comparison."""
    return operation.value if compare == "value" else operation.body


def shown(observation: Observation, compare: Compare) -> tuple[str, ...]:
    """The payloads that an observation shows in the sense of the comparison."""
    return observation.values if compare == "value" else observation.bodies


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that concerns one key at one port.

    Attributes:
        key: the key.
        operations: its submissions, in the order they were sent; at least one.
        reads: the observations of the port, in the order they began.
    """

    key: str
    operations: tuple[Operation, ...]
    reads: tuple[Observation, ...]

    def of(self, *outcomes: Outcome) -> tuple[Operation, ...]:
        """The submissions with these outcomes."""
        return tuple(operation for operation in self.operations if operation.outcome in outcomes)

    @property
    def acknowledgement(self) -> Operation | None:
        """The submission that was acknowledged first; None when none was."""
        return min(self.of(Outcome.OK), key=answered_seconds, default=None)

    @property
    def last_answer_seconds(self) -> float:
        """When the last answer to a submission was in."""
        return max(answered_seconds(operation) for operation in self.operations)

    @property
    def complete(self) -> tuple[Observation, ...]:
        """The complete reads."""
        return tuple(read for read in self.reads if read.complete)

    @property
    def final(self) -> Observation | None:
        """The last complete read: the state at quiescence."""
        return next((read for read in reversed(self.reads) if read.complete), None)

    @property
    def settled(self) -> Observation | None:
        """The last read when it is complete, so that nothing unseen came after it; None otherwise."""
        return self.reads[-1] if self.reads and self.reads[-1].complete else None

    @property
    def first_seen(self) -> Observation | None:
        """The first complete read that counted the effect."""
        return next((read for read in self.reads if read.complete and read.count >= 1), None)


def records(history: History, port: str) -> tuple[Record, ...]:
    """One record per submitted key, keys in the order of their first submission."""
    operations: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(history.operations, key=lambda o: o.invoked_seconds):
        operations[operation.key].append(operation)
    reads: defaultdict[str, list[Observation]] = defaultdict(list)
    for read in sorted(history.observations, key=lambda o: (o.started_seconds, o.completed_seconds)):
        if read.port == port:
            reads[read.key].append(read)
    return tuple(
        Record(key=key, operations=tuple(mine), reads=tuple(reads.get(key, ()))) for key, mine in operations.items()
    )


def finding(title: str, sentence: str, key: str, witness: Iterable[Event]) -> Finding:
    """A finding with its witness in time order."""
    return Finding(title=title, sentence=sentence, key=key, witness=in_time_order(witness))


def ranked(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings with the smallest witness first; equals by the time of their first event, then by key and title."""
    return tuple(
        sorted(
            findings,
            key=lambda f: (len(f.witness), began_seconds(f.witness[0]) if f.witness else 0.0, f.key, f.title),
        )
    )
