"""Figures and verdicts in the words and signs that all reports share."""

from __future__ import annotations

from holdfast.verdict.model import Verdict

SIGNS = {Verdict.VIOLATED: "✕", Verdict.INCONCLUSIVE: "?", Verdict.HOLDS: "✓", Verdict.WAIVED: "–"}  # noqa: RUF001
"""Signs by which verdicts differ where colours cannot be seen."""

GRAVEST_FIRST = (Verdict.VIOLATED, Verdict.INCONCLUSIVE, Verdict.HOLDS, Verdict.WAIVED)


def duration(seconds: float | None) -> str:
    """A duration with its unit, e.g. ``12 ms``, ``1.30 s``, ``2 min 5 s``; a dash for none."""
    if seconds is None:
        return "–"  # noqa: RUF001
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def milliseconds(value: float | None) -> str:
    """A duration given in milliseconds."""
    return duration(None if value is None else value / 1000)


def count(number: int, one: str, many: str = "") -> str:
    """A count with its noun, e.g. ``1 clause``, ``1,200 clauses``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def summary(counts: dict[Verdict, int]) -> str:
    """How many clauses have which verdict, the gravest first, e.g. ``1 violated, 11 hold``."""
    words = {
        Verdict.VIOLATED: "violated",
        Verdict.INCONCLUSIVE: "inconclusive",
        Verdict.HOLDS: "holds" if counts.get(Verdict.HOLDS) == 1 else "hold",
        Verdict.WAIVED: "waived",
    }
    return ", ".join(f"{counts[one]} {words[one]}" for one in GRAVEST_FIRST if counts.get(one)) or "no verdict"
