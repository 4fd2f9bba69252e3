"""What a columnar checker says: a verdict, its findings smallest first, and figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from holdfast.checkers.records import ranked
from holdfast.history.columns import Columns, Integers
from holdfast.verdict.model import Finding, Verdict

FINDINGS_KEPT = 1_000
"""Findings that are worked out with their witness; how many there are in all is among the figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The verdict of one checker on one history.

    Attributes:
        model: what the history was checked against.
        verdict: holds, violated or inconclusive.
        reason: one sentence.
        findings: counterexamples, smallest witness first, `FINDINGS_KEPT` at most; empty unless violated.
        undecided: why something could not be decided, a sentence each.
        figures: what was measured, by name with its unit.
    """

    model: str
    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...] = ()
    undecided: tuple[str, ...] = ()
    figures: Mapping[str, float] = field(default_factory=dict)


def conclude(
    model: str,
    columns: Columns,
    findings: Iterable[Finding],
    *,
    holds: str,
    undecided: Sequence[str] = (),
    figures: Mapping[str, float] | None = None,
    violations: int | None = None,
) -> Result:
    """The verdict that follows: violated > inconclusive > holds.

    A history of which a part is missing never holds: what is missing may be what breaks it.

    Args:
        model: what was checked.
        columns: the history.
        findings: what violates the model.
        holds: the reason when nothing violates it and everything was decided.
        undecided: what could not be decided.
        figures: what was measured.
        violations: how many violations there are, where not all were worked out as findings.
    """
    smallest_first = ranked(findings)
    count = len(smallest_first) if violations is None else violations
    open_questions = (*undecided, *(() if columns.complete else columns.notes or ("the history is incomplete",)))
    measured = {"operations": float(len(columns)), "violations": float(count), **(figures or {})}
    if smallest_first:
        verdict, reason = Verdict.VIOLATED, smallest_first[0].sentence
    elif open_questions:
        verdict, reason = Verdict.INCONCLUSIVE, _sentence(open_questions[0])
    elif not len(columns):
        verdict, reason = Verdict.INCONCLUSIVE, "The history holds no operation."
    else:
        verdict, reason = Verdict.HOLDS, holds
    return Result(
        model=model,
        verdict=verdict,
        reason=reason,
        findings=smallest_first[:FINDINGS_KEPT],
        undecided=open_questions,
        figures=measured,
    )


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun: ``1 key``, ``2 keys``, ``10,000,000 operations``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def quantiles(name: str, values: Integers, *, divided_by: float = 1.0) -> dict[str, float]:
    """Nearest-rank median, 99th percentile and maximum of measured values; nothing of none.

    Args:
        name: name of the figures; they are called ``NAME_p50``, ``NAME_p99`` and ``NAME_max``.
        values: the values.
        divided_by: what turns them into the unit of the name.
    """
    if not len(values):
        return {}
    ranked_values = np.sort(values)
    ranks = {"p50": -(-50 * len(values) // 100) - 1, "p99": -(-99 * len(values) // 100) - 1, "max": len(values) - 1}
    return {f"{name}_{rank}": float(ranked_values[at]) / divided_by for rank, at in ranks.items()}


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")
