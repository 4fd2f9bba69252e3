"""Event logs: accepted commands and events one to one, in real-time order, without gaps, and immutable.

A small adapter puts the run's history into columns, where the checkers of recorded histories judge it
(`holdfast.checkers.columnar`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from holdfast.checkers.columnar import sequences
from holdfast.checkers.projections import UNKNOWN_VERSION, Fold, Stream, diverged, versions_of
from holdfast.checkers.records import answered_seconds, finding, ranked
from holdfast.history.coding import Coder
from holdfast.history.columns import NANOSECONDS, NOTHING, Columns, Mask
from holdfast.history.logs import Event
from holdfast.history.model import Operation, Outcome
from holdfast.verdict.describe import moment
from holdfast.verdict.model import Finding


def gap_free(found: Sequence[Stream]) -> tuple[Finding, ...]:
    """The places of each log are 1..n without gap or repeat, and none shows another event than it did before."""
    rows = _Rows()
    for stream in found:
        for read in stream.logs:
            for event in read.events if read.complete else ():
                rows.add("event", stream.aggregate, event.text, read.started_seconds, read.completed_seconds, "ok")
                rows.at(event.sequence)
    judged = sequences.check(rows.columns()).findings if rows else ()
    return ranked([*judged, *_twice(found), *_vanished(found)])


def recorded(found: Sequence[Stream]) -> tuple[Finding, ...]:
    """Every accepted command is in the log of its aggregate, once, and no command is there that was only refused."""
    rows = _Rows()
    for stream in found:
        if stream.log is None:
            continue
        for operation in stream.operations:
            rows.add(
                "append",
                stream.aggregate,
                operation.key,
                operation.invoked_seconds,
                operation.completed_seconds,
                str(operation.outcome),
            )
        for event in stream.events:
            log = stream.log
            rows.add("event", stream.aggregate, event.command, log.started_seconds, log.completed_seconds, "ok")
            rows.at(event.sequence)
    judged = sequences.check(rows.columns()).findings if rows else ()
    known = ("accepted and lost", "refused and there", "event twice")
    empty = [
        finding(
            "accepted and lost",
            f"Command {key} was accepted at {moment(answered_seconds(operation))}, and at"
            f" {moment(stream.log.started_seconds)} the log of {stream.aggregate} has no event.",
            key,
            (operation, stream.log.observation()),
        )
        for stream in found
        if stream.log is not None and not stream.events
        for key, operation in stream.acknowledgements().items()
        if answered_seconds(operation) < stream.log.started_seconds
    ]
    return ranked([*empty, *(one for one in judged if one.title in known), *_foreign(found)])


def in_real_time_order(found: Iterable[Stream]) -> tuple[Finding, ...]:
    """A command that was sent after another had been accepted has a later place in the log.

    With accepted commands and events one to one, that is all that linearizability of a log asks for: the log is the
    order, and it may not contradict real time (Herlihy & Wing, 1990).
    """
    wrong = []
    for stream in found:
        accepted = stream.acknowledgements()
        first_sent = {one.key: one.invoked_seconds for one in reversed(stream.operations)}
        placed = [(event, accepted.get(event.command)) for event in stream.events if event.command in first_sent]
        later: tuple[Event, Operation] | None = None
        for event, operation in reversed(placed):
            if later is not None and answered_seconds(later[1]) < first_sent[event.command]:
                sent = next(one for one in stream.operations if one.key == event.command)
                wrong.append(
                    finding(
                        "out of order",
                        f"Command {later[0].command} of {stream.aggregate} was accepted at"
                        f" {moment(answered_seconds(later[1]))}, before {event.command} was sent at"
                        f" {moment(sent.invoked_seconds)}, but stands at place {later[0].sequence}, after it at"
                        f" {event.sequence}.",
                        stream.aggregate,
                        (later[1], sent),
                    )
                )
                break
            if operation is not None and (later is None or answered_seconds(operation) < answered_seconds(later[1])):
                later = (event, operation)
    return ranked(wrong)


def phantom_events(found: Iterable[Stream]) -> tuple[Finding, ...]:
    """No command of which every submission was refused has an event."""
    wrong = []
    for stream in found:
        for read in stream.logs:
            for event in read.events:
                mine = [one for one in stream.operations if one.key == event.command]
                if mine and all(one.outcome is Outcome.FAIL for one in mine):
                    wrong.append(
                        finding(
                            "refused and there",
                            f"Command {event.command} was refused ({mine[0].status}) at"
                            f" {moment(answered_seconds(mine[0]))}, and its event stands at place {event.sequence} of"
                            f" {stream.aggregate}.",
                            event.command,
                            (*mine, read.observation()),
                        )
                    )
    different = {one.key: one for one in reversed(wrong)}
    return ranked(different.values())


def as_registers(found: Iterable[Stream], *, fold: Fold, view: str, sessions: bool = False) -> Columns:
    """Commands as writes and reads of a view as reads, for the checkers of staleness, sessions and convergence.

    A write has the place of its event and a read the place of the last event that it has seen, so versions are ordered
    by the log itself. A read of a state that no beginning of the log has is left out.

    Args:
        found: what concerns the clause.
        fold: from events to state.
        view: name of the view.
        sessions: whether operations carry their session: a command's group, a read's reader.
    """
    rows = _Rows()
    for stream in found:
        places = {event.command: event.sequence for event in stream.events}
        by_place = {event.sequence: event.command for event in stream.events}
        accepted = stream.acknowledgements()
        for key, place in places.items():
            mine = [one for one in stream.operations if one.key == key]
            if not mine:
                continue
            operation = accepted.get(key)
            done = None if operation is None else operation.completed_seconds
            outcome = "unknown" if done is None else "ok"
            rows.add("write", stream.aggregate, key, mine[0].invoked_seconds, done, outcome)
            rows.at(place, mine[0].group if sessions else "")
        for read, version in zip(stream.of(view), versions_of(stream, stream.of(view), fold), strict=True):
            # what waits for something belongs to no session
            session = "" if sessions and not read.role else read.reader
            if version == UNKNOWN_VERSION:
                continue
            value = by_place.get(version) if version else None
            rows.add("read", stream.aggregate, value, read.started_seconds, read.completed_seconds, "ok")
            rows.at(version or None, session)
    return rows.columns()


def as_appended(found: Iterable[Stream]) -> Columns:
    """Commands as appends and reads of the log as reads of all that was appended, for the checker of registers.

    A log is a register to which commands append their key: whether all commands and reads of one aggregate have an
    order that explains what each read showed is what its linearizability asks.
    """
    rows = _Rows()
    for stream in found:
        for key in dict.fromkeys(one.key for one in stream.operations):
            mine = [one for one in stream.operations if one.key == key]
            accepted = stream.acknowledgements().get(key)
            refused = all(one.outcome is Outcome.FAIL for one in mine)
            outcome = "ok" if accepted is not None else "fail" if refused else "unknown"
            done = None if accepted is None else accepted.completed_seconds
            rows.add("append", stream.aggregate, f"{key};", mine[0].invoked_seconds, done, outcome)
        for read in stream.logs:
            shown = "".join(f"{event.command};" for event in read.events) or None
            if read.complete:
                rows.add("read", stream.aggregate, shown, read.started_seconds, read.completed_seconds, "ok")
    return rows.columns()


def in_sessions(columns: Columns) -> Mask:
    """The rows that belong to a session, and all writes: what others wrote is read as well."""
    mask: Mask = (columns.session != NOTHING) | columns.is_kind("write")
    return mask


def diverged_from_the_log_before(found: Iterable[Stream], *, fold: Fold, view: str) -> tuple[Finding, ...]:
    """The last read of a view shows the fold of the log as it was read last before it.

    For a view that is made from the log when it is asked, at a moment when nothing was being written.

    Args:
        found: what concerns the clause.
        fold: from events to state.
        view: name of the view.
    """
    wrong: list[Finding] = []
    for stream in found:
        read = stream.last(view)
        before = [log for log in stream.logs if log.complete and read is not None]
        before = [log for log in before if read is not None and log.completed_seconds <= read.started_seconds]
        if read is not None and before:
            wrong += diverged([replace(stream, logs=(before[-1],))], fold=fold, view=view, title="not the same")
    return ranked(wrong)


def unfinished_commands(found: Iterable[Stream]) -> tuple[str, ...]:
    """Aggregates whose log was read before the last command on them was answered: what is missing may come yet."""
    return tuple(
        f"the log of {stream.aggregate} was not read after its last command"
        for stream in found
        if stream.log is not None
        and any(answered_seconds(one) > stream.log.started_seconds for one in stream.operations)
    )


def _twice(found: Iterable[Stream]) -> list[Finding]:
    """Two entries at one place, or one event at two places, in one read."""
    wrong = []
    for stream in found:
        for read in stream.logs:
            places = [event.sequence for event in read.events]
            names = [event.identity for event in read.events]
            repeated = next((place for place in places if places.count(place) > 1), None)
            again = next((name for name in names if names.count(name) > 1), None)
            if repeated is not None:
                told = f"place {repeated} of {stream.aggregate} has {places.count(repeated)} events"
            elif again is not None:
                told = f"event {again} stands {names.count(again)} times in the log of {stream.aggregate}"
            else:
                continue
            sentence = f"At {moment(read.started_seconds)} {told}, expected 1."
            wrong.append(finding("event twice", sentence, stream.aggregate, (read.observation(),)))
            break
    return wrong


def _vanished(found: Iterable[Stream]) -> list[Finding]:
    """An event that one read showed and a later one does not."""
    wrong = []
    for stream in found:
        complete = [read for read in stream.logs if read.complete]
        for before, after in pairwise(complete):
            left = {event.sequence for event in after.events}
            gone = [event for event in before.events if event.sequence not in left]
            if gone and after.started_seconds >= before.completed_seconds:
                wrong.append(
                    finding(
                        "event gone",
                        f"Place {gone[0].sequence} of {stream.aggregate} had an event at"
                        f" {moment(before.started_seconds)} and has none at {moment(after.started_seconds)}.",
                        stream.aggregate,
                        (before.observation(), after.observation()),
                    )
                )
                break
    return wrong


def _foreign(found: Iterable[Stream]) -> list[Finding]:
    """An event in the log of one aggregate that came of a command on another."""
    wrong = []
    known = {one.key: stream.aggregate for stream in found for one in stream.operations}
    for stream in found:
        for event in stream.events:
            other = known.get(event.command)
            if other is not None and other != stream.aggregate and stream.log is not None:
                wrong.append(
                    finding(
                        "event of another aggregate",
                        f"The log of {stream.aggregate} has an event of command {event.command}, which was sent for"
                        f" {other}.",
                        stream.aggregate,
                        (stream.log.observation(),),
                    )
                )
    return wrong


class _Rows:
    """Rows of a history in columns, one after another."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Any]] = {
            name: []
            for name in ("kind", "key", "value", "invoked_ns", "completed_ns", "outcome", "session", "position")
        }

    def __bool__(self) -> bool:
        return bool(self._rows["kind"])

    def add(  # noqa: PLR0917 - the cells of one row
        self,
        kind: str,
        key: str,
        value: str | None,
        began_seconds: float,
        ended_seconds: float | None,
        outcome: str,
    ) -> None:
        """One more row; its place and session are told by `at`."""
        ended = None if ended_seconds is None else round(ended_seconds * NANOSECONDS)
        row = (kind, key, value, round(began_seconds * NANOSECONDS), ended, outcome, None, None)
        for column, cell in zip(self._rows.values(), row, strict=True):
            column.append(cell)

    def at(self, position: int | None, session: str = "") -> None:
        """Place and session of the last row."""
        self._rows["position"][-1] = position
        self._rows["session"][-1] = session or None

    def columns(self) -> Columns:
        coder = Coder()
        coder.add(**self._rows)
        return coder.columns()
