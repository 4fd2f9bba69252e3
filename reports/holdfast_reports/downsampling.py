"""Fewer points for the same picture: of each bucket the lowest and the highest stay, so no peak is ever lost.

M4 keeps the first and last of each bucket too, for lines that are exact to the pixel (Jugel et al., "M4: A
Visualization-Oriented Time Series Data Aggregation", VLDB 2014). Points need only the extremes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BUCKETS = 1_000


def percentiles(seconds: Floats, values: Floats, edges: Floats, wanted: Sequence[float]) -> NDArray[np.float64]:
    """Percentiles between each two neighbouring edges: the smallest value that so many per cent do not exceed.

    Args:
        seconds: when, in any order.
        values: what, as many.
        edges: where the parts begin and end, ascending.
        wanted: per cent, each above 0.

    Returns:
        One row for each percentile, one column for each part; NaN where nothing fell into it.
    """
    part = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, len(edges) - 2)
    ordered = values[np.lexsort((values, part))]
    counts = np.bincount(part, minlength=len(edges) - 1)
    starts = np.cumsum(counts) - counts
    found = np.full((len(wanted), len(counts)), np.nan)
    there = counts > 0
    for row, percent in enumerate(wanted):
        places = starts + np.ceil(percent * counts / 100 - 1e-9).astype(np.int64) - 1
        found[row, there] = ordered[places[there]]
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Points to draw.

    Attributes:
        name: what they are.
        seconds: when, in order.
        values: what, as many.
        count: how many there were before they were thinned out.
    """

    name: str
    seconds: Floats
    values: Floats
    count: int

    @property
    def thinned(self) -> bool:
        """Whether some points were left out."""
        return self.count > len(self.seconds)


def extremes(seconds: Floats, values: Floats, *, buckets: int = BUCKETS) -> tuple[Floats, Floats]:
    """At most two points of each bucket of time, its lowest and its highest, in order of time.

    Args:
        seconds: when, in any order.
        values: what, as many.
        buckets: into how many equal parts the time is cut.

    Returns:
        Times and values; the points as they are, in order, where there are no more than two a bucket.
    """
    order = np.argsort(seconds, kind="stable")
    seconds, values = seconds[order], values[order]
    if len(seconds) <= 2 * buckets:
        return seconds, values
    first, last = seconds[0], seconds[-1]
    width = (last - first) / buckets or 1.0
    bucket = np.minimum(((seconds - first) / width).astype(np.int64), buckets - 1)
    by_value = np.lexsort((values, bucket))
    starts = np.flatnonzero(np.diff(bucket[by_value], prepend=-1))
    ends = np.append(starts[1:], len(by_value)) - 1
    kept = np.unique(np.concatenate((by_value[starts], by_value[ends])))
    return seconds[kept], values[kept]


def counted(seconds: Floats, edges: Floats) -> NDArray[np.int64]:
    """How many events fall between each two neighbouring edges; the last edge belongs to the last part."""
    return np.histogram(seconds, bins=edges)[0].astype(np.int64)
