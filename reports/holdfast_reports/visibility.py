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

BEFORE_ALL = int(np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """When each key's effect was first seen at one port; ``key`` ascends."""

    key: NDArray[np.int64]
    seconds: Floats


def first_seen(observations: Columns, ports: Mapping[int, str]) -> dict[str, Seen]:
    """By port, when the effect of each key was first seen there."""
    there = _counts_something(observations)
    found: dict[str, Seen] = {}
    for code, name in ports.items():
        chosen = there & (observations.kind == code)
        keys, seconds = observations.key[chosen], observations.completed_ns[chosen] / NANOSECONDS
        order = np.lexsort((seconds, keys))
        keys, seconds = keys[order], seconds[order]
        first = np.flatnonzero(np.diff(keys, prepend=BEFORE_ALL))
        if len(first):
            found[name] = Seen(key=keys[first], seconds=seconds[first])
    return dict(sorted(found.items(), key=lambda item: -len(item[1].key)))


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
    for port, one in list(seen.items())[:PORTS]:
        _, own, others = np.intersect1d(one.key, keys, assume_unique=True, return_indices=True)
        if len(own):
            lag = np.maximum(one.seconds[own] - times[others], 0.0)
            seconds, values = extremes(one.seconds[own], lag)
            found.append(Points(name=port, seconds=seconds, values=values, count=len(own)))
    return tuple(found)
