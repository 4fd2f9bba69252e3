"""The master's side of a run, inside a Locust master process: it assigns, starts the one clock, adds up, collects."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from gevent.event import AsyncResult

from holdfast_load import messages
from holdfast_load.channel import Channel
from holdfast_load.courier import Receiver

READY_SECONDS = 60.0
LEAD_SECONDS = 1.0
"""From the decision to the first arrival: every worker has its file open by then, and faults can be in place."""
SILENT_SECONDS = 30.0
"""A file of which nothing more came for so long has been cut off."""
_LOOK_SECONDS = 0.1
_TICK_SECONDS = 1.0


@dataclass(slots=True)
class _Member:
    """One worker, as the master knows it."""

    name: str
    problem: str | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    done: Mapping[str, Any] | None = None
    lost: bool = False
    receiver: Receiver | None = None
    held: int = 0
    heard_at: float = 0.0

    @property
    def over(self) -> bool:
        return self.lost or self.done is not None

    @property
    def carried(self) -> bool:
        """Whether nothing more of its file will come."""
        if self.lost or self.done is None or (self.receiver is not None and self.receiver.problem):
            return self.over
        silent = time.monotonic() - self.heard_at > SILENT_SECONDS
        return self.held >= int(self.done["bytes"]) or silent


class Master:
    """One run.

    Args:
        send: sends a message to one worker.
        present: the ids of the workers that Locust takes for alive, in the order in which they came.
        leave: ends the Locust processes of the run.
        channel: to the command.
        history: where files of workers on other machines are written.
    """

    def __init__(
        self,
        *,
        send: Callable[[str, dict[str, Any], str], None],
        present: Callable[[], Collection[str]],
        leave: Callable[[], None],
        channel: Channel,
        history: Path,
    ) -> None:
        self._send = send
        self._present = present
        self._leave = leave
        self._channel = channel
        self._history = history
        self._assignment: AsyncResult[str] = AsyncResult()
        self._members: dict[str, _Member] = {}
        self._stopped = ""
        channel.listen(self._commanded, lambda: self.stop("the command that started the run ended"))

    def start(self) -> None:
        """Assign the run to the workers that are there and start its clock; before Locust spawns users."""
        assignment = self._assignment.get()
        ids = list(self._present())
        self._members = {identity: _Member(f"w{index}") for index, identity in enumerate(ids)}
        for index, identity in enumerate(ids):
            document = {"assignment": assignment, "name": f"w{index}", "index": index, "workers": len(ids)}
            self._send(messages.ASSIGN, document, identity)
        problem = self._awaited_readiness()
        if problem:
            self._channel.tell(failed=problem)
            gevent.spawn(self._leave)
            return
        now_unix_ns, now_ns = time.time_ns(), time.monotonic_ns()
        lead_ns = round(LEAD_SECONDS * 1e9)
        self._channel.tell(
            start={"origin_unix_ns": now_unix_ns + lead_ns, "origin_monotonic_ns": now_ns + lead_ns},
            workers=[member.name for member in self._members.values()],
        )
        for identity in self._members:
            self._send(messages.START, {"origin_unix_ns": now_unix_ns + lead_ns}, identity)
        gevent.spawn(self._watch)

    def stop(self, reason: str) -> None:
        """Have every worker send nothing more."""
        if not self._stopped:
            self._stopped = reason
            for identity, member in self._members.items():
                if not member.over:
                    self._send(messages.STOP, {"reason": reason}, identity)

    def ready(self, identity: str, data: Mapping[str, Any]) -> None:
        """A worker can begin, or says why not; its message."""
        if identity in self._members:
            self._members[identity].problem = str(data["problem"])
            for note in data["costly"]:
                self._channel.tell(note=note)

    def pinged(self, identity: str, data: Mapping[str, Any]) -> None:
        """A worker asks for the time; its message."""
        received_ns = time.time_ns()
        self._send(
            messages.PONG,
            {"asked_ns": data["asked_ns"], "received_ns": received_ns, "answered_ns": time.time_ns()},
            identity,
        )

    def progressed(self, identity: str, data: Mapping[str, Any]) -> None:
        """A worker's counts; its message."""
        if identity in self._members:
            self._members[identity].counts = data

    def finished(self, identity: str, data: Mapping[str, Any]) -> None:
        """A worker is done; its message."""
        member = self._members.get(identity)
        if member is not None:
            member.done, member.heard_at = data, time.monotonic()
            self._channel.tell(done=data)
            if data["stopped"]:
                self.stop(str(data["stopped"]))

    def piece(self, identity: str, data: Mapping[str, Any]) -> None:
        """A part of a worker's file; its message."""
        member = self._members.get(identity)
        if member is None:
            return
        if member.receiver is None:
            member.receiver = Receiver(self._history / f"{member.name}.jsonl")
        member.held = member.receiver.take(int(data["offset"]), data["data"])
        member.heard_at = time.monotonic()
        self._send(messages.HELD, {"bytes": member.held}, identity)

    def _commanded(self, document: Mapping[str, Any]) -> None:
        if "assignment" in document:
            self._assignment.set(str(document["assignment"]))
        if "stop" in document:
            self.stop(str(document["stop"]))

    def _awaited_readiness(self) -> str:
        """Why the run cannot begin; empty when it can."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            problems = [member.problem for member in self._members.values()]
            told = [problem for problem in problems if problem]
            if told:
                return told[0]
            if None not in problems:
                return ""
            gevent.sleep(_LOOK_SECONDS / 10)
        late = [member.name for member in self._members.values() if member.problem is None]
        return f"{', '.join(late)} did not become ready within {READY_SECONDS:g} s"

    def _watch(self) -> None:
        """Add up until every worker is done or lost, then collect what is still under way."""
        due = 0.0
        while not all(member.over for member in self._members.values()):
            gevent.sleep(_LOOK_SECONDS)
            present = set(self._present())
            for identity, member in self._members.items():
                if not member.over and identity not in present:
                    member.lost = True
                    self._channel.tell(lost=member.name)
            if time.monotonic() >= due:
                due = time.monotonic() + _TICK_SECONDS
                self._tick()
        self._tick()
        self._channel.tell(over=True)
        while not all(member.carried for member in self._members.values()):
            gevent.sleep(_LOOK_SECONDS)
        for member in self._members.values():
            if member.receiver is not None:
                member.receiver.close()
                self._channel.tell(carried={"worker": member.name, "problem": self._shortfall(member)})
        self._channel.tell(end=True)
        self._leave()

    @staticmethod
    def _shortfall(member: _Member) -> str:
        """What of a worker's file did not come; empty when all did."""
        assert member.receiver is not None
        if member.receiver.problem:
            return member.receiver.problem
        if member.done is None:
            return ""
        missing = int(member.done["bytes"]) - member.held
        return f"the last {missing} bytes of its file did not arrive" if missing > 0 else ""

    def _tick(self) -> None:
        members = self._members.values()
        counts: dict[str, Any] = {
            name: sum(int(member.counts.get(name, 0)) for member in members) for name in messages.COUNTS
        }
        sent_of: dict[str, int] = {}
        for member in members:
            for command, sent in member.counts.get("sent_of", {}).items():
                sent_of[command] = sent_of.get(command, 0) + sent
        counts["lag_ms"] = max((float(member.counts.get("lag_ms", 0.0)) for member in members), default=0.0)
        counts["workers"] = sum(not member.over for member in members)
        self._channel.tell(tick={**counts, "sent_of": sent_of})
