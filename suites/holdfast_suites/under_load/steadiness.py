"""Family R under load: acknowledgements that do not wait, a burst that is levelled, a stack that is itself again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from holdfast.checkers import recovery
from holdfast.checkers.columnar.result import plural, quantiles
from holdfast.checkers.concurrency import over_limit
from holdfast.checkers.recovery import Sample
from holdfast.clause import Holds
from holdfast.history.columns import NANOSECONDS, Integers, Mask
from holdfast.under_load import LoadEvidence
from holdfast.verdict import Finding
from holdfast_suites.under_load.concluding import acknowledged_keys, conclude_on, found, left_over, share
from holdfast_suites.under_load.struck import compute_dead

MS = 1000
FEWEST = 20
"""So many operations a side are needed before latencies are compared: the 99th percentile of fewer is one of them."""
SAME_SHARE = 0.001
"""Success rates that differ by no more are the same: of many thousand commands some fail by chance."""
STEADY_RATIO = 3.0
"""How many times the median acknowledgement latency of before still counts as the same."""


def acknowledged_without_waiting(evidence: LoadEvidence) -> Holds:
    """SF-3: with compute dead, acknowledgements come as often, and as fast within the declared ratio."""
    windows, bounds = compute_dead(evidence), evidence.bounds
    operations = evidence.operations
    inside = evidence.intended_within(windows) & evidence.sent & ~evidence.disturbed_otherwise(windows)
    calm = evidence.sent & ~evidence.disturbed
    service_ns = evidence.done_ns - operations.invoked_ns
    answered = evidence.acknowledged & evidence.sent
    usual, dead = service_ns[calm & answered], service_ns[inside & answered]
    usual_ms, dead_ms = _p99_ms(usual), _p99_ms(dead)
    allowed_ms = max(usual_ms * bounds.acknowledgement_ratio, bounds.acknowledgement_floor_seconds * MS)
    few = [
        f"only {len(some):,} commands were acknowledged {when}, fewer than {FEWEST}"
        for some, when in ((usual, "without a fault"), (dead, "while compute was dead"))
        if len(some) < FEWEST
    ]
    findings = []
    if not few and dead_ms > allowed_ms:
        slowest = np.flatnonzero(inside & answered)[int(np.argmax(dead))]
        findings.append(
            Finding(
                title="acknowledgement waits",
                sentence=f"The 99th percentile of acknowledgement latency was {dead_ms:,.0f} ms over {len(dead):,}"
                f" requests with compute dead and {usual_ms:,.0f} ms over {len(usual):,} without a fault, expected at"
                f" most {allowed_ms:,.0f} ms.",
                witness=operations.operations([slowest]),
            )
        )
    withheld = np.flatnonzero(inside & ~answered)
    if share(calm & ~answered, calm) <= SAME_SHARE < share(inside & ~answered, inside):
        findings.append(
            Finding(
                title="acknowledgement withheld",
                sentence=f"{plural(len(withheld), 'request')} of {int(inside.sum()):,} got no acknowledgement while"
                f" compute was dead; {int((calm & answered).sum()):,} of {int(calm.sum()):,} without a fault got one.",
                witness=operations.operations(withheld[:1]),
            )
        )
    return conclude_on(
        evidence,
        findings,
        windows=windows,
        fault="every worker was throttled to zero",
        undecided=[*few, *([evidence.invalid] if evidence.invalid else []), *evidence.missing],
        holds=f"acknowledged in p99 {dead_ms:,.0f} ms with compute dead, {usual_ms:,.0f} ms without a fault",
    )


def _p99_ms(latency_ns: Integers) -> float:
    return quantiles("latency", latency_ns, divided_by=NANOSECONDS / MS).get("latency_p99", 0.0)


def levelled(evidence: LoadEvidence) -> Holds:
    """SF-8: downstream concurrency stays within its limit, the backlog drains in time, nothing is lost."""
    limit, port = evidence.bounds.worker_concurrency, evidence.pattern.effect
    assert limit is not None
    drained, bound = evidence.drain_seconds, evidence.bounds.drain_seconds
    findings = [
        *over_limit({f"concurrency_{name}": most for name, most in evidence.workers_at_once.items()}, limit=limit),
        *found(evidence, port, "acknowledged and lost"),
    ]
    if drained is not None and drained > bound:
        findings.append(
            Finding(
                title="late",
                sentence=f"The backlog was worked off {drained:.1f} s after the load was over, expected within"
                f" {bound:g} s.",
            )
        )
    unseen = [
        f"nobody saw how many of {name} ran at once"
        for name in evidence.pattern.workers
        if name not in evidence.workers_at_once
    ]
    return conclude_on(
        evidence,
        findings,
        port=port,
        windows=compute_dead(evidence),
        fault="every worker was throttled to zero",
        undecided=[*left_over(evidence, port, "acknowledged and lost"), *unseen],
        holds=f"{plural(acknowledged_keys(evidence), 'acknowledged request')} were worked off by at most {limit}"
        f" workers at once, {drained or 0:.1f} s after the load was over",
    )


def steady_again(evidence: LoadEvidence) -> Holds:
    """XX-1: what is sent after the last fault has healed, and the bound has passed, fares as before the first.

    A load that ends before the bound can show that the stack has recovered sooner, never that it has not.
    """
    bounds, windows = evidence.bounds, evidence.windows
    begun = min((one.started_seconds for one in evidence.faults), default=0.0)
    healed = max((one.ended_seconds for one in evidence.faults), default=0.0)
    settled = healed + bounds.recovery_seconds
    before = evidence.sent & (evidence.done_ns < begun * NANOSECONDS)
    after = evidence.sent & (evidence.intended_ns > settled * NANOSECONDS)
    sooner = evidence.sent & (evidence.intended_ns > healed * NANOSECONDS)
    if sooner.any():
        sooner &= evidence.intended_ns >= np.median(evidence.intended_ns[sooner])
    counted = after if after.sum() >= FEWEST else sooner
    samples = [_sample(evidence, some) for some in (before, counted)]
    wrong = recovery.steady(
        *_alike(*samples),
        latency_ratio=STEADY_RATIO,
        latency_floor_seconds=bounds.acknowledgement_floor_seconds,
    )
    undecided = [
        f"only {int(some.sum()):,} commands were sent {when}, fewer than {FEWEST}"
        for some, when in ((before, "before the first fault"), (counted, "after the last one"))
        if some.sum() < FEWEST
    ]
    if wrong and counted is not after:
        undecided.append(
            f"the load ended before the {bounds.recovery_seconds:g} s that the stack has to recover:"
            f" {wrong[0].sentence}"
        )
    if not evidence.quiet:
        undecided.append("the stack did not come to rest")
    return conclude_on(
        evidence,
        wrong if counted is after else (),
        windows=windows,
        fault="any fault was in place",
        undecided=[*undecided, *([evidence.invalid] if evidence.invalid else []), *evidence.missing],
        holds=f"success rate {samples[1].success_rate:.1%} (was {samples[0].success_rate:.1%}), median acknowledgement "
        f"{samples[1].latency_p50_seconds * MS:.0f} ms (was {samples[0].latency_p50_seconds * MS:.0f} ms)",
    )


def _alike(before: Sample, after: Sample) -> tuple[Sample, Sample]:
    """The samples, of one success rate where the difference is too small to mean anything."""
    small = before.success_rate - after.success_rate <= SAME_SHARE
    return before, replace(after, success_rate=before.success_rate) if small else after


def _sample(evidence: LoadEvidence, some: Mask) -> Sample:
    answered = some & evidence.acknowledged
    service_ns = (evidence.done_ns - evidence.operations.invoked_ns)[answered]
    return Sample(
        success_rate=float(answered.sum() / some.sum()) if some.any() else 0.0,
        latency_p50_seconds=float(np.median(service_ns)) / NANOSECONDS if len(service_ns) else 0.0,
        queue_depth=0,
        dead_letters=0,
    )
