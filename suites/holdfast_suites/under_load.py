"""The checks of clauses on the evidence of a load run: the same promise, over every operation, in columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from holdfast.checkers import conservation, logs, projections, recovery, status
from holdfast.checkers import saga as sagas
from holdfast.checkers.columnar.result import FINDINGS_KEPT, plural, quantiles
from holdfast.checkers.concurrency import over_limit
from holdfast.checkers.recovery import Sample
from holdfast.clause import Holds, conclude
from holdfast.history import FaultWindow, History, Observation
from holdfast.history.columns import FAIL, NANOSECONDS, OK, Integers, Mask
from holdfast.history.model import ErrorClass
from holdfast.ports.folding import folding
from holdfast.ports.quantity import quantity_port
from holdfast.provocations.model import Window
from holdfast.stack.patterns import CqrsPattern, SagaPattern
from holdfast.under_load import LoadEvidence
from holdfast.verdict import Finding

Faults = Callable[[LoadEvidence], tuple[FaultWindow, ...]]
"""The windows of a run in which a clause was provoked."""

MS = 1000
FEWEST = 20
"""So many operations a side are needed before latencies are compared: the 99th percentile of fewer is one of them."""


# -- what the timeline did ----------------------------------------------------------------------------------------


def compute_dead(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows in which every worker was throttled to zero at one time."""
    workers = set(evidence.pattern.workers)
    asked = [one for one in evidence.windows if one.provocation == Window.COMPUTE_DEAD.name]
    throttled = [one for one in evidence.windows if one.lever == "function-throttle" and one.component in workers]
    together = [
        one
        for one in throttled
        if workers <= {other.component for other in throttled if _overlap(one, other) or other is one}
    ]
    return tuple(dict.fromkeys([*asked, *together]))


def storage_denied(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows in which storing was refused or throttled: on the store, on who stores, or on the function that does."""
    pattern = evidence.pattern
    places = {pattern.store, *pattern.storage_roles, *pattern.ingest}
    return tuple(
        one
        for one in evidence.windows
        if one.provocation == Window.STORAGE_DENIED.name
        or (one.component in places and one.error_class in (ErrorClass.DENIED, ErrorClass.THROTTLE))
    )


def processing_broken(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows in which workers failed, crashed, timed out, were throttled, or what feeds them stood still."""
    return _on(evidence, {*evidence.pattern.workers, evidence.pattern.store})


def repeated(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows after which something is delivered again: answers lost, crashes, timeouts, failures, duplicates."""
    again = (
        ErrorClass.DUPLICATE,
        ErrorClass.LOST_ANSWER,
        ErrorClass.CRASH,
        ErrorClass.FAILURE,
        ErrorClass.TIMEOUT,
    )
    places = {*evidence.pattern.workers, *evidence.pattern.ingest, evidence.pattern.store}
    return tuple(one for one in _on(evidence, places) if one.error_class in again)


def anything(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """All windows."""
    return evidence.windows


def _on(evidence: LoadEvidence, places: set[str | None]) -> tuple[FaultWindow, ...]:
    return tuple(one for one in evidence.windows if one.component in places)


def _overlap(one: FaultWindow, other: FaultWindow) -> bool:
    return one.started_seconds < other.ended_seconds and other.started_seconds < one.ended_seconds


# -- External Storage and Storage-First ---------------------------------------------------------------------------


def none_lost(faults: Faults, fault: str) -> Callable[[LoadEvidence], Holds]:
    """A check that every acknowledged request took effect, those that were sent while ``fault`` included.

    Args:
        faults: the windows that provoke the clause.
        fault: what they are, e.g. ``every worker was throttled to zero``.
    """

    def check(evidence: LoadEvidence) -> Holds:
        port, windows = evidence.pattern.effect, faults(evidence)
        inside = evidence.acknowledged & evidence.intended_within(windows)
        return _conclude(
            evidence,
            _found(evidence, port, "acknowledged and lost"),
            port=port,
            windows=windows,
            fault=fault,
            undecided=[
                *_left_over(evidence, port, "acknowledged and lost"),
                *([] if inside.any() or not windows else [f"no command was acknowledged while {fault}"]),
            ],
            holds=f"all {plural(_acknowledged(evidence), 'acknowledged request')} took effect,"
            f" {int(inside.sum()):,} of them acknowledged while {fault}",
        )

    return check


def exactly_once(faults: Faults, fault: str) -> Callable[[LoadEvidence], Holds]:
    """A check that every acknowledged request took effect once, and none more than once.

    Args:
        faults: the windows that provoke the clause.
        fault: what they are.
    """
    titles = ("duplicated", "acknowledged and lost")

    def check(evidence: LoadEvidence) -> Holds:
        port = evidence.pattern.effect
        return _conclude(
            evidence,
            _found(evidence, port, *titles),
            port=port,
            windows=faults(evidence),
            fault=fault,
            undecided=_left_over(evidence, port, *titles),
            holds=f"each of {plural(_acknowledged(evidence), 'acknowledged request')} took effect once,"
            f" although {fault}",
        )

    return check


def told_when_storage_refuses(evidence: LoadEvidence) -> Holds:
    """ES-11 and SF-2: no acknowledgement without effect, no effect of what was refused, and clients were told."""
    port, windows = evidence.pattern.effect, storage_denied(evidence)
    titles = ("acknowledged and lost", "refused and there")
    inside = evidence.intended_within(windows) & evidence.sent
    told = int(np.count_nonzero(inside & (evidence.operations.outcome != OK)))
    before = evidence.sent & ~evidence.disturbed
    troubled = int(np.count_nonzero(before & (evidence.operations.outcome != OK)))
    return _conclude(
        evidence,
        _found(evidence, port, *titles),
        port=port,
        windows=windows,
        fault="storing was refused",
        undecided=[
            *_left_over(evidence, port, *titles),
            *([] if told or not windows else ["no client was answered otherwise, so the denial was not felt"]),
            *([f"{troubled:,} commands failed while nothing was denied"] if troubled else []),
        ],
        holds=f"{told:,} of {int(inside.sum()):,} clients were told so, and none was acknowledged in vain",
    )


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
    if not (calm & ~answered).any() and (withheld := np.flatnonzero(inside & ~answered)).size:
        findings.append(
            Finding(
                title="acknowledgement withheld",
                sentence=f"{plural(len(withheld), 'request')} of {int(inside.sum()):,} got no acknowledgement while"
                f" compute was dead; all {int(calm.sum()):,} without a fault got one.",
                witness=operations.operations(withheld[:1]),
            )
        )
    return _conclude(
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
        *_found(evidence, port, "acknowledged and lost"),
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
    return _conclude(
        evidence,
        findings,
        port=port,
        windows=compute_dead(evidence),
        fault="every worker was throttled to zero",
        undecided=[*_left_over(evidence, port, "acknowledged and lost"), *unseen],
        holds=f"{plural(_acknowledged(evidence), 'acknowledged request')} were worked off by at most {limit} workers at"
        f" once, {drained or 0:.1f} s after the load was over",
    )


def status_agrees(evidence: LoadEvidence) -> Holds:
    """ES-12: the status of every key is terminal at rest and agrees with its effect."""
    name, port = evidence.pattern.status, evidence.pattern.effect
    assert name is not None
    declared, reported, looked = evidence.stack.descriptor.statuses[name], evidence.reported, evidence.looked[port]
    states = {} if reported is None else reported.state
    acknowledged = np.zeros(len(evidence.keys), np.bool_)
    acknowledged[evidence.place[evidence.acknowledged]] = True
    suspects = [
        place
        for place, state in states.items()
        if looked.observed[place]
        and not (
            (state in declared.done and looked.count[place] > 0)
            or (state in declared.failed and looked.count[place] == 0)
            or (not acknowledged[place] and not state and looked.count[place] == 0)
        )
    ]
    history = evidence.records_of(suspects[:FINDINGS_KEPT], port)
    _, ended_ns = evidence.looked_ns
    said = tuple(
        Observation(
            port=name,
            key=evidence.keys[place],
            count=int(bool(states[place])),
            started_seconds=ended_ns / NANOSECONDS + 0.001,
            completed_seconds=ended_ns / NANOSECONDS + 0.001,
            state=states[place],
            complete=evidence.quiet,
        )
        for place in suspects[:FINDINGS_KEPT]
    )
    findings = status.agrees(
        History(history.operations, (*history.observations, *said), history.windows),
        status=name,
        effect=port,
        done=declared.done,
        failed=declared.failed,
        pending=declared.pending,
    )
    unasked = len(evidence.keys) - len(states)
    return _conclude(
        evidence,
        findings,
        port=port,
        windows=evidence.windows,
        fault="any fault was in place",
        undecided=[
            *([f"{unasked:,} keys were not asked for: {reported.reason if reported else ''}"] if unasked else []),
            *([f"the status of {len(suspects):,} keys is open"] if suspects and not findings else []),
        ],
        holds=f"the status of {plural(_acknowledged(evidence), 'acknowledged request')} is terminal and agrees with"
        " its effect",
    )


def steady_again(evidence: LoadEvidence) -> Holds:
    """XX-1: what is sent after the last fault has healed, and the bound has passed, fares as before the first."""
    bounds, windows = evidence.bounds, evidence.windows
    first = min((one.started_seconds for one in windows), default=0.0) * NANOSECONDS
    settled_seconds = max((one.ended_seconds for one in windows), default=0.0) + bounds.recovery_seconds
    before = evidence.sent & (evidence.intended_ns < first)
    after = evidence.sent & (evidence.intended_ns > settled_seconds * NANOSECONDS)
    if after.sum() < FEWEST and windows:
        # what came sooner can show that it has recovered, not that it has not
        last = max(one.ended_seconds for one in windows)
        sooner = evidence.sent & (evidence.intended_ns > last * NANOSECONDS)
        middle = np.median(evidence.intended_ns[sooner]) if sooner.any() else 0
        early = sooner & (evidence.intended_ns >= middle)
    else:
        early = np.zeros_like(after)
    counted = after if after.sum() >= FEWEST else early
    samples = [_sample(evidence, some) for some in (before, counted)]
    wrong = recovery.steady(
        *samples,
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
    return _conclude(
        evidence,
        wrong if counted is after else (),
        windows=windows,
        fault="any fault was in place",
        undecided=[*undecided, *([evidence.invalid] if evidence.invalid else []), *evidence.missing],
        holds=f"success rate {samples[1].success_rate:.1%} (was {samples[0].success_rate:.1%}), median acknowledgement "
        f"{samples[1].latency_p50_seconds * MS:.0f} ms (was {samples[0].latency_p50_seconds * MS:.0f} ms)",
    )


STEADY_RATIO = 3.0
"""How many times the median acknowledgement latency of before still counts as the same."""


def _sample(evidence: LoadEvidence, some: Mask) -> Sample:
    answered = some & evidence.acknowledged
    service_ns = (evidence.done_ns - evidence.operations.invoked_ns)[answered]
    return Sample(
        success_rate=float(answered.sum() / some.sum()) if some.any() else 0.0,
        latency_p50_seconds=float(np.median(service_ns)) / NANOSECONDS if len(service_ns) else 0.0,
        queue_depth=0,
        dead_letters=0,
    )


# -- Saga -----------------------------------------------------------------------------------------------------------


def all_or_nothing(evidence: LoadEvidence) -> Holds:
    """SG-1: every saga of the run is committed or compensated."""
    found, committed, compensated, ports = _sagas(evidence)
    return _conclude(
        evidence,
        found,
        ports=ports,
        undecided=[
            *(["no saga was committed"] if not committed else []),
            *(["no saga was compensated"] if not compensated else []),
        ],
        holds=f"of {len(evidence.keys):,} sagas under load {committed:,} committed and {compensated:,} compensated",
    )


def conserved(evidence: LoadEvidence) -> Holds:
    """SG-9: quantities are conserved, and sagas on shared resources end all or nothing."""
    found, committed, compensated, ports = _sagas(evidence)
    history = History(observations=evidence.quantities)
    findings = list(found)
    gaps: list[str] = []
    for name, quantity in evidence.stack.descriptor.conserved.items():
        where = quantity_port(name)
        findings += conservation.conserved(history, port=where, total=quantity.total, minimum=quantity.minimum)
        gaps += conservation.undecided(history, port=where)
    return _conclude(
        evidence,
        findings,
        ports=ports,
        undecided=[*gaps, *(["no saga was committed"] if not committed else [])],
        holds=f"{', '.join(evidence.stack.descriptor.conserved)} conserved by {committed:,} committed and"
        f" {compensated:,} compensated sagas",
    )


def _sagas(evidence: LoadEvidence) -> tuple[tuple[Finding, ...], int, int, list[str]]:
    """Findings, how many committed and how many compensated, and the ports that tell it."""
    saga = evidence.pattern
    assert isinstance(saga, SagaPattern)
    ports = list(dict.fromkeys(p for step in saga.steps for p in (step.effect, step.undone) if p is not None))
    nets = np.stack(
        [
            evidence.looked[step.effect].count - (0 if step.undone is None else evidence.looked[step.undone].count)
            for step in saga.steps
        ]
    )
    seen = np.logical_and.reduce([evidence.looked[port].observed for port in ports])
    committed, compensated = seen & (nets == 1).all(axis=0), seen & (nets == 0).all(axis=0)
    suspects = np.flatnonzero(seen & ~committed & ~compensated)
    # a step that was done twice and undone once has a net of one as well
    twice = [evidence.looked[step.effect].count > 1 for step in saga.steps if step.undone is None]
    suspects = np.union1d(suspects, np.flatnonzero(seen & np.logical_or.reduce(twice))) if twice else suspects
    history = evidence.records_of(suspects[:FINDINGS_KEPT].tolist(), *ports)
    found = sagas.all_or_nothing(history, saga)
    return found, int(committed.sum()), int(compensated.sum()), ports


# -- CQRS -----------------------------------------------------------------------------------------------------------


def converged(evidence: LoadEvidence) -> Holds:
    """CQ-1: at rest the read model of every aggregate is the fold of its log."""
    pattern = evidence.pattern
    assert isinstance(pattern, CqrsPattern)
    fold = folding(pattern, evidence.stack.path)
    views = tuple(dict.fromkeys((pattern.view, pattern.reads)))
    return _conclude(
        evidence,
        [one for view in views for one in projections.diverged(evidence.streams, fold=fold, view=view)]
        if evidence.quiet
        else [],
        undecided=[*_streams_open(evidence), *projections.unseen(evidence.streams, views=views)],
        holds=f"after {len(evidence.operations):,} commands {len(evidence.streams):,} aggregates show the fold of"
        " their logs",
    )


def in_the_log_once(evidence: LoadEvidence) -> Holds:
    """CQ-2: every accepted command is in the log, once, in a gap-free sequence."""
    port, pattern = evidence.pattern.effect, evidence.pattern
    titles = ("duplicated", "acknowledged and lost", "refused and there")
    places = {*pattern.ingest, *pattern.workers, pattern.store}
    return _conclude(
        evidence,
        [*_found(evidence, port, *titles), *logs.gap_free(evidence.streams), *logs.recorded(evidence.streams)],
        port=port,
        windows=_on(evidence, places),
        fault="the write side or the projectors were broken",
        undecided=[*_left_over(evidence, port, *titles), *_streams_open(evidence)],
        holds=f"the logs of {len(evidence.streams):,} aggregates hold each of"
        f" {plural(_acknowledged(evidence), 'accepted command')} once, without a gap",
    )


def _streams_open(evidence: LoadEvidence) -> list[str]:
    return [
        *([] if evidence.streams else ["no aggregate was read"]),
        *([] if evidence.quiet else ["the stack did not come to rest"]),
        *evidence.missing,
    ]


# -- concluding -------------------------------------------------------------------------------------------------------


def _acknowledged(evidence: LoadEvidence) -> int:
    return len(np.unique(evidence.place[evidence.acknowledged]))


def _found(evidence: LoadEvidence, port: str, *titles: str) -> list[Finding]:
    """The findings of these kinds about an effect."""
    return [one for one in evidence.ledger(port).findings if one.title in titles]


def _left_over(evidence: LoadEvidence, port: str, *titles: str) -> list[str]:
    """What the ledger could not decide, and findings that were counted and not worked out."""
    result = evidence.ledger(port)
    cut = len(_found(evidence, port, *titles)) >= FINDINGS_KEPT
    return [
        *result.undecided,
        *([f"only {FINDINGS_KEPT:,} findings of a kind are worked out one by one"] if cut else []),
    ]


def _conclude(
    evidence: LoadEvidence,
    findings: Iterable[Finding],
    *,
    holds: str,
    undecided: Sequence[str],
    port: str = "",
    ports: Iterable[str] = (),
    windows: tuple[FaultWindow, ...] | None = None,
    fault: str = "",
) -> Holds:
    """Conclude on a run: violated by any finding; else it needs all that was recorded and seen, and the fault.

    Args:
        evidence: of the run.
        findings: counterexamples.
        holds: the sentence when it holds.
        undecided: what could not be decided.
        port: the effect on which it rests.
        ports: several such.
        windows: the windows that provoke it; None where it needs no fault.
        fault: what they are, for the reason when there are none.
    """
    named = [*([port] if port else []), *ports]
    gaps = [gap for one in named for gap in evidence.absent_or_unseen(one)]
    if not evidence.acknowledged.any():
        gaps.append("no command was acknowledged")
    if windows == ():
        gaps.append(f"the timeline put no such fault on ({fault}), so nothing was provoked")
    return conclude(
        tuple(findings),
        holds=holds,
        bite=windows,
        undecided=tuple(dict.fromkeys([*gaps, *undecided, *evidence.problems])),
        evidence=[
            f"{len(evidence.operations):,} operations on {len(evidence.keys):,} keys:"
            f" {int(evidence.acknowledged.sum()):,} acknowledged,"
            f" {int((evidence.operations.outcome == FAIL).sum()):,} refused",
            *(f"{one}: {evidence.looked[one].how}" for one in named),
        ],
    )
