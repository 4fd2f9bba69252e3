"""Records every operation of a worker while it happens: one file a worker, every row handed over at once.

Beside the columns of every history a row has when the operation was *intended*, when the client was *done* with it, and
the status. A disk that is full ends the record, not the process: `Recorder.problem` says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from holdfast.errors import HistoryError
from holdfast.history.model import FaultWindow, Outcome
from holdfast.history.writing import COLUMNS, EnduringFile

LOAD_COLUMNS = (*COLUMNS, "intended_ns", "done_ns", "status")
REFUSED = "refused"
"""Status of an arrival that was never sent, because the pool was full."""


class Command(NamedTuple):
    """What one arrival is to do.

    Attributes:
        kind: as checkers know it, e.g. ``write`` or ``submit``.
        key: the object it is done to.
        value: what is written.
        session: the client, where one does one thing after another.
        work: what the workload needs to do it; not recorded.
    """

    kind: str
    key: str | int | None = None
    value: Any = None
    session: str | int | None = None
    work: Any = None


@dataclass(frozen=True, slots=True)
class Reply:
    """How it went.

    Attributes:
        outcome: the client's view.
        status: HTTP status, error code, or why no answer came.
        answered: whether an answer came.
        position: version or sequence number that the system gave.
        value: what was read; None leaves the command's own value.
    """

    outcome: Outcome
    status: str = ""
    answered: bool = True
    position: int | None = None
    value: Any = None


def places_of(path: Path, columns: Sequence[str], *wanted: str) -> list[int]:
    """Where columns of a load run stand in a row of a file.

    Args:
        path: the file, for messages.
        columns: what its header names.
        wanted: the columns.

    Raises:
        HistoryError: it was not recorded by a load run.
    """
    try:
        return [columns.index(name) for name in wanted]
    except ValueError as error:
        raise HistoryError(
            f"{path} does not say when operations were intended.",
            cause="it was not recorded by a load run",
            remedy="name a file that one of its workers recorded",
        ) from error


class Recorder:
    """One worker's record of its operations.

    Args:
        path: the file; it must not exist.
        recorder: name of the worker, unique in the run.
        uncertainty_ns: by how much its wall clock may differ from true time, at most.
        origin: the moment from which rows count, on the wall clock and on the monotonic clock; None for now.
        clock_ns: monotonic clock.
        wall_clock_ns: wall clock, read once, for the origin.

    Attributes:
        origin_ns: the monotonic moment from which rows count.
        recorded: operations that were recorded.
        lost: operations that could not be recorded.

    Raises:
        HistoryError: the file exists or cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        recorder: str,
        uncertainty_ns: int = 0,
        origin: tuple[int, int] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        origin_unix_ns, self.origin_ns = (wall_clock_ns(), clock_ns()) if origin is None else origin
        self.recorded = self.lost = 0
        self._file = EnduringFile(
            path,
            recorder=recorder,
            origin_unix_ns=origin_unix_ns,
            uncertainty_ns=uncertainty_ns,
            columns=LOAD_COLUMNS,
        )

    @property
    def problem(self) -> HistoryError | None:
        """Why nothing is recorded any more; None while all is well."""
        return self._file.problem

    def add(self, command: Command, reply: Reply, intended_ns: int, sent_ns: int, done_ns: int) -> None:
        """Record one operation; a file that cannot be written is told by `problem`.

        Args:
            command: what it did.
            reply: how it went.
            intended_ns: when it was to be sent, on the monotonic clock.
            sent_ns: when it was sent.
            done_ns: when the client was done with it, answered or not.
        """
        file = self._file
        kind, key, value, session, _ = command
        origin_ns = self.origin_ns
        done_ns -= origin_ns
        file.add_row(
            (
                kind,
                key,
                value if reply.value is None else reply.value,
                sent_ns - origin_ns,
                done_ns if reply.answered else None,
                reply.outcome,
                session,
                reply.position,
                intended_ns - origin_ns,
                done_ns,
                reply.status,
            )
        )
        if file.problem is None:
            self.recorded += 1
        else:
            self.lost += 1

    def window(self, window: FaultWindow) -> None:
        """Record a fault window; its seconds count from `origin_ns`."""
        self._file.window(window)

    def close(self) -> None:
        """End the file, so that a reader knows that it is whole; one with a problem is left without its last line."""
        self._file.close()
