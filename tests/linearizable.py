"""Large histories that a linearizable register would leave, and anomalies planted in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from holdfast.history.columns import Columns, Integers

STEP_NS = 1_000


def linearizable_history(chance: np.random.Generator, operations: int, *, keys: int, concurrency: float) -> Columns:
    """Operations that each happen at a moment of their own within their interval; half of them write.

    Args:
        chance: where the randomness comes from.
        operations: how many operations.
        keys: how many keys they are spread over.
        concurrency: how many operations of a key are in flight at a time, on average.
    """
    key = chance.integers(0, keys, operations)
    moment = np.arange(operations) * STEP_NS + 1_000_000_000
    # operations of one key come every keys * STEP_NS; an interval reaches as far before its moment as after it
    reach = 2 * concurrency * keys * STEP_NS / 2
    before, after = (chance.random((2, operations)) * reach).astype(np.int64)
    is_write = chance.random(operations) < 0.5
    order = np.argsort(key * operations + np.arange(operations))
    sorted_key, sorted_write = key[order], is_write[order]
    places = np.arange(operations)
    begins = np.ones(operations, np.bool_)
    begins[1:] = sorted_key[1:] != sorted_key[:-1]
    first = np.maximum.accumulate(np.where(begins, places, 0))
    last_write = np.maximum.accumulate(np.where(sorted_write, places, -1))
    value = np.empty(operations, np.int64)
    value[order] = np.where(last_write >= first, order[last_write], -1)
    return Columns(
        kinds=("read", "write"),
        kind=is_write.astype(np.uint8),
        key=key,
        value=value,
        invoked_ns=moment - before,
        completed_ns=moment + after,
        outcome=np.zeros(operations, np.uint8),
        session=key % 64,
    )


def plant_anomalies(chance: np.random.Generator, history: Columns, count: int = 50) -> tuple[Columns, Integers]:
    """Let some reads, one of a key, return a value that had certainly been replaced; gives their rows.

    Args:
        chance: where the randomness comes from.
        history: a linearizable history; values are the rows of their writes.
        count: how many.
    """
    value = history.value.copy()
    planted: list[int] = []
    taken: set[int] = set()
    for read in chance.permutation(np.flatnonzero(history.kind == 0)).tolist():
        key = int(history.key[read])
        if len(planted) == count:
            break
        if key in taken:
            continue
        mine = np.flatnonzero((history.key == key) & (history.kind == 1))
        done = mine[history.completed_ns[mine] < history.invoked_ns[read]]
        if len(done) < 2:
            continue
        newest = done[np.argmax(history.invoked_ns[done])]
        replaced = done[history.completed_ns[done] < history.invoked_ns[newest]]
        if len(replaced):
            value[read] = chance.choice(replaced)
            planted.append(read)
            taken.add(key)
    return replace(history, value=value), np.array(planted)
