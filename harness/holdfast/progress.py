"""What is going on in several stacks, for somebody who waits: what, since when, and until when at the latest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from holdfast.campaign import Progress

REPEAT_SECONDS = 30.0
"""A line that has not changed is repeated this often, as a sign of life."""


@dataclass(frozen=True, slots=True)
class _Wait:
    message: str
    since: float
    until: float


@dataclass(slots=True)
class _Stack:
    name: str
    phase: str = ""
    since: float = 0.0
    waits: list[_Wait] = field(default_factory=list)
    told: tuple[str, ...] = ()
    told_at: float = 0.0


class Waits:
    """The present phase and the open waits of each stack; thread-safe.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._stacks: dict[Path, _Stack] = {}
        self._lock = threading.Lock()

    def heard(self, path: Path, progress: Progress) -> None:
        """Take note of what a stack reports."""
        now = self._clock()
        with self._lock:
            stack = self._stacks.setdefault(path, _Stack(progress.stack))
            if progress.over:
                ended = next((wait for wait in stack.waits if wait.message == progress.message), None)
                if ended is not None:
                    stack.waits.remove(ended)
            elif progress.until_seconds:
                stack.waits.append(_Wait(progress.message, now, now + progress.until_seconds))
            else:
                stack.phase, stack.since = progress.message, now
                stack.waits.clear()

    def forget(self, path: Path) -> None:
        """A stack is done."""
        with self._lock:
            self._stacks.pop(path, None)

    def news(self) -> tuple[str, ...]:
        """One line for each stack about which there is something new to say, or nothing was said for long."""
        now = self._clock()
        lines = []
        with self._lock:
            for stack in sorted(self._stacks.values(), key=lambda one: one.name):
                longest = max(stack.waits, key=lambda wait: wait.until, default=None)
                said = (stack.phase, longest.message if longest else "")
                if said != stack.told or now - stack.told_at >= REPEAT_SECONDS:
                    stack.told, stack.told_at = said, now
                    lines.append(_line(stack, longest))
        return tuple(lines)


def _line(stack: _Stack, longest: _Wait | None) -> str:
    if longest is None:
        return f"  {stack.name}: {stack.phase or 'started'}, since {_time(stack.since)}"
    more = f", and {len(stack.waits) - 1} more" if len(stack.waits) > 1 else ""
    return (
        f"  {stack.name}: waiting for {longest.message} "
        f"(since {_time(longest.since)}, until {_time(longest.until)} at the latest){more}"
    )


def _time(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
