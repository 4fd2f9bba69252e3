"""What a pipeline makes of verdicts: red or green clause by clause, with the reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from holdfast.errors import ExitCode
from holdfast.gate.baseline import Accepted, Baseline
from holdfast.verdict.model import ClauseVerdict, StackReport, Verdict


class Standing(StrEnum):
    """How a clause stands at the gate."""

    HELD = "held"
    WAIVED = "waived"
    VIOLATED = "violated"
    INCONCLUSIVE = "inconclusive"
    TOLERATED = "tolerated"
    ACCEPTED = "accepted"
    EXPIRED = "expired"


RED = frozenset({Standing.VIOLATED, Standing.INCONCLUSIVE, Standing.EXPIRED})
"""The standings that close the gate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One clause at the gate.

    Attributes:
        stack: name of the stack.
        descriptor: path of its descriptor.
        clause: its verdict.
        standing: how it stands.
        why: the reason, one sentence.
    """

    stack: str
    descriptor: str
    clause: ClauseVerdict
    standing: Standing
    why: str

    @property
    def red(self) -> bool:
        """Whether it closes the gate."""
        return self.standing in RED


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All clauses at the gate.

    Attributes:
        decisions: one a clause, in the order of the reports.
        spent: entries of the baseline whose clause holds now: they can be removed.
    """

    decisions: tuple[Decision, ...]
    spent: tuple[Accepted, ...]

    @property
    def exit_code(self) -> ExitCode:
        """The exit code by cause: a violation outweighs what is undecided; no clause at all is no pass."""
        standings = {decision.standing for decision in self.decisions}
        if standings & {Standing.VIOLATED, Standing.EXPIRED}:
            return ExitCode.VIOLATED
        if Standing.INCONCLUSIVE in standings:
            return ExitCode.INCONCLUSIVE
        return ExitCode.HELD if standings else ExitCode.USAGE


def judge(reports: Iterable[StackReport], baseline: Baseline, *, today: date, tolerant: bool) -> Outcome:
    """Decide about every clause.

    Args:
        reports: what was found.
        baseline: what is accepted.
        today: the day by which acceptances end.
        tolerant: whether an inconclusive clause leaves the gate open.
    """
    decisions, spent = [], []
    for report in reports:
        for clause in report.clauses:
            entries = [one for one in baseline.accept if one.concerns(report.stack, clause)]
            standing, why = _standing(clause, entries, today=today, tolerant=tolerant)
            decisions.append(
                Decision(stack=report.stack, descriptor=report.descriptor, clause=clause, standing=standing, why=why)
            )
            if clause.verdict in (Verdict.HOLDS, Verdict.WAIVED):
                spent += [one for one in baseline.accept if (one.stack, one.clause) == (report.stack, clause.id)]
    return Outcome(decisions=tuple(decisions), spent=tuple(spent))


def _standing(
    clause: ClauseVerdict, entries: Sequence[Accepted], *, today: date, tolerant: bool
) -> tuple[Standing, str]:
    if clause.verdict in _SETTLED:
        return _SETTLED[clause.verdict], clause.reason
    covering = sorted((entry for entry in entries if entry.covers(clause)), key=lambda entry: entry.until)
    if covering:
        last = covering[-1]
        if last.until >= today:
            return Standing.ACCEPTED, f"accepted until {last.until}: {last.reason} ({clause.reason})"
        return Standing.EXPIRED, f"accepted only until {last.until}: {last.reason} ({clause.reason})"
    if clause.verdict is Verdict.VIOLATED:
        other = f"; accepted is only {entries[0].finding!r}" if entries else ""
        return Standing.VIOLATED, clause.reason + other
    return Standing.TOLERATED if tolerant else Standing.INCONCLUSIVE, clause.reason


_SETTLED = {Verdict.HOLDS: Standing.HELD, Verdict.WAIVED: Standing.WAIVED}


def accepting(outcome: Outcome, *, reason: str, until: date) -> tuple[Accepted, ...]:
    """Entries that accept every clause that closes the gate, each for the kind of counterexample that it has now.

    Args:
        outcome: the clauses at the gate.
        reason: why they are accepted.
        until: the last day.
    """
    return tuple(
        Accepted(
            stack=decision.stack,
            clause=decision.clause.id,
            verdict="violated" if decision.clause.verdict is Verdict.VIOLATED else "inconclusive",
            finding=next(iter(titles)) if len(titles) == 1 else None,
            reason=reason,
            until=until,
        )
        for decision in outcome.decisions
        if decision.red
        for titles in [{finding.title for finding in decision.clause.findings}]
    )
