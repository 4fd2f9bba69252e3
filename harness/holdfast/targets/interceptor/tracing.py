"""What passed: the invocations of functions and the AWS calls they made, in a bounded ring."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.targets.base import Rule, TracedCall, TracedInvocation, TracedTotals

MAX_INVOCATIONS = 50_000
MAX_EVENT_CHARACTERS = 128_000_000
MAX_CALLS_OF_OTHERS = 50_000
MAX_CALL_CHARACTERS = 65_536
"""What is remembered of one call's own content, to find it again by its key."""


class Process(Protocol):
    """A process that can be killed."""

    @property
    def pid(self) -> int:
        """Its process id."""


@dataclass(slots=True, eq=False)
class Invocation:
    """One invocation while it runs and after.

    Attributes:
        function: physical name.
        request_id: id of the invocation.
        event: the event, JSON text.
        trace_root: root of the trace id that the function's SDK sends with each call, which tells whose call it is.
        kill: the rules that kill the process before or after the handler.
        starved: it ran out of time, or its caller may have, because the machine was too busy.
        throttled: it was refused before it began.
        process: the process that runs the handler, once there is one.
        by_service: a service handles the event by itself: a rule, a topic, a mapping, no function.
        event_known: whether ``event`` is the event; else it is what its calls carried so far.
        held: how many of its calls a rule delays at the moment.
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
    process: Process | None = None
    by_service: bool = False
    event_known: bool = True
    held: int = 0
    calls: list[TracedCall] = field(default_factory=list)

    @property
    def waits_in_vain(self) -> bool:
        """Whether its last call got no answer: it waits for one until its client, or its time, is up."""
        return bool(self.calls) and self.calls[-1].status == 0

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
            by_service=self.by_service,
        )


@dataclass(slots=True)
class Tracer:
    """Remembers invocations, the oldest forgotten first; safe from any thread.

    Attributes:
        also_open: count what else is under way although nothing of it runs at the moment.
    """

    also_open: list[Callable[[], int]] = field(default_factory=list)
    _ring: deque[Invocation] = field(default_factory=deque)
    _by_root: dict[str, Invocation] = field(default_factory=dict)
    _of_others: deque[tuple[TracedCall, str]] = field(default_factory=deque)
    _characters: int = 0
    _characters_of_others: int = 0
    _order: int = 0
    _calls: Counter[str] = field(default_factory=Counter)
    _forgotten_invocations: Counter[str] = field(default_factory=Counter)
    _forgotten_seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _held: int = 0
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
            self._forget()
        return invocation

    def _forget(self) -> None:
        """Forget the oldest while there is too much."""
        while self._ring and (len(self._ring) > MAX_INVOCATIONS or self._characters > MAX_EVENT_CHARACTERS):
            oldest = self._ring.popleft()
            self._by_root.pop(oldest.trace_root, None)
            self._characters -= len(oldest.event)
            _count(oldest, self._forgotten_invocations, self._forgotten_seconds)

    def totals(self) -> TracedTotals:
        """All that passed, what was forgotten included."""
        with self._lock:
            ring = tuple(self._ring)
            calls = dict(self._calls)
            invocations, seconds = self._forgotten_invocations.copy(), self._forgotten_seconds.copy()
        for invocation in ring:
            _count(invocation, invocations, seconds)
        return TracedTotals(calls=calls, invocations=dict(invocations), running_seconds=dict(seconds))

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
        """How many invocations have not ended, calls that are held, and what else is under way."""
        waiting = sum(count() for count in self.also_open)
        with self._lock:
            return waiting + self._held + sum(not one.ended_seconds for one in self._ring)

    def working_count(self) -> int:
        """How many invocations of functions have not ended, and wait for no delayed call and no lost answer."""
        with self._lock:
            return sum(
                not one.ended_seconds and not one.by_service and not one.held and not one.waits_in_vain
                for one in self._ring
            )

    @contextmanager
    def holding(self, caller: Invocation | None) -> Iterator[None]:
        """Count a call as open while a rule delays it: it may be performed long after its caller has given up."""
        self._hold(caller, 1)
        try:
            yield
        finally:
            self._hold(caller, -1)

    def _hold(self, caller: Invocation | None, calls: int) -> None:
        with self._lock:
            self._held += calls
            if caller is not None:
                caller.held += calls

    def call(
        self,
        invocation: Invocation | None,
        service: str,
        operation: str,
        status: int,
        *,
        resources: Collection[str] = (),
        text: str = "",
        state: str = "",
        component: str = "",
    ) -> None:
        """Record a call.

        Args:
            invocation: which made it; None for a caller that is no function.
            service: endpoint prefix.
            operation: operation name.
            status: HTTP status answered; 0 when none was.
            resources: bare names of what it is about.
            text: what it carried, by which it is found where no event is known.
            state: the state of a state machine that made it.
            component: the component that made it, where that is a process.
        """
        text = text[:MAX_CALL_CHARACTERS]
        with self._lock:
            self._order += 1
            self._calls[f"{service}:{operation}"] += 1
            call = TracedCall(
                function=invocation.function if invocation is not None else component,
                request_id=invocation.request_id if invocation is not None else "",
                index=len(invocation.calls) + 1 if invocation is not None else 0,
                service=service,
                operation=operation,
                status=status,
                resource=",".join(resources),
                order=self._order,
                state=state,
            )
            if invocation is None:
                self._of_others.append((call, text))
                self._characters_of_others += len(text)
                while len(self._of_others) > MAX_CALLS_OF_OTHERS or self._characters_of_others > MAX_EVENT_CHARACTERS:
                    _, forgotten = self._of_others.popleft()
                    self._characters_of_others -= len(forgotten)
                return
            invocation.calls.append(call)
            if not invocation.event_known and len(invocation.event) < MAX_CALL_CHARACTERS:
                invocation.event += text + "\n"
                self._characters += len(text) + 1
                self._forget()

    def calls(self, key: str = "") -> tuple[TracedCall, ...]:
        """The calls of invocations whose event contains a text, and of others that carried it, in order."""
        found = [call for one in self.select(key=key) for call in tuple(one.calls)]
        with self._lock:
            found += [call for call, text in self._of_others if key in text]
        return tuple(sorted(found, key=lambda call: call.order))

    def select(self, function: str = "", key: str = "") -> tuple[Invocation, ...]:
        """The invocations of a function whose event contains a text, in order of their start."""
        with self._lock:
            ring = tuple(self._ring)
        return tuple(one for one in ring if function in ("", one.function) and key in one.event)


def _count(invocation: Invocation, invocations: Counter[str], seconds: defaultdict[str, float]) -> None:
    """Count an invocation that ran; one that was refused did not, and a service's own handling is none."""
    if invocation.throttled or invocation.by_service:
        return
    invocations[invocation.function] += 1
    if invocation.ended_seconds:
        seconds[invocation.function] += invocation.ended_seconds - invocation.started_seconds
