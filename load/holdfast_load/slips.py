"""How late operations were sent, counted in buckets: a soak of a day needs no more memory than a minute."""

from __future__ import annotations

from math import ceil

_SUB_BITS = 5
"""Every power of two has 32 buckets, so that a percentile is at most 3 % too high."""


class Slips:
    """Counts nanoseconds from 0.

    Attributes:
        count: how many were added.
        worst_ns: the largest.
    """

    def __init__(self) -> None:
        self.count = 0
        self.worst_ns = 0
        self._recent_ns = 0
        self._buckets: dict[int, int] = {}

    def add(self, slip_ns: int) -> None:
        """Count one; what is below 0 counts as 0."""
        slip_ns = max(0, slip_ns)
        self.count += 1
        if slip_ns > self._recent_ns:
            self._recent_ns = slip_ns
            self.worst_ns = max(self.worst_ns, slip_ns)
        shift = max(0, slip_ns.bit_length() - _SUB_BITS - 1)
        bucket = (shift << _SUB_BITS) + (slip_ns >> shift)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def percentile_ns(self, percent: float) -> int:
        """What so many per cent do not exceed; the upper end of its bucket, 0 for none."""
        left = ceil(self.count * percent / 100)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return min(self.worst_ns, _upper(bucket))
        return 0

    def take_recent_ns(self) -> int:
        """The largest since this was last asked."""
        recent_ns, self._recent_ns = self._recent_ns, 0
        return recent_ns


def _upper(bucket: int) -> int:
    shift = max(0, (bucket >> _SUB_BITS) - 1)
    return (((bucket - (shift << _SUB_BITS)) + 1) << shift) - 1
