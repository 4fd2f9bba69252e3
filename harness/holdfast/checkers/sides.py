"""CQ-6: reads go on while the write side is dead, and what they show is what had been written."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.checkers.durations import Distribution
from holdfast.checkers.projections import Stream
from holdfast.checkers.records import finding, ranked
from holdfast.history.logs import ViewRead
from holdfast.verdict.describe import moment, shorten
from holdfast.verdict.model import Finding


def reads_of(found: Iterable[Stream], *, view: str, role: str) -> tuple[ViewRead, ...]:
    """All reads of a view in a role, those that failed included."""
    return tuple(read for stream in found for read in stream.views if read.port == view and read.role == role)


def latency(reads: Iterable[ViewRead]) -> Distribution:
    """Latency of the reads that were answered."""
    return Distribution.of(read.latency_seconds for read in reads if read.complete)


def not_served(calm: Iterable[ViewRead], faulted: Iterable[ViewRead], *, fault: str) -> tuple[Finding, ...]:
    """Every read is answered under a fault, where all were without it, and with the state that was there before.

    Args:
        calm: reads while nothing was wrong and nothing was written.
        faulted: reads under the fault, while nothing can be written.
        fault: what was wrong, e.g. ``while the write side was dead``.
    """
    usual = list(calm)
    if any(not read.complete for read in usual):
        return ()
    known = {read.aggregate: read for read in sorted(usual, key=lambda one: one.started_seconds)}
    wrong = []
    for read in faulted:
        before = known.get(read.aggregate)
        if before is None or (read.complete and read.state == before.state):
            continue
        told = f"shows {shorten(read.text, 120)}, before {shorten(before.text, 120)}" if read.complete else read.reason
        wrong.append(
            finding(
                "read not served",
                f"A read of '{read.port}' of {read.aggregate} at {moment(read.started_seconds)} {fault}: {told}; all"
                f" {len(usual)} reads before that were served.",
                read.aggregate,
                (before.observation(), read.observation()),
            )
        )
    return ranked(wrong)


def slower(
    calm: Iterable[ViewRead], faulted: Iterable[ViewRead], *, ratio: float, floor_seconds: float
) -> tuple[Finding, ...]:
    """The 99th percentile of read latency under a fault stays within a ratio of that without.

    Args:
        calm: reads while nothing was wrong.
        faulted: reads under the fault.
        ratio: the declared bound.
        floor_seconds: latencies up to this are fine whatever their ratio.
    """
    slow = list(faulted)
    usual, under = latency(calm), latency(slow)
    allowed_seconds = max(usual.p99 * ratio, floor_seconds)
    if not usual.count or not under.count or under.p99 <= allowed_seconds:
        return ()
    slowest = max((read for read in slow if read.complete), key=lambda read: read.latency_seconds)
    return (
        finding(
            "reads wait",
            f"The 99th percentile of read latency was {under.p99:.3f} s over {under.count} reads under the fault and"
            f" {usual.p99:.3f} s over {usual.count} without, expected at most {allowed_seconds:.3f} s.",
            slowest.aggregate,
            (slowest.observation(),),
        ),
    )
