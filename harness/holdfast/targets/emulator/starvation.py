"""How much longer than its timeout a function may run because this machine was busy.

Lambda gives a function its share of a processor whatever its neighbours do. An emulator on a busy machine cannot, and a
timeout that fires because a handler waited for a processor would look like a bug of the stack. So time counts less
while the machine is busy: by Linux's pressure stall information, the share of time in which some task waited for a
processor (docs.kernel.org/accounting/psi.html), or by the load average where there is none. On an idle machine a
timeout is exact.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

LONGEST_EXTENSION = 4.0
"""A function never gets more than its timeout and four times that again: below the six timeouts for which AWS wants a
message hidden, so an extended handler still ends before its message is delivered again."""

BUSY_SHARE = 0.5
"""A timeout under more pressure than this is the machine's, not the stack's."""

_PRESSURE = Path("/proc/pressure/cpu")


class Meter:
    """Measures how busy the machine was since it was made.

    Args:
        clock: seconds; the monotonic clock when None.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or time.monotonic
        self._started = self._clock()
        self._stalled_before = _stalled_seconds()

    def owed_seconds(self, timeout_seconds: float, longest_extension: float = LONGEST_EXTENSION) -> float:
        """How much longer what is timed may still go on, seconds; 0 when its time is up.

        Args:
            timeout_seconds: how long it has on an idle machine.
            longest_extension: so many times that again at most.
        """
        passed = self._clock() - self._started
        allowed = timeout_seconds * (1 + longest_extension * self._busy_share(passed))
        return max(0.0, allowed - passed)

    def busy(self) -> bool:
        """Whether the machine was too busy for a timeout to say anything about the function."""
        return self._busy_share(self._clock() - self._started) > BUSY_SHARE

    def late(self, usual_seconds: float) -> bool:
        """Whether what is timed took at least so many seconds, on a machine too busy for that to say anything of it."""
        return self._clock() - self._started >= usual_seconds and self.busy()

    def _busy_share(self, passed_seconds: float) -> float:
        return _share(self._stalled_before, _stalled_seconds(), passed_seconds)


class Pressure:
    """Remembers how busy the machine was in the course of a run; safe from any thread.

    Args:
        clock: the run's, seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._samples: list[tuple[float, float | None]] = []
        self.note()

    def note(self) -> None:
        """Look at the machine now; the more often, the finer it is remembered."""
        self._samples.append((self._clock(), _stalled_seconds()))

    def busy(self, since_seconds: float, until_seconds: float) -> bool:
        """Whether the machine was too busy between two moments for what was late then to say anything of the stack."""
        self.note()
        samples = list(self._samples)
        began, stalled_before = next((one for one in reversed(samples) if one[0] <= since_seconds), samples[0])
        ended, stalled = next((one for one in samples if one[0] >= until_seconds), samples[-1])
        return _share(stalled_before, stalled, ended - began) > BUSY_SHARE


def _share(stalled_before: float | None, stalled: float | None, passed_seconds: float) -> float:
    """The share of a time in which some task waited for a processor."""
    if stalled is None or stalled_before is None:
        cores = os.cpu_count() or 1
        return min(1.0, max(0.0, os.getloadavg()[0] - cores) / cores)
    return min(1.0, (stalled - stalled_before) / max(passed_seconds, 0.001))


def _stalled_seconds() -> float | None:
    """Seconds since boot in which some task waited for a processor; None where the system does not tell."""
    try:
        for line in _PRESSURE.read_text(encoding="ascii").splitlines():
            if line.startswith("some "):
                return int(line.rpartition("total=")[2]) / 1_000_000
    except (OSError, ValueError):
        return None
    return None
