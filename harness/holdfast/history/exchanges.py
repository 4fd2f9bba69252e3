"""What was seen of an application and its sidecar, immutable; times are on the clock of the `History`."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.history.model import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question to an application.

    Attributes:
        question: what was asked: ``liveness``, ``readiness``, the name of a command or of an effect port.
        key: the key it was about; empty for none.
        role: what the provocation meant it to be, e.g. ``sidecar dead``.
        started_seconds: when it was asked.
        completed_seconds: when the answer was in, or when the wait for it ended.
        status: HTTP status of the whole answer; 0 when none came.
        reason: why no whole answer came; empty when one did.
        count: how many effects the answer shows, 0 for an absence; None when it claims to know neither.
        values: what each of them shows for the value of the command.
        degraded: whether the answer says of itself that it is not the usual one.
    """

    question: str
    started_seconds: float
    completed_seconds: float
    status: int
    key: str = ""
    role: str = ""
    reason: str = ""
    count: int | None = None
    values: tuple[str, ...] = ()
    degraded: bool = False

    @property
    def answered(self) -> bool:
        """Whether a whole answer came."""
        return self.status > 0

    @property
    def succeeded(self) -> bool:
        """Whether the answer is a 2xx."""
        return 200 <= self.status < 300

    @property
    def seconds(self) -> float:
        """From the question to the answer, or to the end of the wait for it."""
        return self.completed_seconds - self.started_seconds

    def observation(self) -> Observation:
        """The exchange as a witness."""
        said = str(self.status) if self.answered else f"no answer: {self.reason}"
        return Observation(
            port=self.question,
            key=self.key,
            count=self.count or 0,
            started_seconds=self.started_seconds,
            completed_seconds=self.completed_seconds,
            values=self.values,
            state=f"{said}, degraded" if self.degraded else said,
            complete=self.count is not None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process at one time.

    Attributes:
        component: its name in the descriptor.
        process: what tells it from others, e.g. its id and start; empty when none runs.
        at_seconds: when it was looked at.
    """

    component: str
    process: str
    at_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Down:
    """A time in which a sidecar was certainly not ready.

    Attributes:
        started_seconds: from when on.
        ended_seconds: until when.
        why: e.g. ``before it was started``.
    """

    started_seconds: float
    ended_seconds: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a component ended that was asked to.

    Attributes:
        component: its name in the descriptor.
        seconds: from the signal to its end.
        in_time: whether it ended by itself, before it was killed for taking too long.
        order: in which order what was stopped, e.g. ``the application, then its sidecar``.
    """

    component: str
    seconds: float
    in_time: bool
    order: str


Witnessed = Exchange | Life | Down | End
"""Whatever a provocation sees of an application and its sidecar."""
