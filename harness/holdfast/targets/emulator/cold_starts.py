"""How many functions start at once, and how far they give way to the emulator.

A cold start takes a tenth of a second of a processor, and a burst of commands can ask for a hundred of them. Started
all at once they leave nothing to the emulator, which all of them call: calls run out of time, functions that ran out of
time are killed, their retries start cold again, and the emulator does not recover for minutes (a metastable failure,
Bronson et al., HotOS 2021). So few start at once, and all of them run at a lower priority than the emulator. The time
that a function waits for its start is not counted against its timeout, as on AWS.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STARTS_PER_CORE = 2

NICENESS = 5
"""Of the processes of functions, relative to the emulator."""

LONGEST_WAIT_SECONDS = 10.0
"""Nobody waits longer for a start: one that calls another function while it starts would else wait for itself.

AWS gives an init so long (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
"""

_STARTING = threading.BoundedSemaphore(STARTS_PER_CORE * (os.cpu_count() or 1))


@contextmanager
def cold_start(
    starting: threading.Semaphore = _STARTING, longest_wait_seconds: float = LONGEST_WAIT_SECONDS
) -> Iterator[None]:
    """Start a function while few others do.

    Args:
        starting: how many may.
        longest_wait_seconds: after so long it starts all the same.
    """
    taken = starting.acquire(timeout=longest_wait_seconds)
    try:
        yield
    finally:
        if taken:
            starting.release()


def give_way(process_id: int = 0) -> None:
    """Let a process, by default this one and what it forks, give way to the emulator, where the system can do that."""
    if hasattr(os, "setpriority"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process_id, NICENESS)
