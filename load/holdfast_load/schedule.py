"""When operations arrive: pure functions from a shape and a seed to absolute times, shared among workers.

The rate of a shape is piecewise linear. Arrival number k comes when the integral of the rate reaches k (evenly), or
when it reaches the sum of k+1 exponential draws of mean 1 (Poisson, by time rescaling: Cinlar, Introduction to
Stochastic Processes, 4.7). The schedule never looks at answers, so a stalled system meets the same arrivals.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import HoldfastError

Times = NDArray[np.int64]
Spacing = Literal["even", "poisson"]

NANOSECONDS = 1_000_000_000
CHUNK_ARRIVALS = 65_536
"""Arrivals are made so many at a time: a soak of a day needs no more memory than a minute."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of time in which the rate changes evenly.

    Attributes:
        start_per_second: the rate at its beginning.
        end_per_second: the rate at its end.
        seconds: how long it is.
    """

    start_per_second: float
    end_per_second: float
    seconds: float

    def __post_init__(self) -> None:
        numbers = (self.start_per_second, self.end_per_second, self.seconds)
        if not all(np.isfinite(number) and number >= 0 for number in numbers):
            raise HoldfastError(
                f"A rate or a duration is not a number from 0: {self}.", remedy="give rates per second and seconds"
            )

    @property
    def arrivals(self) -> float:
        """How many arrivals are expected in it."""
        return (self.start_per_second + self.end_per_second) / 2 * self.seconds


@dataclass(frozen=True, slots=True)
class Shape:
    """A rate over time.

    Attributes:
        segments: in order, one after another.
    """

    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(segment.seconds for segment in self.segments)

    @property
    def expected_arrivals(self) -> float:
        """How many arrivals are expected in all."""
        return sum(segment.arrivals for segment in self.segments)


def constant(per_second: float, seconds: float) -> Shape:
    """The same rate all the time."""
    return Shape((Segment(per_second, per_second, seconds),))


def ramp(start_per_second: float, end_per_second: float, seconds: float) -> Shape:
    """A rate that changes evenly from one to another."""
    return Shape((Segment(start_per_second, end_per_second, seconds),))


def spike(per_second: float, peak_per_second: float, *, at_seconds: float, for_seconds: float, seconds: float) -> Shape:
    """A constant rate with a higher one in between, up and down at once.

    Raises:
        HoldfastError: the spike is not within the duration.
    """
    after_seconds = seconds - at_seconds - for_seconds
    if min(at_seconds, for_seconds, after_seconds) < 0:
        raise HoldfastError(
            f"A spike at {at_seconds:g} s for {for_seconds:g} s does not lie within {seconds:g} s.",
            remedy="let it begin and end while the load lasts",
        )
    return Shape(
        (
            Segment(per_second, per_second, at_seconds),
            Segment(peak_per_second, peak_per_second, for_seconds),
            Segment(per_second, per_second, after_seconds),
        )
    )


def soak(per_second: float, seconds: float, *, ramp_seconds: float) -> Shape:
    """A rate that is reached slowly, kept for long, and left slowly; the ramps lie within the duration.

    Raises:
        HoldfastError: the ramps are longer than the duration.
    """
    if 2 * ramp_seconds > seconds:
        raise HoldfastError(
            f"Two ramps of {ramp_seconds:g} s do not fit into {seconds:g} s.", remedy="shorten the ramps"
        )
    return Shape(
        (
            Segment(0, per_second, ramp_seconds),
            Segment(per_second, per_second, seconds - 2 * ramp_seconds),
            Segment(per_second, 0, ramp_seconds),
        )
    )


def step(first_per_second: float, more_per_second: float, *, steps: int, step_seconds: float) -> Shape:
    """A rate that grows by as much at every step: it finds where a system gives way."""
    rates = [first_per_second + more_per_second * number for number in range(steps)]
    return Shape(tuple(Segment(rate, rate, step_seconds) for rate in rates))


def arrivals(shape: Shape, seed: int, *, spacing: Spacing = "poisson") -> Iterator[Times]:
    """The arrival times of a shape, nanoseconds from its beginning, in order, a chunk at a time.

    Args:
        shape: the rate over time.
        seed: of the Poisson draws; the same seed gives the same times on every machine with the same numpy.
        spacing: ``poisson`` as independent clients arrive, or ``even``.
    """
    generator = np.random.default_rng(seed)
    total, reached, number = shape.expected_arrivals, 0.0, 0
    borders = np.array([0.0, *accumulate(segment.arrivals for segment in shape.segments)])
    starts = np.array([0.0, *accumulate(segment.seconds for segment in shape.segments)])
    while True:
        if spacing == "even":
            # the first half an interval after the beginning, so that shares of many workers are even as well
            counts = np.arange(number, number + CHUNK_ARRIVALS, dtype=np.float64) + 0.5
        else:
            counts = reached + np.cumsum(generator.exponential(size=CHUNK_ARRIVALS))
        reached, number = float(counts[-1]), number + CHUNK_ARRIVALS
        within = counts[counts < total]
        if len(within):
            yield _times(shape, within, borders, starts)
        if len(within) < len(counts):
            return


def replay(recorded_ns: Sequence[int] | Times, *, speed: float = 1.0) -> Iterator[Times]:
    """Recorded arrivals once more, from the first on.

    Args:
        recorded_ns: times in any order, nanoseconds from any origin.
        speed: 2 replays twice as fast.

    Raises:
        HoldfastError: the speed is not above 0.
    """
    if not speed > 0:
        raise HoldfastError(f"A replay at speed {speed:g} never ends.", remedy="give a speed above 0")
    times = np.sort(np.asarray(recorded_ns, np.int64))
    if not len(times):
        return
    times = times - times[0]
    if speed != 1.0:
        times = np.rint(times / speed).astype(np.int64)
    for begin in range(0, len(times), CHUNK_ARRIVALS):
        yield times[begin : begin + CHUNK_ARRIVALS]


def share(chunks: Iterable[Times], worker: int, workers: int) -> Iterator[tuple[int, int]]:
    """One worker's arrivals: every n-th, with its number among all.

    Args:
        chunks: all arrivals in order.
        worker: which worker, from 0.
        workers: how many there are.

    Yields:
        The arrival's number among those of all workers, and its time in nanoseconds from the beginning.

    Raises:
        HoldfastError: there is no such worker.
    """
    if not 0 <= worker < workers:
        raise HoldfastError(f"There is no worker {worker} among {workers}.", remedy="number the workers from 0")
    begin = 0
    for chunk in chunks:
        first = (worker - begin) % workers
        yield from zip(range(begin + first, begin + len(chunk), workers), chunk[first::workers].tolist(), strict=True)
        begin += len(chunk)


def _times(
    shape: Shape, counts: NDArray[np.float64], borders: NDArray[np.float64], starts: NDArray[np.float64]
) -> Times:
    """When the integral of the rate reaches each count."""
    # the last border at or below a count: segments without arrivals are passed over
    which = np.searchsorted(borders, counts, side="right") - 1
    start = np.array([segment.start_per_second for segment in shape.segments])[which]
    end = np.array([segment.end_per_second for segment in shape.segments])[which]
    duration = np.array([segment.seconds for segment in shape.segments])[which]
    left = counts - borders[which]
    slope = (end - start) / duration
    # left = start*t + slope*t*t/2, solved without cancellation where the slope is small
    divisor = start + np.sqrt(np.maximum(start * start + 2 * slope * left, 0))
    seconds = np.divide(2 * left, divisor, out=np.zeros_like(left), where=divisor > 0)
    times = starts[which] + np.minimum(seconds, duration)
    return cast("Times", np.rint(times * NANOSECONDS).astype(np.int64))
