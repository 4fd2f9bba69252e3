"""A load beside a process of this machine, within the limits that the process has."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from holdfast.drivers.base import Load
from holdfast.drivers.burner import GO
from holdfast.drivers.strays import end_strays, marks, strays
from holdfast.errors import InjectionError

_CGROUPS = Path("/sys/fs/cgroup")


def press(pid: int, component: str, load: Load, token: str) -> subprocess.Popen[bytes]:
    """Start a load with the processors, priority, control group and memory limit of a process; returns it.

    Args:
        pid: the process.
        component: its name in the descriptor.
        load: how much, and how long.
        token: mark by which the load is found again.

    Raises:
        InjectionError: the load would not be within its limits, or would take more than half of what memory is free.
    """
    process = psutil.Process(pid)
    available_bytes = psutil.virtual_memory().available
    if load.memory_bytes > available_bytes // 2:
        raise InjectionError(
            f"a load of {load.memory_bytes} bytes on {component} would take more than half of the memory that is free",
            cause=f"{available_bytes} bytes are free",
            remedy="ask for less",
        )
    words = [str(load.workers), str(load.memory_bytes), f"{load.seconds:g}"]
    burner = subprocess.Popen(
        [sys.executable, "-P", "-m", "holdfast.drivers.burner", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **marks(token, component)},
        start_new_session=True,
    )
    assert burner.stdin is not None
    try:
        _confine(burner.pid, process)
        burner.stdin.write(GO)
        burner.stdin.close()
    except BaseException:
        burner.kill()
        burner.wait()
        raise
    return burner


def pressing(token: str) -> int:
    """How many processes of a load run."""
    return sum(1 for _ in strays(token))


def relieve(token: str) -> None:
    """End a load."""
    end_strays(token)


def _confine(pid: int, like: psutil.Process) -> None:
    burner = psutil.Process(pid)
    burner.nice(like.nice())
    if hasattr(burner, "cpu_affinity"):
        burner.cpu_affinity(like.cpu_affinity())
    if hasattr(burner, "rlimit"):
        with suppress(psutil.AccessDenied):
            burner.rlimit(psutil.RLIMIT_AS, like.rlimit(psutil.RLIMIT_AS))
    own, its = _control_group(pid), _control_group(like.pid)
    if own != its:
        try:
            (_CGROUPS / its.lstrip("/") / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            raise InjectionError(
                f"no load can be put into the control group {its} of process {like.pid}; nothing was changed",
                cause=error.strerror or str(error),
                remedy="run Holdfast as a user who may write its cgroup.procs",
            ) from error


def _control_group(pid: int) -> str:
    """The control group of a process (cgroups(7), version 2); empty where there is none."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return line[3:]
    return ""
