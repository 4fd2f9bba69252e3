"""Storage-First: stored on arrival by a direct integration or an outbox, answered at once, processed later."""

from __future__ import annotations

from holdfast.campaign import Campaign
from holdfast.checkers import idempotency, ordering, outbox, persistence, recovery
from holdfast.checkers.acknowledgement import withheld
from holdfast.checkers.concurrency import over_limit
from holdfast.checkers.configuration import dead_lettered_in_time, outlives_outage
from holdfast.checkers.payloads import accepted_over_limit
from holdfast.clause import Holds, clause, conclude
from holdfast.provocations.crashes import CRASH_SWEEP
from holdfast.provocations.deliveries import DEAD_LETTERED, DUPLICATE_DELIVERY, POISON
from holdfast.provocations.duplicates import CONCURRENT_DELIVERY, DUPLICATE_SUBMISSION
from holdfast.provocations.ordering import ORDERED_GROUPS
from holdfast.provocations.payloads import GENERATED_PAYLOADS
from holdfast.provocations.steady import STEADY
from holdfast.provocations.windows import BURST, COMPUTE_DEAD, STORAGE_DENIED
from holdfast.verdict import Family
from holdfast_suites import under_load
from holdfast_suites.judging import (
    acknowledged,
    compared,
    conclude_on,
    dead_lettered,
    exactly_once,
    none_lost,
    notes,
    told_when_storage_refuses,
    vacuous,
)
from holdfast_suites.requirements import UNCHANGED_BODIES, effect_shown, hop_named, limit_declared, outbox_named

REPLAYS = (DUPLICATE_SUBMISSION, DUPLICATE_DELIVERY, CONCURRENT_DELIVERY, DEAD_LETTERED)
"""What SF-5 counts as a replay: sent again, delivered again, delivered at once, redriven."""


@clause(
    "SF-1",
    Family.PERSISTENCE,
    needs=[COMPUTE_DEAD],
    under_load=under_load.none_lost(under_load.compute_dead, "every worker was throttled to zero"),
)
def test_sf_1(campaign: Campaign) -> Holds:
    """With all compute dead, every acknowledged request survives and takes effect after healing."""
    evidence = campaign.evidence(COMPUTE_DEAD)
    return none_lost(
        campaign, evidence, holds="all {count} requests acknowledged while compute was dead took effect after"
    )


@clause("SF-2", Family.PERSISTENCE, needs=[STEADY, STORAGE_DENIED], under_load=under_load.told_when_storage_refuses)
def test_sf_2(campaign: Campaign) -> Holds:
    """Nothing is acknowledged that was not stored."""
    return told_when_storage_refuses(campaign)


@clause("SF-3", Family.RECOVERY, needs=[STEADY, COMPUTE_DEAD], under_load=under_load.acknowledged_without_waiting)
def test_sf_3(campaign: Campaign) -> Holds:
    """The acknowledgement does not wait for processing."""
    calm, faulted = campaign.evidence(STEADY), campaign.evidence(COMPUTE_DEAD)
    bounds = campaign.bounds
    usual = recovery.acknowledgement_latency(calm.history)
    dead = recovery.acknowledgement_latency(faulted.history)
    findings = [
        *recovery.waiting_acknowledgements(
            calm.history,
            faulted.history,
            ratio=bounds.acknowledgement_ratio,
            floor_seconds=bounds.acknowledgement_floor_seconds,
        ),
        *withheld(calm=calm.history, faulted=faulted.history, fault="while processing was dead"),
    ]
    return conclude_on(
        findings,
        calm,
        faulted,
        holds=f"acknowledged in p99 {dead.p99 * 1000:.0f} ms with processing dead, {usual.p99 * 1000:.0f} ms without",
    )


@clause("SF-4", Family.PERSISTENCE, needs=[GENERATED_PAYLOADS], requires=[UNCHANGED_BODIES, effect_shown])
def test_sf_4(campaign: Campaign) -> Holds:
    """What is stored equals what was sent, byte for byte, for every payload the API admits."""
    effect = campaign.pattern.effect
    compare = compared(campaign, effect)
    evidence = campaign.evidence(GENERATED_PAYLOADS)
    admitted = evidence.history
    stored = campaign.pattern.stored or f"store:{campaign.pattern.store}"
    findings = sorted(
        [
            *persistence.altered(admitted, effect=effect, compare=compare),
            *persistence.altered(admitted, effect=stored, compare="body"),
            *persistence.acknowledged_and_lost(admitted, effect=effect),
            *accepted_over_limit(admitted, limit_bytes=campaign.bounds.max_body_bytes),
        ],
        key=lambda finding: min(
            (len(one.body or "") for one in admitted.operations if one.key == finding.key), default=0
        ),
    )
    return conclude_on(
        findings[:5],
        evidence,
        bite=False,
        undecided=persistence.undecided(admitted, effect=effect, compare=compare),
        holds=f"{acknowledged(admitted)} generated payloads came out as they went in"
        + (", one at the size limit included" if acknowledged(admitted.role("at the limit")) else ""),
    )


@clause(
    "SF-5",
    Family.IDEMPOTENCY,
    needs=[DUPLICATE_SUBMISSION, DUPLICATE_DELIVERY, CONCURRENT_DELIVERY, DEAD_LETTERED],
    under_load=under_load.exactly_once(under_load.repeated, "deliveries were repeated"),
)
def test_sf_5(campaign: Campaign) -> Holds:
    """Replay (archive, redrive, re-publish) adds no second effect."""
    return exactly_once(campaign, *(campaign.evidence(replay) for replay in REPLAYS))


@clause("SF-6", Family.PERSISTENCE, needs=[CRASH_SWEEP], requires=[outbox_named])
def test_sf_6(campaign: Campaign) -> Holds:
    """Outbox: business row and outgoing message exist both or neither, and the message is delivered at least once."""
    row, message = campaign.pattern.row, campaign.pattern.message
    assert row is not None
    assert message is not None
    evidence = campaign.evidence(CRASH_SWEEP)
    return conclude_on(
        [
            *outbox.matched(evidence.history, row=row, message=message),
            *persistence.acknowledged_and_lost(evidence.history, effect=message),
        ],
        evidence,
        undecided=outbox.undecided(evidence.history, row=row, message=message),
        holds=f"after a crash at each of {len(evidence.points)} fault points rows and messages match one to one",
        evidence=[f"crashed {point}: {key}" for key, point in evidence.points],
    )


@clause("SF-7", Family.EVENTUAL, needs=[ORDERED_GROUPS])
def test_sf_7(campaign: Campaign) -> Holds:
    """Where order is promised, effects of one group follow submission order."""
    evidence = campaign.evidence(ORDERED_GROUPS)
    effect = campaign.pattern.effect
    groups = {operation.group for operation in evidence.history.operations}
    return conclude_on(
        [
            *ordering.order_kept(evidence.history, effect=effect),
            *persistence.acknowledged_and_lost(evidence.history, effect=effect),
        ],
        evidence,
        undecided=ordering.undecided(evidence.history, effect=effect),
        holds=f"{acknowledged(evidence.history)} effects of {len(groups)} groups are in order, retries included",
    )


@clause("SF-8", Family.RECOVERY, needs=[BURST], requires=[limit_declared], under_load=under_load.levelled)
def test_sf_8(campaign: Campaign) -> Holds:
    """A burst is levelled: downstream concurrency stays within its limit, the backlog drains, nothing is lost."""
    limit = campaign.bounds.worker_concurrency
    assert limit is not None
    evidence = campaign.evidence(BURST)
    effect = campaign.pattern.effect
    seen = {name: value for name, value in evidence.figures.items() if name.startswith("concurrency_")}
    bound = campaign.bounds.drain_seconds
    healed = max((window.ended_seconds for window in evidence.windows), default=0.0)
    return conclude_on(
        [
            *over_limit(seen, limit=limit),
            *persistence.acknowledged_and_lost(evidence.history, effect=effect),
            *persistence.late(evidence.history, effect=effect, bound_seconds=bound, since_seconds=healed),
        ],
        evidence,
        undecided=persistence.undecided(evidence.history, effect=effect, bound_seconds=bound, since_seconds=healed),
        holds=f"a burst of {acknowledged(evidence.history)} was worked off by at most {limit} workers at once",
    )


@clause("SF-9", Family.STATIC, requires=[hop_named])
def test_sf_9(campaign: Campaign) -> Holds:
    """Stored requests outlive the declared longest outage: retention, event age, archive, DLQ on every hop."""
    configuration = campaign.configuration
    outage = campaign.bounds.longest_outage_seconds
    return conclude(
        outlives_outage(configuration, outage),
        holds=f"every hop keeps requests longer than {outage:g} s and has somewhere to put what fails",
    )


@clause("SF-10", Family.RECOVERY, needs=[DEAD_LETTERED], also=[POISON])
def test_sf_10(campaign: Campaign) -> Holds:
    """Every hop that can drop has a dead-letter target, and what is dropped arrives there."""
    too_late = dead_lettered_in_time(campaign.configuration)
    if too_late:
        return conclude(too_late, holds="")
    failed = campaign.evidence(DEAD_LETTERED)
    evidence, findings = [failed], [*dead_lettered(failed, "dead-lettered")]
    if campaign.stack.descriptor.impossible:
        poison = campaign.evidence(POISON)
        evidence.append(poison)
        findings += dead_lettered(poison, "poison")
    return conclude(
        findings,
        bite=failed.windows,
        evidence=notes(*evidence),
        undecided=[
            *(gap for one in evidence for gap in (*one.undecided, *vacuous(one.history))),
            *idempotency.undecided(failed.history, effect=campaign.pattern.effect),
        ],
        holds=f"{sum(len(one.dead_letters) for one in evidence)} requests that failed for good at the last hop "
        f"({campaign.pattern.workers[-1]}) are dead letters, with their originals",
    )
