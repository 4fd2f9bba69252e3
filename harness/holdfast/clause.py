"""Clauses as functions: what each needs, and how its check becomes a three-valued verdict.

A clause function takes a `Campaign`, judges its evidence with pure checkers and ends with `conclude`. Its docstring is
the clause. It is a plain pytest test as well; the plugin turns its verdict into passed, failed or skipped.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.errors import HoldfastError, Inconclusive
from holdfast.history.model import FaultWindow
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import Requirement, unmet
from holdfast.stack.descriptor import MetBy
from holdfast.verdict.model import ClauseVerdict, Family, Finding, Verdict

if TYPE_CHECKING:
    from holdfast.campaign import Campaign
    from holdfast.provocations.requirements import Situation
    from holdfast.stack.resolve import Stack
    from holdfast.under_load import LoadEvidence

ClauseFunction = Callable[["Campaign"], "Holds"]
LoadCheck = Callable[["LoadEvidence"], "Holds"]


class Judged(Protocol):
    """What a clause is decided on: the campaign of a verification, or the evidence of a load run."""

    @property
    def stack(self) -> Stack:
        """The resolved stack."""

    @property
    def situation(self) -> Situation:
        """What requirements are asked about."""

    def dead_letter_keys(self) -> frozenset[str]:
        """The keys that were among the pattern's dead letters at the end."""

    def starved(self, key: str) -> bool:
        """Whether an invocation for a key ran out of time because the machine of the target was too busy to run it."""


@dataclass(frozen=True, slots=True)
class Holds:
    """Why a clause holds, with the proof that its provocation bit and the figures measured."""

    reason: str
    evidence: tuple[str, ...] = ()


class Violated(Exception):  # noqa: N818 - a verdict, not an error
    """A clause is violated; the findings are the counterexamples, smallest witness first.

    Attributes:
        otherwise: what the verdict is should the findings turn out to be none.
    """

    def __init__(self, findings: tuple[Finding, ...], evidence: tuple[str, ...], otherwise: Holds | Undecided) -> None:
        super().__init__(findings[0].sentence)
        self.findings = findings
        self.otherwise = otherwise
        self.evidence = evidence


class Undecided(Inconclusive):
    """Inconclusive with the evidence that was gathered nevertheless."""

    def __init__(self, reason: str, evidence: tuple[str, ...]) -> None:
        super().__init__(reason)
        self.evidence = evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """One clause of a pattern.

    Attributes:
        id: e.g. ``SF-1``.
        family: what kind of promise it makes.
        text: the normative sentence.
        needs: the provocations whose evidence it cannot be decided without.
        also: further provocations whose evidence it judges where they can be run.
        requires: what must be so for it to be decided at all, beside what its provocations require.
        provoked_if: what must be so for a verification to provoke it; a load run has faults of its own.
        leaves_open: what must be so for it to hold; without it, nothing is decided but violations.
        function: the check.
        under_load: its check on the evidence of a load run; None where that does not decide it.
    """

    id: str
    family: Family
    text: str
    needs: tuple[Provocation, ...]
    function: ClauseFunction
    also: tuple[Provocation, ...] = ()
    requires: tuple[Requirement, ...] = ()
    provoked_if: tuple[Requirement, ...] = ()
    leaves_open: tuple[Requirement, ...] = ()
    under_load: LoadCheck | None = None


def clause(
    id: str,  # noqa: A002 - a clause's id is called id everywhere
    family: Family,
    *,
    needs: Sequence[Provocation] = (),
    also: Sequence[Provocation] = (),
    requires: Sequence[Requirement] = (),
    provoked_if: Sequence[Requirement] = (),
    leaves_open: Sequence[Requirement] = (),
    under_load: LoadCheck | None = None,
) -> Callable[[ClauseFunction], ClauseFunction]:
    """Declare a test function as the check of one clause; its docstring is the clause."""

    def declare(function: ClauseFunction) -> ClauseFunction:
        text = " ".join((function.__doc__ or "").split())
        function.__dict__["holdfast_clause"] = Clause(
            id=id,
            family=family,
            text=text,
            needs=tuple(needs),
            function=function,
            also=tuple(also),
            requires=tuple(requires),
            provoked_if=tuple(provoked_if),
            leaves_open=tuple(leaves_open),
            under_load=under_load,
        )
        return function

    return declare


def clause_of(function: object) -> Clause | None:
    """The clause a function was declared as, if any."""
    found = getattr(function, "__dict__", {}).get("holdfast_clause")
    return found if isinstance(found, Clause) else None


def conclude(
    findings: Sequence[Finding],
    *,
    holds: str,
    bite: Iterable[FaultWindow] | None = None,
    undecided: Sequence[str] = (),
    evidence: Sequence[str] = (),
) -> Holds:
    """Turn findings, proof of bite and completeness into a verdict: violated > inconclusive > holds.

    Args:
        findings: counterexamples; any makes the clause violated.
        holds: the sentence that says what was found to hold.
        bite: the fault windows that had to bite; None for a clause whose provocation is no fault. All of them are
            needed, and at least one.
        undecided: what could not be observed to the end.
        evidence: figures and facts worth keeping, a line each.

    Raises:
        Violated: there are findings.
        Undecided: the observation did not finish, or a fault was not shown to bite.
    """
    windows = None if bite is None else tuple(bite)
    lines = (*evidence, *(_proof(window) for window in windows or () if window.bit))
    gap = _gap(undecided, windows)
    found = Undecided(gap, lines) if gap else Holds(holds, lines)
    if findings:
        raise Violated(tuple(sorted(findings, key=lambda finding: len(finding.witness))), lines, found)
    if isinstance(found, Undecided):
        raise found
    return found


def _gap(undecided: Sequence[str], windows: tuple[FaultWindow, ...] | None) -> str:
    """Why the evidence does not suffice for a green verdict; empty when it does."""
    if undecided:
        return f"observation did not finish: {_few(undecided)}"
    if windows is None:
        return ""
    if not windows:
        return "no fault was put in place, so nothing was provoked"
    idle = [f"{window.lever} on {window.component}" for window in windows if not window.bit]
    return f"the fault was not shown to bite: {_few(idle)}" if idle else ""


def decide(clause: Clause, campaign: Campaign, clock: Callable[[], float] = time.monotonic) -> ClauseVerdict:
    """Run one clause's check; a check that crashes is inconclusive, never a pass.

    Raises:
        HoldfastError: the stack, the target or a port cannot be used, or a fault could not be healed.
    """
    return _decided(clause, campaign, clause.function, (*clause.requires, *clause.provoked_if), clock)


def decide_under_load(
    clause: Clause, evidence: LoadEvidence, clock: Callable[[], float] = time.monotonic
) -> ClauseVerdict:
    """Run the check of one clause that has one for load; a check that crashes is inconclusive, never a pass.

    Raises:
        HoldfastError: the stack, the target or a port cannot be used.
    """
    assert clause.under_load is not None
    return _decided(clause, evidence, clause.under_load, clause.requires, clock)


def _decided(
    clause: Clause,
    campaign: Judged,
    function: Callable[[Any], Holds],
    requires: Sequence[Requirement],
    clock: Callable[[], float],
) -> ClauseVerdict:
    start = clock()

    def verdict(kind: Verdict, reason: str, evidence: tuple[str, ...], findings: tuple[Finding, ...]) -> ClauseVerdict:
        return ClauseVerdict(
            id=clause.id,
            text=clause.text,
            family=clause.family,
            verdict=kind,
            reason=reason,
            evidence=evidence,
            findings=findings,
            seconds=round(clock() - start, 3),
        )

    waived = campaign.stack.descriptor.waive.get(clause.id)
    if waived is not None:
        return verdict(Verdict.WAIVED, waived, (), ())
    met_by = campaign.stack.descriptor.met_by.get(clause.id)
    declared = () if met_by is None else (f"declared limit, met by {met_by.how}: {met_by.reason}",)
    found: Holds | Inconclusive
    try:
        found = _checked(clause, campaign, function, requires)
    except Violated as violated:
        fed = _fed(_unmet(violated.findings, campaign, met_by), campaign)
        if fed:
            return verdict(Verdict.VIOLATED, fed[0].sentence, (*declared, *violated.evidence), fed)
        found = _instead(violated, campaign, met_by)
    except Inconclusive as inconclusive:
        found = inconclusive
    except HoldfastError:
        raise
    except Exception as crash:  # noqa: BLE001 - whatever a check does, a crash must not look like a pass
        lines = tuple(traceback.format_exc().splitlines()[-6:])
        return verdict(Verdict.INCONCLUSIVE, f"the check crashed: {type(crash).__name__}: {crash}", lines, ())
    if isinstance(found, Holds):
        return verdict(Verdict.HOLDS, found.reason, (*declared, *found.evidence), ())
    return verdict(Verdict.INCONCLUSIVE, str(found), (*declared, *getattr(found, "evidence", ())), ())


def _checked(
    clause: Clause, campaign: Judged, function: Callable[[Any], Holds], requires: Sequence[Requirement]
) -> Holds:
    """Run the check where what it requires is met, and let it hold only where nothing is left open."""
    if requires and (missing := unmet(requires, campaign.situation)):
        raise Inconclusive("; ".join(missing))
    found = function(campaign)
    if clause.leaves_open and (gaps := unmet(clause.leaves_open, campaign.situation)):
        raise Undecided(_gap(gaps, None), found.evidence)
    return found


_SURFACED = ("acknowledged and lost", "late")
"""Findings that a dead letter of their key answers, where the descriptor says that clause is met so."""


def _unmet(findings: tuple[Finding, ...], campaign: Judged, met_by: MetBy | None) -> tuple[Finding, ...]:
    """The findings without keys that were surfaced as declared."""
    if met_by is None or met_by.how != "dead-letter":
        return findings
    surfaced = campaign.dead_letter_keys()
    return tuple(one for one in findings if one.title not in _SURFACED or one.key not in surfaced)


def _fed(findings: tuple[Finding, ...], campaign: Judged) -> tuple[Finding, ...]:
    """The findings without keys that the machine starved: those are no proof."""
    return tuple(one for one in findings if not (one.key and campaign.starved(one.key)))


def _instead(violated: Violated, campaign: Judged, met_by: MetBy | None) -> Holds | Inconclusive:
    """The verdict when none of the findings counts."""
    if _unmet(violated.findings, campaign, met_by):
        return Inconclusive(
            "the machine was too busy: for every key concerned a function ran out of time that it was not given "
            f"({violated.findings[0].sentence})"
        )
    if isinstance(violated.otherwise, Holds) and met_by is not None:
        surfaced = f"what did not take effect is in the dead letters, as declared: {met_by.reason}"
        return Holds(surfaced, violated.otherwise.evidence)
    return violated.otherwise


def _proof(window: FaultWindow) -> str:
    aim = f" for {window.key}" if window.key else ""
    return f"{window.lever} on {window.component}{aim}: {window.proof}"


def _few(items: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
