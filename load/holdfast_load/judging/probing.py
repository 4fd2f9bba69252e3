"""How long effects take while load is on: a few keys are looked at again and again until their effect is there.

Every key is looked at in the end, but then it is too late to tell when its effect came.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from holdfast.checkers.durations import Distribution
from holdfast.history.columns import NANOSECONDS, OK
from holdfast.history.model import Observation
from holdfast_load.judging.rows import Rows
from holdfast_load.plan import RunClock

MOST_AT_ONCE = 8
LOOK_SECONDS = {"embedded": 0.05, "localstack": 0.1, "aws": 0.5}
"""How often each is looked at, by kind of the target; on AWS every look is paid for."""


@dataclass(slots=True, kw_only=True)
class Probing:
    """Looks at some keys of a run.

    Args:
        look: whether the effect of a key is there; False too where it cannot be seen now.
        interval_seconds: between two looks.
        longest_seconds: a key whose effect is not there after so long is given up.

    Attributes:
        seen_seconds: when the effect of a key was first seen, on the run's clock.
        missed_seconds: when the effect of a key was last looked for in vain.
        given_up: keys whose effect was not seen.
    """

    look: Callable[[str], bool]
    interval_seconds: float
    longest_seconds: float
    seen_seconds: dict[str, float] = field(default_factory=dict)
    missed_seconds: dict[str, float] = field(default_factory=dict)
    given_up: int = 0
    _pending: dict[str, float] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, clock: RunClock) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._work, args=(clock,), name="probes", daemon=True)
        self._thread.start()

    def add(self, key: str, now_seconds: float) -> None:
        """Look at a key that was just sent, unless enough are looked at."""
        with self._lock:
            if len(self._pending) < MOST_AT_ONCE and key not in self.seen_seconds:
                self._pending.setdefault(key, now_seconds)

    def end(self) -> None:
        """Look no more."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.given_up += len(self._pending)
        self._pending.clear()

    def _work(self, clock: RunClock) -> None:
        while not self._ending.wait(self.interval_seconds):
            with self._lock:
                pending = dict(self._pending)
            for key, since_seconds in pending.items():
                there = self.look(key)
                if there:
                    self.seen_seconds[key] = clock.seconds
                elif clock.seconds - since_seconds <= self.longest_seconds:
                    self.missed_seconds[key] = clock.seconds
                    continue
                else:
                    self.given_up += 1
                with self._lock:
                    self._pending.pop(key, None)


def observations(probing: Probing, port_of: Callable[[str], str]) -> Iterator[Observation]:
    """What was seen of the keys that were looked at: of each, the last look in vain and the one that saw its effect.

    Args:
        probing: the looks.
        port_of: the port at which the effect of a key shows.
    """
    for key, seconds in probing.seen_seconds.items():
        looks = [(0, probing.missed_seconds[key])] if key in probing.missed_seconds else []
        for count, at in (*looks, (1, seconds)):
            yield Observation(port=port_of(key), key=key, count=count, started_seconds=at, completed_seconds=at)


def figures(seen_seconds: Mapping[str, float], rows: Rows) -> dict[str, float]:
    """The time from the acknowledgement of each probed key to its effect, as figures; none where nothing was probed.

    A key that was never acknowledged says nothing; an effect that was there before is 0 s late.

    Args:
        seen_seconds: when the effect of a key was first seen.
        rows: the operations of the run.
    """
    if not seen_seconds:
        return {}
    operations, ends = rows.operations, {}
    for row in np.flatnonzero(operations.is_outcome(OK)).tolist():
        key = str(operations.keys.label(operations.key[row]))
        if key in seen_seconds:
            ends[key] = int(operations.completed_ns[row]) / NANOSECONDS
    found = Distribution.of(max(0.0, seen_seconds[key] - ended) for key, ended in ends.items())
    if not found.count:
        return {}
    return {
        "time_to_effect_probes": float(found.count),
        "time_to_effect_p50_seconds": round(found.p50, 4),
        "time_to_effect_p99_seconds": round(found.p99, 4),
        "time_to_effect_max_seconds": round(found.maximum, 4),
    }
