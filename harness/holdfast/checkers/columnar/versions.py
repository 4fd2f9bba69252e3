"""Which version of its key each read saw, and which versions are certainly newer.

The order of a key's versions is that of the positions which the system gave, where every write has one. Elsewhere it
is real time: a write is certainly newer than another when it began after the other had ended, and of two that overlap
neither is. So a version is a pair of numbers, ``low`` and ``high``: its position twice, or its write's beginning and
end; one is certainly newer than another when its low is above the other's high.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.checkers.columnar.elements import with_equal_lists_shared
from holdfast.checkers.columnar.result import plural
from holdfast.checkers.columnar.segments import combined, dense
from holdfast.history.columns import NEVER_NS, NOTHING, OK, UNKNOWN, Columns, Integers

INITIAL = -1
"""Stands for the version before the first write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """The versions of all keys, and the reads that saw them.

    Attributes:
        keys: a bound above the dense keys.
        positioned: whether the order is that of positions.
        write: rows of writes that happened, sorted by key and low.
        write_key: their dense keys.
        low, high: their versions.
        done_ns: when each had happened for certain: its acknowledgement, or the first end of a read that saw it.
        read: rows of reads whose version is known.
        read_key: their dense keys.
        read_low, read_high: the version that each saw; below every other for the initial one.
        read_version: which one that is: its position, or the row of its write; `INITIAL` for the initial one.
        newer: for each read, the place in ``write`` of the first write of its key that is certainly newer than what
            it saw; `end_of_key` of its key where there is none.
        unplaced: how many reads could not be placed among the versions.
    """

    keys: int
    positioned: bool
    write: Integers
    write_key: Integers
    low: Integers
    high: Integers
    done_ns: Integers
    read: Integers
    read_key: Integers
    read_low: Integers
    read_high: Integers
    read_version: Integers
    newer: Integers
    unplaced: int

    def end_of_key(self, key: Integers) -> Integers:
        """For each key the place in ``write`` after its last write."""
        return np.searchsorted(self.write_key, key, side="right")

    def undecided(self) -> tuple[str, ...]:
        """What could not be placed, a sentence each."""
        if not self.unplaced:
            return ()
        return (
            f"{plural(self.unplaced, 'read')} returned a value that was written to the key never or more than once",
        )


def versions_of(columns: Columns) -> Versions:
    """The versions of a history of ``write`` and ``read`` rows; refused writes count for nothing."""
    columns = with_equal_lists_shared(columns)
    key, keys = dense(columns.key)
    earliest, latest, value = columns.earliest_ns, columns.latest_ns, columns.value
    writes = np.flatnonzero(columns.is_kind("write") & columns.is_outcome(OK, UNKNOWN))
    reads = np.flatnonzero(columns.is_kind("read") & (columns.outcome == OK))
    position = columns.position
    certain = columns.outcome[writes] == OK
    positioned = position is not None and bool(certain.any()) and bool((position[writes[certain]] >= 0).all())

    saw, twice = _seen_writes(key, value, writes, reads)
    done = np.where(certain, latest[writes], NEVER_NS)
    np.minimum.at(done, saw[saw >= 0], latest[reads[saw >= 0]])
    if positioned:
        assert position is not None
        read_position = position[reads]
        low = position[writes].copy()
        # where a write's answer was lost, a read of its value tells the position
        told = (saw >= 0) & (read_position >= 0)
        unsure = low < 0
        np.maximum.at(low, saw[told & unsure[saw]], read_position[told & unsure[saw]])
        high = low
        known = (read_position >= 0) | (value[reads] == NOTHING) | ((saw >= 0) & (low[saw] >= 0))
        read_low = np.where(read_position >= 0, read_position, np.where(saw >= 0, low[saw], INITIAL))
        read_high = read_version = read_low
        happened = (done != NEVER_NS) & (low >= 0)
    else:
        low, high = earliest[writes], done
        known = (saw >= 0) | (value[reads] == NOTHING)
        before = int(earliest.min()) - 1 if len(earliest) else 0
        read_low = np.where(saw >= 0, low[saw], before) if len(writes) else np.full(len(reads), before)
        read_high = np.where(saw >= 0, high[saw], before) if len(writes) else np.full(len(reads), before)
        read_version = np.where(saw >= 0, writes[saw], INITIAL) if len(writes) else np.full(len(reads), INITIAL)
        happened = done != NEVER_NS
    if not positioned:
        known &= ~twice
    writes, low, high, done = writes[happened], low[happened], high[happened], done[happened]
    order = np.argsort(combined(key[writes], low), kind="stable")
    writes, low, high, done = writes[order], low[order], high[order], done[order]
    reads, read_low, read_high = reads[known], read_low[known], read_high[known]
    return Versions(
        keys=keys,
        positioned=positioned,
        write=writes,
        write_key=key[writes],
        low=low,
        high=high,
        done_ns=done,
        read=reads,
        read_key=key[reads],
        read_low=read_low,
        read_high=read_high,
        read_version=read_version[known],
        newer=places(key[writes], low, key[reads], read_high, side="right"),
        unplaced=int(np.count_nonzero(~known)),
    )


def places(sorted_group: Integers, sorted_value: Integers, group: Integers, value: Integers, *, side: str) -> Integers:
    """Where values would stand among others that are sorted by group and value, as `numpy.searchsorted` says.

    Args:
        sorted_group: groups of what is searched.
        sorted_value: its values.
        group: groups of what is looked for.
        value: its values.
        side: ``left`` for the place before equals, ``right`` for the place after them.
    """
    count = len(sorted_group)
    numbers = combined(np.concatenate((sorted_group, group)), np.concatenate((sorted_value, value)))
    return np.searchsorted(numbers[:count], numbers[count:], side="left" if side == "left" else "right")


def writes_seen(versions: Versions, rows: Integers) -> dict[int, int]:
    """The row of the write whose version each of some reads saw; nothing for one that saw the initial version.

    Args:
        versions: the versions of the history.
        rows: rows of the history.
    """
    chosen = np.flatnonzero(np.isin(versions.read, rows))
    if not len(versions.write) or not len(chosen):
        return {}
    if not versions.positioned:
        pairs = zip(versions.read[chosen].tolist(), versions.read_version[chosen].tolist(), strict=True)
        return {read: write for read, write in pairs if write != INITIAL}
    key, low = versions.read_key[chosen], versions.read_low[chosen]
    at = np.minimum(places(versions.write_key, versions.low, key, low, side="left"), len(versions.write) - 1)
    there = (versions.write_key[at] == key) & (versions.low[at] == low)
    return dict(zip(versions.read[chosen[there]].tolist(), versions.write[at[there]].tolist(), strict=True))


def _seen_writes(key: Integers, value: Integers, writes: Integers, reads: Integers) -> tuple[Integers, Integers]:
    """For each read the place in ``writes`` of the write it saw, -1 for none; and whether there is more than one."""
    if not len(writes):
        return np.full(len(reads), -1, np.int64), np.zeros(len(reads), np.bool_)
    number, _ = dense(value)
    numbers = combined(key, number)
    order = np.argsort(numbers[writes], kind="stable")
    written = numbers[writes][order]
    at = np.searchsorted(written, numbers[reads])
    inside = np.minimum(at, len(written) - 1)
    found = (written[inside] == numbers[reads]) & (value[reads] != NOTHING)
    following = np.minimum(inside + 1, len(written) - 1)
    twice = found & (following != inside) & (written[following] == numbers[reads])
    return np.where(found & ~twice, order[inside], -1), twice
