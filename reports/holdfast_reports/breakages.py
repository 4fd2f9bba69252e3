"""What was broken, as a grid: components (of a saga its steps) against the code paths that faults exercise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast_reports.bands import Band


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakages:
    """How often what was broken.

    Attributes:
        kinds: the code paths, a column each.
        rows: by component, how many faults bit and how many were put in place, one pair a column.
    """

    kinds: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]


def breakages(bands: Sequence[Band]) -> Breakages:
    """Count faults by component and code path.

    Args:
        bands: the faults of a run.
    """
    kinds = tuple(sorted({band.error_class for band in bands}))
    components = tuple(sorted({band.component for band in bands}))
    rows = []
    for component in components:
        own = [band for band in bands if band.component == component]
        of = {kind: [band for band in own if band.error_class == kind] for kind in kinds}
        rows.append((component, tuple((sum(bool(band.proof) for band in of[kind]), len(of[kind])) for kind in kinds)))
    return Breakages(kinds=kinds, rows=tuple(rows))
