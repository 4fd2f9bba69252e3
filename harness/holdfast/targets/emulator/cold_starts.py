"""How many functions start at once.

A cold start is mostly processor time, and a burst of commands can ask for a hundred of them. Started all at once they
leave nothing to the emulator, which all of them call: calls run out of time, functions that ran out of time are killed,
their retries start cold again, and the emulator does not recover for minutes (a metastable failure, Bronson et al.,
HotOS 2021). So few start at once. The time that a function waits for its start is not counted against its timeout, as
on AWS. A lower priority of functions protects the emulator even better, but then they starve beside whatever else runs
on the machine, and the timeouts of state machines, which do not stretch, end their calls.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STARTS_PER_CORE = 2

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
