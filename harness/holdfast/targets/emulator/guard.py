"""Nothing of an emulator survives its parent: a tiny process that waits for a death, kills, and cleans.

The emulator leads a session of its own, and the Lambda processes it starts stay in that process group. Before it
becomes anything big it forks this guard, which holds the read ends of two pipes: one whose only writer is the parent,
one whose only writer is the emulator. When either writer is gone, however it died, the guard kills the group and
removes the directory. (``PR_SET_PDEATHSIG`` cannot do this: it fires when the *thread* that started the child ends,
it does not exist outside Linux, and it does not reach grandchildren.)
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

_CLEAN_ATTEMPTS = 40
_CLEAN_PAUSE_SECONDS = 0.05


def clean(directory: Path) -> None:
    """Remove a directory that dying processes may still be writing to."""
    for _ in range(_CLEAN_ATTEMPTS):
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        time.sleep(_CLEAN_PAUSE_SECONDS)


def start_guard(directory: Path) -> None:
    """Fork the guard of this process; call before threads exist and with the parent's pipe as standard input.

    Args:
        directory: removed when this process or its parent ends.
    """
    emulator = os.getpid()
    reader, writer = os.pipe()
    if os.fork():
        os.close(reader)
        os.set_inheritable(writer, False)  # noqa: FBT003 - os has no keyword for it
        return
    try:
        os.close(writer)
        os.setsid()
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        _wait_for_end(0, reader)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(emulator, signal.SIGKILL)
        clean(directory)
    finally:
        os._exit(0)


def _wait_for_end(*readers: int) -> None:
    """Return when any of these pipes has no writer any more."""
    while True:
        ready, _, _ = select.select(readers, [], [])
        for reader in ready:
            if not os.read(reader, 4096):
                return
