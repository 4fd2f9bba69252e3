"""The record of a run: operations, observations and fault windows on one clock.

Everything a verdict rests on is here, immutable. Times are seconds on the run's monotonic clock
(`time.monotonic` at the recorder, zero at the start of the run).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """The client's view of one operation (Jepsen's ok / fail / info)."""

    OK = "ok"
    """Acknowledged: it must have taken, or come to take, effect."""
    FAIL = "fail"
    """Definitely refused: it must never take effect."""
    UNKNOWN = "unknown"
    """A timeout, a 5xx, a cut connection: it may or may not have been applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One client command.

    Attributes:
        id: unique in the run; two submissions of one key are two operations.
        key: the idempotency key that the effect shows.
        command: name of the command port.
        value: the unique value the command carried, or None when it carries none.
        body: the exact payload that was submitted, as text.
        provocation: name of the provocation that submitted it.
        role: what the provocation meant it to be, e.g. ``healthy``, ``poison``, ``duplicate``.
        invoked_seconds: when it was sent.
        completed_seconds: when the answer was in; None when none came.
        outcome: the client's view.
        status: HTTP status or the AWS error code, as text; empty when no answer came.
        answer: the answer's body, shortened, secrets removed.
        group: ordering group, empty where there is none.
        sequence: position within its group, from 0; -1 where there is none.
    """

    id: str
    key: str
    command: str
    provocation: str
    invoked_seconds: float
    completed_seconds: float | None
    outcome: Outcome
    value: str | None = None
    body: str | None = None
    role: str = ""
    status: str = ""
    answer: str = ""
    group: str = ""
    sequence: int = -1

    @property
    def latency_seconds(self) -> float | None:
        """Seconds from sending to the answer; None when no answer came."""
        return None if self.completed_seconds is None else self.completed_seconds - self.invoked_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One read of one port for one key.

    Attributes:
        port: name of the effect, status, store or dead-letter port.
        key: the key that was looked for.
        count: how many times the effect is there (entries in a ledger, messages, objects).
        values: what each effect shows for the value of the command, oldest first; empty where the port shows none.
        bodies: what each effect shows for the whole original payload, oldest first; empty where the port shows none.
        state: what the system itself reports (a status), or empty.
        orders: positions of the effects in the order of the effect port, lowest first; empty where it has none.
        complete: False when the read did not finish or the deadline of the wait passed first.
        started_seconds: when the read began.
        completed_seconds: when it was in.
    """

    port: str
    key: str
    count: int
    started_seconds: float
    completed_seconds: float
    values: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    state: str = ""
    orders: tuple[str, ...] = ()
    complete: bool = True
    provocation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterSeen:
    """One entry found in a dead-letter store.

    Attributes:
        key: the key found in it.
        original: the original payload found in it, as text; None where it shows none.
        body: the whole entry as it lies there, as text.
        port: name of the dead-letter port.
    """

    key: str
    original: str | None
    body: str
    port: str


class ErrorClass(StrEnum):
    """Which code path of the stack a fault exercises (LEVERS.md)."""

    THROTTLE = "retryable throttle"
    DENIED = "non-retryable 4xx"
    TIMEOUT = "timeout"
    STALLED = "stalled delivery"
    DUPLICATE = "duplicate delivery"
    LOST_ANSWER = "lost acknowledgement"
    CRASH = "crash"
    FAILURE = "failing handler"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultWindow:
    """The time in which one fault demonstrably bit.

    Attributes:
        lever: name of the lever.
        component: the component it was put on.
        error_class: which code path it exercises.
        started_seconds: when the fault was proven to bite.
        ended_seconds: when it was proven to be gone.
        proof: the evidence that it bit, one sentence; empty means unproven.
        hits: how often it bit; 0 where the lever cannot count.
        key: the key it was aimed at; empty for a fault on everything.
        healed_proof: the evidence that it is gone.
        provocation: name of the provocation that asked for it.
    """

    lever: str
    component: str
    error_class: ErrorClass
    started_seconds: float
    ended_seconds: float
    proof: str = ""
    hits: int = 0
    key: str = ""
    healed_proof: str = ""
    provocation: str = ""

    @property
    def bit(self) -> bool:
        """Whether there is proof that the fault took effect."""
        return bool(self.proof)


@dataclass(frozen=True, slots=True)
class History:
    """All that happened in a run, or the part of it that one provocation caused."""

    operations: tuple[Operation, ...] = ()
    observations: tuple[Observation, ...] = ()
    windows: tuple[FaultWindow, ...] = field(default=())

    def of(self, provocation: str) -> History:
        """The part of the history that one provocation caused."""
        return History(
            tuple(o for o in self.operations if o.provocation == provocation),
            tuple(o for o in self.observations if o.provocation == provocation),
            tuple(w for w in self.windows if w.provocation == provocation),
        )

    def role(self, *roles: str) -> History:
        """The same history with only the operations of these roles."""
        return History(tuple(o for o in self.operations if o.role in roles), self.observations, self.windows)

    def without(self, keys: Collection[str]) -> History:
        """The same history without the operations on these keys."""
        return History(tuple(o for o in self.operations if o.key not in keys), self.observations, self.windows)

    def __add__(self, other: History) -> History:
        return History(
            self.operations + other.operations, self.observations + other.observations, self.windows + other.windows
        )
