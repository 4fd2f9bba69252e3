"""Writes a history while it happens: one file per recorder, one line per operation, nothing ever changed.

The first line tells the clock, the last one, written by `HistoryFile.close`, how many operations there are; a file
without it is of a recorder that was killed. By default every line is handed to the operating system at once, so a
SIGKILL loses nothing but the operations that were still in flight. docs/check.md has the format.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from holdfast.errors import HistoryError
from holdfast.history.model import FaultWindow, Outcome

VERSION = 1
COLUMNS = ("kind", "key", "value", "invoked_ns", "completed_ns", "outcome", "session", "position")
"""What an operation's line holds, in this order."""


class HistoryFile:
    """One recorder's file, open for appending; usable from many threads.

    Args:
        path: the file; it must not exist.
        recorder: name of the recorder, unique among those that are merged.
        origin_unix_ns: the moment on the wall clock from which the recorder counts its nanoseconds.
        uncertainty_ns: by how much its clock may differ from true time, at most.
        lines_per_flush: lines that may be lost on a SIGKILL, plus one; 1 loses none.
        columns: what a row holds: `COLUMNS`, and after them whatever else the recorder knows.

    Raises:
        HistoryError: the file exists or cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        recorder: str,
        origin_unix_ns: int | None = None,
        uncertainty_ns: int = 0,
        lines_per_flush: int = 1,
        columns: Sequence[str] = COLUMNS,
    ) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._waiting: list[bytes] = []
        self._lines_per_flush = lines_per_flush
        # counting and taking the next number are one step, also between threads
        self._operations = itertools.count()
        self._closed = False
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except FileExistsError as error:
            raise HistoryError(
                f"There is a history {self.path} already.", remedy="give each recorder and each run a file of its own"
            ) from error
        except OSError as error:
            raise _not_written(self.path, error) from error
        header = {
            "holdfast": "history",
            "version": VERSION,
            "recorder": recorder,
            "origin_unix_ns": time.time_ns() if origin_unix_ns is None else origin_unix_ns,
            "uncertainty_ns": uncertainty_ns,
            "columns": tuple(columns),
        }
        self._write(orjson.dumps(header, option=orjson.OPT_APPEND_NEWLINE))

    def add(  # noqa: PLR0917 - one operation a call, millions of times: keywords cost a tenth of it
        self,
        kind: str,
        key: str | int | None,
        value: Any,
        invoked_ns: int,
        completed_ns: int | None,
        outcome: Outcome | str,
        session: str | int | None = None,
        position: int | None = None,
    ) -> None:
        """Append one operation.

        Args:
            kind: what it did, e.g. ``read`` or ``write``.
            key: the object it was done to; None where there is only one.
            value: what was written or read: a scalar, a list or an object; whole numbers from 0 load fastest.
            invoked_ns: when it was sent, nanoseconds from the recorder's origin.
            completed_ns: when the answer was in; None when none came.
            outcome: the client's view.
            session: the client, where one does one thing after another.
            position: the version or sequence number that the system gave.

        Raises:
            HistoryError: the file cannot be written, e.g. because the disk is full.
        """
        self.add_row((kind, key, value, invoked_ns, completed_ns, outcome, session, position))

    def add_row(self, row: tuple[Any, ...]) -> None:
        """Append one operation, given as all columns of the file in their order.

        Raises:
            HistoryError: the file cannot be written, e.g. because the disk is full.
        """
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        next(self._operations)
        if self._lines_per_flush == 1:
            self._write(line)
            return
        with self._lock:
            self._waiting.append(line)
            is_full = len(self._waiting) >= self._lines_per_flush
        if is_full:
            self.flush()

    def window(self, window: FaultWindow) -> None:
        """Append a fault window; its seconds count from the recorder's origin."""
        self.flush()
        self._write(orjson.dumps({"window": window}, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Hand what waits to the operating system."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if waiting:
            self._write(b"".join(waiting))

    def close(self) -> None:
        """Write the last line; without it a reader knows that operations may be missing."""
        if self._closed:
            return
        self.flush()
        self._write(orjson.dumps({"closed": next(self._operations)}, option=orjson.OPT_APPEND_NEWLINE))
        self._closed = True
        os.close(self._file)

    def __enter__(self) -> HistoryFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            raise _not_written(self.path, error) from error


class EnduringFile(HistoryFile):
    """One recorder's file that ends the record where it cannot be written, and never the run.

    From then on nothing is written, not even the last line: a reader knows that operations may be missing.

    Args:
        path: the file; it must not exist.
        recorder: name of the recorder, unique among those that are merged.
        further: as those of `HistoryFile`.

    Attributes:
        problem: why nothing is recorded any more; None while all is well.

    Raises:
        HistoryError: the file exists or cannot be written.
    """

    def __init__(self, path: Path | str, *, recorder: str, **further: Any) -> None:
        self.problem: HistoryError | None = None
        super().__init__(path, recorder=recorder, **further)

    def add_row(self, row: tuple[Any, ...]) -> None:
        """Append one operation, given as all columns of the file in their order."""
        self._attempt(super().add_row, row)

    def window(self, window: FaultWindow) -> None:
        """Append a fault window; its seconds count from the recorder's origin."""
        self._attempt(super().window, window)

    def close(self) -> None:
        """End the file, so that a reader knows that it is whole; one with a problem is left without its last line."""
        self._attempt(super().close)

    def _attempt(self, write: Callable[..., None], *arguments: Any) -> None:
        if self.problem is None:
            try:
                write(*arguments)
            except HistoryError as error:
                self.problem = error


def _not_written(path: Path, error: OSError) -> HistoryError:
    return HistoryError(
        f"The history {path} cannot be written.",
        cause=str(error),
        remedy="free space or name another folder; what was written before stays readable",
    )
