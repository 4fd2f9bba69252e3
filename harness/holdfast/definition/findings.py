"""What the analysis of a definition reports: anomalies with their place, their witness, and a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from holdfast.definition.steps import Step
from holdfast.verdict.model import Verdict


class FindingKind(StrEnum):
    """The kinds of anomalies of SG-14; the text is what the linter prints."""

    MISSING_TIMEOUT = "missing timeout"
    MISSING_CATCHER = "missing catch-all"
    UNCOMPENSATED = "uncompensated step"
    ORPHANED = "own effect orphaned"
    NO_COMPENSATION = "step without compensation"
    GOES_ON = "goes on without the step"
    OUT_OF_ORDER = "compensations out of order"
    AFTER_PIVOT = "compensation after the pivot"
    MISORDERED_CATCHERS = "misordered catchers"
    MISORDERED_RETRIERS = "misordered retriers"
    RETRIED_NOT_IDEMPOTENT = "retry of a non-idempotent step"
    COMPENSATION_NOT_RETRIED = "compensation not retried"
    COMPENSATION_NOT_CAUGHT = "compensation not caught"
    COMPENSATION_NOT_TOLD = "failed compensation not told"
    COMPENSATION_ENDLESS = "compensation tried for ever"
    STEP_NOT_RETRIED = "step after the pivot not retried"
    STEP_NOT_TOLD = "failed step after the pivot not told"
    STEP_ENDLESS = "step after the pivot tried for ever"
    EXPRESS_NOT_IDEMPOTENT = "Express with a non-idempotent step"
    EXPRESS_TOO_LONG = "Express may take too long"
    MACHINE_TOO_LONG = "machine may time out"
    UNKNOWN_MACHINE = "nested machine not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One anomaly of a definition.

    Attributes:
        kind: what it is.
        verdict: violated, or inconclusive where the definition alone cannot tell.
        state: id of the state it is about; empty for the machine.
        file: the file of that state.
        line: the line to look at.
        steps: the steps that stay in effect, or that it is about.
        witness: the shortest way from the failing state to the end that shows it, ids of states; empty where none is
            needed.
        sentence: what is wrong, in one sentence.
        remedy: what to change.
    """

    kind: FindingKind
    verdict: Verdict
    state: str
    file: str
    line: int
    sentence: str
    remedy: str
    steps: tuple[str, ...] = ()
    witness: tuple[str, ...] = ()


def listed(names: Iterable[str]) -> str:
    """Names as a sentence has them; ``nothing`` where there are none."""
    *most, last = list(names) or ["nothing"]
    return f"{', '.join(most)} and {last}" if most else last


def verdict_about(steps: Iterable[Step], *, sure: bool = True) -> Verdict:
    """Violated only where all the steps are known for certain, and the rest is sure.

    Args:
        steps: those that the finding is about.
        sure: whether nothing else makes it doubtful.
    """
    return Verdict.VIOLATED if sure and all(step.certain for step in steps) else Verdict.INCONCLUSIVE
