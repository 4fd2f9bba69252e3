"""Greenlets on a clock that jumps: what a dispatcher and its operations do, without waiting and always the same."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet


class Simulation:
    """Runs functions that sleep, one at a time, in the order of a simulated clock.

    Attributes:
        now_ns: the clock.
    """

    def __init__(self) -> None:
        self.now_ns = 0
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, greenlet, tuple[Any, ...]]] = []
        self._hub = getcurrent()

    def clock_ns(self) -> int:
        """The simulated time."""
        return self.now_ns

    def spawn(self, function: Callable[..., object], *arguments: Any) -> None:
        """Run a function as soon as this one sleeps."""
        self._push(self.now_ns, greenlet(function, parent=self._hub), arguments)

    def sleep(self, seconds: float) -> None:
        """Let others run until so much time has passed."""
        self._push(self.now_ns + round(seconds * 1e9), getcurrent(), ())
        self._hub.switch()

    def run(self, function: Callable[[], Any]) -> Any:
        """Run until nothing is left to do, and give what the function returned."""
        result: list[Any] = []
        self.spawn(lambda: result.append(function()))
        while self._waiting:
            at_ns, _, waiting, arguments = heapq.heappop(self._waiting)
            self.now_ns = max(self.now_ns, at_ns)
            waiting.switch(*arguments)
        return result[0]

    def _push(self, at_ns: int, waiting: greenlet, arguments: tuple[Any, ...]) -> None:
        heapq.heappush(self._waiting, (at_ns, next(self._order), waiting, arguments))
