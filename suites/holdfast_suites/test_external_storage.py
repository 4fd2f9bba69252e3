"""External Storage: requests stored first in DynamoDB, S3 or SQS, worked off later, the original kept for retry."""

from __future__ import annotations

from holdfast.campaign import Campaign
from holdfast.checkers import idempotency, originals, persistence, reads, recovery, status
from holdfast.checkers.acknowledgement import withheld
from holdfast.checkers.configuration import queue_processing
from holdfast.clause import Holds, clause, conclude
from holdfast.errors import Inconclusive
from holdfast.history import History, Outcome
from holdfast.provocations.crashes import CRASH_SWEEP
from holdfast.provocations.deliveries import DEAD_LETTERED, DUPLICATE_DELIVERY, FAILED_DELIVERIES, POISON
from holdfast.provocations.duplicates import (
    CONCURRENT_DELIVERY,
    CONCURRENT_SUBMISSION,
    CONFLICTING_SUBMISSION,
    DUPLICATE_SUBMISSION,
)
from holdfast.provocations.malformed import MALFORMED
from holdfast.provocations.requirements import original_seen
from holdfast.provocations.steady import READ_AFTER_ACK, STEADY
from holdfast.provocations.windows import COMPUTE_DEAD, FULL_BATCH, STORAGE_DENIED
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
    original,
    shows,
    told_when_storage_refuses,
    vacuous,
)
from holdfast_suites.requirements import (
    effect_shown,
    queue_polled,
    status_named,
    stored_object_named,
    strong_reads_promised,
)

ASKED_FOR_TOO = (
    POISON,
    FAILED_DELIVERIES,
    DEAD_LETTERED,
    DUPLICATE_SUBMISSION,
    DUPLICATE_DELIVERY,
    COMPUTE_DEAD,
)
"""The provocations after which ES-12 asks for the status, beside the undisturbed commands."""


@clause(
    "ES-1",
    Family.PERSISTENCE,
    needs=[COMPUTE_DEAD],
    under_load=under_load.none_lost(under_load.compute_dead, "every worker was throttled to zero"),
)
def test_es_1(campaign: Campaign) -> Holds:
    """An acknowledged request is durable: it reaches its effect even if no compute was alive at the time."""
    evidence = campaign.evidence(COMPUTE_DEAD)
    return none_lost(
        campaign, evidence, holds="all {count} requests acknowledged with every worker dead took effect after"
    )


@clause("ES-2", Family.RECOVERY, needs=[FAILED_DELIVERIES], requires=[original_seen])
def test_es_2(campaign: Campaign) -> Holds:
    """While processing fails, the original request stays stored and unmodified."""
    evidence = campaign.evidence(FAILED_DELIVERIES)
    port = campaign.pattern.stored or f"store:{campaign.pattern.store}"
    compare = original(campaign)
    effect = campaign.pattern.effect
    seen = originals.observed_originals(evidence.history, port=port)
    findings = [
        *originals.missing_originals(evidence.history, port=port),
        *persistence.altered(evidence.history, effect=port, compare=compare),
    ]
    shown = shows(campaign, effect)
    if shown is not None:
        findings += persistence.altered(evidence.history, effect=effect, compare=shown)
    return conclude_on(
        findings,
        evidence,
        undecided=() if seen else (f"no original was seen in {port} while processing failed",),
        holds=f"{seen} originals were in {port}, equal to what was sent, while their processing failed",
    )


@clause(
    "ES-3",
    Family.RECOVERY,
    needs=[FAILED_DELIVERIES],
    under_load=under_load.none_lost(under_load.processing_broken, "processing failed"),
)
def test_es_3(campaign: Campaign) -> Holds:
    """A transient failure ends in the effect, without an operator."""
    evidence = campaign.evidence(FAILED_DELIVERIES)
    return none_lost(
        campaign, evidence, holds="all {count} requests took effect after their first deliveries had failed"
    )


@clause("ES-4", Family.RECOVERY, needs=[POISON])
def test_es_4(campaign: Campaign) -> Holds:
    """A request that can never succeed ends in the dead-letter store with its original body, neighbours not held up."""
    evidence = campaign.evidence(POISON)
    effect = campaign.pattern.effect
    healthy, poison = evidence.history.role("healthy"), evidence.history.role("poison")
    bound = campaign.bounds.effect_seconds
    return conclude_on(
        [
            *dead_lettered(evidence, "poison"),
            *recovery.neighbours(healthy, effect=effect, bound_seconds=bound),
        ],
        evidence,
        bite=False,
        undecided=(
            *persistence.undecided(healthy, effect=effect, bound_seconds=bound),
            *vacuous(healthy, "healthy request"),
        ),
        holds=f"{acknowledged(poison)} impossible requests were dead-lettered with their originals, and "
        f"{acknowledged(healthy)} healthy ones beside them took effect once within {bound:g} s",
    )


@clause(
    "ES-5",
    Family.IDEMPOTENCY,
    needs=[DUPLICATE_SUBMISSION, DUPLICATE_DELIVERY],
    under_load=under_load.exactly_once(under_load.repeated, "deliveries were repeated"),
)
def test_es_5(campaign: Campaign) -> Holds:
    """A request delivered or submitted again with the same idempotency key takes effect once."""
    return exactly_once(campaign, campaign.evidence(DUPLICATE_SUBMISSION), campaign.evidence(DUPLICATE_DELIVERY))


@clause("ES-6", Family.IDEMPOTENCY, needs=[CONCURRENT_SUBMISSION, CONCURRENT_DELIVERY])
def test_es_6(campaign: Campaign) -> Holds:
    """The same holds when the duplicates run at the same moment."""
    return exactly_once(campaign, campaign.evidence(CONCURRENT_SUBMISSION), campaign.evidence(CONCURRENT_DELIVERY))


@clause("ES-7", Family.IDEMPOTENCY, needs=[CONFLICTING_SUBMISSION], requires=[effect_shown])
def test_es_7(campaign: Campaign) -> Holds:
    """The same key with a different payload is refused, or the first payload stands; never a mixture."""
    evidence = campaign.evidence(CONFLICTING_SUBMISSION)
    effect = campaign.pattern.effect
    compare = compared(campaign, effect)
    idempotent = campaign.stack.descriptor.commands[campaign.pattern.command].idempotency
    conflict = idempotent.conflict if idempotent is not None else "either"
    in_turn, at_once = evidence.history.role("first", "conflicting"), evidence.history.role("conflicting at once")
    # Sent one after another, the first payload is known; at one moment, either may be it.
    in_turn_conflict = "first-wins" if conflict == "either" else conflict
    return conclude_on(
        [
            *idempotency.mixture(in_turn, effect=effect, compare=compare, conflict=in_turn_conflict),
            *idempotency.mixture(at_once, effect=effect, compare=compare, conflict=conflict),
            *idempotency.duplicated(evidence.history, effect=effect),
        ],
        evidence,
        bite=False,
        undecided=idempotency.undecided(evidence.history, effect=effect, compare=compare),
        holds=f"for each of {len(evidence.submissions)} keys with two payloads exactly one stands, whole ({conflict})",
    )


@clause("ES-8", Family.RECOVERY, needs=[FULL_BATCH])
def test_es_8(campaign: Campaign) -> Holds:
    """In a batch, one failing record neither loses nor repeats its neighbours."""
    evidence = campaign.evidence(FULL_BATCH)
    effect = campaign.pattern.effect
    healthy = evidence.history.role("healthy")
    poison = evidence.history.role("poison")
    return conclude_on(
        idempotency.exactly_once(healthy, effect=effect),
        evidence,
        undecided=[
            *idempotency.undecided(healthy, effect=effect),
            *vacuous(healthy, "healthy request"),
            *vacuous(poison, "impossible request"),
        ],
        holds=f"{acknowledged(healthy)} neighbours of a failing record took effect once each",
    )


@clause("ES-9", Family.RECOVERY, needs=[DEAD_LETTERED])
def test_es_9(campaign: Campaign) -> Holds:
    """What was dead-lettered can be redriven into its effect once the fault is gone."""
    evidence = campaign.evidence(DEAD_LETTERED)
    effect = campaign.pattern.effect
    redriven = evidence.figures.get("redriven", 0)
    return conclude_on(
        idempotency.exactly_once(evidence.history, effect=effect) if redriven else (),
        evidence,
        undecided=[
            *idempotency.undecided(evidence.history, effect=effect),
            *(() if redriven else ("nothing was dead-lettered that could be redriven",)),
        ],
        holds=f"{redriven:g} redriven requests took effect once each",
    )


@clause("ES-10", Family.EVENTUAL, needs=[READ_AFTER_ACK], requires=[strong_reads_promised])
def test_es_10(campaign: Campaign) -> Holds:
    """Where the descriptor promises strong reads, a read that starts after the ack returns the write."""
    port = campaign.pattern.read
    assert port is not None
    evidence = campaign.evidence(READ_AFTER_ACK)
    return conclude_on(
        reads.stale_reads(evidence.history, port=port),
        evidence,
        bite=False,
        undecided=reads.unread(evidence.history, port=port),
        holds=f"{acknowledged(evidence.history)} reads right after the acknowledgement returned the write",
    )


@clause("ES-11", Family.PERSISTENCE, needs=[STEADY, STORAGE_DENIED], under_load=under_load.told_when_storage_refuses)
def test_es_11(campaign: Campaign) -> Holds:
    """When storage refuses or throttles, the client is told so; nothing is acknowledged that was not stored."""
    return told_when_storage_refuses(campaign)


@clause(
    "ES-12",
    Family.EVENTUAL,
    needs=[STEADY],
    also=ASKED_FOR_TOO,
    requires=[status_named],
    under_load=under_load.status_agrees,
)
def test_es_12(campaign: Campaign) -> Holds:
    """A status that can be asked for reaches a terminal state that agrees with the effect."""
    name = campaign.pattern.status
    assert name is not None
    found = campaign.stack.descriptor.statuses[name]
    gathered, missing = [], []
    for provocation in (STEADY, *ASKED_FOR_TOO):
        try:
            evidence = campaign.evidence(provocation)
            if provocation is DEAD_LETTERED and "redriven" not in evidence.figures:
                missing.append("what was dead-lettered was not redriven, so its status need not be terminal")
            else:
                gathered.append(evidence)
        except Inconclusive as reason:
            missing.append(f"{provocation.name}: {reason}")
    history = sum((evidence.history for evidence in gathered), History())
    effect = campaign.pattern.effect
    return conclude(
        [
            *status.agrees(
                history, status=name, effect=effect, done=found.done, failed=found.failed, pending=found.pending
            ),
            *status.premature(history, status=name, effect=effect, done=found.done),
        ],
        holds=f"the status of {acknowledged(history)} requests is terminal and agrees with their effects",
        undecided=[
            *status.undecided(history, status=name, effect=effect, done=found.done),
            *(gap for evidence in gathered for gap in evidence.undecided),
            *vacuous(history),
        ],
        evidence=(*missing, *notes(*gathered)),
    )


@clause("ES-13", Family.PERSISTENCE, needs=[FAILED_DELIVERIES], requires=[stored_object_named])
def test_es_13(campaign: Campaign) -> Holds:
    """A file uploaded by presigned URL restarts its processing from the stored object after any step fails."""
    port = campaign.pattern.stored
    assert port is not None
    evidence = campaign.evidence(FAILED_DELIVERIES)
    effect = campaign.pattern.effect
    return conclude_on(
        [
            *persistence.acknowledged_and_lost(evidence.history, effect=effect),
            *persistence.acknowledged_and_lost(evidence.history, effect=port),
            *persistence.altered(evidence.history, effect=port, compare=original(campaign)),
        ],
        evidence,
        undecided=persistence.undecided(evidence.history, effect=effect),
        holds=f"{acknowledged(evidence.history)} uploads were processed from their unmodified objects after failures",
    )


@clause("ES-14", Family.STATIC, requires=[queue_polled])
def test_es_14(campaign: Campaign) -> Holds:
    """Redrive policy, DLQ retention ≥ source, visibility ≥ 6 function timeouts, ReportBatchItemFailures for batches."""
    configuration = campaign.configuration
    polled = [
        function.component
        for function in configuration.functions
        if function.component in campaign.pattern.workers
        and any(configuration.queue(mapping.source_arn) is not None for mapping in function.mappings)
    ]
    findings = queue_processing(configuration, campaign.pattern.workers)
    return conclude(
        findings,
        holds=f"so configured: {', '.join([queue.component for queue in configuration.queues] + polled)}",
    )


@clause("ES-15", Family.IDEMPOTENCY, needs=[CRASH_SWEEP])
def test_es_15(campaign: Campaign) -> Holds:
    """A crash between effect and idempotency record neither repeats the effect nor blocks its retry past the expiry."""
    evidence = campaign.evidence(CRASH_SWEEP)
    effect = campaign.pattern.effect
    expiry = campaign.bounds.in_progress_expiry_seconds
    return conclude_on(
        [
            *idempotency.exactly_once(evidence.history, effect=effect),
            *persistence.late(evidence.history, effect=effect, bound_seconds=expiry),
        ],
        evidence,
        undecided=idempotency.undecided(evidence.history, effect=effect),
        holds=f"a crash at each of {len(evidence.points)} fault points left exactly one effect within {expiry:g} s",
        evidence=[f"crashed {point}: {key}" for key, point in evidence.points],
    )


@clause("ES-16", Family.RECOVERY, needs=[MALFORMED])
def test_es_16(campaign: Campaign) -> Holds:
    """A malformed or failing request changes no other request's state."""
    evidence = campaign.evidence(MALFORMED)
    effect = campaign.pattern.effect
    healthy = evidence.history.role("undisturbed", "healthy")
    beside = evidence.history.role("healthy")
    refused = History(tuple(one for one in beside.operations if one.outcome is Outcome.FAIL))
    findings = [
        *idempotency.exactly_once(healthy, effect=effect),
        *persistence.phantoms(evidence.history, effect=effect),
        *withheld(calm=evidence.history.role("undisturbed"), faulted=refused, fault="after malformed ones"),
    ]
    shown = shows(campaign, effect)
    if shown is not None:
        findings += persistence.altered(healthy, effect=effect, compare=shown)
    name = campaign.pattern.status
    if name is not None:
        found = campaign.stack.descriptor.statuses[name]
        findings += status.agrees(
            healthy, status=name, effect=effect, done=found.done, failed=found.failed, pending=found.pending
        )
    bad = len(evidence.history.operations) - len(healthy.operations)
    return conclude_on(
        findings,
        evidence,
        bite=False,
        undecided=(*idempotency.undecided(healthy, effect=effect), *vacuous(healthy, "healthy request")),
        holds=f"{bad} malformed and failing requests changed nothing of {acknowledged(healthy)} healthy ones",
    )
