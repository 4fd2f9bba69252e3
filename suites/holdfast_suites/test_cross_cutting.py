"""Clauses that every stack owes, whatever its pattern."""

from __future__ import annotations

from holdfast.campaign import Campaign
from holdfast.checkers import recovery
from holdfast.checkers.configuration import functions_bounded
from holdfast.clause import Holds, clause, conclude
from holdfast.provocations.deliveries import FAILED_DELIVERIES
from holdfast.provocations.faults import requirements_of
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import Situation, unmet
from holdfast.provocations.sidecar_disturbed import SIDECAR_DEAD
from holdfast.provocations.sidecar_store import STORE_OUTAGE
from holdfast.provocations.steady import AFTERMATH, STEADY
from holdfast.provocations.windows import COMPUTE_DEAD
from holdfast.stack.patterns import Pattern, SidecarPattern
from holdfast.verdict import Family
from holdfast_suites import under_load
from holdfast_suites.judging import vacuous
from holdfast_suites.requirements import LIMIT_DEPLOYED, function_named

LATENCY_RATIO = 3.0
"""How many times the median acknowledgement latency of before still counts as the same."""


def _faults(pattern: Pattern) -> tuple[Provocation, ...]:
    """What takes something of the stack away and gives it back; the first that can be provoked counts."""
    return (SIDECAR_DEAD, STORE_OUTAGE) if isinstance(pattern, SidecarPattern) else (COMPUTE_DEAD,)


def fault_possible(situation: Situation) -> str:
    """Something of the stack must have been taken away and given back."""
    missing = [unmet(requirements_of(one), situation) for one in _faults(situation.pattern)]
    return "" if not all(missing) else "; ".join(missing[0])


@clause(
    "XX-1",
    Family.RECOVERY,
    needs=[STEADY, AFTERMATH],
    also=[COMPUTE_DEAD, SIDECAR_DEAD, STORE_OUTAGE, FAILED_DELIVERIES],
    provoked_if=[fault_possible],
    under_load=under_load.steady_again,
)
def test_xx_1(campaign: Campaign) -> Holds:
    """After every fault is healed, the stack returns to its steady state within its bound."""
    before, after = campaign.evidence(STEADY), campaign.evidence(AFTERMATH)
    faults = _faults(campaign.pattern)
    broken = campaign.evidence(next((one for one in faults if campaign.has(one)), faults[0]))
    effect = campaign.pattern.effect
    if before.sample is None or after.sample is None:
        return conclude((), holds="", undecided=("the steady state was not measured",))
    floor = campaign.bounds.acknowledgement_floor_seconds
    findings = [
        *recovery.steady(before.sample, after.sample, latency_ratio=LATENCY_RATIO, latency_floor_seconds=floor),
        *recovery.neighbours(after.history, effect=effect, bound_seconds=campaign.bounds.recovery_seconds),
    ]
    return conclude(
        findings,
        holds=f"success rate {after.sample.success_rate:.0%}, median acknowledgement "
        f"{after.sample.latency_p50_seconds * 1000:.0f} ms (was {before.sample.latency_p50_seconds * 1000:.0f} ms), "
        f"queues empty, no stray dead letters",
        bite=broken.windows,
        undecided=(
            *before.undecided,
            *after.undecided,
            *vacuous(before.history, "command before the faults"),
            *vacuous(after.history, "command after them"),
        ),
    )


@clause("XX-2", Family.STATIC, requires=[function_named], leaves_open=[LIMIT_DEPLOYED])
def test_xx_2(campaign: Campaign) -> Holds:
    """Functions have timeouts, failure destinations on asynchronous paths, and a bound where a limit is declared."""
    configuration = campaign.configuration
    limit = campaign.bounds.worker_concurrency
    findings = functions_bounded(
        configuration,
        workers=campaign.pattern.workers,
        worker_concurrency=None if LIMIT_DEPLOYED(campaign.situation) else limit,
    )
    return conclude(
        findings,
        holds=f"so configured: {', '.join(function.component for function in configuration.functions)}",
    )
