"""Reads recorded files into columns, up to the first damage, and says what is missing.

Rows are parsed a few hundred at a time, because small pieces stay in the processor's cache; a large file is shared
between processes, each of which reads from one line's beginning to another's.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from holdfast.errors import HistoryError
from holdfast.history.coding import Coder, Part
from holdfast.history.columns import NANOSECONDS, Columns
from holdfast.history.model import ErrorClass, FaultWindow
from holdfast.history.writing import COLUMNS, VERSION

PIECE_BYTES = 64 * 1024
SHARED_BYTES = 32 * 1024 * 1024
"""A file of at least this size is read by more than one process."""

INTENDED = "intended_ns"
"""The column of a load run's record that tells when an operation was to be sent."""

_NEEDED = ("kind", "value", "invoked_ns", "completed_ns", "outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The first line of a file.

    Attributes:
        recorder: name of the recorder.
        origin_unix_ns: where its nanoseconds begin, on the wall clock.
        uncertainty_ns: by how much its clock may be wrong.
        columns: what the rows hold, in order.
        size_bytes: length of the line.
    """

    recorder: str
    origin_unix_ns: int
    uncertainty_ns: int
    columns: tuple[str, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one process read of a file.

    Attributes:
        part: the operations.
        windows: the fault windows, as they lie in the file.
        lines: lines read whole.
        closed: the count that the last line tells; None without such a line.
        damage_byte: where in the file the first line that cannot be read begins; None when there is none.
        damage: what is wrong with it.
    """

    part: Part
    windows: tuple[Mapping[str, Any], ...]
    lines: int
    closed: int | None
    damage_byte: int | None = None
    damage: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One file, read.

    Attributes:
        header: its first line.
        columns: its operations, times from the recorder's own origin.
    """

    header: Header
    columns: Columns


def read_header(path: Path) -> Header:
    """The first line of a recorded file.

    Raises:
        HistoryError: the file cannot be read or is no recorded history.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(1 << 20)
    except OSError as error:
        raise HistoryError(f"The history {path} cannot be read.", cause=str(error), remedy="name a file") from error
    try:
        document = orjson.loads(line)
        if document["holdfast"] != "history":
            raise ValueError("it names another format")
        header = Header(
            recorder=str(document["recorder"]),
            origin_unix_ns=int(document["origin_unix_ns"]),
            uncertainty_ns=int(document["uncertainty_ns"]),
            columns=tuple(map(str, document["columns"])),
            size_bytes=len(line),
        )
        version = int(document["version"])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise HistoryError(
            f"{path} is no recorded history.",
            cause=f"its first line is not the header of one: {error}",
            remedy="docs/check.md has the format; give --format for a history of Jepsen or Porcupine",
        ) from error
    if version > VERSION:
        raise HistoryError(f"{path} has version {version} of the format.", remedy="read it with a newer Holdfast")
    missing = [name for name in _NEEDED if name not in header.columns]
    if missing:
        raise HistoryError(f"{path} has no column {', '.join(missing)}.", remedy="docs/check.md has the format")
    return header


def read(path: Path | str, *, processes: int | None = None, intended: bool = False) -> Recorded:
    """Read one recorded file up to its first damage.

    Args:
        path: the file.
        processes: how many read a large file; None for one a processor.
        intended: count from when an operation was to be sent, where the file tells that (a load run's does).

    Raises:
        HistoryError: the file cannot be read or is no recorded history.
    """
    path = Path(path)
    header = read_header(path)
    size = path.stat().st_size
    wanted = (os.cpu_count() or 1) if processes is None else processes
    ranges = _ranges(path, header.size_bytes, size, 1 if size < SHARED_BYTES else wanted)
    columns = _from_intended(header.columns) if intended else header.columns
    return Recorded(header=header, columns=_joined(path, header, size, _readings(path, columns, ranges)))


def _from_intended(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The columns as if an operation had been sent when it was to be; unchanged where nothing tells when that was."""
    if INTENDED not in columns:
        return columns
    named = {"invoked_ns": "sent_ns", INTENDED: "invoked_ns"}
    return tuple(named.get(name, name) for name in columns)


def _ranges(path: Path, first: int, size: int, count: int) -> list[tuple[int, int]]:
    """Byte ranges of about equal size that begin and end between lines."""
    borders = [first]
    with path.open("rb") as file:
        for number in range(1, count):
            file.seek(max(borders[-1], first + (size - first) * number // count))
            file.readline()
            borders.append(file.tell())
    borders.append(size)
    return [(begin, end) for begin, end in pairwise(borders) if end > begin] or [(first, first)]


def _readings(path: Path, columns: Sequence[str], ranges: list[tuple[int, int]]) -> list[Reading]:
    """The ranges read, the first by this process and the others by processes of their own."""
    # A program of our own is started rather than this one forked or spawned: a caller may have threads, and need not
    # guard its main module.
    program = [sys.executable, "-c", "from holdfast.history.reading import _serve; _serve()"]
    # A child that cannot write its answer because we do not read yet only waits.
    children = []
    for begin, end in ranges[1:]:
        child = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdin is not None
        child.stdin.write(orjson.dumps([str(path), list(columns), begin, end, sys.path]))
        child.stdin.close()
        children.append(child)
    readings = [read_range(path, columns, *ranges[0])]
    for child, (begin, end) in zip(children, ranges[1:], strict=True):
        assert child.stdout is not None
        try:
            readings.append(pickle.load(child.stdout))  # noqa: S301 - our own program's answer
        except (EOFError, pickle.UnpicklingError):
            readings.append(read_range(path, columns, begin, end))  # it was killed; its share is still there
        child.stdout.close()
        child.wait()
    return readings


def _serve() -> None:
    """The other processes: read the range that standard input names and answer with what was found."""
    path, columns, begin, end, places = orjson.loads(sys.stdin.buffer.read())
    sys.path[:] = places
    pickle.dump(read_range(Path(path), columns, begin, end), sys.stdout.buffer, protocol=5)


def read_range(path: Path, columns: Sequence[str], begin: int, end: int) -> Reading:
    """Read the lines of a byte range up to the first that cannot be read.

    Args:
        path: the file.
        columns: what its rows hold.
        begin: the first byte, a line's first.
        end: the byte after the last, a line's first or the file's end.
    """
    reader = _Reader(columns)
    with path.open("rb") as file, _no_collection():
        file.seek(begin)
        for at, piece in _pieces(file, begin, end):
            if not reader.whole(piece) and not reader.by_line(piece, at):
                break
    return reader.reading()


def _pieces(file: BinaryIO, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Pieces of whole lines, without the last line's end, and where each begins."""
    at, rest = begin, b""
    position = begin
    while position < end:
        read_now = file.read(min(PIECE_BYTES, end - position))
        if not read_now:
            break
        position += len(read_now)
        rest += read_now
        cut = rest.rfind(b"\n")
        if cut < 0:
            continue
        yield at, rest[:cut]
        at, rest = at + cut + 1, rest[cut + 1 :]
    if rest:
        yield at, rest


@contextmanager
def _no_collection() -> Iterator[None]:
    """Rows are lists without cycles; looking for cycles among them would take half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Reader:
    """Turns lines into columns."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = tuple(columns)
        self._coder = Coder()
        self._windows: list[Mapping[str, Any]] = []
        self._lines = 0
        self._closed: int | None = None
        self._damage: tuple[int, str] | None = None

    def whole(self, piece: bytes) -> bool:
        """Take a piece at once; False when some line of it is no plain row, and then nothing is taken."""
        try:
            rows = orjson.loads(b"[" + piece.replace(b"\n", b",") + b"]")
        except orjson.JSONDecodeError:
            return False
        if len(rows) != piece.count(b"\n") + 1 or set(map(type, rows)) != {list}:
            return False
        try:
            self._take(rows)
        except (HistoryError, ValueError):
            return False
        return True

    def by_line(self, piece: bytes, at: int) -> bool:
        """Take a piece line by line; False at the first that cannot be read."""
        for line in piece.split(b"\n"):
            try:
                row = orjson.loads(line)
                if isinstance(row, list):
                    self._take([row])
                elif isinstance(row, dict) and "window" in row:
                    self._windows.append(row["window"])
                    self._lines += 1
                elif isinstance(row, dict) and "closed" in row:
                    self._closed = int(row["closed"])
                    self._lines += 1
                else:
                    raise ValueError("it is neither an operation nor a fault window")
            except HistoryError as error:
                self._damage = (at, error.what)
                return False
            except (ValueError, TypeError) as error:
                self._damage = (at, str(error).rstrip("."))
                return False
            at += len(line) + 1
        return True

    def reading(self) -> Reading:
        """What was read."""
        return Reading(
            part=self._coder.part(),
            windows=tuple(self._windows),
            lines=self._lines,
            closed=self._closed,
            damage_byte=None if self._damage is None else self._damage[0],
            damage="" if self._damage is None else self._damage[1],
        )

    def _take(self, rows: list[list[Any]]) -> None:
        if len(rows[0]) != len(self._columns):
            raise ValueError(f"it has {len(rows[0])} entries instead of {len(self._columns)}")
        given = dict(zip(self._columns, zip(*rows, strict=True), strict=True))
        nothing = (None,) * len(rows)
        positions = given.get("position")
        self._coder.add(
            kind=given["kind"],
            key=given.get("key", nothing),
            value=given["value"],
            invoked_ns=given["invoked_ns"],
            completed_ns=given["completed_ns"],
            outcome=given["outcome"],
            session=given.get("session", nothing),
            position=None if positions is None or positions == nothing else positions,
        )
        self._lines += len(rows)


def _joined(path: Path, header: Header, size: int, readings: list[Reading]) -> Columns:
    """What several processes read of one file, up to the first damage in it."""
    coder = Coder()
    notes: list[str] = []
    windows: dict[tuple[object, ...], FaultWindow] = {}
    lines, operations, closed, whole = 1, 0, None, True
    for reading in readings:
        coder.merge(reading.part)
        operations += len(reading.part.kind)
        lines += reading.lines
        # one that was told when it began is told again when it has ended
        windows |= {_identity(window): window for window in map(_window, reading.windows) if window is not None}
        closed = reading.closed
        if reading.damage_byte is not None:
            whole = False
            left = size - reading.damage_byte
            notes.append(
                f"{path.name} is damaged in line {lines + 1} (byte {reading.damage_byte}): {reading.damage};"
                f" the {operations} operations before it were read, the {left} bytes from there on were not"
            )
            break
    if whole and closed is None:
        whole = False
        notes.append(
            f"{path.name} has no last line: recorder {header.recorder} was ended before it closed the file, and"
            " operations that were in flight or not flushed are missing"
        )
    elif whole and closed != operations:
        whole = False
        notes.append(f"{path.name} holds {operations} operations, but its recorder counted {closed}")
    return replace(coder.columns(), windows=tuple(windows.values()), complete=whole, notes=tuple(notes))


def _window(document: Mapping[str, Any]) -> FaultWindow | None:
    """A fault window read back; None where it is not one."""
    known = {name: document[name] for name in FaultWindow.__slots__ if name in document}
    try:
        return FaultWindow(**(known | {"error_class": ErrorClass(known["error_class"])}))
    except (KeyError, TypeError, ValueError):
        return None


def _identity(window: FaultWindow) -> tuple[object, ...]:
    return window.lever, window.component, window.key, window.provocation, window.started_seconds


def shifted(window: FaultWindow, nanoseconds: int) -> FaultWindow:
    """A fault window on a clock that began earlier by so much."""
    seconds = nanoseconds / NANOSECONDS
    return replace(
        window, started_seconds=window.started_seconds + seconds, ended_seconds=window.ended_seconds + seconds
    )


__all__ = ["COLUMNS", "Header", "Recorded", "read", "read_header", "read_range", "shifted"]
