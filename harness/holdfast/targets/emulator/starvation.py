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
from pathlib import Path

LONGEST_EXTENSION = 4.0
"""A function never gets more than its timeout and four times that again: below the six timeouts for which AWS wants a
message hidden, so an extended handler still ends before its message is delivered again."""

BUSY_SHARE = 0.5
"""A timeout under more pressure than this is the machine's, not the stack's."""

_PRESSURE = Path("/proc/pressure/cpu")


class Meter:
    """Measures how busy the machine was since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._stalled_before = _stalled_seconds()

    def owed_seconds(self, timeout_seconds: float) -> float:
        """How much longer an invocation may still run, seconds; 0 when its time is up.

        Args:
            timeout_seconds: the function's timeout.
        """
        passed = time.monotonic() - self._started
        allowed = timeout_seconds * (1 + LONGEST_EXTENSION * self._busy_share(passed))
        return max(0.0, allowed - passed)

    def busy(self) -> bool:
        """Whether the machine was too busy for a timeout to say anything about the function."""
        return self._busy_share(time.monotonic() - self._started) > BUSY_SHARE

    def _busy_share(self, passed_seconds: float) -> float:
        stalled = _stalled_seconds()
        if stalled is None or self._stalled_before is None:
            cores = os.cpu_count() or 1
            return min(1.0, max(0.0, os.getloadavg()[0] - cores) / cores)
        return min(1.0, (stalled - self._stalled_before) / max(passed_seconds, 0.001))


def _stalled_seconds() -> float | None:
    """Seconds since boot in which some task waited for a processor; None where the system does not tell."""
    try:
        for line in _PRESSURE.read_text(encoding="ascii").splitlines():
            if line.startswith("some "):
                return int(line.rpartition("total=")[2]) / 1_000_000
    except (OSError, ValueError):
        return None
    return None
