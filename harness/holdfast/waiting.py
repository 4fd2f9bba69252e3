"""Waiting for a condition: an absolute deadline, a last look at the deadline, and the observed lag as the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waited(Generic[T]):
    """How a wait ended.

    Attributes:
        value: what the last look returned.
        met: whether the condition was met.
        lag_seconds: from the start of the wait to the first look that met it, or to the end of the wait.
        looks: how often it was looked.
    """

    value: T
    met: bool
    lag_seconds: float
    looks: int


def eventually(
    look: Callable[[], T],
    until: Callable[[T], bool],
    *,
    deadline_seconds: float,
    interval_seconds: float = 0.1,
    longest_interval_seconds: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Waited[T]:
    """Look until a condition is met or the deadline has passed; the last look is at the deadline, never before it.

    Args:
        look: reads the current value.
        until: whether a value meets the condition.
        deadline_seconds: how long to wait at most, from now.
        interval_seconds: pause after the first look; grows by half each time.
        longest_interval_seconds: the longest pause.
        clock: monotonic clock, seconds.
        pause: sleeps for so many seconds.
    """
    start = clock()
    end = start + deadline_seconds
    looks = 0
    while True:
        last_look = clock() >= end
        value = look()
        looks += 1
        lag_seconds = clock() - start
        if until(value):
            return Waited(value, met=True, lag_seconds=lag_seconds, looks=looks)
        if last_look:
            return Waited(value, met=False, lag_seconds=lag_seconds, looks=looks)
        pause(max(0.0, min(interval_seconds, end - clock())))
        interval_seconds = min(interval_seconds * 1.5, longest_interval_seconds)
