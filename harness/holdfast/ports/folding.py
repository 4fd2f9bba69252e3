"""The fold: from the events of one aggregate to the state that its view shows. Pure, but for a fold in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, assert_never

from holdfast.errors import PortError
from holdfast.ports.expression import search
from holdfast.ports.text import json_text, quoted
from holdfast.ports.transports.python import load, source_file
from holdfast.stack.base import Json
from holdfast.stack.logs import CountFold, FoldRule, LastFold, SetFold, SumFold
from holdfast.stack.patterns import CqrsPattern

Folding = Callable[[Sequence[Json]], Json]
"""From events in order, plain JSON each, to canonical state; None for none."""


def folding(pattern: CqrsPattern, descriptor: Path) -> Folding:
    """The fold of a pattern.

    Args:
        pattern: the pattern.
        descriptor: the descriptor's file; a fold in Python is beside it.

    Raises:
        PortError: a fold in Python cannot be loaded.
    """
    rules = pattern.fold
    if isinstance(rules, str):
        return _called(load(rules, descriptor), rules, descriptor)
    removal = pattern.removal.event if pattern.removal is not None else None
    nothing = {name: _folded(rule, ()) for name, rule in rules.items()}

    def fold(events: Sequence[Json]) -> Json:
        if removal is not None:
            removed = [at for at, event in enumerate(events) if search(removal, event) is True]
            events = events[removed[-1] + 1 :] if removed else events
        if not events:
            return None
        state = {name: _folded(rule, events) for name, rule in rules.items()}
        return None if state == nothing else state

    return fold


def canonical_state(pattern: CqrsPattern, found: Json) -> Json:
    """What a view shows, in the form that the fold gives: sets without an order, numbers whatever their type.

    A state that is that of no events is none: some views show an aggregate without events as zeros.
    """
    rules = pattern.fold
    if isinstance(rules, str) or not isinstance(found, dict):
        return canonical(found)
    if all(value is None for value in found.values()):
        return None
    state = {name: _shown(rules.get(name), value) for name, value in found.items()}
    nothing = {name: _folded(rule, ()) for name, rule in rules.items()}
    return None if state == nothing else state


def names_of(pattern: CqrsPattern) -> tuple[str, ...]:
    """The names of the parts of the state; none for a fold in Python."""
    return () if isinstance(pattern.fold, str) else tuple(pattern.fold)


def canonical(value: Json) -> Json:
    """The same JSON for the same meaning: whole numbers as integers, other numbers as their shortest decimal text."""
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float | Decimal):
        return _number(Decimal(str(value)))
    if isinstance(value, dict):
        return {str(name): canonical(part) for name, part in value.items()}
    return [canonical(part) for part in value]


def _called(function: Callable[..., object], name: str, descriptor: Path) -> Folding:
    def fold(events: Sequence[Json]) -> Json:
        try:
            return canonical(function(list(events)))
        except Exception as error:  # noqa: BLE001 - a user's code may raise anything
            raise PortError(
                f"{name} in {source_file(name, descriptor)} could not fold {len(events)} events",
                cause=f"{type(error).__name__}: {error}",
                remedy="correct the function: it is given the list of events in order and returns plain JSON or None",
            ) from None

    return fold


def _folded(rule: FoldRule, events: Sequence[Json]) -> Json:
    if rule.where is not None:
        events = [event for event in events if search(rule.where, event) is True]
    match rule:
        case CountFold():
            return len(events)
        case LastFold():
            found = _values(rule.path, events)
            return canonical(found[-1]) if found else None
        case SumFold():
            numbers = [_decimal(value, rule.path) for value in _values(rule.path, events)]
            return _number(sum(numbers, Decimal(str(rule.start))))
        case SetFold():
            return _as_set([canonical(value) for value in _values(rule.path, events)])
        case _:
            assert_never(rule)


def _values(path: str, events: Sequence[Json]) -> list[Json]:
    return [value for event in events if (value := search(path, event)) is not None]


def _shown(rule: FoldRule | None, value: Json) -> Json:
    value = canonical(value)
    if isinstance(rule, SetFold):
        return _as_set(value) if isinstance(value, list) else [] if value is None else value
    if isinstance(rule, SumFold | CountFold) and isinstance(value, str):
        try:
            return _number(Decimal(value))
        except InvalidOperation:
            return value
    return value


def _as_set(values: list[Any]) -> list[Any]:
    different = {json_text(value): value for value in values}
    return [different[text] for text in sorted(different)]


def _decimal(value: Json, path: str) -> Decimal:
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite():
            return number
    raise PortError(
        f"fold: {path} is no number in an event",
        cause=f"it is {quoted(value)}",
        remedy="correct the path of the sum in patterns.cqrs.fold",
    )


def _number(number: Decimal) -> Json:
    if not number.is_finite():
        return str(number)
    return int(number) if number == number.to_integral_value() else format(number.normalize(), "f")
