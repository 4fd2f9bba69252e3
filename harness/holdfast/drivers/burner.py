"""``python -m holdfast.drivers.burner WORKERS MEMORY_BYTES SECONDS``: spins and holds memory, then ends by itself.

It begins when ``go`` comes on its standard input: by then it is within the limits that it must not leave. The workers
end with the process that started them, and all of them when their time is over, whatever becomes of the harness.
"""

from __future__ import annotations

import os
import signal
import sys
import time

GO = b"go"
_ROUNDS = 200_000
_LOOK_SECONDS = 0.2


def spin(parent: int, end: float) -> None:
    """Use a processor until the time is over or the parent is gone."""
    while time.monotonic() < end and os.getppid() == parent:
        for _ in range(_ROUNDS):
            pass


def main(arguments: list[str]) -> None:
    """Start the workers, hold the memory, and wait for the time to be over."""
    if sys.stdin.buffer.read() != GO:
        return
    workers, memory_bytes, seconds = int(arguments[0]), int(arguments[1]), float(arguments[2])
    end, own = time.monotonic() + seconds, os.getpid()
    started = []
    for _ in range(workers):
        worker = os.fork()
        if worker == 0:
            spin(own, end)
            os._exit(0)
        started.append(worker)
    held = bytearray(memory_bytes)
    held[::4096] = b"\1" * len(range(0, memory_bytes, 4096))  # only what was written to is resident
    while (left_seconds := end - time.monotonic()) > 0:
        time.sleep(min(left_seconds, _LOOK_SECONDS))
    for worker in started:
        os.kill(worker, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1:])
