"""Order within a group: effects come in the order in which their operations were acknowledged.

Adjacent pairs suffice: if no effect lies before its predecessor's, no effect lies before any earlier one's.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from holdfast.checkers.records import Record, finding, ranked, records
from holdfast.history.model import History, Observation, Operation, Outcome
from holdfast.verdict.describe import shorten
from holdfast.verdict.model import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    operation: Operation
    read: Observation
    positions: tuple[str, ...]


def order_kept(history: History, *, effect: str) -> tuple[Finding, ...]:
    """Per group, the first effect of each acknowledged key does not lie before that of its predecessor.

    A key stands where its first acknowledged submission stands (`Operation.sequence`). Positions are compared as
    numbers when all of the group are numbers, otherwise as text; equal positions prove nothing.

    Args:
        history: what concerns the clause.
        effect: name of the effect port; its observations show positions (`Observation.orders`).
    """
    groups: defaultdict[str, list[_Placed]] = defaultdict(list)
    for record in records(history, effect):
        operation, read = _in_group(record), record.final
        if operation is not None and read is not None and read.count >= 1 and read.orders:
            groups[operation.group].append(_Placed(operation=operation, read=read, positions=read.orders))
    found = []
    for group, placed in groups.items():
        numeric = all(_number(position) is not None for one in placed for position in one.positions)
        placed.sort(key=lambda one: one.operation.sequence)
        firsts = [min(one.positions, key=lambda position: _rank(position, numeric=numeric)) for one in placed]
        for index in range(1, len(placed)):
            earlier, later = placed[index - 1], placed[index]
            at, before = firsts[index - 1], firsts[index]
            if _rank(before, numeric=numeric) >= _rank(at, numeric=numeric):
                continue
            found.append(
                finding(
                    "out of order",
                    f"Key {later.operation.key} is number {later.operation.sequence} of group {group} and its effect"
                    f" '{effect}' lies at {shorten(before)}, before {shorten(at)} of key {earlier.operation.key}, which"
                    f" is number {earlier.operation.sequence}, expected after it.",
                    later.operation.key,
                    (earlier.operation, later.operation, earlier.read, later.read),
                )
            )
    return ranked(found)


def undecided(history: History, *, effect: str) -> tuple[str, ...]:
    """Acknowledged keys of groups whose last observation is missing or incomplete, or whose effects show no position.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
    """
    return tuple(
        record.key
        for record in records(history, effect)
        if _in_group(record) is not None
        and (record.settled is None or record.settled.count == 0 or not record.settled.orders)
    )


def _in_group(record: Record) -> Operation | None:
    """The first acknowledged submission of the key that has a place in a group."""
    places = [operation for operation in record.of(Outcome.OK) if operation.group and operation.sequence >= 0]
    return min(places, key=lambda operation: operation.sequence, default=None)


def _number(position: str) -> Decimal | None:
    try:
        number = Decimal(position)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _rank(position: str, *, numeric: bool) -> tuple[Decimal, str]:
    number = _number(position) if numeric else None
    return (Decimal(0), position) if number is None else (number, "")
