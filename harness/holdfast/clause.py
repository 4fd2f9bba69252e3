"""Clauses as functions: what each needs, and how its check becomes a three-valued verdict.

A clause function takes a `Campaign`, judges its evidence with pure checkers and ends with `conclude`. Its docstring is
the clause. It is a plain pytest test as well; the plugin turns its verdict into passed, failed or skipped.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.errors import HoldfastError, Inconclusive
from holdfast.history.model import FaultWindow
from holdfast.provocations.model import Provocation
from holdfast.stack.descriptor import MetBy
from holdfast.verdict.model import ClauseVerdict, Family, Finding, Verdict

if TYPE_CHECKING:
    from holdfast.campaign import Campaign

ClauseFunction = Callable[["Campaign"], "Holds"]


@dataclass(frozen=True, slots=True)
class Holds:
    """Why a clause holds, with the proof that its provocation bit and the figures measured."""

    reason: str
    evidence: tuple[str, ...] = ()


class Violated(Exception):  # noqa: N818 - a verdict, not an error
    """A clause is violated; the findings are the counterexamples, smallest witness first."""

    def __init__(self, findings: tuple[Finding, ...], evidence: tuple[str, ...]) -> None:
        super().__init__(findings[0].sentence)
        self.findings = findings
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
        needs: the provocations whose evidence it judges.
        function: the check.
    """

    id: str
    family: Family
    text: str
    needs: tuple[Provocation, ...]
    function: ClauseFunction


def clause(id: str, family: Family, *, needs: Sequence[Provocation] = ()) -> Callable[[ClauseFunction], ClauseFunction]:  # noqa: A002 - a clause's id is called id everywhere
    """Declare a test function as the check of one clause; its docstring is the clause."""

    def declare(function: ClauseFunction) -> ClauseFunction:
        text = " ".join((function.__doc__ or "").split())
        function.__dict__["holdfast_clause"] = Clause(
            id=id, family=family, text=text, needs=tuple(needs), function=function
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
    if findings:
        ordered = tuple(sorted(findings, key=lambda finding: len(finding.witness)))
        raise Violated(ordered, lines)
    if undecided:
        raise Undecided(f"observation did not finish: {_few(undecided)}", lines)
    if windows is not None:
        if not windows:
            raise Undecided("no fault was put in place, so nothing was provoked", lines)
        idle = [f"{window.lever} on {window.component}" for window in windows if not window.bit]
        if idle:
            raise Undecided(f"the fault was not shown to bite: {_few(idle)}", lines)
    return Holds(holds, lines)


def decide(clause: Clause, campaign: Campaign, clock: Callable[[], float] = time.monotonic) -> ClauseVerdict:
    """Run one clause's check; a check that crashes is inconclusive, never a pass.

    Raises:
        HoldfastError: the stack, the target or a port cannot be used, or a fault could not be healed.
    """
    start = clock()

    def verdict(kind: Verdict, reason: str, evidence: tuple[str, ...], findings: tuple[Finding, ...]) -> ClauseVerdict:
        return ClauseVerdict(
            id=clause.id,
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
    try:
        held = clause.function(campaign)
    except Violated as violated:
        kind, reason, findings = _trusted(violated, campaign, met_by)
        return verdict(kind, reason, (*declared, *violated.evidence), findings)
    except Inconclusive as inconclusive:
        return verdict(Verdict.INCONCLUSIVE, str(inconclusive), (*declared, *getattr(inconclusive, "evidence", ())), ())
    except HoldfastError:
        raise
    except Exception as crash:  # noqa: BLE001 - whatever a check does, a crash must not look like a pass
        lines = tuple(traceback.format_exc().splitlines()[-6:])
        return verdict(Verdict.INCONCLUSIVE, f"the check crashed: {type(crash).__name__}: {crash}", lines, ())
    return verdict(Verdict.HOLDS, held.reason, (*declared, *held.evidence), ())


def _trusted(violated: Violated, campaign: Campaign, met_by: MetBy | None) -> tuple[Verdict, str, tuple[Finding, ...]]:
    """A violation without what is no proof: keys that were surfaced as declared, and keys that the machine starved."""
    findings = violated.findings
    if met_by is not None and met_by.how == "dead-letter":
        surfaced = campaign.dead_letter_keys()
        findings = tuple(one for one in findings if one.key not in surfaced)
        if not findings:
            reason = f"what did not take effect is in the dead letters, as declared: {met_by.reason}"
            return Verdict.HOLDS, reason, ()
    fed = tuple(one for one in findings if not (one.key and campaign.starved(one.key)))
    if fed:
        return Verdict.VIOLATED, fed[0].sentence, fed
    reason = (
        "the machine was too busy: for every key concerned a function ran out of time that it was not given "
        f"({findings[0].sentence})"
    )
    return Verdict.INCONCLUSIVE, reason, ()


def _proof(window: FaultWindow) -> str:
    aim = f" for {window.key}" if window.key else ""
    return f"{window.lever} on {window.component}{aim}: {window.proof}"


def _few(items: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
