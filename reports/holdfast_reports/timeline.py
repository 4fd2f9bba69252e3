"""What happened over the time of a run, small enough to draw: pure, from a history in columns and what was sampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from holdfast.history.columns import FAIL, NANOSECONDS, NEVER_NS, OK, UNKNOWN, Columns, Mask
from holdfast.history.events import OBSERVE
from holdfast.runs import Series
from holdfast_reports.bands import Band, bands_of
from holdfast_reports.downsampling import Floats, Points, counted, extremes, percentiles
from holdfast_reports.visibility import first_seen, lags

MOST_RATE_PARTS, FEWEST_RATE_PARTS = 200, 20
OPERATIONS_PER_PART = 8
"""A rate is counted over parts of the time that hold about so many operations at least: fewer would be noise."""

ROW_PARTS = 20
MILLISECONDS = 1e6
OUTCOME_NAMES = ((OK, "acknowledged"), (FAIL, "refused"), (UNKNOWN, "unknown"))
SHORTEST_SECONDS = 0.001
QUEUE_DEPTH = "queue depth"
"""Name of the series that the figures tell of."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rate:
    """Operations a second, by outcome, in equal parts of the time.

    Attributes:
        seconds: where each part begins, and the end.
        ok: acknowledged ones, by when they were sent; 0 at the end.
        fail: refused ones.
        unknown: ones whose outcome is unknown.
    """

    seconds: Floats
    ok: Floats
    fail: Floats
    unknown: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantiles:
    """How latency was distributed over time, where the points alone would show nothing but the extremes.

    Attributes:
        seconds: the middle of each part of the time in which something was answered.
        p50_ms: the median of those sent in it.
        p99_ms: their 99th percentile.
    """

    seconds: Floats
    p50_ms: Floats
    p99_ms: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One part of the time in figures: the timeline for those who cannot see it.

    Attributes:
        start_seconds: where it begins.
        end_seconds: where it ends.
        ok: operations sent in it that were acknowledged.
        fail: those refused.
        unknown: those whose outcome is unknown.
        p50_ms: median latency of those answered; None where none was.
        p99_ms: their 99th percentile.
        max_ms: their longest.
        depth: the most messages that were seen in one queue; None where nothing was sampled.
        faults: how many faults were in place at some time of it.
    """

    start_seconds: float
    end_seconds: float
    ok: int
    fail: int
    unknown: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    depth: float | None
    faults: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """A run over time.

    Attributes:
        end_seconds: where the time ends; it begins at 0.
        operations: how many there were.
        unanswered: how many of them never had an answer.
        latencies: latency in milliseconds by outcome.
        quantiles: of all latencies; None where every operation is a point of its own.
        lags: seconds from the acknowledgement of a key until its effect was first seen, by port.
        rate: operations a second.
        sampled: what was sampled.
        bands: the faults, by when they began.
        rows: the same in figures.
        notes: what is missing in the history.
    """

    end_seconds: float
    operations: int
    unanswered: int
    latencies: tuple[Points, ...]
    quantiles: Quantiles | None
    lags: tuple[Points, ...]
    rate: Rate
    sampled: tuple[Series, ...]
    bands: tuple[Band, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Operations:
    """Commands: when they were sent, their latency (NaN without an answer), whether answered, and their outcome."""

    seconds: Floats
    latency_ms: Floats
    answered: Mask
    outcome: NDArray[np.uint8]


def timeline(history: Columns, series: Sequence[Series] = ()) -> Timeline:
    """Draw a run's history together.

    Args:
        history: operations, observations (kind ``observe:PORT``) and fault windows, on one clock.
        series: what was sampled, on the same clock.
    """
    ports = {code: name.removeprefix(OBSERVE) for code, name in enumerate(history.kinds) if name.startswith(OBSERVE)}
    observed = np.isin(history.kind, list(ports))
    commands = history.at(~observed)
    answered = commands.completed_ns != NEVER_NS
    operations = _Operations(
        seconds=commands.invoked_ns / NANOSECONDS,
        latency_ms=np.where(answered, (commands.completed_ns - commands.invoked_ns) / MILLISECONDS, np.nan),
        answered=answered,
        outcome=commands.outcome,
    )
    seen = first_seen(history.at(observed), ports)
    bands = bands_of(history.windows, commands, seen)
    end_seconds = max(
        *(float(times.max()) for times in (operations.seconds, *(one.seconds for one in seen.values())) if len(times)),
        *(one.end_seconds for one in bands),
        *(one.seconds[-1] for one in series if one.seconds),
        SHORTEST_SECONDS,
        0.0,
    )
    latencies = _latencies(operations)
    return Timeline(
        end_seconds=end_seconds,
        operations=len(commands),
        unanswered=int((~answered).sum()),
        latencies=latencies,
        quantiles=_quantiles(operations, end_seconds) if any(one.thinned for one in latencies) else None,
        lags=lags(commands, seen),
        rate=_rate(operations, end_seconds),
        sampled=tuple(series),
        bands=bands,
        rows=tuple(_rows(operations, series, bands, np.linspace(0.0, end_seconds, ROW_PARTS + 1))),
        notes=history.notes,
    )


def _latencies(operations: _Operations) -> tuple[Points, ...]:
    found = []
    for code, name in OUTCOME_NAMES:
        chosen = operations.answered & (operations.outcome == code)
        if chosen.any():
            seconds, values = extremes(operations.seconds[chosen], operations.latency_ms[chosen])
            found.append(Points(name=name, seconds=seconds, values=values, count=int(chosen.sum())))
    return tuple(found)


def _quantiles(operations: _Operations, end_seconds: float) -> Quantiles:
    edges = np.linspace(0.0, end_seconds, MOST_RATE_PARTS + 1)
    seconds, values = operations.seconds[operations.answered], operations.latency_ms[operations.answered]
    p50, p99 = percentiles(seconds, values, edges, (50, 99))
    there = ~np.isnan(p50)
    return Quantiles(seconds=((edges[:-1] + edges[1:]) / 2)[there], p50_ms=p50[there], p99_ms=p99[there])


def _rate(operations: _Operations, end_seconds: float) -> Rate:
    parts = int(np.clip(len(operations.seconds) // OPERATIONS_PER_PART, FEWEST_RATE_PARTS, MOST_RATE_PARTS))
    edges = np.linspace(0.0, end_seconds, parts + 1)
    ok, fail, unknown = (
        np.append(counted(operations.seconds[operations.outcome == code], edges), 0) / edges[1]
        for code, _ in OUTCOME_NAMES
    )
    return Rate(seconds=edges, ok=ok, fail=fail, unknown=unknown)


def _rows(operations: _Operations, series: Sequence[Series], bands: Sequence[Band], edges: Floats) -> Iterator[Row]:
    part = np.clip(np.searchsorted(edges, operations.seconds, side="right") - 1, 0, len(edges) - 2)
    depths = [
        sample for one in series if one.name == QUEUE_DEPTH for sample in zip(one.seconds, one.values, strict=True)
    ]
    answered = operations.answered
    p50, p99, most = percentiles(operations.seconds[answered], operations.latency_ms[answered], edges, (50, 99, 100))
    for number, (start, end) in enumerate(pairwise(edges.tolist())):
        inside = part == number
        ok, fail, unknown = (int((inside & (operations.outcome == code)).sum()) for code, _ in OUTCOME_NAMES)
        yield Row(
            start_seconds=start,
            end_seconds=end,
            ok=ok,
            fail=fail,
            unknown=unknown,
            p50_ms=_known(p50[number]),
            p99_ms=_known(p99[number]),
            max_ms=_known(most[number]),
            depth=max((value for at, value in depths if start <= at <= end), default=None),
            faults=sum(one.start_seconds <= end and one.end_seconds >= start for one in bands),
        )


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
