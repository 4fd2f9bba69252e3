"""Durations as a distribution: how many, the median, the 99th percentile and the longest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Nearest-rank percentiles of durations: each figure is one that was measured.

    Attributes:
        count: how many durations; 0 when there are none, and then every figure is 0.
        p50: median, seconds.
        p99: 99th percentile, seconds.
        maximum: longest, seconds.
    """

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    maximum: float = 0.0

    @classmethod
    def of(cls, durations_seconds: Iterable[float]) -> Distribution:
        """The distribution of durations in seconds."""
        ranked = sorted(durations_seconds)
        if not ranked:
            return cls()
        return cls(count=len(ranked), p50=_nearest(ranked, 50), p99=_nearest(ranked, 99), maximum=ranked[-1])


def _nearest(ranked: list[float], percent: int) -> float:
    return ranked[math.ceil(percent * len(ranked) / 100) - 1]
