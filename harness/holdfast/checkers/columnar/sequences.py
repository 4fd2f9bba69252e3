"""Is the log of each stream gap-free, once each, and immutable? And is every accepted append in it?

For each stream the positions that reads of the log show must be consecutive from the first, each with one event for
good; an accepted append is in it at the position it was given, a refused one is not, and no two appends were accepted
at one position.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from holdfast.checkers.columnar.elements import with_equal_lists_shared
from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural
from holdfast.checkers.columnar.segments import combined, dense, is_first
from holdfast.checkers.columnar.wording import finding_of, key_text, named, value_text
from holdfast.errors import HistoryError
from holdfast.history.columns import FAIL, OK, Columns, Integers
from holdfast.verdict.model import Finding

MODEL = "sequence"


def check(columns: Columns, *, first: int = 1) -> Result:
    """Whether the log of each stream is gap-free and holds what was accepted.

    Rows: ``append`` with the event's id and, if it was accepted, its position; ``event`` for each entry that a read of
    the log showed, with its position and id. A stream of which no event was read is judged by its appends alone.

    Args:
        columns: the history.
        first: the position of a stream's first event.

    Raises:
        HistoryError: an event has no position.
    """
    columns = with_equal_lists_shared(columns)
    events = np.flatnonzero(columns.is_kind("event") & (columns.outcome == OK))
    appends = np.flatnonzero(columns.is_kind("append"))
    position = np.full(len(columns), -1, np.int64) if columns.position is None else columns.position
    if (position[events] < 0).any():
        raise HistoryError("An event of the log has no position.", remedy="record the version of each event")
    key, keys = dense(columns.key)
    judged = [
        *_changed(columns, key, position, events),
        *_doubled(columns, key, position, events),
        *_gaps(columns, key, position, events, first=first),
        *_appends(columns, key, position, events, appends),
    ]
    streams = int(np.count_nonzero(np.bincount(key, minlength=keys))) if keys else 0
    undecided: list[str] = []
    findings = judged
    if not columns.complete:
        findings = [one for one in judged if one.title in CERTAIN]
        if len(findings) < len(judged):
            undecided.append(
                f"{plural(len(judged) - len(findings), 'gap or absence', 'gaps or absences')} may be due to"
                " what is missing"
            )
    if not len(events):
        undecided.append("the log was not read")
    return conclude(
        MODEL,
        columns,
        findings,
        holds=f"{plural(streams, 'stream')} are gap-free and hold every accepted append once.",
        undecided=undecided,
        figures={"streams": float(streams), "events": float(len(events)), "appends": float(len(appends))},
    )


CERTAIN = ("event changed", "event twice", "refused and there", "two appends at one position", "at another position")
"""Kinds of violations that stand whatever operations are missing."""


def _sorted(columns: Columns, key: Integers, by: Integers, rows: Integers) -> tuple[Integers, Integers]:
    """Rows sorted by key, then a number, then time; and the sort numbers of key and number."""
    order = np.lexsort((columns.earliest_ns[rows], by[rows], key[rows]))
    return rows[order], combined(key[rows], by[rows])[order]


def _changed(columns: Columns, key: Integers, position: Integers, events: Integers) -> Iterator[Finding]:
    """One position showing two events."""
    rows, place = _sorted(columns, key, position, events)
    start = np.maximum.accumulate(np.where(is_first(place), np.arange(len(rows)), 0)) if len(rows) else rows
    other = np.flatnonzero(columns.value[rows] != columns.value[rows[start]])
    firsts = other[is_first(place[other])]
    for at in firsts[:FINDINGS_KEPT].tolist():
        before, now = int(rows[start[at]]), int(rows[at])
        yield finding_of(
            columns,
            "event changed",
            f"position {position[now]} of {key_text(columns, now)} shows {value_text(columns, before)} in"
            f" {named(columns, before)} and {value_text(columns, now)} in {named(columns, now)}.",
            {before, now},
        )


def _doubled(columns: Columns, key: Integers, position: Integers, events: Integers) -> Iterator[Finding]:
    """One event at two positions of a stream."""
    value, _ = dense(columns.value)
    rows, pair = _sorted(columns, key, value, events)
    start = np.maximum.accumulate(np.where(is_first(pair), np.arange(len(rows)), 0)) if len(rows) else rows
    other = np.flatnonzero(position[rows] != position[rows[start]])
    for at in other[is_first(pair[other])][:FINDINGS_KEPT].tolist():
        before, now = int(rows[start[at]]), int(rows[at])
        yield finding_of(
            columns,
            "event twice",
            f"{value_text(columns, now)} of {key_text(columns, now)} stands at position {position[before]} and at"
            f" position {position[now]}.",
            {before, now},
        )


def _gaps(columns: Columns, key: Integers, position: Integers, events: Integers, *, first: int) -> Iterator[Finding]:
    """Positions without an event before one that has an event."""
    rows, place = _sorted(columns, key, position, events)
    rows = rows[is_first(place)]
    if not len(rows):
        return
    begins = is_first(key[rows])
    expected = np.full(len(rows), first, np.int64)
    expected[1:] = position[rows[:-1]] + 1
    expected[begins] = first
    for at in np.flatnonzero(position[rows] != expected)[:FINDINGS_KEPT].tolist():
        row = int(rows[at])
        found, wanted = int(position[row]), int(expected[at])
        neighbours = {row} if begins[at] else {int(rows[at - 1]), row}
        told = f"position {wanted} is" if found == wanted + 1 else f"positions {wanted} to {found - 1} are"
        if found < wanted:
            told = f"position {found} is before the first, {wanted}, and nothing is"
        yield finding_of(
            columns,
            "gap",
            f"{told} missing from {key_text(columns, row)}, though {named(columns, row)} shows position {found}.",
            neighbours,
        )


def _appends(
    columns: Columns, key: Integers, position: Integers, events: Integers, appends: Integers
) -> Iterator[Finding]:
    """Accepted appends that are not in the log or elsewhere in it, refused ones that are, and two at one position."""
    value, _ = dense(columns.value)
    pair = combined(key, value)
    in_log = {int(pair[row]): int(row) for row in events[::-1].tolist()}
    read_streams = set(key[events].tolist())
    accepted_at: dict[tuple[int, int], int] = {}
    last_read: dict[int, int] = {}
    for row in events.tolist():
        stream, began = int(key[row]), int(columns.earliest_ns[row])
        last_read[stream] = max(last_read.get(stream, began), began)
    for row in appends[np.argsort(columns.latest_ns[appends], kind="stable")].tolist():
        stream, there = int(key[row]), in_log.get(int(pair[row]))
        outcome, at = int(columns.outcome[row]), int(position[row])
        if outcome == FAIL and there is not None:
            if not _also_accepted(columns, pair, appends, row):
                yield finding_of(
                    columns,
                    "refused and there",
                    f"{value_text(columns, row)} stands at position {position[there]} of {key_text(columns, row)}, but"
                    f" {named(columns, row)} was refused.",
                    {row, there},
                )
        elif outcome == OK:
            if at >= 0:
                other = accepted_at.setdefault((stream, at), row)
                if other != row and columns.value[other] != columns.value[row]:
                    yield finding_of(
                        columns,
                        "two appends at one position",
                        f"{named(columns, other)} and {named(columns, row)} of {key_text(columns, row)} were both"
                        f" accepted at position {at}.",
                        {other, row},
                    )
            if there is None and stream in read_streams and columns.latest_ns[row] < last_read[stream]:
                yield finding_of(
                    columns,
                    "accepted and lost",
                    f"{value_text(columns, row)} of {named(columns, row)} was accepted and is not in"
                    f" {key_text(columns, row)}.",
                    {row},
                )
            elif there is not None and at >= 0 and position[there] != at:
                yield finding_of(
                    columns,
                    "at another position",
                    f"{named(columns, row)} of {key_text(columns, row)} was accepted at position {at}, but its event"
                    f" stands at position {position[there]}.",
                    {row, there},
                )


def _also_accepted(columns: Columns, pair: Integers, appends: Integers, refused: int) -> bool:
    """Whether another append of the same event may have been accepted."""
    same = appends[pair[appends] == pair[refused]]
    return bool((columns.outcome[same] != FAIL).any())
