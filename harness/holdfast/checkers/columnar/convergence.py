"""When did every reader see the last version? Counted from the last write of a key, and from the end of the last fault.

A key has converged when a read that began after its last write shows the final version, and no later read shows
another. Two moments enclose that: the beginning of the last read that showed another version, and the end of the first
read after it that showed the final one. The later one is reported: it is what a reader could rely on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural, quantiles
from holdfast.checkers.columnar.staleness import NANOSECONDS_PER_MS
from holdfast.checkers.columnar.versions import Versions, versions_of, writes_seen
from holdfast.checkers.columnar.wording import finding_of, key_text, listed, milliseconds, named
from holdfast.history.columns import NANOSECONDS, NEVER_NS, Columns, Integers
from holdfast.verdict.model import Finding

MODEL = "convergence"
_LONG_AGO = -NEVER_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """How each written key converged; arrays by key, in the order of ``key``.

    Attributes:
        key: the dense keys that were written.
        settled_ns: when the last write of each had happened.
        last_other: row of the last read that began after that and did not show the final version; -1 for none.
        first_final: row of the first read from then on that did; -1 for none.
    """

    key: Integers
    settled_ns: Integers
    last_other: Integers
    first_final: Integers


def check(columns: Columns, *, bound_ms: float | None = None) -> Result:
    """Whether every key converged, and how long that took.

    Rows as for staleness. Figures: ``convergence_ms_p50``, ``_p99``, ``_max`` from the last write of each key; where
    the history has fault windows ``healing_ms_p50``, ``_p99``, ``_max`` from the last write or the end of the last
    fault, whichever was later.

    Args:
        columns: the history.
        bound_ms: most milliseconds from the last write, or the end of the last fault, to convergence; None: no bound,
            and a key that has not converged when the history ends is undecided.
    """
    versions = versions_of(columns)
    one = convergence(columns, versions)
    converged = np.flatnonzero(one.first_final >= 0)
    done = columns.latest_ns[one.first_final[converged]]
    took = np.maximum(done - one.settled_ns[converged], 0)
    figures: dict[str, float] = {"keys": float(len(one.key)), "converged_keys": float(len(converged))}
    figures |= quantiles("convergence_ms", took, divided_by=NANOSECONDS_PER_MS)
    start = one.settled_ns
    if columns.windows:
        healed = round(max(window.ended_seconds for window in columns.windows) * NANOSECONDS)
        start = np.maximum(start, healed)
        after = np.maximum(done - start[converged], 0)
        figures |= quantiles("healing_ms", after, divided_by=NANOSECONDS_PER_MS)

    undecided = list(versions.undecided())
    wrong = np.empty(0, np.int64)
    has_other = one.last_other >= 0
    other_began = np.where(has_other, columns.earliest_ns[one.last_other], start)
    late = np.zeros(len(one.key), np.bool_)
    if bound_ms is not None:
        late = has_other & (other_began - start > bound_ms * NANOSECONDS_PER_MS)
        wrong = np.flatnonzero(late)
    open_keys = np.flatnonzero((one.first_final < 0) & ~late)
    unread, unsettled = open_keys[~has_other[open_keys]], open_keys[has_other[open_keys]]
    names = [columns.keys.label(columns.key[versions.write[at]]) for at in _a_write(versions, one.key)]
    if len(unread):
        undecided.append(f"nobody read {_keys(unread, names)} after the last write")
    if len(unsettled):
        undecided.append(f"the history ends before {_keys(unsettled, names)} converged")
    longest = int(took.max()) if len(took) else 0
    return conclude(
        MODEL,
        columns,
        [_finding(columns, versions, one, int(at), int(other_began[at] - start[at])) for at in wrong[:FINDINGS_KEPT]],
        holds=f"{plural(len(one.key), 'key')} converged within {milliseconds(longest)} after the last write.",
        undecided=undecided,
        figures=figures,
        violations=len(wrong),
    )


def convergence(columns: Columns, versions: Versions) -> Convergence:
    """How each written key converged."""
    written = np.unique(versions.write_key)
    settled = np.full(versions.keys, _LONG_AGO, np.int64)
    np.maximum.at(settled, versions.write_key, versions.done_ns)
    began = columns.earliest_ns[versions.read]
    after = np.flatnonzero(began > settled[versions.read_key])
    after = after[settled[versions.read_key[after]] != _LONG_AGO]
    after = after[np.argsort(began[after], kind="stable")]
    key = versions.read_key[after]
    # the final version is what the last read shows that shows one that nothing is certainly newer than
    shows_last = versions.newer[after] == versions.end_of_key(key)
    final = np.full(versions.keys, _LONG_AGO, np.int64)
    final[key[shows_last]] = versions.read_version[after[shows_last]]
    is_final = shows_last & (versions.read_version[after] == final[key])
    last_other = np.full(versions.keys, -1, np.int64)
    last_other[key[~is_final]] = np.flatnonzero(~is_final)
    since = np.flatnonzero(is_final & (np.arange(len(after)) > last_other[key]))
    first_final = np.full(versions.keys, -1, np.int64)
    first_final[key[since][::-1]] = since[::-1]
    rows = np.append(versions.read[after], -1)
    return Convergence(
        key=written,
        settled_ns=settled[written],
        last_other=rows[last_other[written]],
        first_final=rows[first_final[written]],
    )


def _a_write(versions: Versions, keys: Integers) -> Integers:
    """For each key the place of one of its writes."""
    return np.searchsorted(versions.write_key, keys)


def _keys(chosen: Integers, names: list[object]) -> str:
    labels = [names[at] for at in chosen.tolist()]
    return plural(len(labels), "key") + ("" if labels == [None] else f" ({listed(labels)})")


def _finding(columns: Columns, versions: Versions, one: Convergence, at: int, late_ns: int) -> Finding:
    read = int(one.last_other[at])
    begin = int(np.searchsorted(versions.write_key, one.key[at]))
    end = int(np.searchsorted(versions.write_key, one.key[at], side="right"))
    last = int(versions.write[begin + int(np.argmax(versions.low[begin:end]))])
    return finding_of(
        columns,
        "not converged",
        f"{named(columns, read)} of {key_text(columns, read)} began {milliseconds(late_ns)} after the last write or the"
        f" end of the last fault and still did not show the final version, that of {named(columns, last)} or one"
        " concurrent with it.",
        {read, last, *writes_seen(versions, np.array([read])).values()},
    )
