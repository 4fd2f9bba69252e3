"""Collects a history from many threads on one clock."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from holdfast.history.model import FaultWindow, History, Observation, Operation


class Recorder:
    """Thread-safe, append-only collector of one run's history.

    Args:
        clock: a monotonic clock, seconds.

    Attributes:
        told: is given every event as well, e.g. to write it down while the run goes on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.told: Callable[[Operation | Observation | FaultWindow], None] | None = None
        self._clock = clock
        self._origin_seconds = clock()
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._operations: list[Operation] = []
        self._observations: list[Observation] = []
        self._windows: list[FaultWindow] = []

    def now_seconds(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._origin_seconds

    def next_id(self) -> str:
        """A fresh operation id, unique in the run."""
        return f"op-{next(self._ids)}"

    def add(self, event: Operation | Observation | FaultWindow) -> None:
        """Append one event."""
        with self._lock:
            if isinstance(event, Operation):
                self._operations.append(event)
            elif isinstance(event, Observation):
                self._observations.append(event)
            else:
                self._windows.append(event)
        if self.told is not None:
            self.told(event)

    def history(self) -> History:
        """All that was recorded so far."""
        with self._lock:
            return History(tuple(self._operations), tuple(self._observations), tuple(self._windows))
