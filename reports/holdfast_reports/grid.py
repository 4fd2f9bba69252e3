"""The coverage of a sweep, or of plans of sagas, as a grid: a row per fault point, a column per kind of fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast_reports.documents import CellRead, Mark

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


def grid(cells: Sequence[CellRead]) -> Grid:
    """Lay cells out; points and kinds in the order in which they are told."""
    kinds = tuple(dict.fromkeys(cell.kind for cell in cells))
    of = {(cell.point, cell.kind): cell for cell in cells}
    points = tuple(dict.fromkeys(cell.point for cell in cells))
    return Grid(kinds=kinds, rows=tuple((point, tuple(of.get((point, kind)) for kind in kinds)) for point in points))
