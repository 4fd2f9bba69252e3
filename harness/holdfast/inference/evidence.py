"""What trials show: where a command's effects are, what tells one from another, which text is the value. Pure.

A key that nobody else uses makes it a search: a row in whose partition the key stands belongs to the command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.inference.inventory import Inventory
from holdfast.inference.learning import Row, Trial

_PREFIX = re.compile(r"[A-Za-z]+(?:[-_.][A-Za-z]+)*")
_STATES = ("state", "status")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|[+-]\d\d:\d\d)")
_LEAST_MS = 1_000_000_000_000
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A place where a command leaves entries.

    Attributes:
        name: for the descriptor.
        table: logical id of the table.
        partition: the placeholder in the table's partition, without braces.
        prefix: what the sort key of its entries begins with; empty where the table holds nothing else of a command.
        value: attribute that shows the value; empty for none.
        body: attribute that shows the whole body; empty for none.
        key: attribute that shows the key where the partition does not; empty otherwise.
        order: attribute that shows when an entry was made; empty for none.
    """

    name: str
    table: str
    partition: str
    prefix: str = ""
    value: str = ""
    body: str = ""
    key: str = ""
    order: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where the system says what has become of a command.

    Attributes:
        table: logical id of the table; empty where the API's own route says it.
        attribute: the attribute or member that shows the state.
        done: the state of a command that was done.
        failed: the state of one that was not; empty where none was seen.
        pending: what was seen on the way.
    """

    table: str
    attribute: str
    done: str
    failed: str = ""
    pending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """How a view's attributes come from events: by attribute, the kind of fold and the event's path.

    Attributes:
        attributes: what is understood.
        others: attributes of the view that are not.
        version: attribute of the view that shows how far it is; empty for none.
        event: attribute of an event that names it; empty for none.
    """

    attributes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    version: str = ""
    event: str = ""


def effects(there: Inventory, trials: Sequence[Trial]) -> tuple[Effect, ...]:
    """The places where commands left entries, in the order in which entries appeared.

    Args:
        there: what the stack consists of.
        trials: the commands; the first one went well.
    """
    found: dict[tuple[str, str], Effect] = {}
    for trial in trials:
        for table, rows in trial.rows.items():
            own = [row for row in rows if _placeholder(there, table, row, trial)]
            prefixes = {_prefix(there, table, row, trial) for other in trials for row in other.rows.get(table, ())}
            for row in own:
                prefix = _prefix(there, table, row, trial) if len(prefixes) > 1 else ""
                found.setdefault((table, prefix), _effect(there, table, row, prefix, trial))
    return tuple(found.values())


def _effect(there: Inventory, table: str, row: Row, prefix: str, trial: Trial) -> Effect:
    partition = _placeholder(there, table, row, trial)
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    return Effect(
        name=snake(prefix) or snake(table.removesuffix("Table")),
        table=table,
        partition=partition,
        prefix=prefix,
        value=_attribute(texts, trial.values["value"]),
        body=_attribute(texts, trial.body) if trial.body else "",
        key="" if partition == "key" else _attribute(texts, trial.values["key"]),
        order=next((name for name, value in row.items() if _is_time(value)), ""),
    )


def _is_time(value: Any) -> bool:
    """Whether a value looks like a moment: ISO 8601 with fractions, or milliseconds since the epoch."""
    if isinstance(value, int):
        return value > _LEAST_MS
    return isinstance(value, str) and _MOMENT.fullmatch(value) is not None


def placed(there: Inventory, effect: Effect, trial: Trial) -> tuple[Row, ...]:
    """The entries of one effect that a trial left, by their time where they show one."""
    rows = [
        row
        for row in trial.rows.get(effect.table, ())
        if _placeholder(there, effect.table, row, trial) == effect.partition
        and (not effect.prefix or _prefix(there, effect.table, row, trial) == effect.prefix)
    ]
    return tuple(sorted(rows, key=lambda row: str(row.get(effect.order, ""))))


def _attribute(texts: Mapping[str, str], value: str) -> str:
    return next((name for name, text in texts.items() if text == value), "")


def _placeholder(there: Inventory, table: str, row: Row, trial: Trial) -> str:
    """The placeholder whose value is a row's partition; one that is a field's counts only if the key stands beside."""
    partition = row.get(there.tables[table].partition)
    if partition == trial.values["key"]:
        return "key"
    if trial.values["key"] not in row.values():
        return ""
    return next((name for name, value in trial.values.items() if value == partition), "")


def _prefix(there: Inventory, table: str, row: Row, trial: Trial) -> str:
    """The words that a row's sort key begins with, the key and the value apart."""
    sort = row.get(there.tables[table].sort)
    if not isinstance(sort, str) or sort in trial.values.values():
        return ""
    found = _PREFIX.match(sort)
    # a digest may begin with letters, too
    return found[0] if found and found.end() in (len(sort), *_ends(sort)) else ""


def _ends(sort: str) -> Iterator[int]:
    return (at for at, letter in enumerate(sort) if letter in "#:/|@ ")


def status(there: Inventory, good: Trial, failed: Trial | None) -> Status | None:
    """Where a state is shown, by the API's own route or by a row of the command."""
    if good.states:
        name = _state_name(good.states[-1])
        if name:
            return Status(
                table="",
                attribute=name,
                done=str(good.states[-1][name]),
                failed=str(failed.states[-1].get(name, "")) if failed and failed.states else "",
                pending=_pending([*good.states, *(failed.states if failed else ())], name, good, failed),
            )
    for table, rows in good.rows.items():
        for row in rows:
            name = _state_name(row)
            if name and _placeholder(there, table, row, good) == "key" and not there.tables[table].sort:
                other = [one for one in (failed.rows.get(table, ()) if failed else ()) if name in one]
                return Status(
                    table=table,
                    attribute=name,
                    done=str(row[name]),
                    failed=str(other[-1][name]) if other and other[-1][name] != row[name] else "",
                )
    return None


def _pending(states: Iterable[Row], name: str, good: Trial, failed: Trial | None) -> tuple[str, ...]:
    last = {str(one.states[-1].get(name)) for one in (good, failed) if one is not None and one.states}
    seen = dict.fromkeys(str(state[name]) for state in states if name in state)
    return tuple(state for state in seen if state not in last)


def _state_name(row: Row) -> str:
    return next((name for name in _STATES if isinstance(row.get(name), str)), "")


def folding(events: Sequence[Row], view: Row, *, sequence: str, aside: Iterable[str]) -> Folding:
    """How a view comes from the events that led to it.

    Args:
        events: rows of the log, in their order.
        view: the row of the view after them.
        sequence: attribute of an event that orders it.
        aside: attributes of the view that are keys.
    """
    last = events[-1]
    version = next((name for name, value in view.items() if value == last.get(sequence) and "version" in name), "")
    shared = [name for name in last if all(name in event for event in events)]
    understood, others = {}, []
    for name, shown in view.items():
        if name == version or name in aside or (name in shared and shown == events[0][name] == last[name]):
            continue
        fold = _fold(shown, events, [path for path in shared if path != sequence])
        if fold is None:
            others.append(name)
        else:
            understood[name] = fold
    unlike = [name for name in shared if len({str(event[name]) for event in events}) == len(events)]
    named = [name for name in unlike if name.endswith(("event_id", "eventId", "id")) and name != sequence]
    return Folding(
        attributes=understood,
        others=tuple(others),
        version=version,
        event=next((name for name in named if "event" in name), ""),
    )


def _fold(shown: Any, events: Sequence[Row], paths: Iterable[str]) -> tuple[str, str] | None:
    """The fold of events that gives what is shown: a sum, a count, a set, or the last value."""
    for path in paths:
        values = [event[path] for event in events]
        if all(isinstance(value, int | float) for value in values) and shown == sum(values):
            return "sum", path
        if isinstance(shown, list) and sorted(map(str, shown)) == sorted({str(value) for value in values}):
            return "set", path
        if isinstance(shown, str) and shown == values[-1] and len(set(map(str, values))) > 1:
            return "last", path
    return ("count", "") if shown == len(events) else None


def likeness(one: str, other: str) -> int:
    """How many words two names share, by their stems: ``BookFlight`` and ``flight-taken`` share one."""
    words = [_words(one), _words(other)]
    return sum(any(_same(word, against) for against in words[1]) for word in words[0])


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _same(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= 3 and longer.startswith(shorter[: max(3, len(shorter) - 1)])


def snake(name: str) -> str:
    """A name in small letters with underscores."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
