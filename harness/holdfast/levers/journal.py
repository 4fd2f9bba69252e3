"""The write-ahead journal: what a fault will change is on disk before it is changed.

One file a run, append-only JSON lines, every batch fsynced before the caller goes on. While its run lives, the file is
held with an advisory lock (`flock`), which the kernel lets go even on SIGKILL; that is how healing tells a run that is
still at work from one that was killed. A file whose faults are all healed ends in ``.healed`` and is not read again.

Secrets never enter it: it holds only what a lever itself changes, and where.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from holdfast.drivers.marks import own_mark
from holdfast.errors import InjectionError
from holdfast.levers.base import Snapshot

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

State = Literal["planned", "injected", "healed", "heal-failed"]
VERSION = 1
OPEN_SUFFIX = ".jsonl"
HEALED_SUFFIX = ".healed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """The one place a run may change, and enough to find it again.

    Attributes:
        kind: kind of the target.
        endpoint_url: its endpoint; None on AWS.
        account: 12-digit account id.
        region: region name.
        profile: name of the AWS profile, never its credentials.
        stack: name of the stack.
    """

    kind: str
    endpoint_url: str | None
    account: str
    region: str
    profile: str | None
    stack: str

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """The pin of a resolved stack."""
        target = stack.target
        pinned = stack.descriptor.target.aws
        return cls(
            kind=target.kind,
            endpoint_url=target.endpoint_url,
            account=target.account,
            region=target.region,
            profile=getattr(target, "profile", None) or (pinned.profile if pinned and target.kind == "aws" else None),
            stack=stack.descriptor.name,
        )

    def place(self) -> tuple[str | None, str, str]:
        """What tells two places apart, whatever they are called: endpoint, account, region."""
        return (self.endpoint_url, self.account, self.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fault of one run, in the last state the journal knows.

    Attributes:
        id: unique; the run's id and a number.
        time: when it was planned, ISO 8601 in UTC.
        pid: the process that ran it.
        started: start mark of that process.
        pin: where.
        snapshot: what was found and what was placed.
        state: ``planned`` may or may not be in place, ``injected`` is, ``heal-failed`` still is.
        reason: why it could not be healed; empty otherwise.
        path: the journal file.
    """

    id: str
    time: str
    pid: int
    started: str
    pin: Pin
    snapshot: Snapshot
    path: Path
    state: State = "planned"
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What a journal directory says is not healed.

    Attributes:
        entries: the faults, oldest first.
        cut: last lines that a kill cut short, a sentence each: nothing was changed after them, because a change waits
            until its line is whole on disk.
        unreadable: all other lines that could not be read, a sentence each; each may stand for a fault.
    """

    entries: tuple[Entry, ...] = ()
    cut: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """One run's journal; also a context manager that closes it.

    Args:
        directory: where journals are kept, e.g. ``.holdfast/journal``; made when the first fault is planned.
        pin: the one place this run may change.
        now: wall clock, UTC.

    Attributes:
        directory: where journals are kept.
        pin: the one place this run may change.
        run: id of the run.
    """

    def __init__(self, directory: Path, pin: Pin, *, now: Callable[[], datetime] = _utc_now) -> None:
        self.directory = directory
        self.pin = pin
        self._now = now
        self.run = f"{now():%Y%m%dT%H%M%SZ}-{os.getpid()}-{secrets.token_hex(3)}"
        self.path = directory / f"{self.run}{OPEN_SUFFIX}"
        self._lock = threading.Lock()
        self._file: int | None = None
        self._count = 0
        self._open: set[str] = set()

    def planned(self, snapshots: Sequence[Snapshot]) -> tuple[str, ...]:
        """Put on disk what is about to be changed; one sync for all. Returns the id of each entry.

        Raises:
            InjectionError: the journal cannot be written, so nothing may be changed.
        """
        if not snapshots:
            return ()
        with self._lock:
            ids = tuple(f"{self.run}/{self._count + offset}" for offset in range(1, len(snapshots) + 1))
            about = {"pid": os.getpid(), "started": own_mark(), "pin": asdict(self.pin)}
            try:
                self._append(
                    {"version": VERSION, "entry": "planned", "id": id_, **about, "snapshot": asdict(snapshot)}
                    for id_, snapshot in zip(ids, snapshots, strict=True)
                )
            except OSError as error:
                raise InjectionError(
                    f"the journal {self.path} cannot be written, so nothing was changed",
                    cause=str(error),
                    remedy="name a journal directory that is writable and on a disk with space",
                ) from error
            self._count += len(ids)
            self._open.update(ids)
        return ids

    def injected(self, ids: Iterable[str]) -> None:
        """The faults are in place."""
        self._mark("injected", ids)

    def healed(self, ids: Iterable[str]) -> None:
        """The faults are proven gone."""
        self._mark("healed", ids)

    def heal_failed(self, id_: str, reason: str) -> None:
        """A fault could not be taken away."""
        self._mark("heal-failed", (id_,), reason)

    def close(self) -> None:
        """Let the journal go; it is set aside when all its faults are healed."""
        with self._lock:
            if self._file is None:
                return
            if not self._open:
                _set_aside(self.path)
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _mark(self, state: State, ids: Iterable[str], reason: str = "") -> None:
        """Best effort: what is not marked is healed once more, which is harmless; raising would leave others be."""
        ids = tuple(ids)
        with self._lock:
            try:
                self._append({"entry": state, "id": id_, **({"reason": reason} if reason else {})} for id_ in ids)
            except OSError:
                return
            if state == "healed":
                self._open.difference_update(ids)

    def _append(self, lines: Iterable[dict[str, Any]]) -> None:
        if self._file is None:
            self._file = _create(self.path)
        time = self._now().isoformat(timespec="milliseconds")
        _write(self._file, ({**line, "time": time} for line in lines))


class Reopened:
    """A dead run's journal, held so that nobody else heals it at the same time.

    Args:
        path: the journal file.
        file: its descriptor, locked.
    """

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self._file = file

    @classmethod
    def take(cls, path: Path) -> Self | None:
        """Hold a journal; None when its run, or somebody who heals it, still does, or it is gone."""
        try:
            file = os.open(path, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return None
        content = os.pread(file, os.fstat(file).st_size, 0)
        if content and not content.endswith(b"\n"):
            # a line that a kill cut short stands for nothing, and would spoil the next one
            os.ftruncate(file, content.rfind(b"\n") + 1)
        return cls(path, file)

    def mark(self, id_: str, state: State, reason: str = "", *, now: Callable[[], datetime] = _utc_now) -> None:
        """Append how healing an entry ended."""
        line = {"entry": state, "id": id_, "time": now().isoformat(timespec="milliseconds")}
        _write(self._file, [{**line, **({"reason": reason} if reason else {})}])

    def close(self) -> None:
        """Let it go, set aside when nothing in it is open any more and all of it could be read."""
        if read(self.path) == Leftovers():
            _set_aside(self.path)
        os.close(self._file)


def open_entries(directory: Path) -> Leftovers:
    """Read what the journals of a directory say is not healed; changes nothing."""
    found = [read(path) for path in sorted(directory.glob(f"*{OPEN_SUFFIX}"))]
    return Leftovers(
        entries=tuple(entry for each in found for entry in each.entries),
        cut=tuple(line for each in found for line in each.cut),
        unreadable=tuple(line for each in found for line in each.unreadable),
    )


def read(path: Path) -> Leftovers:
    """What one journal file says is not healed."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Leftovers()
    entries: dict[str, Entry] = {}
    cut: list[str] = []
    unreadable: list[str] = []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            _apply(json.loads(line), entries, path)
        except (ValueError, KeyError, TypeError) as error:
            where = f"{path.name}, line {number}"
            if number == len(lines):
                cut.append(f"{where}: was cut short by a kill; nothing was changed after it")
            else:
                unreadable.append(f"{where}: cannot be read: {_told(error)}")
    left = tuple(entry for entry in entries.values() if entry.state != "healed")
    return Leftovers(left, tuple(cut), tuple(unreadable))


def _told(error: Exception) -> str:
    return f"{error} is missing or unknown" if isinstance(error, KeyError) else str(error)


def _apply(line: dict[str, Any], entries: dict[str, Entry], path: Path) -> None:
    state: State = line["entry"]
    if state == "planned":
        if line["version"] != VERSION:
            raise ValueError(f"another version of Holdfast wrote it ({line['version']}); heal with that one")
        entries[line["id"]] = Entry(
            id=line["id"],
            time=line["time"],
            pid=line["pid"],
            started=line["started"],
            pin=Pin(**line["pin"]),
            snapshot=Snapshot(**line["snapshot"]),
            path=path,
        )
    else:
        entries[line["id"]] = replace(entries[line["id"]], state=state, reason=line.get("reason", ""))


def _create(path: Path) -> int:
    """Make the file and hold it; the file's name is on disk too, or a crash could lose the whole of it.

    It gets its name once it is held: who heals at that moment would take it for a dead run's and set it aside.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unheld = path.with_suffix(".new")
    file = os.open(unheld, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    unheld.rename(path)
    _sync_directory(path.parent)
    return file


def _write(file: int, lines: Iterable[dict[str, Any]]) -> None:
    data = b"".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for line in lines)
    size = os.fstat(file).st_size
    try:
        while data:
            data = data[os.write(file, data) :]
        os.fsync(file)
    except OSError:
        os.ftruncate(file, size)  # half a line would spoil the next one
        raise


def _set_aside(path: Path) -> None:
    with suppress(OSError):  # only saves the next reader time
        path.rename(path.with_suffix(HEALED_SUFFIX))


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
