"""Three-valued verdicts, findings with their smallest witness, and the report of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from holdfast.history.model import FaultWindow, Observation, Operation


class Verdict(StrEnum):
    """What is known about a clause. Merging keeps the worst: violated > inconclusive > holds."""

    HOLDS = "holds"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    WAIVED = "waived"


def merge(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several verdicts: violated > inconclusive > holds.

    Waived ones say nothing about the others; all waived is waived. No verdict at all is inconclusive, never a pass.
    """
    given = set(verdicts)
    for verdict in (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS, Verdict.WAIVED):
        if verdict in given:
            return verdict
    return Verdict.INCONCLUSIVE


class Family(StrEnum):
    """What kind of promise a clause makes."""

    PERSISTENCE = "P"
    IDEMPOTENCY = "I"
    COMPENSATION = "C"
    EVENTUAL = "E"
    RECOVERY = "R"
    STATIC = "S"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One counterexample.

    Attributes:
        title: the kind of anomaly, e.g. ``acknowledged and lost``.
        sentence: one sentence that explains it with its figures.
        key: the key it concerns; empty for configuration.
        witness: the events that prove it, in time order, no more than needed.
    """

    title: str
    sentence: str
    key: str = ""
    witness: tuple[Operation | Observation | FaultWindow, ...] = ()


def smallest(findings: Iterable[Finding]) -> Finding | None:
    """The finding with the shortest witness; the first of equals."""
    return min(findings, key=lambda finding: len(finding.witness), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClauseVerdict:
    """The verdict of one clause of one stack.

    Attributes:
        id: the clause, e.g. ``SF-1``.
        family: the family of the clause.
        verdict: what is known.
        reason: one sentence: why it holds, what violates it, or why it cannot be decided.
        evidence: the proof of bite and the figures measured, a line each.
        findings: the counterexamples, smallest witness first; empty unless violated.
        seconds: wall time spent on deciding it.
        text: the clause's normative sentence; empty where it is not at hand.
    """

    id: str
    family: Family
    verdict: Verdict
    reason: str
    evidence: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackReport:
    """All verdicts of one stack on one target.

    Attributes:
        stack: the stack's name.
        descriptor: path of the descriptor.
        target: kind of the target.
        clauses: one verdict per clause.
        seed: seed of the generated values.
        seconds: wall time of the whole verification.
        measures: figures for the scorecard by name; the name carries the unit.
        complete: whether every clause that was asked for has its verdict; not so when the run was interrupted.
        run: the folder of what is kept of the run; empty where nothing is.
    """

    stack: str
    descriptor: str
    target: str
    clauses: tuple[ClauseVerdict, ...]
    seed: int
    seconds: float
    measures: dict[str, float]
    complete: bool = True
    run: str = ""
