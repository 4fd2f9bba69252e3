"""What a run measured: latency from the intended time, inside and outside each fault, goodput, recovery, slip.

All of it is of operations that were sent; what the client refused to send is counted by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.history.columns import FAIL, NANOSECONDS, OK, UNKNOWN, Mask
from holdfast.history.model import FaultWindow
from holdfast.under_load import Disturbance, under_way
from holdfast_load.judging.rows import Rows
from holdfast_load.latency import percentiles

BIN_SECONDS = 1.0
"""Recovery is told to this precision."""
SLOWER = 3.0
"""How many times the median of before still counts as recovered; XX-1 says the same."""
SAME_SECONDS = 0.5
"""Medians up to this are the same whatever their ratio."""
_WANTED = (50.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of the latency of some operations, milliseconds from their intended times.

    Attributes:
        count: how many operations.
        by_percent: the percentiles; none of no operation.
        acknowledged_share: which share was acknowledged; 0 of none.
    """

    count: int
    by_percent: dict[float, float]
    acknowledged_share: float

    def at(self, percent: float) -> float | None:
        """One percentile."""
        return self.by_percent.get(percent)


@dataclass(frozen=True, slots=True, kw_only=True)
class During:
    """What was measured of one fault window, or of several that were in place together.

    Attributes:
        name: levers and components.
        started_seconds: when it was proven to bite.
        ended_seconds: when it was proven to be gone.
        latency: of operations that were intended meanwhile.
        recovery_seconds: from its end until latency and success were as before the first fault; None where they were
            not before the next fault, or the end of the load.
    """

    name: str
    started_seconds: float
    ended_seconds: float
    latency: Latency
    recovery_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """All that a run measured.

    Attributes:
        overall: latency of everything that was sent.
        outside: latency of what was under way while no fault was in place, nor being put on or taken off.
        inside: latency of what was intended while any was.
        during: each fault by itself.
        operations: operations that were recorded.
        sent: those that were sent.
        refused: those that the client refused to send.
        acknowledged: operations that ended ``ok``.
        failed: operations that were sent and ended ``fail``.
        unknown: operations that ended ``unknown``.
        seconds: from the first intended time to the last end.
        goodput_per_second: acknowledged operations a second.
        slip_p99_ms: how late 99 of 100 operations were sent at most.
    """

    overall: Latency
    outside: Latency
    inside: Latency
    during: tuple[During, ...]
    operations: int
    sent: int
    refused: int
    acknowledged: int
    failed: int
    unknown: int
    seconds: float
    goodput_per_second: float
    slip_p99_ms: float

    def figures(self) -> dict[str, float]:
        """The figures by name; each name carries its unit."""
        found: dict[str, float] = {
            "operations": self.operations,
            "sent": self.sent,
            "refused": self.refused,
            "acknowledged": self.acknowledged,
            "failed": self.failed,
            "unknown": self.unknown,
            "load_seconds": self.seconds,
            "goodput_per_second": self.goodput_per_second,
            "slip_p99_ms": self.slip_p99_ms,
            "faults": len(self.during),
        }
        for name, latency in (("latency", self.overall), ("latency_outside_faults", self.outside)):
            found |= _named(name, latency)
        if self.during:
            found |= _named("latency_in_faults", self.inside)
        for number, one in enumerate(self.during, start=1):
            found |= _named(f"latency_in_fault_{number}", one.latency)
            found[f"fault_{number}_started_seconds"] = one.started_seconds
            found[f"fault_{number}_ended_seconds"] = one.ended_seconds
            if one.recovery_seconds is not None:
                found[f"fault_{number}_recovery_seconds"] = one.recovery_seconds
        return {name: round(value, 4) for name, value in found.items()}


def measure(rows: Rows, windows: Sequence[FaultWindow], disturbances: Sequence[Disturbance] = ()) -> Measures:
    """Measure a run.

    Args:
        rows: its operations.
        windows: its fault windows.
        disturbances: when faults were in place, being put on or being taken off.
    """
    together = joined(windows)
    outcome, sent = rows.operations.outcome, rows.sent
    inside = np.zeros(len(rows), np.bool_)
    masks = []
    for begin, end, _ in together:
        mask = sent & (rows.intended_ns >= begin * NANOSECONDS) & (rows.intended_ns <= end * NANOSECONDS)
        inside |= mask
        masks.append(mask)
    calm = sent & ~under_way(rows.intended_ns, rows.done_ns, (*disturbances, *windows))
    ended_ns = int(rows.done_ns.max()) if len(rows) else 0
    began_ns = int(rows.intended_ns.min()) if len(rows) else 0
    seconds = (ended_ns - began_ns) / NANOSECONDS
    acknowledged = int(np.count_nonzero(outcome == OK))
    return Measures(
        overall=_latency(rows, sent),
        outside=_latency(rows, calm),
        inside=_latency(rows, inside),
        during=tuple(
            During(
                name=name,
                started_seconds=begin,
                ended_seconds=end,
                latency=_latency(rows, mask),
                recovery_seconds=_recovery(rows, together, number),
            )
            for number, ((begin, end, name), mask) in enumerate(zip(together, masks, strict=True))
        ),
        operations=len(rows),
        sent=int(np.count_nonzero(sent)),
        refused=int(np.count_nonzero(~sent)),
        acknowledged=acknowledged,
        failed=int(np.count_nonzero(sent & (outcome == FAIL))),
        unknown=int(np.count_nonzero(outcome == UNKNOWN)),
        seconds=seconds,
        goodput_per_second=acknowledged / seconds if seconds > 0 else 0.0,
        slip_p99_ms=percentiles(rows.slip_ns[sent], [99.0]).get(99.0, 0.0),
    )


def joined(windows: Sequence[FaultWindow]) -> list[tuple[float, float, str]]:
    """Faults that were in place together as one: begin, end, and what they were; only what was proven to bite."""
    found: list[tuple[float, float, list[str]]] = []
    for window in sorted((one for one in windows if one.bit), key=lambda one: one.started_seconds):
        name = f"{window.lever} on {window.component}"
        if found and window.started_seconds < found[-1][1]:
            begin, end, names = found[-1]
            found[-1] = (begin, max(end, window.ended_seconds), [*names, name])
        else:
            found.append((window.started_seconds, window.ended_seconds, [name]))
    return [(begin, end, ", ".join(dict.fromkeys(names))) for begin, end, names in found]


def _latency(rows: Rows, some: Mask) -> Latency:
    count = int(np.count_nonzero(some))
    return Latency(
        count=count,
        by_percent=percentiles(rows.latency_ns[some], _WANTED),
        acknowledged_share=float(np.count_nonzero(rows.operations.outcome[some] == OK)) / count if count else 0.0,
    )


def _named(name: str, latency: Latency) -> dict[str, float]:
    return {f"{name}_p{percent:g}_ms": value for percent, value in latency.by_percent.items()}


def _recovery(rows: Rows, together: Sequence[tuple[float, float, str]], number: int) -> float | None:
    """Seconds from the end of a fault until no second of the time before the next one is worse than before the first.

    Worse is a second in which a smaller share was acknowledged than before the first fault, or whose median latency is
    beyond `SLOWER` times that of before.
    """
    first, end = together[0][0], together[number][1]
    until = together[number + 1][0] if number + 1 < len(together) else float(rows.intended_ns.max()) / NANOSECONDS
    before = rows.sent & (rows.intended_ns < first * NANOSECONDS)
    usual = _latency(rows, before)
    median_ms = usual.at(50.0)
    if median_ms is None:
        return None
    allowed_ms = max(median_ms * SLOWER, SAME_SECONDS * 1000)
    after = np.flatnonzero(
        rows.sent & (rows.intended_ns > end * NANOSECONDS) & (rows.intended_ns <= until * NANOSECONDS)
    )
    if not len(after):
        return None
    bins = ((rows.intended_ns[after] / NANOSECONDS - end) // BIN_SECONDS).astype(np.int64)
    bad = -1
    for number_of_bin in np.unique(bins).tolist():
        mine = after[bins == number_of_bin]
        share = np.count_nonzero(rows.operations.outcome[mine] == OK) / len(mine)
        slow_ms = float(np.median(rows.latency_ns[mine])) / 1e6
        if share < usual.acknowledged_share or slow_ms > allowed_ms:
            bad = number_of_bin
    last = int(bins.max())
    if bad == last:
        return None
    return (bad + 1) * BIN_SECONDS
