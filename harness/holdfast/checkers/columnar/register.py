"""Is each register linearizable? The zone test of Gibbons and Korach, one sort for all keys together.

Where every value is written once, the register is linearizable exactly when no two zones of its values contradict each
other (`zones`), no read ended before its write began, and every value read was written and not refused. Keys are
judged by themselves: linearizability is local (Herlihy and Wing 1990).

Source: P. Gibbons, E. Korach, "Testing shared memories", SIAM Journal on Computing 26 (1997).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from holdfast.checkers.columnar.elements import with_equal_lists_shared
from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural
from holdfast.checkers.columnar.search import Budget, search_keys
from holdfast.checkers.columnar.segments import combined, dense
from holdfast.checkers.columnar.wording import finding_of, key_text, named, value_text
from holdfast.checkers.columnar.zones import INITIAL, Zones, zones_of
from holdfast.history.columns import NOTHING, OK, UNKNOWN, Columns, Integers, Mask
from holdfast.verdict.model import Finding

MODEL = "register"
SEARCHED = ("cas", "append")
"""Kinds whose effect depends on what was there: keys that have them are searched."""


def check(columns: Columns, *, budget: Budget | None = None) -> Result:
    """Whether the register of each key is linearizable.

    Rows: ``write`` with the value, ``read`` with the value returned; null is the initial value. Keys on which a value
    was written more than once, or compared and set, or appended to, are decided by search within the budget.

    Args:
        columns: the history.
        budget: what the search of such keys may cost; None for the default.
    """
    columns = with_equal_lists_shared(columns)
    key, keys = dense(columns.key)
    searched = _searched_keys(columns, key, keys)
    zones = zones_of(columns, key, keys, excluded=searched)
    strange = zones.strange
    undecided: list[str] = []
    if not columns.complete and len(strange):
        undecided.append(f"{plural(len(strange), 'read')} returned values whose writes may be among what is missing")
        strange = strange[:0]
    violations = len(strange) + len(zones.refused) + len(zones.early) + len(zones.conflicts)
    found = list(
        chain(
            _strange(columns, strange[:FINDINGS_KEPT]),
            _refused(columns, zones.refused[:FINDINGS_KEPT]),
            _early(columns, zones.early[:FINDINGS_KEPT]),
            _contradictory(columns, key, zones),
        )
    )
    count = int(np.count_nonzero(np.bincount(key))) if keys else 0
    figures = {"keys": float(count)}
    if searched is not None:
        outcome = search_keys(columns, key, np.flatnonzero(searched[key]), budget or Budget())
        found += outcome.findings
        violations += len(outcome.findings)
        undecided += outcome.undecided
        figures["keys_searched"] = float(outcome.keys)
    return conclude(
        MODEL,
        columns,
        found,
        holds=f"{plural(len(columns), 'operation')} on {plural(count, 'key')} are linearizable.",
        undecided=undecided,
        figures=figures,
        violations=violations,
    )


def _searched_keys(columns: Columns, key: Integers, keys: int) -> Mask | None:
    """Keys on which the zone test cannot decide; None when it can on all."""
    is_lasting = columns.is_kind("write") & columns.is_outcome(OK, UNKNOWN)
    # a read of null would show either the write of null or the initial value
    marked = [key[columns.is_kind(*SEARCHED) | (is_lasting & (columns.value == NOTHING))]]
    writes = np.flatnonzero(is_lasting)
    value, values = dense(columns.value[writes])
    if values and (np.bincount(value) > 1).any():
        pair = combined(key[writes], value)
        order = np.argsort(pair)
        pair = pair[order]
        marked.append(key[writes[order[1:][pair[1:] == pair[:-1]]]])
    if not any(len(some) for some in marked):
        return None
    mask = np.zeros(keys, np.bool_)
    for some in marked:
        mask[some] = True
    return mask


def _strange(columns: Columns, reads: Integers) -> Iterator[Finding]:
    for read in reads.tolist():
        yield finding_of(
            columns,
            "read of what nobody wrote",
            f"{named(columns, read)} of {key_text(columns, read)} returned {value_text(columns, read)}, which nobody"
            " wrote.",
            {read},
        )


def _refused(columns: Columns, pairs: Integers) -> Iterator[Finding]:
    for read, write in pairs.tolist():
        yield finding_of(
            columns,
            "read of a refused write",
            f"{named(columns, read)} of {key_text(columns, read)} returned {value_text(columns, read)}, but its"
            f" {named(columns, write, '')} was refused.",
            {write, read},
        )


def _early(columns: Columns, pairs: Integers) -> Iterator[Finding]:
    for read, write in pairs.tolist():
        yield finding_of(
            columns,
            "read before its write",
            f"{named(columns, read)} of {key_text(columns, read)} returned {value_text(columns, read)} and ended before"
            f" its {named(columns, write, '')} began.",
            {write, read},
        )


def _contradictory(columns: Columns, key: Integers, zones: Zones) -> Iterator[Finding]:
    """Two values of a key that must each come before the other, with the operations that force it."""
    pairs, pair_keys = zones.conflicts[:FINDINGS_KEPT].tolist(), zones.conflict_keys[:FINDINGS_KEPT]
    if not pairs:
        return
    concerned = np.zeros(int(key.max()) + 1, np.bool_)
    concerned[pair_keys] = True
    rows = np.flatnonzero(concerned[key])
    rows = rows[np.argsort(key[rows], kind="stable")]
    borders = np.searchsorted(key[rows], np.stack((pair_keys, pair_keys + 1), axis=1)).tolist()
    for (one, other), (begin, end) in zip(pairs, borders, strict=True):
        clusters = [_cluster(columns, rows[begin:end], write) for write in (one, other)]
        names = [_cluster_name(columns, write) for write in (one, other)]
        one_ended, other_began = _forcing(columns, one, clusters[0][0], other, clusters[1][1])
        other_ended, one_began = _forcing(columns, other, clusters[1][0], one, clusters[0][1])
        witness = {one_ended, other_began, other_ended, one_began, one, other} - {INITIAL}
        yield finding_of(
            columns,
            "not linearizable",
            f"{key_text(columns, one_began)}: {names[0]} must come before {names[1]}, because"
            f" {_before(columns, one_ended, other_began)}, and after it, because"
            f" {_before(columns, other_ended, one_began)}.",
            witness,
        )


def _forcing(columns: Columns, write: int, ended: int, other_write: int, began: int) -> tuple[int, int]:
    """Two operations that force one value before another: the writes themselves where they do, since they are shown.

    Args:
        columns: the history.
        write: the write of the value that must come first, or `INITIAL`.
        ended: the operation that ended first of those that wrote or read it.
        other_write: the write of the other value, or `INITIAL`.
        began: the operation that began last of those that wrote or read it.
    """
    if INITIAL in (write, other_write):
        return ended, other_write if write == INITIAL else began
    firsts = [ended] if columns.outcome[write] == UNKNOWN else [write, ended]
    pairs = [(first, last) for last in (other_write, began) for first in firsts]
    return next(pair for pair in pairs if columns.latest_ns[pair[0]] < columns.earliest_ns[pair[1]])


def _before(columns: Columns, ended: int, began: int) -> str:
    if ended == INITIAL:
        return f"it was there before {named(columns, began)}"
    return f"{named(columns, ended)} ended before {named(columns, began)} began"


def _cluster(columns: Columns, mine: Integers, write: int) -> tuple[int, int]:
    """Of one value of a key the operation that ended first, and the one that began last.

    Args:
        columns: the history.
        mine: all rows of the key.
        write: the write of the value, or `INITIAL`.
    """
    value = NOTHING if write == INITIAL else int(columns.value[write])
    kinds = [columns.kinds[code] for code in columns.kind[mine].tolist()]
    shown = (columns.value[mine] == value) & (columns.outcome[mine] == OK)
    reads = [
        row for row, kind, same in zip(mine.tolist(), kinds, shown.tolist(), strict=True) if kind == "read" and same
    ]
    if write == INITIAL:
        return INITIAL, max(reads, key=lambda row: int(columns.earliest_ns[row]))
    reads = [row for row in reads if columns.latest_ns[row] >= columns.earliest_ns[write]]
    ended = reads if columns.outcome[write] == UNKNOWN else [write, *reads]
    return (
        min(ended, key=lambda row: int(columns.latest_ns[row])),
        max((write, *reads), key=lambda row: int(columns.earliest_ns[row])),
    )


def _cluster_name(columns: Columns, write: int) -> str:
    return "the initial value" if write == INITIAL else value_text(columns, write)
