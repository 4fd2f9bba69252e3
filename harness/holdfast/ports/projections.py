"""Reading an event log and its read models, aggregate by aggregate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from holdfast.errors import PortError
from holdfast.history.logs import Event
from holdfast.ports.context import PortContext
from holdfast.ports.effect import read_source
from holdfast.ports.expression import search
from holdfast.ports.folding import canonical_state, names_of
from holdfast.ports.text import quoted, text_of
from holdfast.stack.base import Json
from holdfast.stack.logs import SEEN, Log, View
from holdfast.stack.patterns import CqrsPattern


@dataclass(frozen=True, slots=True)
class Shown:
    """What a view shows: the state in canonical form, None for nothing; and the version, where it says one."""

    state: Json = None
    version: int | None = None


def read_events(log: Log, context: PortContext, port: str) -> tuple[Event, ...]:
    """All events of the aggregate that the context's submission names, by their sequence.

    Raises:
        PortError: the source answers what it must not, or an event shows no place.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
    """
    seen = read_source(log.source, context, port)
    events = [_event(log, entry.data, port) for entry in seen.entries]
    return tuple(sorted(events, key=lambda event: event.sequence))


def read_view(view: View, pattern: CqrsPattern, context: PortContext, port: str, *, seen: int = 0) -> Shown:
    """What a view shows of the aggregate that the context's submission names, to a session that has seen so much of it.

    Raises:
        PortError: the source answers what it must not, or shows several entries.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
    """
    context = replace(context, values={SEEN: seen, **context.values})
    entries = read_source(view.source, context, port).entries
    if len(entries) > 1:
        raise PortError(
            f"{port} shows {len(entries)} entries of one aggregate",
            cause="a view shows one entry, or none",
            remedy="let its source find the aggregate's own entry, or make one of many with entries or a query",
        )
    if not entries:
        return Shown()
    data = entries[0].data
    if view.state is not None:
        found = search(view.state, data)
    else:
        names = names_of(pattern)
        found = {name: data.get(name) for name in names} if names and isinstance(data, dict) else data
    version = None if view.version is None else search(view.version, data)
    return Shown(canonical_state(pattern, found), None if version is None else _whole(version, "version", port))


def _event(log: Log, data: Json, port: str) -> Event:
    sequence = _whole(search(log.sequence, data), "sequence", port)
    identity = search(log.event, data) if log.event is not None else sequence
    command = search(log.command, data)
    return Event(
        sequence=sequence,
        identity=text_of(identity),
        command="" if command is None else text_of(command),
        data=data,
    )


def _whole(found: Json, what: str, port: str) -> int:
    try:
        number = Decimal(str(found))
        whole = int(number)
    except (InvalidOperation, ValueError, OverflowError):
        number, whole = Decimal("NaN"), 0
    if isinstance(found, bool) or number != whole:
        raise PortError(
            f"{port}: {what} is no whole number",
            cause=f"it is {quoted(found)}",
            remedy=f"correct {what} in the descriptor: it is a JMESPath expression on one entry",
        )
    return whole
