"""Latency of a recorded run, from the time an operation was *intended*, so that a client held up hides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from holdfast.history.reading import read_header
from holdfast_load.recorder import REFUSED, places_of

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
_LINES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Times of operations that were sent, one entry an operation, nanoseconds from the recorder's origin.

    Attributes:
        intended_ns: when it was to be sent.
        sent_ns: when it was sent.
        done_ns: when the client was done with it, answered or not.
        refused_ns: when arrivals were to be sent that never were; they are in no other array.
        damaged: whether the file could not be read to its end.
    """

    intended_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    refused_ns: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    damaged: bool = False

    @property
    def refused(self) -> int:
        """How many arrivals were never sent."""
        return len(self.refused_ns)

    @property
    def arrivals_ns(self) -> NDArray[np.int64]:
        """When arrivals came, sent or not, in no order."""
        return np.concatenate([self.intended_ns, self.refused_ns])

    @property
    def latency_ns(self) -> NDArray[np.int64]:
        """From the intended time to the end, waiting for a late client included."""
        return self.done_ns - self.intended_ns

    @property
    def service_ns(self) -> NDArray[np.int64]:
        """From sending to the end: what a closed client would have measured."""
        return self.done_ns - self.sent_ns

    @property
    def slip_ns(self) -> NDArray[np.int64]:
        """How late operations were sent."""
        return self.sent_ns - self.intended_ns


def read_timings(path: Path | str) -> Timings:
    """The times in one worker's file, up to its first damage.

    Raises:
        HistoryError: the file cannot be read or was not recorded by a load run.
    """
    path = Path(path)
    header = read_header(path)
    places = places_of(path, header.columns, "intended_ns", "invoked_ns", "done_ns", "status")
    pieces: list[NDArray[np.int64]] = []
    refused: list[int] = []
    damaged = False
    with path.open("rb") as file:
        file.seek(header.size_bytes)
        while not damaged and (lines := list(islice(file, _LINES))):
            rows = []
            for line in lines:
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError:
                    damaged = True
                    break
                if not isinstance(row, list):
                    continue  # a fault window, or the last line
                if row[places[3]] == REFUSED:
                    refused.append(row[places[0]])
                else:
                    rows.append([row[place] for place in places[:3]])
            pieces.append(np.array(rows, np.int64).reshape(-1, 3))
    times = np.concatenate(pieces) if pieces else np.empty((0, 3), np.int64)
    return Timings(
        intended_ns=times[:, 0],
        sent_ns=times[:, 1],
        done_ns=times[:, 2],
        refused_ns=np.array(refused, np.int64),
        damaged=damaged,
    )


def percentiles(nanoseconds: NDArray[np.int64], wanted: Iterable[float] = PERCENTILES) -> dict[float, float]:
    """Exact percentiles in milliseconds: the smallest value that so many per cent do not exceed; empty for none."""
    if not len(nanoseconds):
        return {}
    wanted = list(wanted)
    # numpy's own takes 99.9 % of 1,000 for more than 999
    places = [max(0, ceil(percent * len(nanoseconds) / 100 - 1e-9) - 1) for percent in wanted]
    ordered = np.partition(nanoseconds, sorted(set(places)))
    return {percent: float(ordered[place]) / 1e6 for percent, place in zip(wanted, places, strict=True)}
