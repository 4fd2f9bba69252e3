"""One fault on everything per resource at a time: a lock that other runs with this journal directory can see.

A lock is a file in the journal directory, held with `flock`: the kernel lets it go when its process dies, so a stale
lock needs no guess about process ids. What the file says (process, start, run) is for the reader of the refusal. A
run on another machine, or with another journal directory, sees no lock; most levers see its fault, and refuse to put
theirs on top of what is there already.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from holdfast.drivers.marks import own_mark
from holdfast.errors import InjectionError
from holdfast.levers.journal import Journal, open_entries
from holdfast.waiting import eventually


@contextmanager
def locked(resources: Iterable[str], journal: Journal, *, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the locks of these resources, for the place that the journal is pinned to.

    Args:
        resources: ARNs or ids; taken in sorted order, so that two runs cannot wait for each other.
        journal: whose directory keeps the locks.
        wait_seconds: how long to wait for somebody else's window to end.

    Raises:
        InjectionError: another run has a fault there, a killed run left one, or the lock cannot be written.
    """
    wanted = sorted(set(resources))
    with ExitStack() as held:
        for resource in wanted:
            file = eventually(
                partial(_take, resource, journal),
                lambda taken: not isinstance(taken, str),
                deadline_seconds=wait_seconds,
            ).value
            if isinstance(file, str):
                raise InjectionError(
                    f"another run has a fault on {resource}; nothing was changed",
                    cause=f"held by {file}",
                    remedy="wait until it is done: two faults on one resource would prove nothing",
                )
            held.callback(os.close, file)
        if wanted:
            _refuse_leftovers(set(wanted), journal)
        yield


def _take(resource: str, journal: Journal) -> int | str:
    """The descriptor of the lock, or who holds it."""
    path = lock_path(resource, journal)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InjectionError(
            f"the lock {path} cannot be written, so nothing was changed",
            cause=str(error),
            remedy="name a journal directory that is writable and on a disk with space",
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(file, 4096, 0).decode(errors="replace").strip()
        os.close(file)
        return holder or "a run that has just begun"
    about = {"pid": os.getpid(), "started": own_mark(), "run": journal.run, "resource": resource}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(about).encode() + b"\n", 0)
    return file


def lock_path(resource: str, journal: Journal) -> Path:
    """Where the lock of a resource is; the endpoint counts, because every emulator has the same account."""
    name = hashlib.sha256(
        "\0".join((journal.pin.endpoint_url or "", *journal.pin.place()[1:], resource)).encode()
    ).hexdigest()[:24]
    return journal.directory / "locks" / f"{name}.lock"


def _refuse_leftovers(resources: set[str], journal: Journal) -> None:
    for entry in open_entries(journal.directory).entries:
        if entry.path == journal.path and entry.state != "heal-failed":
            continue  # this run's own: either it held a lock that is now ours, or it was put there beside others
        if entry.snapshot.resource in resources and entry.pin.place() == journal.pin.place():
            raise InjectionError(
                f"an earlier fault is still on {entry.snapshot.resource}; nothing was changed",
                cause=f"{entry.snapshot.lever} of {entry.time} in {entry.path.name} is not healed",
                remedy="run `holdfast heal`, then try again",
            )
