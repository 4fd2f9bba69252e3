"""Counting an effect: its sources read, measured and combined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from holdfast.ports.context import PortContext
from holdfast.ports.expression import search
from holdfast.ports.measure import measure
from holdfast.ports.sources import Entry, read
from holdfast.ports.sources.reading import Reading
from holdfast.ports.text import text_of
from holdfast.stack.effects import MEASURED, AnySource, Effect, ItemsMeasure

_ITSELF = "@"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one read of an effect or a status found.

    Attributes:
        count: how many times the effect is there.
        values: what each shows for the command's value, oldest first.
        bodies: what each shows for the original payload, oldest first.
        orders: their places in the order, lowest first.
        entries: the entries themselves.
    """

    count: int
    values: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


def read_effect(effect: Effect, context: PortContext, port: str) -> Seen:
    """Read every source of an effect and combine what they show.

    Raises:
        PortError: a source answers what it must not.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
    """
    seen = [read_source(source, context, port) for source in effect.sources]
    return combined(seen, every=effect.combine == "all")


def read_source(source: AnySource, context: PortContext, port: str) -> Seen:
    """Read one source and count what it shows.

    Raises:
        PortError: it answers what it must not.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
    """
    return seen_in(source, read(source, context, port), context, port)


def seen_in(source: AnySource, found: Reading, context: PortContext, port: str) -> Seen:
    """Count what one reading of a source shows.

    Raises:
        PortError: it shows what it must not.
    """
    if found.count is not None:
        return Seen(found.count)
    entries = found.entries
    if source.where is not None:
        entries = tuple(entry for entry in entries if search(source.where, entry.data) is True)
    if source.order is not None:
        entries = in_order(entries, source.order)
    rule = source.measure if isinstance(source, MEASURED) else ItemsMeasure()
    count, entries = measure(rule, entries, context.values, port)
    return Seen(
        count,
        values=_shown(entries, source.value),
        bodies=_bodies(entries, source),
        orders=_shown(entries, source.order),
        entries=entries,
    )


def combined(seen: Sequence[Seen], *, every: bool) -> Seen:
    """Several sources as one effect.

    ``sum`` adds the counts. ``all`` (``every``) takes the smallest, or the largest as soon as any source shows more
    than one; what all sources show alike is kept once.
    """
    if len(seen) == 1:
        return seen[0]
    counts = [one.count for one in seen]
    strictest = max(counts) if max(counts) > 1 else min(counts)
    return Seen(
        strictest if every else sum(counts),
        values=_joined([one.values for one in seen], every=every),
        bodies=_joined([one.bodies for one in seen], every=every),
        orders=_joined([one.orders for one in seen], every=every),
        entries=tuple(entry for one in seen for entry in one.entries),
    )


def in_order(entries: Sequence[Entry], order: str) -> tuple[Entry, ...]:
    """Entries sorted by their place, as numbers when all places are numbers, as text otherwise."""
    places = [text_of(search(order, entry.data)) for entry in entries]
    try:
        numbers = [Decimal(place) for place in places]
    except InvalidOperation:
        numbers = []
    keys = numbers if numbers and all(number.is_finite() for number in numbers) else places
    return tuple(entries[at] for at in sorted(range(len(entries)), key=keys.__getitem__))


def _shown(entries: Sequence[Entry], expression: str | None) -> tuple[str, ...]:
    if expression is None:
        return ()
    return tuple(_text(entry, expression) for entry in entries)


def _bodies(entries: Sequence[Entry], source: AnySource) -> tuple[str, ...]:
    if source.body is None and getattr(source, "content", "") == "bytes":
        return _shown(entries, _ITSELF)
    return _shown(entries, source.body)


def _text(entry: Entry, expression: str) -> str:
    # The entry itself is compared byte for byte, not as JSON that was parsed and written again.
    if expression.strip() == _ITSELF and entry.raw is not None:
        return entry.raw
    return text_of(search(expression, entry.data))


def _joined(parts: Sequence[tuple[str, ...]], *, every: bool) -> tuple[str, ...]:
    shown = [part for part in parts if part]
    if every and shown and all(part == shown[0] for part in shown):
        return shown[0]
    return tuple(text for part in shown for text in part)
