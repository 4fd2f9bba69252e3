"""Everything that a run has started, known by the mark in its environment: children inherit it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil

from holdfast.targets.interceptor.processes import COMPONENT_VARIABLE, RUN_VARIABLE
from holdfast.waiting import eventually

_GONE_SECONDS = 10.0
_ALL_SEEN_SECONDS = 0.2


def strays(run: str, component: str = "") -> Iterator[psutil.Process]:
    """The processes of a run that still are there, or those of one of its components.

    This process and those that started it are never among them.

    Args:
        run: mark of the run.
        component: name of the component; all of the run when empty.
    """
    own = psutil.Process()
    spared = {own.pid, *(parent.pid for parent in own.parents())}
    for process in psutil.process_iter():
        if process.pid in spared:
            continue
        with suppress(psutil.Error, OSError):
            variables = process.environ()
            if variables.get(RUN_VARIABLE) != run or component not in ("", variables.get(COMPONENT_VARIABLE)):
                continue
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                yield process


def end_strays(run: str, component: str = "") -> int:
    """Kill the processes of a run until none is left; returns how many were killed.

    One that is just being made has not got its environment yet, so none counts as left only when two looks say so.

    Args:
        run: mark of the run; never empty.
        component: name of the component; all of the run when empty.
    """
    assert run
    killed = 0
    quiet = 0

    def look() -> int:
        nonlocal killed, quiet
        found = list(strays(run, component))
        for process in found:
            with suppress(psutil.Error):
                process.kill()
                killed += 1
        quiet = 0 if found else quiet + 1
        return quiet

    eventually(
        look,
        lambda quiet: quiet >= 2,
        deadline_seconds=_GONE_SECONDS,
        interval_seconds=_ALL_SEEN_SECONDS / 4,
        longest_interval_seconds=_ALL_SEEN_SECONDS,
    )
    return killed


def marks(run: str, component: str) -> dict[str, str]:
    """The variables that mark a process."""
    return {RUN_VARIABLE: run, COMPONENT_VARIABLE: component}
