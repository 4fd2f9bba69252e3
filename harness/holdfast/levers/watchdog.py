"""A small process beside the run that heals from the journal when the run dies without healing.

``python -m holdfast.levers.watchdog JOURNAL_DIRECTORY PARENT_PID``. It is in a session of its own, so that neither
Ctrl-C nor a kill of the run's process group reaches it, and says nothing: how healing ended is in the journal.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.drivers.marks import same_process, start_mark
from holdfast.levers.healing import HealResult, heal_all
from holdfast.levers.journal import Journal
from holdfast.waiting import eventually

LOOK_SECONDS = 0.2
GIVE_UP_SECONDS = 300.0
"""How long it tries again what it cannot heal, e.g. while the network is away."""


@contextmanager
def watched(journal: Journal, *, enabled: bool | None = None) -> Iterator[int | None]:
    """Have a watchdog for the length of a run; yields its process id.

    Args:
        journal: the run's journal.
        enabled: by default everywhere but on the embedded target, which ends with its run.
    """
    if not (journal.pin.kind != "embedded" if enabled is None else enabled):
        yield None
        return
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "holdfast.levers.watchdog", str(journal.directory.absolute()), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def watch(directory: Path, parent: int) -> tuple[HealResult, ...]:
    """Wait until a process is gone, then heal what it left.

    Args:
        directory: where its journal is.
        parent: its process id.
    """
    mark = start_mark(parent)
    while same_process(parent, mark):
        time.sleep(LOOK_SECONDS)
    return eventually(
        lambda: heal_all(directory, only=lambda entry: entry.pid == parent),
        lambda results: all(result.outcome == "healed" for result in results),
        deadline_seconds=GIVE_UP_SECONDS,
        interval_seconds=0.5,
        longest_interval_seconds=10.0,
    ).value


def main(arguments: list[str]) -> int:
    """Entry point; 0 when nothing is left in place."""
    directory, parent = arguments
    results = watch(Path(directory), int(parent))
    return 0 if all(result.outcome == "healed" for result in results) else 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
