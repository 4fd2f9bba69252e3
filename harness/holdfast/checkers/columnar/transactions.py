"""Transactions of a history, and which of them must come before which: the dependency graph of Adya.

A transaction is a list of steps: ``["append", key, element]`` and ``["r", key, list]`` on lists, ``["w", key, value]``
and ``["r", key, value]`` on registers. Values are unique, so a read tells whom it read from:

- ww: one wrote a version that the other's version follows
- wr: the other read what one wrote
- rw: one read a version that the other's version follows
- rt: one ended before the other began

The versions of a list are told by its longest read. Those of a register are told where a transaction reads one and
writes another: nothing else is assumed.

Source: A. Adya, "Weak consistency", MIT 1999; K. Kingsbury, P. Alvaro, "Elle: inferring isolation anomalies from
experimental observations", VLDB 14 (2020).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from holdfast.checkers.columnar.search import frozen
from holdfast.errors import HistoryError
from holdfast.history.columns import FAIL, OK, Columns

READ, WRITE, APPEND = "r", "w", "append"
_STEPS = {"r": READ, "read": READ, "w": WRITE, "write": WRITE, "append": APPEND}

Edges = dict[int, dict[int, dict[str, str]]]
"""From row to row: each kind of edge with the words that explain it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a transaction.

    Attributes:
        kind: `READ`, `WRITE` or `APPEND`.
        key: the object.
        value: what was written, or what was read; a list is a tuple.
    """

    kind: str
    key: Hashable
    value: Hashable


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction.

    Attributes:
        row: its row in the history.
        outcome: `OK`, `FAIL` or `UNKNOWN`.
        steps: its steps in order.
    """

    row: int
    outcome: int
    steps: tuple[Step, ...]

    def reads(self) -> Iterator[Step]:
        """Reads of the state before the transaction: those of objects it has not written itself by then."""
        written: set[Hashable] = set()
        for step in self.steps:
            if step.kind != READ:
                written.add(step.key)
            elif step.key not in written and self.outcome == OK:
                yield step

    def writes(self) -> Iterator[Step]:
        """Its writes and appends."""
        return (step for step in self.steps if step.kind != READ)


@dataclass(slots=True)
class Versions:
    """Who wrote what, and the order of versions as far as it is known.

    Attributes:
        lists: for each list its longest read.
        writers: for each object and value the transactions that wrote it.
        follows: for each register and value, None for the initial one, the values that directly follow.
    """

    lists: dict[Hashable, tuple[Hashable, ...]] = field(default_factory=dict)
    writers: dict[tuple[Hashable, Hashable], list[Transaction]] = field(default_factory=dict)
    follows: dict[tuple[Hashable, Hashable], set[Hashable]] = field(default_factory=dict)

    def writer(self, key: Hashable, value: Hashable) -> Transaction | None:
        """The transaction that wrote a value, if exactly one may have and it was not refused."""
        lasting = [one for one in self.writers.get((key, value), ()) if one.outcome != FAIL]
        return lasting[0] if len(lasting) == 1 else None


def transactions_of(columns: Columns) -> list[Transaction]:
    """The transactions of a history, rows of kind ``txn``.

    Raises:
        HistoryError: a row is no list of steps.
    """
    found = []
    for row in np.flatnonzero(columns.is_kind("txn")).tolist():
        value = columns.value_of(row)
        try:
            steps = tuple(Step(_STEPS[str(kind)], frozen(key), frozen(what)) for kind, key, what in _items(value))
        except (KeyError, TypeError, ValueError) as error:
            raise HistoryError(
                f"Transaction #{row + 1} is no list of steps.",
                cause=str(value)[:200],
                remedy='a transaction is a list such as [["append", "x", 1], ["r", "y", [1, 2]]]',
            ) from error
        found.append(Transaction(row, int(columns.outcome[row]), steps))
    return found


def _items(value: object) -> Sequence[Sequence[object]]:
    return value if isinstance(value, (list, tuple)) else ()


def versions_of(transactions: Sequence[Transaction]) -> Versions:
    """Who wrote what, and in which order."""
    versions = Versions()
    for one in transactions:
        last: dict[Hashable, Hashable] = {}
        known: set[Hashable] = set()
        for step in one.steps:
            if step.kind == READ:
                if isinstance(step.value, tuple):
                    if one.outcome == OK and len(step.value) >= len(versions.lists.get(step.key, ())):
                        versions.lists[step.key] = step.value
                elif one.outcome == OK:
                    last[step.key] = step.value
                    known.add(step.key)
                continue
            versions.writers.setdefault((step.key, step.value), []).append(one)
            if step.kind == WRITE:
                if step.key in known and one.outcome != FAIL:
                    versions.follows.setdefault((step.key, last[step.key]), set()).add(step.value)
                last[step.key] = step.value
                known.add(step.key)
    return versions


def dependencies(columns: Columns, transactions: Sequence[Transaction], *, real_time: bool) -> Edges:
    """The dependency graph; an edge leads from what must come first.

    Args:
        columns: the history.
        transactions: its transactions.
        real_time: whether one that ended before another began must come first.
    """
    versions = versions_of(transactions)
    edges: Edges = {one.row: {} for one in transactions if one.outcome != FAIL}
    lists = {step.key for one in transactions for step in one.steps if step.kind == APPEND} | set(versions.lists)
    _list_orders(edges, versions)
    _register_orders(edges, versions)
    registers = _registers(transactions)
    for one in transactions:
        for step in one.reads():
            if step.key in lists:
                _list_read(edges, versions, one, step)
            else:
                _register_read(edges, versions, one, step, registers)
    if real_time:
        _real_time(edges, columns)
    return edges


def _add(edges: Edges, one: Transaction | None, other: Transaction | None, kind: str, words: str) -> None:
    if one is None or other is None or one.row == other.row or FAIL in (one.outcome, other.outcome):
        return
    edges[one.row].setdefault(other.row, {}).setdefault(kind, words)


def _list_orders(edges: Edges, versions: Versions) -> None:
    for key, elements in versions.lists.items():
        for before, after in pairwise(elements):
            one, other = versions.writer(key, before), versions.writer(key, after)
            if one is not None and other is not None:
                words = f"#{one.row + 1} appended {before!r} to {key} before #{other.row + 1} appended {after!r}"
                _add(edges, one, other, "ww", words)


def _register_orders(edges: Edges, versions: Versions) -> None:
    for (key, before), afters in versions.follows.items():
        one = versions.writer(key, before)
        for after in afters:
            other = versions.writer(key, after)
            if one is not None and other is not None:
                words = f"#{one.row + 1} wrote {before!r} to {key}, which #{other.row + 1} replaced by {after!r}"
                _add(edges, one, other, "ww", words)


def _list_read(edges: Edges, versions: Versions, reader: Transaction, step: Step) -> None:
    seen = step.value if isinstance(step.value, tuple) else ()
    longest = versions.lists.get(step.key, ())
    if seen != longest[: len(seen)]:
        return  # an order of its own: reported as such, and no base for conclusions
    if seen:
        writer = versions.writer(step.key, seen[-1])
        if writer is not None:
            words = f"#{reader.row + 1} read {seen[-1]!r} of {step.key}, which #{writer.row + 1} had appended"
            _add(edges, writer, reader, "wr", words)
    if len(longest) > len(seen):
        after = longest[len(seen)]
        writer = versions.writer(step.key, after)
        if writer is not None:
            words = f"#{reader.row + 1} read {step.key} without {after!r}, which #{writer.row + 1} appended"
            _add(edges, reader, writer, "rw", words)


def _registers(transactions: Sequence[Transaction]) -> Mapping[Hashable, list[tuple[Hashable, Transaction]]]:
    """For each register its writes."""
    registers: defaultdict[Hashable, list[tuple[Hashable, Transaction]]] = defaultdict(list)
    for one in transactions:
        for step in one.writes():
            if step.kind == WRITE:
                registers[step.key].append((step.value, one))
    return registers


def _register_read(
    edges: Edges,
    versions: Versions,
    reader: Transaction,
    step: Step,
    registers: Mapping[Hashable, list[tuple[Hashable, Transaction]]],
) -> None:
    key, seen = step.key, step.value
    writer = None if seen is None else versions.writer(key, seen)
    if writer is not None:
        words = f"#{reader.row + 1} read {seen!r} of {key}, which #{writer.row + 1} had written"
        _add(edges, writer, reader, "wr", words)
    following = versions.follows.get((key, seen), set())
    if seen is None:
        # every version follows the initial one; a write that may not have happened follows nothing unless it was read
        following = following | {value for value, one in registers.get(key, ()) if one.outcome == OK}
    for value in following:
        other = versions.writer(key, value)
        if other is not None:
            words = f"#{reader.row + 1} read {seen!r} of {key}, which #{other.row + 1} replaced by {value!r}"
            if seen is None:
                words = f"#{reader.row + 1} read {key} before #{other.row + 1} wrote {value!r} to it"
            _add(edges, reader, other, "rw", words)


def _real_time(edges: Edges, columns: Columns) -> None:
    """Edges between transactions that did not overlap, without those that others imply."""
    rows = np.array(list(edges), np.int64)
    certain = rows[columns.outcome[rows] == OK]
    events = sorted(
        [(int(columns.earliest_ns[row]), 0, int(row)) for row in rows]
        + [(int(columns.latest_ns[row]), 1, int(row)) for row in certain]
    )
    frontier: set[int] = set()
    before: dict[int, set[int]] = {}
    for _, is_end, row in events:
        if not is_end:
            before[row] = set(frontier)
            for earlier in frontier:
                words = f"#{earlier + 1} ended before #{row + 1} began"
                edges[earlier].setdefault(row, {}).setdefault("rt", words)
        else:
            frontier = (frontier - before[row]) | {row}
