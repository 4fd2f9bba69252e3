"""What passed: the invocations of functions and the AWS calls they made, in a bounded ring."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from subprocess import Popen
from typing import Any

from holdfast.targets.base import Rule, TracedCall, TracedInvocation

MAX_INVOCATIONS = 50_000
MAX_EVENT_CHARACTERS = 128_000_000


@dataclass(slots=True, eq=False)
class Invocation:
    """One invocation while it runs and after.

    Attributes:
        function: physical name.
        request_id: id of the invocation.
        event: the event, JSON text.
        trace_root: root of the trace id that the function's SDK sends with each call, which tells whose call it is.
        kill: the rules that kill the process before or after the handler.
        starved: it ran out of time because the machine was too busy.
        throttled: it was refused before it began.
        process: the process that runs the handler, once there is one.
    """

    function: str
    request_id: str
    event: str
    started_seconds: float
    trace_root: str
    ended_seconds: float = 0.0
    failed: bool = False
    starved: bool = False
    throttled: bool = False
    kill: tuple[Rule, ...] = ()
    process: Popen[Any] | None = None
    calls: list[TracedCall] = field(default_factory=list)

    def traced(self) -> TracedInvocation:
        """What the trace shows of it."""
        return TracedInvocation(
            function=self.function,
            request_id=self.request_id,
            started_seconds=self.started_seconds,
            ended_seconds=self.ended_seconds,
            failed=self.failed,
            event=self.event,
            starved=self.starved,
            throttled=self.throttled,
        )


@dataclass(slots=True)
class Tracer:
    """Remembers invocations, the oldest forgotten first; safe from any thread."""

    _ring: deque[Invocation] = field(default_factory=deque)
    _by_root: dict[str, Invocation] = field(default_factory=dict)
    _characters: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, function: str, request_id: str, event: str) -> Invocation:
        """Record the start of an invocation."""
        now = time.time()
        root = f"1-{int(now):08x}-{secrets.token_hex(12)}"
        invocation = Invocation(function, request_id, event, now, root)
        with self._lock:
            self._ring.append(invocation)
            self._by_root[root] = invocation
            self._characters += len(event)
            while len(self._ring) > MAX_INVOCATIONS or self._characters > MAX_EVENT_CHARACTERS:
                oldest = self._ring.popleft()
                self._by_root.pop(oldest.trace_root, None)
                self._characters -= len(oldest.event)
        return invocation

    def known_as(self, invocation: Invocation, root: str) -> None:
        """The invocation's calls carry this trace root instead."""
        with self._lock:
            self._by_root.pop(invocation.trace_root, None)
            invocation.trace_root = root
            self._by_root[root] = invocation

    def by_root(self, root: str) -> Invocation | None:
        """The invocation whose calls carry this trace root."""
        return self._by_root.get(root)

    def running(self) -> tuple[Invocation, ...]:
        """Invocations that have a process and have not ended."""
        with self._lock:
            return tuple(one for one in self._ring if one.process is not None and not one.ended_seconds)

    def open_count(self) -> int:
        """How many invocations have not ended."""
        with self._lock:
            return sum(not one.ended_seconds for one in self._ring)

    def call(self, invocation: Invocation, service: str, operation: str, status: int) -> None:
        """Record a call that an invocation made."""
        with self._lock:
            invocation.calls.append(
                TracedCall(
                    function=invocation.function,
                    request_id=invocation.request_id,
                    index=len(invocation.calls) + 1,
                    service=service,
                    operation=operation,
                    status=status,
                )
            )

    def select(self, function: str = "", key: str = "") -> tuple[Invocation, ...]:
        """The invocations of a function whose event contains a text, in order of their start."""
        with self._lock:
            ring = tuple(self._ring)
        return tuple(one for one in ring if function in ("", one.function) and key in one.event)
