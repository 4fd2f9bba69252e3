"""Samples stay few, and their extremes stay."""

from __future__ import annotations

import pytest

from holdfast.sampling import Samples


def test_few_samples_are_kept_as_they_are() -> None:
    """Below the bound nothing is merged, and times are rounded to milliseconds."""
    samples = Samples(most=4)
    for seconds, value in ((0.0, 2.0), (0.50004, 0.0), (1.0, 5.0)):
        samples.add(seconds, value)
    series = samples.series("queue depth", component="orders", unit="messages")
    assert (series.seconds, series.values) == ((0.0, 0.5, 1.0), (2.0, 0.0, 5.0))
    assert (series.name, series.component, series.unit) == ("queue depth", "orders", "messages")


@pytest.mark.parametrize("count", [5, 16, 1_000, 1_003])
def test_many_samples_are_bounded_and_peaks_stay(count: int) -> None:
    """However many there are, at most the bound is kept, in order of time, with the highest peak at its moment."""
    samples = Samples(most=8)
    peak = count * 2 // 3
    for number in range(count):
        samples.add(float(number), 1_000.0 if number == peak else float(number % 7))
    series = samples.series("queue depth")
    assert len(series.values) <= 8 + 1
    assert list(series.seconds) == sorted(series.seconds)
    assert series.seconds[series.values.index(1_000.0)] == peak
    assert series.seconds[-1] >= count - 1 - 2 * count // 8
