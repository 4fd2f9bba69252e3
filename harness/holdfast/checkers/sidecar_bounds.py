"""SC-3, SC-8, SC-9, SC-10 and SC-11: what is declared about a sidecar, against what was measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.checkers.durations import Distribution
from holdfast.checkers.records import answered_seconds, finding, ranked
from holdfast.history.exchanges import End, Exchange, Life
from holdfast.history.model import History, Operation, Outcome
from holdfast.verdict.describe import moment, shorten
from holdfast.verdict.model import Finding

MEBIBYTE = 1024 * 1024


def first_success_seconds(history: History, *, since_seconds: float) -> float | None:
    """From the sidecar's return to the first acknowledgement of a command that was sent after it; None for none."""
    ends = [
        answered_seconds(one) - since_seconds
        for one in history.operations
        if one.outcome is Outcome.OK and one.invoked_seconds >= since_seconds
    ]
    return min(ends, default=None)


def recovered(history: History, *, since_seconds: float, bound_seconds: float) -> tuple[Finding, ...]:
    """The application acknowledges commands again within a bound.

    Args:
        history: commands that were sent after the sidecar was back, one after another.
        since_seconds: when the sidecar was ready again.
        bound_seconds: the declared bound.
    """
    took_seconds = first_success_seconds(history, since_seconds=since_seconds)
    if took_seconds is not None and took_seconds <= bound_seconds:
        return ()
    after = [one for one in history.operations if one.invoked_seconds >= since_seconds]
    told = "none was acknowledged" if took_seconds is None else f"the first was acknowledged after {took_seconds:.3f} s"
    return (
        finding(
            "not recovered",
            f"Of {len(after)} commands sent after the sidecar was ready again at {moment(since_seconds)}, {told},"
            f" expected"
            f" within {bound_seconds:g} s.",
            after[-1].key if after else "",
            after[-1:],
        ),
    )


def same_process(before: Life, after: Life, *, fault: str) -> tuple[Finding, ...]:
    """The process that runs after a fault is the one that ran before it.

    Args:
        before: before the fault.
        after: after it.
        fault: what was wrong.
    """
    if after.process == before.process:
        return ()
    told = f"was {after.process} at {moment(after.at_seconds)}" if after.process else "did not run any more"
    return (
        Finding(
            title="another process",
            sentence=f"{before.component} was {before.process} at {moment(before.at_seconds)} and {told}, {fault};"
            " expected the same process.",
        ),
    )


def ended_in_order(ends: Iterable[End]) -> tuple[Finding, ...]:
    """What is asked to end ends by itself, before it is killed.

    Args:
        ends: how components ended.
    """
    return tuple(
        Finding(
            title="killed for taking too long",
            sentence=f"{one.component} had not ended {one.seconds:.1f} s after it was asked to ({one.order}), and was"
            " killed.",
        )
        for one in ends
        if not one.in_time
    )


def within_budget(
    added: tuple[float, float], budget_seconds: tuple[float, float], *, rss_bytes: int, memory_bytes: int
) -> tuple[Finding, ...]:
    """What the sidecar costs stays within the declared budget.

    Args:
        added: what it adds to the median and to the 99th percentile of an answer, seconds.
        budget_seconds: the most it may add to each.
        rss_bytes: its largest resident memory.
        memory_bytes: the most that it may be.
    """
    found = [
        Finding(
            title="channel too slow",
            sentence=f"The sidecar adds {seconds:.3f} s to the {name} of an answer, expected at most {budget:g} s.",
        )
        for name, seconds, budget in zip(("median", "99th percentile"), added, budget_seconds, strict=True)
        if seconds > budget
    ]
    return (*found, *memory_within(rss_bytes, memory_bytes, when="under load"))


def memory_within(rss_bytes: int, memory_bytes: int, *, when: str) -> tuple[Finding, ...]:
    """The sidecar's resident memory stays within a bound.

    Args:
        rss_bytes: the largest that was seen.
        memory_bytes: the bound.
        when: e.g. ``under load``.
    """
    if rss_bytes <= memory_bytes:
        return ()
    return (
        Finding(
            title="too much memory",
            sentence=f"The sidecar held {rss_bytes / MEBIBYTE:.1f} MiB {when}, expected at most"
            f" {memory_bytes / MEBIBYTE:.1f} MiB.",
        ),
    )


def not_starved(
    calm: Iterable[Exchange], pressed: Iterable[Exchange], *, ratio: float, floor_seconds: float
) -> tuple[Finding, ...]:
    """The median answer of the application under pressure on its sidecar stays within a ratio of that without.

    Args:
        calm: answers with nothing wrong.
        pressed: answers to the same questions under pressure.
        ratio: the declared bound.
        floor_seconds: medians up to this are fine whatever their ratio.
    """
    usual, under = (Distribution.of(one.seconds for one in each if one.answered) for each in (calm, list(pressed)))
    allowed_seconds = max(usual.p50 * ratio, floor_seconds)
    if not usual.count or not under.count or under.p50 <= allowed_seconds:
        return ()
    return (
        Finding(
            title="starved",
            sentence=f"The median answer took {under.p50:.3f} s with the sidecar under pressure, over {under.count},"
            f" and"
            f" {usual.p50:.3f} s without, over {usual.count}; expected at most {allowed_seconds:.3f} s.",
        ),
    )


def backlog_bounded(history: History, *, most: int, stored: int) -> tuple[Finding, ...]:
    """No more commands are acknowledged than may wait, while the store is slow.

    Args:
        history: commands sent while the store was slow.
        most: how many commands may be acknowledged and not stored.
        stored: how many of them had been stored some time after the last acknowledgement.
    """
    accepted = sorted((one for one in history.operations if one.outcome is Outcome.OK), key=answered_seconds)
    if len(accepted) - stored <= most:
        return ()
    beyond = accepted[most + stored]
    return (
        finding(
            "unbounded backlog",
            f"While the store was slow, {len(accepted)} of {len(history.operations)} commands were acknowledged and"
            f" {stored} of them stored, so {len(accepted) - stored} waited; expected at most {most} to wait and a clear"
            f" refusal for the others, from {beyond.key} on.",
            beyond.key,
            (beyond,),
        ),
    )


def refused_clearly(history: History, *, outage_statuses: Iterable[int]) -> tuple[Finding, ...]:
    """What is not acknowledged while the store is slow is told so with a status that says it is an outage.

    Args:
        history: commands sent while the store was slow or held.
        outage_statuses: what an outage is answered with.
    """
    allowed = tuple(str(status) for status in sorted(outage_statuses))
    return ranked(
        finding(
            "unclear refusal",
            f"Key {one.key}, sent at {moment(one.invoked_seconds)} while the store was slow, was answered"
            f" {one.status or 'nothing'}, expected an acknowledgement or one of {', '.join(allowed)}.",
            one.key,
            (one,),
        )
        for one in history.operations
        if one.outcome is not Outcome.OK and one.status not in allowed
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """How stale the reads were that showed what had been written over.

    Attributes:
        findings: reads that were staler than declared.
        reads: how many reads were judged.
        stale: how long before each stale read its value had been written over, seconds.
    """

    findings: tuple[Finding, ...]
    reads: int
    stale: Distribution


def staleness(writes: History, reads: Iterable[Exchange], *, bound_seconds: float) -> Staleness:
    """A read shows no value, and no absence, that was written over longer ago than declared.

    A value is written over when a later write of its key was acknowledged; the staleness of a read is the time from
    that acknowledgement to the beginning of the read (Golab et al., Δ-atomicity, PODC 2011). Writes of one key do not
    overlap.

    Args:
        writes: the acknowledged writes, whose values are unique within a key.
        reads: what was answered; answers that claim nothing are left out.
        bound_seconds: the declared bound.
    """
    by_key: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(writes.operations, key=lambda one: one.invoked_seconds):
        if operation.outcome is Outcome.OK:
            by_key[operation.key].append(operation)
    found, ages, judged = [], [], 0
    for read in reads:
        written = by_key.get(read.key, [])
        if read.count is None or not written or (read.count and not read.values):
            continue
        judged += 1
        over = _written_over(written, read)
        age_seconds = 0.0 if over is None else read.started_seconds - answered_seconds(over)
        if over is None or age_seconds <= 0:
            continue
        ages.append(age_seconds)
        if age_seconds > bound_seconds:
            shown = shorten(read.values[0]) if read.values else "nothing"
            found.append(
                finding(
                    "stale beyond the bound",
                    f"'{read.question}' of {read.key} at {moment(read.started_seconds)} shows {shown},"
                    f" {age_seconds:.3f} s"
                    f" after {shorten(over.value or '')} had been written; expected at most {bound_seconds:g} s.",
                    read.key,
                    (over, read.observation()),
                )
            )
    return Staleness(findings=ranked(found), reads=judged, stale=Distribution.of(ages))


def _written_over(written: list[Operation], read: Exchange) -> Operation | None:
    """The write that first replaced what a read shows; None when that is the last, or nobody wrote it."""
    if not read.values:
        return written[0]
    values = [one.value for one in written]
    if read.values[0] not in values:
        return None
    at = values.index(read.values[0])
    return written[at + 1] if at + 1 < len(written) else None
