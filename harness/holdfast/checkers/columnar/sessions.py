"""Session guarantees: read your writes, monotonic reads, monotonic writes.

Each is a running maximum over what a session did to a key: no read may see a version certainly older than one that the
session had written, or read, before; no write may be ordered before an earlier write of its session.

Source: D. Terry et al., "Session guarantees for weakly consistent replicated data", PDIS 1994.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural
from holdfast.checkers.columnar.segments import combined, dense, running_maximum
from holdfast.checkers.columnar.versions import Versions, versions_of, writes_seen
from holdfast.checkers.columnar.wording import finding_of, key_text, named, session_text
from holdfast.history.columns import NOTHING, OK, Columns, Integers
from holdfast.verdict.model import Finding

MODEL = "sessions"
Guarantee = Literal["read-your-writes", "monotonic-reads", "monotonic-writes"]
GUARANTEES: tuple[Guarantee, ...] = ("read-your-writes", "monotonic-reads", "monotonic-writes")


def check(columns: Columns, *, guarantees: Sequence[Guarantee] | None = None) -> Result:
    """Whether each session keeps its guarantees on each key.

    Rows as for staleness, with their session. Monotonic writes are decided by positions only: without them a write
    that was ordered too early shows as a read that went back.

    Args:
        columns: the history.
        guarantees: which ones; None for all that the history can decide.
    """
    versions = versions_of(columns)
    undecided = list(versions.undecided())
    if guarantees is None:
        guarantees = GUARANTEES if versions.positioned else GUARANTEES[:2]
    elif "monotonic-writes" in guarantees and not versions.positioned:
        undecided.append("monotonic writes are decided by the positions of writes, and not every write has one")
    rows = np.concatenate((versions.write, versions.read))
    if (columns.session[rows] == NOTHING).any():
        undecided.append("some operations belong to no session")
    findings: list[Finding] = []
    figures: dict[str, float] = {"sessions": float(len(np.unique(columns.session[rows])))}
    violations = 0
    for guarantee in guarantees:
        if guarantee == "monotonic-writes" and not versions.positioned:
            continue
        pairs = violating_pairs(columns, versions, guarantee)
        figures[guarantee.replace("-", "_") + "_violations"] = float(len(pairs))
        violations += len(pairs)
        findings += _findings(columns, versions, guarantee, pairs[:FINDINGS_KEPT])
    return conclude(
        MODEL,
        columns,
        findings,
        holds=f"{plural(int(figures['sessions']), 'session')} kept {', '.join(guarantees)}.",
        undecided=undecided,
        figures=figures,
        violations=violations,
    )


def violating_pairs(columns: Columns, versions: Versions, guarantee: Guarantee) -> Integers:
    """Pairs of rows: what the session had done before, and the operation that is older.

    Args:
        columns: the history.
        versions: its versions.
        guarantee: the guarantee.
    """
    certain = columns.outcome[versions.write] == OK
    writes = (versions.write[certain], versions.low[certain], versions.high[certain])
    reads = (versions.read, versions.read_low, versions.read_high)
    before, after = {
        "read-your-writes": (writes, reads),
        "monotonic-reads": (reads, reads),
        "monotonic-writes": (writes, writes),
    }[guarantee]
    earlier, earlier_low = before[0], before[1]
    later, later_high = after[0], after[2]
    inside_earlier, inside_later = columns.session[earlier] != NOTHING, columns.session[later] != NOTHING
    earlier, earlier_low = earlier[inside_earlier], earlier_low[inside_earlier]
    later, later_high = later[inside_later], later_high[inside_later]
    if not len(earlier) or not len(later):
        return np.empty((0, 2), np.int64)

    rows = np.concatenate((earlier, later))
    is_earlier = np.arange(len(rows)) < len(earlier)
    group, _ = dense(combined(dense(columns.session[rows])[0], dense(columns.key[rows])[0]))
    # one session is one client on one clock, so its own times are compared as they are
    moment = np.concatenate((columns.completed_ns[earlier], columns.invoked_ns[later]))
    _, level = np.unique(np.concatenate((earlier_low, later_high)), return_inverse=True)
    order = np.argsort(combined(group, moment, ties=is_earlier), kind="stable")
    # the level and, below it, the place of the row that reached it: their maximum brings both along
    reach = np.where(is_earlier, (level + 1) * len(rows) + np.arange(len(rows)), 0)
    highest = running_maximum(group[order], reach[order])
    wrong = np.flatnonzero(~is_earlier[order] & (highest // len(rows) > level[order] + 1))
    return np.stack((rows[highest[wrong] % len(rows)], rows[order[wrong]]), axis=1)


def _findings(columns: Columns, versions: Versions, guarantee: Guarantee, pairs: Integers) -> Iterator[Finding]:
    told = {
        "read-your-writes": "returned a version older than the session's own {}",
        "monotonic-reads": "returned a version older than the session's {} had returned before",
        "monotonic-writes": "was ordered before the session's own earlier {}",
    }[guarantee]
    if not len(pairs):
        return
    seen = writes_seen(versions, pairs.ravel())
    for earlier, later in pairs.tolist():
        yield finding_of(
            columns,
            guarantee.replace("-", " ") + " broken",
            f"in {session_text(columns, later)} {named(columns, later)} of {key_text(columns, later)}"
            f" {told.format(named(columns, earlier, ''))}.",
            {earlier, later, *(seen[row] for row in (earlier, later) if row in seen)},
        )
