"""Arrival schedules: pure functions from shape and seed to times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import HoldfastError
from holdfast_load import schedule
from holdfast_load.schedule import Segment, Shape, arrivals, constant, ramp, replay, share, soak, spike, step

SECOND = schedule.NANOSECONDS
RATES = st.floats(0, 300, allow_nan=False)
SEGMENTS = st.builds(Segment, RATES, RATES, st.floats(0, 5, allow_nan=False))
SHAPES = st.lists(SEGMENTS, min_size=1, max_size=4).map(lambda segments: Shape(tuple(segments)))


def times(shape: Shape, seed: int = 0, spacing: schedule.Spacing = "even") -> list[int]:
    """All arrival times of a shape."""
    return [int(one) for chunk in arrivals(shape, seed, spacing=spacing) for one in chunk]


def expected_until(shape: Shape, seconds: float) -> float:
    """The integral of the rate up to a moment, segment by segment."""
    total = 0.0
    for segment in shape.segments:
        part = max(0.0, min(seconds, segment.seconds))
        if part == 0:
            continue
        end = segment.start_per_second + (segment.end_per_second - segment.start_per_second) * part / segment.seconds
        total += (segment.start_per_second + end) / 2 * part
        seconds -= segment.seconds
    return total


def test_a_constant_rate_is_even() -> None:
    """Four a second are a quarter of a second apart, half an interval from the ends."""
    assert times(constant(4, 1)) == [125_000_000, 375_000_000, 625_000_000, 875_000_000]


def test_a_ramp_is_the_inverse_of_its_integral() -> None:
    """From 0 to 8 a second in 2 s, the integral is 2 t squared; arrival k comes when it is k and a half."""
    assert times(ramp(0, 8, 2)) == [round(((number + 0.5) / 2) ** 0.5 * SECOND) for number in range(8)]


def test_a_ramp_after_a_border_begins_at_the_border() -> None:
    """An arrival that falls on the beginning of a ramp from zero comes at that moment."""
    assert times(Shape((Segment(1, 1, 0.5), Segment(0, 8, 1))))[0] == SECOND // 2


@given(SHAPES)
def test_arrivals_follow_the_integral_of_the_rate(shape: Shape) -> None:
    """Evenly spaced, the arrivals up to any of them are what the rate adds up to, within half an arrival."""
    found = times(shape)
    assert abs(len(found) - shape.expected_arrivals) <= 0.5 + 1e-6
    assert found == sorted(found)
    for number, time_ns in enumerate(found[:50]):
        # a nanosecond at the highest rate
        assert expected_until(shape, time_ns / SECOND) == pytest.approx(number + 0.5, abs=1e-5)


@given(SHAPES, st.integers(0, 2**32))
def test_poisson_arrivals_are_settled_by_the_seed(shape: Shape, seed: int) -> None:
    """The same seed gives the same times, in order and within the shape's duration."""
    found = times(shape, seed, "poisson")
    assert found == times(shape, seed, "poisson")
    assert found == sorted(found)
    assert all(0 <= one <= shape.seconds * SECOND + 1 for one in found)


def test_poisson_arrivals_are_poisson() -> None:
    """Over 20,000 arrivals the number is as expected, and gaps have the mean and the deviation of an exponential."""
    found = np.array(times(constant(1_000, 20), 7, "poisson"))
    assert abs(len(found) - 20_000) < 5 * 20_000**0.5
    gaps = np.diff(found) / SECOND
    assert gaps.mean() == pytest.approx(0.001, rel=0.05)
    assert gaps.std() == pytest.approx(0.001, rel=0.05)


def test_seeds_differ() -> None:
    """Another seed gives other times."""
    assert times(constant(50, 1), 1, "poisson") != times(constant(50, 1), 2, "poisson")


@given(st.lists(st.integers(0, 2**40), max_size=60), st.integers(1, 5))
def test_the_shares_of_workers_are_the_whole(recorded: list[int], workers: int) -> None:
    """Every arrival is one worker's, with its number among all, and each worker's are in order."""
    chunks = np.array_split(np.array(sorted(recorded), np.int64), 4)
    shares = [list(share(chunks, worker, workers)) for worker in range(workers)]
    assert sorted(one for found in shares for one in found) == list(enumerate(sorted(recorded)))
    for worker, found in enumerate(shares):
        assert [number % workers for number, _ in found] == [worker] * len(found)


def test_shares_hold_across_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule made in many chunks is the one made at once, and so are its shares."""
    whole = times(constant(100, 1), 3, "poisson")
    monkeypatch.setattr(schedule, "CHUNK_ARRIVALS", 7)
    even = times(constant(100, 1), 3, "even")
    assert even == [5_000_000 + 10_000_000 * number for number in range(100)]
    assert times(constant(100, 1), 3, "poisson") == pytest.approx(whole, abs=1)
    chunks = list(arrivals(constant(100, 1), 3, spacing="even"))
    assert [one for _, one in share(chunks, 1, 3)] == even[1::3]


def test_a_spike_is_between_two_calm_stretches() -> None:
    """10 a second, 100 from the first second to the second, and 10 again."""
    found = np.array(times(spike(10, 100, at_seconds=1, for_seconds=1, seconds=3)))
    assert [int(((found >= at * SECOND) & (found < (at + 1) * SECOND)).sum()) for at in range(3)] == [10, 100, 10]


def test_a_soak_comes_and_goes_slowly() -> None:
    """The ramps lie within the duration and hold half as many arrivals as the plateau would."""
    shape = soak(10, 10, ramp_seconds=2)
    assert shape.seconds == 10
    assert [segment.arrivals for segment in shape.segments] == [10, 60, 10]


def test_steps_grow() -> None:
    """Each step has so many more than the one before."""
    found = np.array(times(step(10, 20, steps=3, step_seconds=1)))
    assert [int(((found >= at * SECOND) & (found < (at + 1) * SECOND)).sum()) for at in range(3)] == [10, 30, 50]


def test_a_replay_keeps_the_gaps() -> None:
    """Recorded times in any order begin at zero, twice as fast where asked."""
    recorded = [1_000_000_500, 1_000_000_100, 1_000_000_300]
    assert [chunk.tolist() for chunk in replay(recorded)] == [[0, 200, 400]]
    assert [chunk.tolist() for chunk in replay(recorded, speed=2)] == [[0, 100, 200]]
    assert list(replay([])) == []


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (
            lambda: spike(1, 2, at_seconds=5, for_seconds=6, seconds=10),
            "A spike at 5 s for 6 s does not lie within 10 s.",
        ),
        (lambda: soak(1, 10, ramp_seconds=6), "Two ramps of 6 s do not fit into 10 s."),
        (lambda: constant(-1, 10), "A rate or a duration is not a number from 0"),
        (lambda: constant(float("nan"), 10), "A rate or a duration is not a number from 0"),
        (lambda: list(replay([1], speed=0)), "A replay at speed 0 never ends."),
        (lambda: list(share([], 2, 2)), "There is no worker 2 among 2."),
    ],
)
def test_impossible_schedules_say_why(make: object, what: str) -> None:
    """What cannot be scheduled is an error with a remedy."""
    with pytest.raises(HoldfastError) as raised:
        make()  # type: ignore[operator]
    assert raised.value.what.startswith(what)
    assert raised.value.remedy
