"""How many effects the entries of one source amount to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from holdfast.errors import PortError
from holdfast.ports.expression import search
from holdfast.ports.sources.reading import Entry
from holdfast.ports.text import quoted, text_of
from holdfast.stack.base import Json
from holdfast.stack.effects import (
    DeltaMeasure,
    ItemsMeasure,
    Measure,
    MembershipMeasure,
    PresenceMeasure,
    SumMeasure,
)
from holdfast.stack.templates import render


def measure(
    rule: Measure, entries: Sequence[Entry], values: Mapping[str, Json], port: str
) -> tuple[int, tuple[Entry, ...]]:
    """The count, and the entries that show it.

    Args:
        rule: how to count.
        entries: the entries of one source.
        values: what placeholders stand for.
        port: who counts, for messages.

    Raises:
        PortError: what should be a number or a collection is none, or the effects are not whole ones.
    """
    match rule:
        case ItemsMeasure():
            return len(entries), tuple(entries)
        case PresenceMeasure():
            wanted = render(rule.equals, values)
            shown = tuple(entry for entry in entries if _present(search(rule.path, entry.data), wanted))
            return len(shown), shown
        case MembershipMeasure():
            element = render(rule.element, values)
            counts = [_occurrences(search(rule.path, entry.data), element, rule.path, port) for entry in entries]
            shown = tuple(entry for entry, count in zip(entries, counts, strict=True) if count)
            return sum(counts), shown
        case DeltaMeasure():
            start = _parameter(rule.start, "start", values, port)
            total = sum((number - start for number in _numbers(rule.path, entries, port)), Decimal())
            return _whole(total, _parameter(rule.step, "step", values, port), port), tuple(entries)
        case SumMeasure():
            total = sum(_numbers(rule.path, entries, port), Decimal())
            return _whole(total, _parameter(rule.step, "step", values, port), port), tuple(entries)


def _present(found: Json, wanted: Json) -> bool:
    if wanted is None:
        return found is not None
    return found is not None and _same(found, wanted)


def _occurrences(collection: Json, element: Json, path: str, port: str) -> int:
    if collection is None:
        return 0
    if isinstance(collection, dict):
        return int(text_of(element) in collection)
    if isinstance(collection, list):
        return sum(_same(one, element) for one in collection)
    raise PortError(
        f"{port}: {path} is no set, list or map",
        cause=f"it is {quoted(collection)}",
        remedy="correct the path of the member measure, or measure an attribute",
    )


def _same(one: Json, other: Json) -> bool:
    """Equal as text, or as numbers: DynamoDB gives 1 for 1.0."""
    numbers = isinstance(one, int | float) and isinstance(other, int | float)
    if numbers and not isinstance(one, bool) and not isinstance(other, bool):
        return bool(one == other)
    return text_of(one) == text_of(other)


def _numbers(path: str, entries: Sequence[Entry], port: str) -> list[Decimal]:
    return [_number(found, path, port) for entry in entries if (found := search(path, entry.data)) is not None]


def _decimal(found: Json) -> Decimal | None:
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        number = Decimal(str(found))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _number(found: Json, path: str, port: str) -> Decimal:
    number = _decimal(found)
    if number is not None:
        return number
    raise PortError(
        f"{port}: {path} is no number",
        cause=f"it is {quoted(found)}",
        remedy="correct the path of the measure",
    )


def _parameter(template: float | str, name: str, values: Mapping[str, Json], port: str) -> Decimal:
    number = _decimal(render(template, values))
    if number is None or (name == "step" and not number):
        raise PortError(
            f"{port}: {name} is no number that can be used",
            cause=f"{template!r} renders to {quoted(render(template, values))}",
            remedy=f"let {name} be a number, or a template that renders to one; step must not be 0",
        )
    return number


def _whole(total: Decimal, step: Decimal, port: str) -> int:
    count = total / step
    if count == count.to_integral_value():
        return int(count)
    raise PortError(
        f"{port}: {total} is no multiple of {step}",
        cause="the number moved by something that is not a whole number of effects",
        remedy="set step to what one effect adds, and start to where the number stood",
    )
