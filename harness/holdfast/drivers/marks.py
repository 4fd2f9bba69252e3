"""Telling whether the process that wrote something is still the one that runs under its id."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def start_mark(pid: int) -> str:
    """A text that tells this process from a later one with the same id; empty when none runs.

    Linux: the start time in clock ticks, field 22 of ``/proc/PID/stat``; elsewhere what ``ps`` says.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            # The second field is the command in brackets and may itself hold blanks and brackets.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] == "Z" else fields[19]
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return listed.stdout.strip()


def same_process(pid: int, mark: str) -> bool:
    """Whether the process with this id and start mark still runs."""
    return bool(mark) and start_mark(pid) == mark


def own_mark() -> str:
    """The start mark of this process."""
    return start_mark(os.getpid())
