"""CQRS with event sourcing: commands append events to a log, and read models are projected from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from holdfast.campaign import Campaign
from holdfast.checkers import idempotency, logs, persistence, projections, recovery, sides, streams
from holdfast.checkers.acknowledgement import withheld
from holdfast.checkers.columnar import convergence, register, sessions, staleness
from holdfast.checkers.columnar.sessions import Guarantee
from holdfast.checkers.configuration import outlives_outage
from holdfast.checkers.projections import Fold, Stream
from holdfast.clause import Holds, clause, conclude
from holdfast.history import History
from holdfast.provocations.cqrs_hooks import CQRS_REBUILD, CQRS_SNAPSHOTS
from holdfast.provocations.cqrs_load import CQRS_LOAD, CQRS_RACES, CQRS_SESSIONS
from holdfast.provocations.cqrs_replays import CQRS_REPLAYS
from holdfast.provocations.cqrs_runs import POISON_ROLE, cqrs_of, fold_of, read_history, streams_of
from holdfast.provocations.cqrs_sides import (
    CALM_ROLE,
    FAULT_ROLE,
    READ_SIDE_DEAD,
    READ_STORE_SLOW,
    WRITE_SIDE_DEAD,
    WRITE_STORE_SLOW,
)
from holdfast.provocations.crashes import CRASH_SWEEP
from holdfast.provocations.deliveries import POISON
from holdfast.provocations.malformed import MALFORMED
from holdfast.provocations.model import Evidence, Provocation
from holdfast.provocations.windows import STORAGE_DENIED, STORAGE_THROTTLED
from holdfast.stack.patterns import CqrsPattern
from holdfast.verdict import Family, Finding
from holdfast_suites import under_load
from holdfast_suites.judging import acknowledged, conclude_on, original
from holdfast_suites.requirements import hop_named

MS = 1000


def _cqrs(campaign: Campaign) -> CqrsPattern:
    return cqrs_of(campaign.situation)


def _fold(campaign: Campaign) -> Fold:
    return fold_of(campaign.situation)


def _streams(campaign: Campaign, *evidences: Evidence, without: Iterable[str] = ()) -> tuple[Stream, ...]:
    """What is known of each aggregate, those about which nothing may be said left out."""
    return tuple(one for evidence in evidences for one in streams_of(campaign.pattern, evidence, without))


def _shown(campaign: Campaign) -> tuple[str, ...]:
    """The views that must show the fold at rest: the read store, and what clients read."""
    pattern = _cqrs(campaign)
    return tuple(dict.fromkeys((pattern.view, pattern.reads)))


def _diverged(campaign: Campaign, found: Sequence[Stream], why: str = "") -> list[Finding]:
    fold = _fold(campaign)
    return [one for view in _shown(campaign) for one in projections.diverged(found, fold=fold, view=view, why=why)]


def _gaps(campaign: Campaign, found: Sequence[Stream]) -> tuple[str, ...]:
    """What was not seen to the end: the log or a view of an aggregate."""
    return _unread(found, _shown(campaign))


def _unread(found: Sequence[Stream], views: Sequence[str] = ()) -> tuple[str, ...]:
    none = () if found else ("no aggregate was seen to the end",)
    return (*none, *projections.unseen(found, views=views), *logs.unfinished_commands(found))


@clause("CQ-1", Family.EVENTUAL, needs=[CQRS_LOAD], under_load=under_load.converged)
def test_cq_1(campaign: Campaign) -> Holds:
    """Once writes stop, the read model converges to the fold of the event log; staleness is measured."""
    evidence, fold, view = campaign.evidence(CQRS_LOAD), _fold(campaign), _cqrs(campaign).reads
    found = _streams(campaign, evidence)
    bound_ms = campaign.bounds.staleness_seconds * MS
    columns = read_history(campaign.situation, evidence)
    stale, settled = staleness.check(columns, bound_ms=bound_ms), convergence.check(columns)
    seen = projections.visibility(found, fold=fold, view=view)
    measured = {**stale.figures, **settled.figures}
    figures = [f"{name} = {value:g}" for name, value in measured.items() if name != "operations"]
    return conclude_on(
        [
            *_diverged(campaign, found),
            *projections.impossible_states(found, fold=fold, view=view),
            *stale.findings,
        ],
        evidence,
        bite=False,
        undecided=[*_gaps(campaign, found), *stale.undecided],
        evidence=[
            *figures,
            f"from acknowledgement to the first read that shows it: p50 {seen.p50:.3f} s, p99 {seen.p99:.3f} s, max"
            f" {seen.maximum:.3f} s over {seen.count} commands",
        ],
        holds=f"{len(found)} aggregates converged within {settled.figures.get('convergence_ms_max', 0):.0f} ms after"
        f" their last command; {stale.figures.get('reads', 0):g} reads by"
        f" {stale.figures.get('readers', 0):g} readers were stale by p50 {stale.figures.get('ms_p50', 0):.0f} ms, p99"
        f" {stale.figures.get('ms_p99', 0):.0f} ms, max {stale.figures.get('ms_max', 0):.0f} ms, of at most"
        f" {bound_ms:g} ms",
    )


_CQ_2_ALSO = (CQRS_LOAD, STORAGE_DENIED, STORAGE_THROTTLED)


@clause("CQ-2", Family.PERSISTENCE, needs=[CRASH_SWEEP], also=_CQ_2_ALSO, under_load=under_load.in_the_log_once)
def test_cq_2(campaign: Campaign) -> Holds:
    """Every accepted command is in the log, once, in a gap-free, immutable per-aggregate sequence."""
    evidence, effect = campaign.evidence(CRASH_SWEEP), campaign.pattern.effect
    others = {one.name: campaign.evidence(one) for one in _CQ_2_ALSO if campaign.has(one)}
    found = _streams(campaign, evidence, *others.values())
    bit = [name for name, one in others.items() if all(window.bit for window in one.windows)]
    beside = f", and beside {', '.join(bit)}," if bit else ""
    return conclude_on(
        [
            *logs.gap_free(found),
            *logs.recorded(found),
            *idempotency.exactly_once(evidence.history, effect=effect),
        ],
        evidence,
        undecided=[*_unread(found), *idempotency.undecided(evidence.history, effect=effect)],
        evidence=[f"crashed {point}: {key}" for key, point in evidence.points],
        holds=f"after a crash at each of {len(evidence.points)} fault points{beside}"
        f" the logs of {len(found)} aggregates hold each accepted command once, without a gap or a change",
    )


@clause("CQ-3", Family.EVENTUAL, needs=[CQRS_RACES])
def test_cq_3(campaign: Campaign) -> Holds:
    """Concurrent commands on one aggregate are serialised: no accepted command is lost or overwritten."""
    evidence = campaign.evidence(CQRS_RACES)
    found = _streams(campaign, evidence)
    ordered = register.check(logs.as_appended(found))
    reads = sum(len(stream.logs) for stream in found)
    return conclude_on(
        [*logs.recorded(found), *logs.gap_free(found), *logs.in_real_time_order(found), *ordered.findings],
        evidence,
        bite=False,
        undecided=[*_unread(found), *ordered.undecided],
        holds=f"{acknowledged(evidence.history)} of {len(evidence.submissions)} commands that met on {len(found)}"
        f" aggregates were accepted, and are events one to one; they and {reads} reads of the logs are linearizable",
    )


@clause("CQ-4", Family.IDEMPOTENCY, needs=[CQRS_REPLAYS], also=[CRASH_SWEEP])
def test_cq_4(campaign: Campaign) -> Holds:
    """Projection is unaffected by duplicated, re-ordered, stale or late events (one re-delivered after a delete)."""
    evidence = campaign.evidence(CQRS_REPLAYS)
    # what a crash interrupted is delivered again as well
    crashed = [campaign.evidence(CRASH_SWEEP)] if campaign.has(CRASH_SWEEP) else []
    found = _streams(campaign, evidence, *crashed)
    batches = evidence.figures.get("batches_replayed", 0)
    return conclude_on(
        _diverged(campaign, found, "after its events had been delivered again, reordered and late"),
        evidence,
        *crashed,
        bite=bool(evidence.windows),
        undecided=[*_gaps(campaign, found), *(() if batches else ("no delivery was repeated",))],
        holds=f"{batches:g} batches were delivered again, reordered, late and before their turn,"
        f" {sum(len(one.points) for one in crashed)} deliveries were cut short, and {len(found)} aggregates show the"
        " fold of their logs",
    )


@clause("CQ-5", Family.EVENTUAL, needs=[CQRS_REBUILD])
def test_cq_5(campaign: Campaign) -> Holds:
    """Rebuilding the read model from the log gives the live read model."""
    pattern, evidence = _cqrs(campaign), campaign.evidence(CQRS_REBUILD)
    assert pattern.rebuild is not None
    found = _streams(campaign, evidence)
    view = pattern.rebuild.view
    unread = [
        f"'{view}' was not read of {stream.aggregate}: {(stream.views[-1].reason if stream.views else '')}"
        for stream in found
        if stream.last(view) is None
    ]
    return conclude_on(
        [*projections.different(found, live=pattern.view, other=view), *_diverged(campaign, found)],
        evidence,
        bite=False,
        undecided=[*_gaps(campaign, found), *unread],
        holds=f"the view that was rebuilt from the log is the live one, in each of {len(found)} aggregates",
    )


@clause("CQ-6", Family.RECOVERY, needs=[READ_SIDE_DEAD, WRITE_SIDE_DEAD], also=[READ_STORE_SLOW, WRITE_STORE_SLOW])
def test_cq_6(campaign: Campaign) -> Holds:
    """The read side failing leaves writes unaffected, and the write side failing leaves reads served."""
    writing = {"with the read side dead": READ_SIDE_DEAD, "with the read store slow": READ_STORE_SLOW}
    reading = {"with the write side dead": WRITE_SIDE_DEAD, "with the write store slow": WRITE_STORE_SLOW}
    halves = [
        *(_written(campaign, campaign.evidence(one), fault) for fault, one in writing.items() if _ran(campaign, one)),
        *(_served(campaign, campaign.evidence(one), fault) for fault, one in reading.items() if _ran(campaign, one)),
    ]
    return conclude_on(
        [finding for half in halves for finding in half.findings],
        *(half.evidence for half in halves),
        undecided=[gap for half in halves for gap in half.undecided],
        holds="; ".join(half.holds for half in halves),
    )


def _ran(campaign: Campaign, provocation: Provocation) -> bool:
    """Whether there is evidence of a provocation that is judged, or that must be."""
    return provocation in (READ_SIDE_DEAD, WRITE_SIDE_DEAD) or campaign.has(provocation)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Half:
    """What one side showed while something was wrong with the other.

    Attributes:
        evidence: what was judged.
        findings: the counterexamples.
        undecided: what was not seen to its end.
        holds: what was found to hold.
    """

    evidence: Evidence
    findings: tuple[Finding, ...]
    undecided: tuple[str, ...]
    holds: str


def _written(campaign: Campaign, evidence: Evidence, fault: str) -> _Half:
    """Commands are acknowledged as before, whatever is wrong with the read side, and are shown once it is well."""
    ratio, floor = campaign.bounds.other_side_ratio, campaign.bounds.acknowledgement_floor_seconds
    calm, faulted = evidence.history.role(CALM_ROLE), evidence.history.role(FAULT_ROLE)
    usual, under = recovery.acknowledgement_latency(calm), recovery.acknowledgement_latency(faulted)
    found = _streams(campaign, evidence)
    healed = convergence.check(read_history(campaign.situation, evidence)).figures
    return _Half(
        evidence=evidence,
        findings=(
            *withheld(calm=calm, faulted=faulted, fault=fault),
            *recovery.waiting_acknowledgements(calm, faulted, ratio=ratio, floor_seconds=floor),
            *logs.recorded(found),
            *_diverged(campaign, found, f"after the commands that were sent {fault}"),
        ),
        undecided=(
            *_gaps(campaign, found),
            *(() if usual.count == len(calm.operations) else ("commands failed before anything was wrong",)),
        ),
        holds=f"{under.count} commands were acknowledged in p99 {under.p99 * MS:.0f} ms {fault}"
        f" ({usual.p99 * MS:.0f} ms without), and shown within {healed.get('healing_ms_max', 0):.0f} ms after healing",
    )


def _served(campaign: Campaign, evidence: Evidence, fault: str) -> _Half:
    """Reads are answered as before, whatever is wrong with the write side."""
    view, ratio = _cqrs(campaign).reads, campaign.bounds.other_side_ratio
    found = _streams(campaign, evidence)
    before, during = (sides.reads_of(found, view=view, role=role) for role in (CALM_ROLE, FAULT_ROLE))
    return _Half(
        evidence=evidence,
        findings=(
            *sides.not_served(before, during, fault=fault),
            *sides.slower(before, during, ratio=ratio, floor_seconds=campaign.bounds.acknowledgement_floor_seconds),
            *_diverged(campaign, found, f"after the commands that were sent {fault}"),
        ),
        undecided=(
            *_gaps(campaign, found),
            *(() if during else (f"nothing was read {fault}",)),
            *(() if all(read.complete for read in before) else ("reads failed before anything was wrong",)),
        ),
        holds=f"{len(during)} reads were served in p99 {sides.latency(during).p99 * MS:.0f} ms {fault}"
        f" ({sides.latency(before).p99 * MS:.0f} ms without)",
    )


@clause("CQ-7", Family.RECOVERY, needs=[POISON])
def test_cq_7(campaign: Campaign) -> Holds:
    """An event that cannot be projected neither blocks the others for good nor is lost."""
    evidence = campaign.evidence(POISON)
    poison = {one.key for one in evidence.history.role(POISON_ROLE).operations}
    found = _streams(campaign, evidence, without=poison)
    letters = [one for one in evidence.dead_letters if one.key in poison]
    return conclude_on(
        [
            *recovery.dead_lettered(_as_kept(campaign, evidence.decided.role(POISON_ROLE)), letters=letters),
            *_diverged(campaign, found, "beside an event that cannot be projected"),
            *persistence.acknowledged_and_lost(evidence.decided, effect=campaign.pattern.effect),
        ],
        evidence,
        bite=False,
        undecided=_gaps(campaign, found),
        holds=f"{len(found)} aggregates converged beside {len(letters)} events that cannot be projected and are dead"
        " letters",
    )


def _as_kept(campaign: Campaign, history: History) -> History:
    """The commands with what an event must keep of them for their body: the value alone, where no more is promised."""
    if original(campaign) == "body":
        return history
    return replace(history, operations=tuple(replace(one, body=one.value) for one in history.operations))


@clause("CQ-8", Family.EVENTUAL, needs=[CQRS_SESSIONS])
def test_cq_8(campaign: Campaign) -> Holds:
    """Session guarantees that are promised hold: read-your-writes, monotonic reads."""
    pattern, evidence = _cqrs(campaign), campaign.evidence(CQRS_SESSIONS)
    found = _streams(campaign, evidence)
    columns = logs.as_registers(found, fold=_fold(campaign), view=pattern.reads, sessions=True)
    # what waits for convergence belongs to no session
    columns = columns.at(logs.in_sessions(columns))
    promises: dict[Guarantee, bool] = {
        "read-your-writes": pattern.sessions.read_your_writes,
        "monotonic-reads": pattern.sessions.monotonic_reads,
    }
    judged = {one: sessions.check(columns, guarantees=[one]) for one in promises}
    reads = int(columns.is_kind("read").sum())
    rates = [
        f"{one}{'' if promised else ' (not promised)'} broken by {judged[one].figures['violations']:g} of {reads} reads"
        for one, promised in promises.items()
    ]
    return conclude_on(
        [finding for one, promised in promises.items() if promised for finding in judged[one].findings],
        evidence,
        bite=False,
        undecided=[
            *_gaps(campaign, found),
            *(gap for one in judged.values() for gap in one.undecided),
            *(() if reads else ("no session read anything",)),
        ],
        evidence=rates,
        holds="; ".join(rates),
    )


@clause("CQ-9", Family.EVENTUAL, needs=[CQRS_SNAPSHOTS])
def test_cq_9(campaign: Campaign) -> Holds:
    """State from snapshot + tail equals state from the whole log."""
    pattern, evidence, fold = _cqrs(campaign), campaign.evidence(CQRS_SNAPSHOTS), _fold(campaign)
    assert pattern.snapshot is not None
    view = pattern.snapshot.view
    keys = evidence.submissions
    every = _streams(campaign, evidence)
    found = [stream for stream in every if any(read.port == view for read in stream.views)]
    unread = [f"'{view}' was not read of {stream.aggregate}" for stream in found if stream.last(view) is None]
    return conclude_on(
        [
            *logs.diverged_from_the_log_before(found, fold=fold, view=view),
            *projections.impossible_states(found, fold=fold, view=view),
            *logs.recorded(every),
        ],
        evidence,
        bite=bool(evidence.windows),
        undecided=[*_gaps(campaign, found), *unread, *(() if found else ("no snapshot was read",))],
        evidence=[f"crashed {point}: {key}" for key, point in evidence.points],
        holds=f"of {len(keys)} commands on {len(found)} aggregates, snapshot and tail give the state of the whole log,"
        f" under load and after a crash at each of {len(evidence.points)} fault points",
    )


@clause("CQ-10", Family.PERSISTENCE, needs=[MALFORMED], also=[CQRS_RACES, CRASH_SWEEP])
def test_cq_10(campaign: Campaign) -> Holds:
    """A rejected command leaves no event."""
    malformed, effect = campaign.evidence(MALFORMED), campaign.pattern.effect
    others = [campaign.evidence(one) for one in (CQRS_RACES, CRASH_SWEEP) if campaign.has(one)]
    history = sum((one.history for one in (malformed, *others)), History())
    found = _streams(campaign, malformed, *others)
    refused = persistence.refused(history)
    return conclude_on(
        [*logs.phantom_events(found), *persistence.phantoms(history, effect=effect)],
        malformed,
        bite=False,
        undecided=[
            *_unread(found),
            *(() if refused else ("no command was refused",)),
        ],
        holds=f"{refused} commands were refused, and none has an event",
    )


@clause("CQ-11", Family.STATIC, requires=[hop_named])
def test_cq_11(campaign: Campaign) -> Holds:
    """Stream retention outlives the declared longest projector outage; failure destination and retry bounds are set."""
    configuration, workers = campaign.configuration, campaign.pattern.workers
    outage = campaign.bounds.longest_outage_seconds
    return conclude(
        [*outlives_outage(configuration, outage), *streams.bounded(configuration, workers, outage)],
        undecided=streams.unknown(configuration, workers),
        holds=f"every stream keeps events longer than {outage:g} s, bounds its retries and has a failure destination",
    )
