"""The operations of a run in columns on the run's clock, each with the time at which it was intended.

A row of a load run knows more than every history's row: when it was intended, when the client was done, and why it was
never sent. `holdfast.history` reads the former; here the same lines are read once more for the latter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from holdfast.errors import HistoryError
from holdfast.history import reading
from holdfast.history.columns import NEVER_NS, Columns, Integers, Mask
from holdfast.history.merging import merge
from holdfast.history.reading import Recorded
from holdfast_load.recorder import REFUSED, places_of

_LINES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Every operation that was recorded, in no particular order; 0 is the first moment of the schedule.

    Attributes:
        operations: the history.
        intended_ns: when each was to be sent.
        done_ns: when the client was done with each, answered or not.
        sent: which were sent at all.
        missing: what is damaged or missing in the files, a sentence each.
    """

    operations: Columns
    intended_ns: Integers
    done_ns: Integers
    sent: Mask
    missing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.operations)

    @property
    def latency_ns(self) -> Integers:
        """From the intended time to the end, waiting for a late client included."""
        return self.done_ns - self.intended_ns

    @property
    def slip_ns(self) -> Integers:
        """How late each was sent."""
        return self.operations.invoked_ns - self.intended_ns

    def at(self, rows: Mask) -> Rows:
        """Only these rows."""
        return replace(
            self,
            operations=self.operations.at(rows),
            intended_ns=self.intended_ns[rows],
            done_ns=self.done_ns[rows],
            sent=self.sent[rows],
        )


def read(files: Sequence[Path], *, origin_unix_ns: int, uncertainty_ns: int = 0) -> Rows | None:
    """Read the files of a run; None where there is none.

    A file that cannot be read at all is missing, and told; what is damaged is read up to the damage.

    Args:
        files: the workers' files.
        origin_unix_ns: the run's origin on the wall clock.
        uncertainty_ns: by how much any two clocks may differ.
    """
    recorded: list[Recorded] = []
    times: list[NDArray[np.int64]] = []
    missing: list[str] = []
    for path in files:
        try:
            one = reading.read(path)
            when = _times(path, one)
        except HistoryError as error:
            missing.append(f"{path.name} cannot be read: {error.cause or error.what}")
            continue
        recorded.append(one)
        times.append(when)
        missing += one.columns.notes
    if not recorded:
        return None
    merged = merge(recorded, uncertainty_ns=uncertainty_ns)
    shift_ns = min(one.header.origin_unix_ns for one in recorded) - origin_unix_ns
    columns = replace(
        merged,
        invoked_ns=merged.invoked_ns + shift_ns,
        completed_ns=np.where(merged.completed_ns == NEVER_NS, NEVER_NS, merged.completed_ns + shift_ns),
        windows=(),
    )
    moved = [
        when + np.array([one.header.origin_unix_ns - origin_unix_ns] * 2 + [0])
        for one, when in zip(recorded, times, strict=True)
    ]
    table = np.concatenate(moved)
    return Rows(
        operations=columns,
        intended_ns=table[:, 0],
        done_ns=table[:, 1],
        sent=table[:, 2] == 0,
        missing=tuple(missing),
    )


def _times(path: Path, recorded: Recorded) -> NDArray[np.int64]:
    """Intended time, time of the end, and whether it was refused, of each row that the history's reader has taken.

    Raises:
        HistoryError: the file was not recorded by a load run.
    """
    names, wanted = recorded.header.columns, len(recorded.columns)
    intended, done, status = places_of(path, names, "intended_ns", "done_ns", "status")
    pieces: list[NDArray[np.int64]] = [np.empty((0, 3), np.int64)]
    taken = 0
    with path.open("rb") as file:
        file.seek(recorded.header.size_bytes)
        while taken < wanted and (lines := list(islice(file, _LINES))):
            rows = [row for row in _parsed(lines) if isinstance(row, list)][: wanted - taken]
            taken += len(rows)
            if rows:
                cells = list(zip(*rows, strict=True))
                refused = [one == REFUSED for one in cells[status]]
                pieces.append(np.array((cells[intended], cells[done], refused), np.int64).T)
    return np.concatenate(pieces)


def _parsed(lines: Sequence[bytes]) -> list[object]:
    """Lines as JSON, up to the first that is none."""
    try:
        parsed: list[object] = orjson.loads(b"[" + b",".join(lines) + b"]")
    except orjson.JSONDecodeError:
        parsed = []
        for line in lines:
            try:
                parsed.append(orjson.loads(line))
            except orjson.JSONDecodeError:
                break
    return parsed
