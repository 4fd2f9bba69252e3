"""When effects became visible: from observations in columns to the first sight of each key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.history.columns import NANOSECONDS, NEVER_NS, OK, Columns, Mask
from holdfast_reports.downsampling import Floats, Points, extremes

PORTS = 6
"""Lags are drawn for so many ports, those with the most keys."""

OPEN_SECONDS = 1.0
BEFORE_ALL = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """When each key's effect was first seen at one port.

    Attributes:
        key: codes of the keys, ascending.
        seconds: when the read that first saw it was in.
        gap_seconds: how long before that the last read was in that saw nothing; infinite where there was none.
    """

    key: NDArray[np.int64]
    seconds: Floats
    gap_seconds: Floats

    def at(self, rows: Mask | NDArray[np.int64]) -> Seen:
        """Only some of the keys."""
        return Seen(key=self.key[rows], seconds=self.seconds[rows], gap_seconds=self.gap_seconds[rows])

    def timed(self, since: Floats | float) -> Mask:
        """Whether it is known when each effect became visible: nobody looked too late.

        It became visible within the gap before it was seen, and after ``since``. Where that leaves more than a second
        open, and more than half of the time since, the sight tells of the reader and not of the system.

        Args:
            since: from when the delay counts, seconds.
        """
        delay = np.maximum(self.seconds - since, 0.0)
        open_seconds = np.minimum(self.gap_seconds, delay)
        return np.asarray((open_seconds <= OPEN_SECONDS) | (open_seconds <= delay / 2), np.bool_)


def first_seen(observations: Columns, ports: Mapping[int, str]) -> dict[str, Seen]:
    """By port, when the effect of each key was first seen there."""
    there = _counts_something(observations)
    found: dict[str, Seen] = {}
    for code, name in ports.items():
        rows = np.flatnonzero(observations.kind == code)
        rows = rows[np.lexsort((observations.completed_ns[rows], observations.key[rows]))]
        keys, seconds = observations.key[rows], observations.completed_ns[rows] / NANOSECONDS
        sights = np.flatnonzero(there[rows])
        sights = sights[np.flatnonzero(np.diff(keys[sights], prepend=BEFORE_ALL))]
        if len(sights):
            gaps = np.where(keys[sights] == keys[sights - 1], seconds[sights] - seconds[sights - 1], np.inf)
            gaps[sights == 0] = np.inf
            found[name] = Seen(key=keys[sights], seconds=seconds[sights], gap_seconds=gaps)
    return found


def _counts_something(observations: Columns) -> Mask:
    """Whether each observation saw an effect: its value is a number above 0."""
    labels = observations.values.labels
    if labels is None:
        return observations.value > 0
    counts = np.array([isinstance(label, int) and label > 0 for label in labels], np.bool_)
    if not len(counts):
        return np.zeros(len(observations), np.bool_)
    return (observations.value >= 0) & counts[np.maximum(observations.value, 0)]


def lags(operations: Columns, seen: Mapping[str, Seen]) -> tuple[Points, ...]:
    """Seconds from a key's first acknowledgement until its effect was first seen, at the moment that was, by port.

    Ports with the most keys come first. A key that nobody looked for in time has no point.

    Args:
        operations: the commands.
        seen: when effects were first seen, by port.
    """
    acknowledged = (operations.outcome == OK) & (operations.completed_ns != NEVER_NS)
    keys, times = operations.key[acknowledged], operations.completed_ns[acknowledged] / NANOSECONDS
    order = np.lexsort((times, keys))
    keys, times = keys[order], times[order]
    first = np.flatnonzero(np.diff(keys, prepend=BEFORE_ALL))
    keys, times = keys[first], times[first]
    found = []
    for port, one in seen.items():
        _, own, others = np.intersect1d(one.key, keys, assume_unique=True, return_indices=True)
        sights, since = one.at(own), times[others]
        timed = sights.timed(since)
        if timed.any():
            lag = np.maximum(sights.seconds - since, 0.0)
            seconds, values = extremes(sights.seconds[timed], lag[timed])
            found.append(Points(name=port, seconds=seconds, values=values, count=int(timed.sum())))
    return tuple(sorted(found, key=lambda points: -points.count)[:PORTS])
