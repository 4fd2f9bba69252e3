"""Sidecar: a companion process beside the application, which dies, hangs, starves and comes back."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.campaign import Campaign
from holdfast.checkers import idempotency, persistence, sidecar_answers, sidecar_bounds, sidecar_verdicts
from holdfast.checkers.sidecar_bounds import MEBIBYTE
from holdfast.clause import Holds, clause
from holdfast.history import History, Outcome
from holdfast.history.exchanges import Down, End, Exchange
from holdfast.provocations.model import Evidence
from holdfast.provocations.sidecar_channel import ANSWERS_LOST, APPLICATION_DEAD
from holdfast.provocations.sidecar_cost import SIDECAR_COST
from holdfast.provocations.sidecar_crashes import SIDECAR_CRASHES
from holdfast.provocations.sidecar_disturbed import (
    CALM_ROLE,
    FAULT_ROLE,
    SIDECAR_DEAD,
    SIDECAR_HEALTHY,
    SIDECAR_HUNG,
    SIDECAR_PRESSED,
    SIDECAR_SLOW,
)
from holdfast.provocations.sidecar_lifecycle import BEFORE_STOP, SIDECAR_LIFECYCLE, UNDER_WAY
from holdfast.provocations.sidecar_measures import back_seconds, cost, degraded_answer_rate, latency, recovery_seconds
from holdfast.provocations.sidecar_requirements import sidecar_of
from holdfast.provocations.sidecar_stage import LIVENESS, READINESS, RECOVERY_ROLE
from holdfast.provocations.sidecar_store import (
    CACHED_ROLE,
    OUTAGES,
    SLOW_ROLE,
    STORE_OUTAGE,
    STORE_SLOW,
    WRITTEN_BEHIND,
)
from holdfast.stack.patterns import SidecarPattern
from holdfast.stack.sidecar import SidecarBounds
from holdfast.verdict import Family, Finding
from holdfast_suites.judging import acknowledged, conclude_on, none_lost

MS = 1000


def _sidecar(campaign: Campaign) -> SidecarPattern:
    return sidecar_of(campaign.situation)


def _bounds(campaign: Campaign) -> SidecarBounds:
    return _sidecar(campaign).bounds


def _same_business(campaign: Campaign, evidence: Evidence, fault: str) -> tuple[Finding, ...]:
    healthy = campaign.evidence(SIDECAR_HEALTHY).history
    return sidecar_verdicts.different(healthy, evidence.history, effect=campaign.pattern.effect, fault=fault)


def _business_gaps(campaign: Campaign, evidence: Evidence) -> tuple[str, ...]:
    healthy = campaign.evidence(SIDECAR_HEALTHY).history
    return sidecar_verdicts.undecided(healthy, evidence.history, effect=campaign.pattern.effect)


def _answered(campaign: Campaign, exchanges: Iterable[Exchange], fault: str) -> list[Finding]:
    """Answers in time, which say clearly what is wrong."""
    asked = list(exchanges)
    return [
        *sidecar_answers.in_time(asked, bound_seconds=_bounds(campaign).answer_seconds, fault=fault),
        *sidecar_answers.clear(asked, outage_statuses=_sidecar(campaign).outage_statuses, fault=fault),
    ]


def _recovery(campaign: Campaign, evidence: Evidence) -> tuple[Finding, ...]:
    return sidecar_bounds.recovered(
        evidence.history.role(RECOVERY_ROLE),
        since_seconds=back_seconds(_sidecar(campaign), evidence),
        bound_seconds=_bounds(campaign).recovery_seconds,
    )


def _dead_or_hung(campaign: Campaign, evidence: Evidence, fault: str) -> Holds:
    """SC-1 and SC-5: the application under a fault that takes its sidecar away, and the same business verdicts."""
    under = evidence.asked(role=FAULT_ROLE)
    alive = evidence.asked(LIVENESS, role=FAULT_ROLE)
    answers = [one for one in under if one.question != LIVENESS]
    slowest = latency(answers)
    degraded = degraded_answer_rate(_sidecar(campaign), evidence)
    return conclude_on(
        [
            *sidecar_answers.live(alive, fault=fault),
            *_answered(campaign, answers, fault),
            *_same_business(campaign, evidence, fault),
            *persistence.acknowledged_and_lost(evidence.history, effect=campaign.pattern.effect),
            *(_recovery(campaign, evidence) if fault == HUNG else ()),
        ],
        evidence,
        undecided=[
            *_business_gaps(campaign, evidence),
            *(() if answers else (f"nothing was asked {fault}",)),
            *(() if alive else (f"nobody asked whether the application lives {fault}",)),
        ],
        evidence=[f"degraded_answer_rate = {degraded:g}"],
        holds=f"{fault} the application was alive in all of {len(alive)} probes and gave {len(answers)} answers, the"
        f" slowest after {slowest.maximum * MS:.0f} ms of at most {_bounds(campaign).answer_seconds * MS:.0f} ms;"
        f" {degraded:.0%} of the reads were degraded, and the plan ended as with nothing wrong",
    )


DEAD, HUNG = "while its sidecar was dead", "while its sidecar was hung"


@clause("SC-1", Family.RECOVERY, needs=[SIDECAR_HEALTHY, SIDECAR_DEAD])
def test_sc_1(campaign: Campaign) -> Holds:
    """A dead sidecar does not take the application down: it stays live and answers within its deadline.

    The answer is a clear error or a degraded one.
    """
    return _dead_or_hung(campaign, campaign.evidence(SIDECAR_DEAD), DEAD)


@clause("SC-2", Family.PERSISTENCE, needs=[SIDECAR_CRASHES])
def test_sc_2(campaign: Campaign) -> Holds:
    """State acknowledged through the sidecar survives its death."""
    evidence, effect = campaign.evidence(SIDECAR_CRASHES), campaign.pattern.effect
    return conclude_on(
        persistence.acknowledged_and_lost(evidence.history, effect=effect),
        evidence,
        undecided=persistence.undecided(evidence.history, effect=effect),
        evidence=[f"crashed {point}: {key}" for key, point in evidence.points],
        holds=f"{acknowledged(evidence.history)} commands were acknowledged and took effect, with the sidecar killed at"
        f" each of {len(evidence.points)} fault points and once with all it had acknowledged not stored yet",
    )


@clause("SC-3", Family.RECOVERY, needs=[SIDECAR_DEAD])
def test_sc_3(campaign: Campaign) -> Holds:
    """After the sidecar is back, the application recovers by itself within its bound."""
    evidence = campaign.evidence(SIDECAR_DEAD)
    lives = evidence.lives(_sidecar(campaign).application)
    seconds = recovery_seconds(_sidecar(campaign), evidence) or 0.0
    return conclude_on(
        [
            *_recovery(campaign, evidence),
            *(sidecar_bounds.same_process(lives[0], lives[-1], fault="after its sidecar had died") if lives else ()),
        ],
        evidence,
        undecided=() if len(lives) > 1 else ("nobody looked which process the application is",),
        evidence=[f"recovery_seconds = {seconds:.3f}"],
        holds=f"the same process acknowledged the first command {seconds:.3f} s after the sidecar was back, of at most"
        f" {_bounds(campaign).recovery_seconds:g} s",
    )


@clause("SC-4", Family.IDEMPOTENCY, needs=[ANSWERS_LOST], also=[SIDECAR_CRASHES])
def test_sc_4(campaign: Campaign) -> Holds:
    """A call retried over a broken channel takes effect once."""
    evidences = [campaign.evidence(ANSWERS_LOST)]
    if campaign.has(SIDECAR_CRASHES):
        evidences.append(campaign.evidence(SIDECAR_CRASHES))
    history = sum((one.history for one in evidences), History())
    return conclude_on(
        idempotency.exactly_once(history, effect=campaign.pattern.effect),
        *evidences,
        undecided=idempotency.undecided(history, effect=campaign.pattern.effect),
        holds=f"each of {acknowledged(history)} commands took effect once, though the first answer to"
        f" {acknowledged(evidences[0].history)} of them was lost on the channel",
    )


@clause("SC-5", Family.RECOVERY, needs=[SIDECAR_HEALTHY, SIDECAR_HUNG])
def test_sc_5(campaign: Campaign) -> Holds:
    """A hung sidecar is bounded by a timeout, and the application recovers when it resumes."""
    return _dead_or_hung(campaign, campaign.evidence(SIDECAR_HUNG), HUNG)


@clause("SC-6", Family.PERSISTENCE, needs=[APPLICATION_DEAD])
def test_sc_6(campaign: Campaign) -> Holds:
    """The application's death loses nothing that the sidecar acknowledged."""
    evidence = campaign.evidence(APPLICATION_DEAD)
    return none_lost(
        campaign,
        evidence,
        holds="{count} commands were acknowledged before the application was killed, and took effect after",
    )


@clause("SC-7", Family.RECOVERY, needs=[SIDECAR_LIFECYCLE])
def test_sc_7(campaign: Campaign) -> Holds:
    """Lifecycle: not ready before the sidecar is; on stop, in-flight work drains before the sidecar goes."""
    pattern, evidence = _sidecar(campaign), campaign.evidence(SIDECAR_LIFECYCLE)
    downs = [one for one in evidence.witnessed if isinstance(one, Down)]
    ends = [one for one in evidence.witnessed if isinstance(one, End)]
    probes = evidence.asked(READINESS)
    under_way = [one for one in evidence.asked(pattern.command) if one.role == UNDER_WAY]
    stopped = evidence.history.role(BEFORE_STOP, UNDER_WAY)
    history = stopped if pattern.drained_to == "log" else _until_gone(stopped, evidence, pattern.sidecar)
    drained = persistence.acknowledged_and_lost(history, effect=pattern.effect)
    settled = persistence.acknowledged_and_lost(evidence.history, effect=pattern.effect)
    return conclude_on(
        [
            *sidecar_answers.ready_without(probes, down=downs),
            *sidecar_bounds.ended_in_order(ends),
            *sidecar_answers.in_time(
                under_way, bound_seconds=pattern.bounds.answer_seconds, fault="while the application was asked to end"
            ),
            *(drained or settled),
        ],
        evidence,
        undecided=[
            *persistence.undecided(evidence.history, effect=pattern.effect),
            *(() if len(ends) == 4 and len(downs) == 2 else ("not every order of starting and stopping was seen",)),
            *(() if "ready_after_sidecar_seconds" in evidence.figures else ("the application did not become ready",)),
        ],
        holds=f"the application was not ready in any of {len(probes)} probes without its sidecar, and ready when it was"
        f" there; {acknowledged(stopped)} commands under way were drained to the {pattern.drained_to} in"
        f" {max((one.seconds for one in ends), default=0.0):.2f} s at most",
    )


def _until_gone(history: History, evidence: Evidence, sidecar: str) -> History:
    """The history as it was seen while both had ended: what is seen later may have come of the next start."""
    until_seconds = min((one.at_seconds for one in evidence.lives(sidecar)), default=0.0)
    seen = tuple(one for one in history.observations if one.completed_seconds <= until_seconds)
    return History(history.operations, seen, history.windows)


@clause("SC-8", Family.RECOVERY, needs=[SIDECAR_COST])
def test_sc_8(campaign: Campaign) -> Holds:
    """The channel's cost is known: latency added and memory held, against the declared budget."""
    evidence, bounds = campaign.evidence(SIDECAR_COST), _bounds(campaign)
    found = cost(_sidecar(campaign), evidence)
    through, without, added = found.through, found.without, found.added_seconds
    return conclude_on(
        sidecar_bounds.within_budget(
            added,
            (bounds.added_p50_seconds, bounds.added_p99_seconds),
            rss_bytes=found.rss_bytes,
            memory_bytes=bounds.memory_bytes,
        ),
        evidence,
        bite=False,
        undecided=[
            *(() if without.count and through.count else ("too few answers to compare",)),
            *(() if found.rss_bytes else ("the memory of the sidecar could not be measured",)),
        ],
        evidence=[
            f"added_p50_seconds = {added[0]:.4f}",
            f"added_p99_seconds = {added[1]:.4f}",
            f"p50 and p99 {through.p50 * MS:.1f} and {through.p99 * MS:.1f} ms over {through.count} commands,"
            f" {without.p50 * MS:.1f} and {without.p99 * MS:.1f} ms over {without.count} answers without the sidecar",
        ],
        holds=f"the sidecar adds {added[0] * MS:.1f} ms to the median and {added[1] * MS:.1f} ms to the 99th percentile"
        f" of an answer, and holds {found.rss_bytes / MEBIBYTE:.1f} MiB",
    )


@clause("SC-9", Family.RECOVERY, needs=[SIDECAR_HEALTHY, SIDECAR_PRESSED], also=[SIDECAR_SLOW])
def test_sc_9(campaign: Campaign) -> Holds:
    """A sidecar under pressure does not starve the application."""
    pattern, bounds = _sidecar(campaign), _bounds(campaign)
    evidences = [campaign.evidence(SIDECAR_PRESSED)]
    slow = [campaign.evidence(SIDECAR_SLOW)] if campaign.has(SIDECAR_SLOW) else []
    evidences += slow
    findings: list[Finding] = []
    lines: list[str] = []
    for evidence, fault in zip(evidences, ("with its sidecar under pressure", "with its sidecar slow"), strict=False):
        # a slow channel makes what needs it slower; what does not need it must not wait
        questions = (LIVENESS,) if evidence in slow else (LIVENESS, pattern.command)
        for question in questions:
            calm, under = (evidence.asked(question, role=role) for role in (CALM_ROLE, FAULT_ROLE))
            findings += sidecar_bounds.not_starved(
                calm, under, ratio=bounds.pressure_ratio, floor_seconds=bounds.pressure_floor_seconds
            )
            lines.append(
                f"{question} {fault}: median {latency(under).p50 * MS:.0f} ms, {latency(calm).p50 * MS:.0f} ms without"
            )
        answers = evidence.asked(role=FAULT_ROLE)
        findings += [
            *sidecar_answers.live(evidence.asked(LIVENESS), fault=fault),
            *_answered(campaign, answers, fault),
            *_same_business(campaign, evidence, fault),
        ]
    return conclude_on(
        findings,
        *evidences,
        undecided=[gap for evidence in evidences for gap in _business_gaps(campaign, evidence)],
        evidence=lines,
        holds="; ".join(lines),
    )


@clause("SC-10", Family.RECOVERY, needs=[STORE_SLOW])
def test_sc_10(campaign: Campaign) -> Holds:
    """A slow store behind the sidecar meets backpressure, not unbounded memory."""
    pattern, bounds, evidence = _sidecar(campaign), _bounds(campaign), campaign.evidence(STORE_SLOW)
    assert bounds.backlog is not None
    sent = evidence.history.role(SLOW_ROLE)
    told = [one for one in sent.operations if one.outcome is not Outcome.OK]
    rss_bytes = int(evidence.figures.get("sidecar_rss_bytes", 0))
    fault = "while the store was slow"
    return conclude_on(
        [
            *sidecar_bounds.backlog_bounded(
                sent, most=bounds.backlog, stored=int(evidence.figures.get("stored_while_slow", 0))
            ),
            *sidecar_bounds.refused_clearly(sent, outage_statuses=pattern.outage_statuses),
            *sidecar_bounds.memory_within(rss_bytes, bounds.backlog_memory_bytes, when=fault),
            *sidecar_answers.live(evidence.asked(LIVENESS), fault=fault),
            *_answered(campaign, evidence.asked(pattern.command, role=SLOW_ROLE), fault),
            *persistence.acknowledged_and_lost(evidence.history, effect=pattern.effect),
        ],
        evidence,
        undecided=[
            *persistence.undecided(evidence.history, effect=pattern.effect),
            *(() if told else ("no command was refused, so nothing pressed back",)),
            *(() if rss_bytes else ("the memory of the sidecar could not be measured",)),
        ],
        holds=f"of {len(sent.operations)} commands {acknowledged(sent)} were acknowledged and took effect, {len(told)}"
        f" were refused clearly, and the sidecar held {rss_bytes / MEBIBYTE:.1f} MiB",
    )


@clause("SC-11", Family.EVENTUAL, needs=[WRITTEN_BEHIND])
def test_sc_11(campaign: Campaign) -> Holds:
    """A cached answer is no staler than declared."""
    evidence, bound_seconds = campaign.evidence(WRITTEN_BEHIND), _bounds(campaign).staleness_seconds
    port = campaign.pattern.read
    assert port is not None
    judged = sidecar_bounds.staleness(
        evidence.decided, evidence.asked(port, role=CACHED_ROLE), bound_seconds=bound_seconds
    )
    return conclude_on(
        judged.findings,
        evidence,
        bite=False,
        undecided=() if judged.reads else ("no answer showed a value",),
        evidence=[
            f"stale_reads = {judged.stale.count}",
            f"staleness_p99_seconds = {judged.stale.p99:.3f}",
            f"staleness_max_seconds = {judged.stale.maximum:.3f}",
        ],
        holds=f"{judged.stale.count} of {judged.reads} answers were stale, by {judged.stale.maximum:.3f} s at most, of"
        f" {bound_seconds:g} s",
    )


@clause("SC-12", Family.RECOVERY, needs=[STORE_OUTAGE])
def test_sc_12(campaign: Campaign) -> Holds:
    """An outage behind the sidecar is answered as an outage, never as absence or a default value."""
    evidence, port = campaign.evidence(STORE_OUTAGE), campaign.pattern.read
    assert port is not None
    stored = {
        one.key: frozenset({one.value} if one.value is not None else ())
        for one in evidence.history.operations
        if one.outcome is Outcome.OK
    }
    findings: list[Finding] = []
    gaps: list[str] = []
    for role in OUTAGES:
        fault = f"with the {role}"
        answers = evidence.asked(port, role=role)
        findings += [
            *sidecar_answers.contradictions(answers, stored=stored, fault=fault),
            *_answered(campaign, answers, fault),
            *sidecar_answers.live(evidence.asked(LIVENESS, role=role), fault=fault),
        ]
        gaps += [] if any(one.answered for one in answers) else [f"nothing was answered {fault}"]
    every = [one for role in OUTAGES for one in evidence.asked(port, role=role)]
    known = sum(one.count is not None for one in every)
    return conclude_on(
        findings,
        evidence,
        undecided=gaps,
        holds=f"of {len(every)} answers with the store denied, slow and hung {known} showed what is stored and"
        f" {len(every) - known} said that it is not known",
    )
