"""A violated clause as text: the clause, the smallest counterexample, and what else was found."""

from __future__ import annotations

from holdfast.verdict.describe import describe
from holdfast.verdict.model import ClauseVerdict

FINDINGS_SHOWN = 3
"""The smallest counterexamples are shown whole; how many more there are is said."""

EVIDENCE_CHARACTERS = 600
"""A line of evidence is shown up to this; a small payload to replay is always whole."""


def explain(verdict: ClauseVerdict, clause_text: str) -> str:
    """What a person needs to believe a violation: the promise, the counterexamples, the proof that the fault bit.

    Args:
        verdict: a violated clause.
        clause_text: the normative sentence.
    """
    lines = [f"{verdict.id} violated: {clause_text}"]
    for finding in verdict.findings[:FINDINGS_SHOWN]:
        lines.append("")
        lines += describe(finding)
    more = len(verdict.findings) - FINDINGS_SHOWN
    if more > 0:
        lines += ["", f"and {more} more of this kind"]
    if verdict.evidence:
        lines += ["", "evidence:", *(f"  {_on_screen(line)}" for line in verdict.evidence)]
    return "\n".join(lines)


def _on_screen(line: str) -> str:
    """The line, cut where nobody would read on; a payload of kilobytes is whole in verdict.json."""
    if len(line) <= EVIDENCE_CHARACTERS:
        return line
    return f"{line[:EVIDENCE_CHARACTERS]}... ({len(line)} characters, whole in verdict.json)"
