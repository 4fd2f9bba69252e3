"""Clusters of registers with unique values, and the zones in which each value must have been in place.

A *cluster* is a write and the reads that returned its value; f is the earliest completion in it and s the latest
invocation. A cluster must come before another exactly when its f is before the other's s, so two of them contradict
each other when that is so both ways: two forward zones (f < s) that overlap, or a backward zone inside a forward one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.checkers.columnar.segments import combined, dense
from holdfast.history.columns import NEVER_NS, NOTHING, OK, UNKNOWN, Columns, Integers, Mask

INITIAL = -1
"""Stands for the write of the initial value, which nobody recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """What the zone test finds; every entry is a row of the history, two columns are pairs.

    Attributes:
        strange: reads of values that nobody wrote to the key.
        refused: reads of values whose write was refused, and that write.
        early: reads that ended before their write began, and that write.
        conflicts: writes of two clusters that must each come before the other; `INITIAL` for the initial value.
        conflict_keys: the dense key of each conflict.
    """

    strange: Integers
    refused: Integers
    early: Integers
    conflicts: Integers
    conflict_keys: Integers


def zones_of(columns: Columns, key: Integers, keys: int, *, excluded: Mask | None) -> Zones:
    """Form the clusters of all keys and compare their zones.

    Args:
        columns: the history; every value of a key that is not excluded is written once.
        key: the dense key of each row.
        keys: a bound above the keys.
        excluded: keys that are left out; None for none.
    """
    earliest, latest, value = columns.earliest_ns, columns.latest_ns, columns.value
    is_write, is_read = columns.is_kind("write"), columns.is_kind("read") & (columns.outcome == OK)
    if excluded is not None:
        inside = ~excluded[key]
        is_write, is_read = is_write & inside, is_read & inside
    is_lasting = is_write & columns.is_outcome(OK, UNKNOWN)
    writes = np.flatnonzero(is_lasting)
    reads = np.flatnonzero(is_read & (value != NOTHING))
    cluster, clusters = _cluster_of(key, value, is_lasting)

    write_of = np.full(clusters, -1, np.int64)
    write_of[cluster[writes]] = writes
    write = write_of[cluster[reads]]
    stray = (write < 0) | (key[write] != key[reads])
    strange, refused = reads[stray], np.empty((0, 2), np.int64)
    if len(strange):
        strange, refused = _refused(key, value, strange, np.flatnonzero(is_write & ~is_lasting))
        reads, write = reads[~stray], write[~stray]
    too_early = latest[reads] < earliest[write]
    early = np.stack((reads[too_early], write[too_early]), axis=1)
    if len(early):
        reads, write = reads[~too_early], write[~too_early]

    # from here on a cluster is known by its write's place in `writes`
    place = np.empty(len(key), np.int64)
    place[writes] = np.arange(len(writes))
    at = place[write]
    begin = np.where(columns.outcome[writes] == OK, latest[writes], NEVER_NS)
    end = earliest[writes].copy()
    np.minimum.at(begin, at, latest[reads])
    np.maximum.at(end, at, earliest[reads])
    # an unknown write that nobody read may never have happened
    there = begin != NEVER_NS
    if not there.all():
        writes, begin, end = writes[there], begin[there], end[there]
    zone_key = key[writes]

    initial = np.flatnonzero(is_read & (value == NOTHING))
    if len(initial):
        # the initial value was in place before everything
        last = np.full(keys, -NEVER_NS, np.int64)
        np.maximum.at(last, key[initial], earliest[initial])
        shown = np.flatnonzero(last != -NEVER_NS)
        before = int(earliest.min()) - 1
        writes = np.concatenate((writes, np.full(len(shown), INITIAL, np.int64)))
        zone_key = np.concatenate((zone_key, shown))
        begin = np.concatenate((begin, np.full(len(shown), before, np.int64)))
        end = np.concatenate((end, last[shown]))
    one, other = _contradictions(zone_key, begin, end)
    return Zones(
        strange=strange,
        refused=refused,
        early=early,
        conflicts=np.stack((writes[one], writes[other]), axis=1),
        conflict_keys=zone_key[one],
    )


def _cluster_of(key: Integers, value: Integers, is_lasting: Mask) -> tuple[Integers, int]:
    """A number for each key's each value, and a bound above; the value itself where no two keys share one."""
    number, numbers = dense(value)
    if not (np.bincount(number[is_lasting], minlength=1) > 1).any():
        return number, numbers
    distinct, inverse = np.unique(combined(key, number), return_inverse=True)
    return inverse, len(distinct)


def _refused(key: Integers, value: Integers, strays: Integers, failed: Integers) -> tuple[Integers, Integers]:
    """Reads of what was written by no lasting write: those that no failed write explains, and those that one does."""
    rows = np.concatenate((strays, failed))
    distinct, pair = np.unique(combined(*(dense(column[rows])[0] for column in (key, value))), return_inverse=True)
    failed_at = np.full(len(distinct), -1, np.int64)
    failed_at[pair[len(strays) :][::-1]] = failed[::-1]
    writes = failed_at[pair[: len(strays)]]
    return strays[writes < 0], np.stack((strays[writes >= 0], writes[writes >= 0]), axis=1)


def _contradictions(key: Integers, begin: Integers, end: Integers) -> tuple[Integers, Integers]:
    """Pairs of zones of which each must come before the other: all neighbours in time that contradict.

    Zones of a key are sorted by their lower ends, backward zones before forward ones of the same moment; then each is
    compared with the forward zone before it that reaches farthest. Without an overlap that is simply the last one.
    """
    forward = begin < end
    low = np.minimum(begin, end)
    order = np.argsort(combined(key, low, ties=forward))
    key, begin, end, forward = key[order], begin[order], end[order], forward[order]
    rows = np.arange(len(order))
    last_forward = np.maximum.accumulate(np.where(forward, rows, -1))
    before = np.empty_like(last_forward)
    before[:1], before[1:] = -1, last_forward[:-1]
    wrong = np.flatnonzero((before >= 0) & (key[before] == key) & (begin < end[before]))
    return order[before[wrong]], order[wrong]
