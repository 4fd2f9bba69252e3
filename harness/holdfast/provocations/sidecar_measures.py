"""What the provocations of a sidecar measured, for its clauses and for the scorecard."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.checkers.durations import Distribution
from holdfast.checkers.sidecar_answers import degraded_share
from holdfast.checkers.sidecar_bounds import first_success_seconds
from holdfast.history.exchanges import Exchange
from holdfast.provocations.model import Evidence
from holdfast.provocations.sidecar_cost import COST_ROLE
from holdfast.provocations.sidecar_disturbed import FAULT_ROLE
from holdfast.provocations.sidecar_stage import LIVENESS, RECOVERY_ROLE
from holdfast.stack.patterns import SidecarPattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a sidecar costs.

    Attributes:
        through: latency of commands, which need the sidecar.
        without: latency of the same application's answers that do not need it.
        rss_bytes: largest resident memory of the sidecar meanwhile; 0 when it could not be measured.
    """

    through: Distribution
    without: Distribution
    rss_bytes: int

    @property
    def added_seconds(self) -> tuple[float, float]:
        """What it adds to the median and to the 99th percentile of an answer."""
        return self.through.p50 - self.without.p50, self.through.p99 - self.without.p99


def latency(exchanges: Iterable[Exchange]) -> Distribution:
    """Latency of the answers, whatever they say."""
    return Distribution.of(one.seconds for one in exchanges if one.answered)


def cost(pattern: SidecarPattern, evidence: Evidence) -> Cost:
    """What the sidecar cost in the provocation that measures it."""
    return Cost(
        through=latency(one for one in evidence.asked(pattern.command, role=COST_ROLE) if one.succeeded),
        without=latency(evidence.asked(LIVENESS, role=COST_ROLE)),
        rss_bytes=int(evidence.figures.get("sidecar_rss_bytes", 0)),
    )


def back_seconds(pattern: SidecarPattern, evidence: Evidence) -> float:
    """When the sidecar was ready again."""
    return max((one.at_seconds for one in evidence.lives(pattern.sidecar)), default=0.0)


def recovery_seconds(pattern: SidecarPattern, evidence: Evidence) -> float | None:
    """From the sidecar being back to the first acknowledgement; None when there was none."""
    since_seconds = back_seconds(pattern, evidence)
    return first_success_seconds(evidence.history.role(RECOVERY_ROLE), since_seconds=since_seconds)


def degraded_answer_rate(pattern: SidecarPattern, *evidences: Evidence) -> float:
    """Which part of the application's reads under a fault said of themselves that they are degraded."""
    reads = () if pattern.read is None else (pattern.read,)
    return degraded_share(one for each in evidences for port in reads for one in each.asked(port, role=FAULT_ROLE))


def measures(pattern: SidecarPattern, *, costs: Iterable[Evidence], faults: Iterable[Evidence]) -> dict[str, float]:
    """Figures for the scorecard by name.

    Args:
        pattern: the pattern under test.
        costs: the provocation that measures what the sidecar costs, where it was run.
        faults: those in which the sidecar was dead or hung, where they were run.
    """
    found: dict[str, float] = {}
    for evidence in costs:
        measured = cost(pattern, evidence)
        p50, p99 = measured.added_seconds
        found |= {
            "sidecar_added_p50_seconds": p50,
            "sidecar_added_p99_seconds": p99,
            "sidecar_rss_bytes": measured.rss_bytes,
        }
    broken = list(faults)
    recoveries = [seconds for one in broken if (seconds := recovery_seconds(pattern, one)) is not None]
    if recoveries:
        found["sidecar_recovery_max_seconds"] = max(recoveries)
    if broken:
        found["degraded_answer_rate"] = degraded_answer_rate(pattern, *broken)
    return found
