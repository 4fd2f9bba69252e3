"""The coverage of a sweep as a grid: a row per fault point, a column per kind of fault."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast_reports.documents import CellRead, Mark, SweepRead

MARKS: dict[Mark, tuple[str, str]] = {
    "held": ("✓", "held"),
    "violated": ("✕", "broken"),
    "unreached": ("○", "missed"),
    "inconclusive": ("?", "open"),
    "inapplicable": ("–", "not applicable"),  # noqa: RUF001
}
"""Sign and word of each mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Cells to draw.

    Attributes:
        kinds: the kinds of faults, a column each.
        rows: each fault point with its cells; None where a kind was not considered.
    """

    kinds: tuple[str, ...]
    rows: tuple[tuple[str, tuple[CellRead | None, ...]], ...]


def grid(sweep: SweepRead) -> Grid:
    """Lay a sweep's cells out; points and kinds in the order in which the sweep tells them."""
    kinds = tuple(dict.fromkeys(cell.kind for cell in sweep.cells))
    of = {(cell.point, cell.kind): cell for cell in sweep.cells}
    points = tuple(dict.fromkeys(cell.point for cell in sweep.cells))
    return Grid(kinds=kinds, rows=tuple((point, tuple(of.get((point, kind)) for kind in kinds)) for point in points))
