"""How many things were under way at one moment."""

from __future__ import annotations

from collections.abc import Iterable


def most_at_once(spans: Iterable[tuple[float, float]]) -> int:
    """The most spans that are open at one moment; one that ends where another begins does not overlap it.

    Args:
        spans: start and end of each, seconds.
    """
    listed = list(spans)
    edges = sorted([(start, 1) for start, _ in listed] + [(end, -1) for _, end in listed])
    most = current = 0
    for _, change in edges:
        current += change
        most = max(most, current)
    return most
