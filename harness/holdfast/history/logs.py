"""What reads of an event log and of its read models showed, immutable; times are on the clock of the `History`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from holdfast.history.model import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of an aggregate, as a read of the log showed it.

    Attributes:
        sequence: its place in the aggregate's sequence.
        identity: its identity, as text.
        command: key of the command it came of; empty where it shows none.
        data: the whole event, plain JSON.
    """

    sequence: int
    identity: str
    command: str
    data: Any

    @property
    def text(self) -> str:
        """The whole event as JSON, the same for the same event."""
        return json.dumps(self.data, sort_keys=True, ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRead:
    """One read of the whole log of one aggregate.

    Attributes:
        port: name of the log.
        aggregate: whose.
        events: by their sequence; equals in the order they were read.
        started_seconds: when the read began.
        completed_seconds: when it was in.
        complete: whether it was read to its end.
        reason: why it was not.
    """

    port: str
    aggregate: str
    started_seconds: float
    completed_seconds: float
    events: tuple[Event, ...] = ()
    complete: bool = True
    reason: str = ""

    def observation(self) -> Observation:
        """The read as a witness: the commands and places of its events."""
        return Observation(
            port=self.port,
            key=self.aggregate,
            count=len(self.events),
            started_seconds=self.started_seconds,
            completed_seconds=self.completed_seconds,
            values=tuple(event.command for event in self.events),
            orders=tuple(str(event.sequence) for event in self.events),
            state=self.reason,
            complete=self.complete,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRead:
    """One read of what a read model shows of one aggregate.

    Attributes:
        port: name of the view.
        aggregate: whose.
        state: what it showed, canonical JSON; None where it showed nothing.
        version: the sequence of the last event that it says it has seen; None where it does not say.
        started_seconds: when the read began.
        completed_seconds: when it was in.
        complete: whether it was answered.
        reason: why it was not.
        reader: who read; readers are independent, and each is a session.
        role: what the provocation meant it to be, e.g. ``write side dead``.
    """

    port: str
    aggregate: str
    started_seconds: float
    completed_seconds: float
    state: Any = None
    version: int | None = None
    complete: bool = True
    reason: str = ""
    reader: str = ""
    role: str = ""

    @property
    def latency_seconds(self) -> float:
        """How long it took."""
        return self.completed_seconds - self.started_seconds

    @property
    def text(self) -> str:
        """The state as JSON text, for people; ``nothing`` where there is none."""
        return "nothing" if self.state is None else json.dumps(self.state, sort_keys=True, ensure_ascii=False)

    def observation(self) -> Observation:
        """The read as a witness."""
        return Observation(
            port=self.port,
            key=self.aggregate,
            count=int(self.state is not None),
            started_seconds=self.started_seconds,
            completed_seconds=self.completed_seconds,
            state=self.text if self.complete else self.reason,
            orders=() if self.version is None else (str(self.version),),
            complete=self.complete,
        )
