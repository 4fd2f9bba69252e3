"""One history from the files of many recorders, each with a clock of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from holdfast.history.coding import Coder
from holdfast.history.columns import NEVER_NS, Columns, Names
from holdfast.history.reading import Recorded, shifted


def merge(recorded: Sequence[Recorded], *, uncertainty_ns: int | None = None) -> Columns:
    """All operations on one clock that begins with the earliest recorder.

    Where more than one recorder took part, every interval counts as wider by the largest uncertainty at both ends:
    that can hide an anomaly between two recorders, and never invents one. Sessions of different recorders differ.

    Args:
        recorded: files that were read; at least one.
        uncertainty_ns: by how much each clock may be wrong, instead of what the recorders say.
    """
    origin = min(one.header.origin_unix_ns for one in recorded)
    recorders = {one.header.recorder for one in recorded}
    if uncertainty_ns is None:
        uncertainty_ns = max(one.header.uncertainty_ns for one in recorded) if len(recorders) > 1 else 0
    if len(recorded) == 1:
        return replace(recorded[0].columns, uncertainty_ns=uncertainty_ns)
    coder = Coder()
    for one in recorded:
        coder.merge_columns(_on_clock(one, one.header.origin_unix_ns - origin, name_sessions=len(recorders) > 1))
    return replace(
        coder.columns(),
        windows=tuple(
            shifted(window, one.header.origin_unix_ns - origin) for one in recorded for window in one.columns.windows
        ),
        uncertainty_ns=uncertainty_ns,
        complete=all(one.columns.complete for one in recorded),
        notes=tuple(note for one in recorded for note in one.columns.notes),
    )


def _on_clock(one: Recorded, shift_ns: int, *, name_sessions: bool) -> Columns:
    """A recorder's operations, later by so much, sessions named after their recorder."""
    columns = one.columns
    if shift_ns:
        completed = columns.completed_ns
        never = completed == NEVER_NS
        columns = replace(columns, invoked_ns=columns.invoked_ns + shift_ns, completed_ns=completed + shift_ns * ~never)
    if not name_sessions or not len(columns):
        return columns
    labels = columns.sessions.labels
    if labels is None:
        labels = range(int(columns.session.max()) + 1)
    return replace(columns, sessions=Names([f"{one.header.recorder}/{label}" for label in labels]))
