"""What is going on, for somebody who waits: what, since when, and until when at the latest."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

PATIENCE_SECONDS = 1.0
"""What lasts longer than this is told."""

REPEAT_SECONDS = 30.0
"""A line that has not changed is repeated this often, as a sign of life."""

LOOK_SECONDS = 0.1

NOTE = -1.0
"""In place of seconds: what is said is no wait but something to know, and told at once whatever comes after it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Something a person waiting wants to know.

    Attributes:
        stack: the stack; empty where it is of none.
        message: what is going on or waited for.
        until_seconds: how long it may take; 0 where nothing bounds it; `NOTE` where it is no wait.
        beside: whether it is waited for beside other things; otherwise it takes the place of all before it.
        over: the wait of that message, beside others, has ended.
    """

    stack: str
    message: str
    until_seconds: float = 0.0
    beside: bool = False
    over: bool = False


Listener = Callable[[Progress], None]
"""Is told what goes on."""


class Say(Protocol):
    """Is told what goes on in one place."""

    def __call__(self, message: str, until_seconds: float = 0.0, /) -> None:
        """Take note.

        Args:
            message: what is going on or waited for.
            until_seconds: how long it may take; 0 where nothing bounds it; `NOTE` where it is no wait.
        """


def unheard(_message: str, _until_seconds: float = 0.0, /) -> None:
    """Nobody waits, or they are told already."""


@dataclass(frozen=True, slots=True)
class _Wait:
    message: str
    since: float
    until: float | None


@dataclass(slots=True)
class _Stack:
    name: str
    phase: _Wait | None = None
    waits: list[_Wait] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    told: _Wait | None = None
    told_at: float = 0.0

    @property
    def called(self) -> str:
        """What its lines begin with."""
        return f"{self.name}: " if self.name else ""


class Waits:
    """The present phase and the open waits of each stack; thread-safe.

    Args:
        clock: seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._stacks: dict[Hashable, _Stack] = {}
        self._lock = threading.Lock()

    def heard(self, key: Hashable, progress: Progress) -> None:
        """Take note of what a stack reports.

        Args:
            key: tells it from others.
            progress: the report.
        """
        now = self._clock()
        with self._lock:
            stack = self._stacks.setdefault(key, _Stack(progress.stack))
            if progress.until_seconds == NOTE:
                stack.notes.append(progress.message)
                return
            if progress.over:
                ended = next((wait for wait in stack.waits if wait.message == progress.message), None)
                if ended is not None:
                    stack.waits.remove(ended)
                return
            wait = _Wait(progress.message, now, now + progress.until_seconds if progress.until_seconds else None)
            if progress.beside:
                stack.waits.append(wait)
            else:
                stack.phase = wait
                stack.waits.clear()

    def forget(self, key: Hashable) -> None:
        """A stack is done."""
        with self._lock:
            self._stacks.pop(key, None)

    def news(self) -> tuple[str, ...]:
        """A line for each stack in which something untold has lasted a second, or what was told goes on and on."""
        now = self._clock()
        lines = []
        with self._lock:
            for stack in sorted(self._stacks.values(), key=lambda one: one.name):
                lines += [f"  {stack.called}{note}" for note in stack.notes]
                stack.notes.clear()
                present = max(stack.waits, key=lambda wait: wait.until or 0.0, default=stack.phase)
                if present is None:
                    continue
                new = present != stack.told and now - present.since >= PATIENCE_SECONDS
                if new or (present == stack.told and now - stack.told_at >= REPEAT_SECONDS):
                    stack.told, stack.told_at = present, now
                    lines.append(_line(stack, present))
        return tuple(lines)


def _line(stack: _Stack, present: _Wait) -> str:
    if present.until is None:
        return f"  {stack.called}{present.message}, since {_time(present.since)}"
    more = f", and {len(stack.waits) - 1} more" if len(stack.waits) > 1 else ""
    return (
        f"  {stack.called}waiting for {present.message} "
        f"(since {_time(present.since)}, until {_time(present.until)} at the latest){more}"
    )


def _time(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def to_stderr(line: str) -> None:
    """Show a person a line beside what a command prints."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def listening(
    write_line: Callable[[str], None] = to_stderr,
    *,
    clock: Callable[[], float] = time.time,
    ended: threading.Event | None = None,
) -> Iterator[Listener]:
    """A listener for the length of a ``with`` block: what it hears of and what lasts is told, from a thread of its own.

    Args:
        write_line: shows a person one line.
        clock: seconds since the epoch.
        ended: set when the block ends; its ``wait`` is the pause between two looks.
    """
    waits, over = Waits(clock), ended or threading.Event()

    def look() -> None:
        ended_now = False
        while not ended_now:
            ended_now = over.wait(LOOK_SECONDS)
            for line in waits.news():
                write_line(line)

    thread = threading.Thread(target=look, name="progress", daemon=True)
    thread.start()
    try:
        yield lambda progress: waits.heard(progress.stack, progress)
    finally:
        over.set()
        thread.join()


@contextmanager
def telling(write_line: Callable[[str], None] = to_stderr) -> Iterator[Say]:
    """What a command does that is of no stack, told for the length of a ``with`` block as `listening` does.

    Args:
        write_line: shows a person one line.
    """
    with listening(write_line) as listener:
        yield lambda message, until_seconds=0.0: listener(Progress("", message, until_seconds))
