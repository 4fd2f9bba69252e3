"""Event logs and read models: what an aggregate's view must show, by the fold of its events.

A `Stream` is all that concerns one aggregate. The last complete read of its log says which events there are; events
only ever come on top, so what was read before is a beginning of it (`immutable` in `logs` says whether that is so).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.checkers.durations import Distribution
from holdfast.checkers.records import answered_seconds, finding, ranked
from holdfast.history.logs import Event, LogRead, ViewRead
from holdfast.history.model import History, Operation, Outcome
from holdfast.verdict.describe import moment, shorten
from holdfast.verdict.model import Finding

Fold = Callable[[Sequence[Any]], Any]
"""From events in order to canonical state; None for none."""

UNKNOWN_VERSION = -1
"""Stands for a state that is that of no beginning of the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """All that concerns one aggregate.

    Attributes:
        aggregate: the aggregate.
        operations: the commands on it, in the order they were sent.
        logs: the reads of its log, in the order they began.
        views: the reads of its views, in the order they began.
    """

    aggregate: str
    operations: tuple[Operation, ...] = ()
    logs: tuple[LogRead, ...] = ()
    views: tuple[ViewRead, ...] = ()

    @property
    def log(self) -> LogRead | None:
        """The last complete read of the log."""
        return next((read for read in reversed(self.logs) if read.complete), None)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of the last complete read of the log."""
        return () if self.log is None else self.log.events

    @property
    def states(self) -> tuple[Any, ...]:
        """The events' data, in order: what is folded."""
        return tuple(event.data for event in self.events)

    def of(self, view: str, *roles: str) -> tuple[ViewRead, ...]:
        """The complete reads of a view, of these roles where some are given."""
        return tuple(
            read for read in self.views if read.port == view and read.complete and (not roles or read.role in roles)
        )

    def last(self, view: str) -> ViewRead | None:
        """The last read of a view when it is complete; None otherwise."""
        mine = [read for read in self.views if read.port == view]
        return mine[-1] if mine and mine[-1].complete else None

    def acknowledgements(self) -> dict[str, Operation]:
        """The submission of each command that was acknowledged first, by key."""
        found: dict[str, Operation] = {}
        for operation in sorted(self.operations, key=answered_seconds):
            if operation.outcome is Outcome.OK:
                found.setdefault(operation.key, operation)
        return found


def streams(
    history: History, aggregates: Mapping[str, str], logs: Iterable[LogRead], views: Iterable[ViewRead]
) -> tuple[Stream, ...]:
    """One stream for each aggregate, in the order of their first command; operations on others are left out.

    Args:
        history: the commands.
        aggregates: the aggregate of each command, by key.
        logs: reads of logs.
        views: reads of views.
    """
    operations: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(history.operations, key=lambda one: one.invoked_seconds):
        if operation.key in aggregates:
            operations[aggregates[operation.key]].append(operation)
    of_log: defaultdict[str, list[LogRead]] = defaultdict(list)
    for log_read in sorted(logs, key=lambda one: (one.started_seconds, one.completed_seconds)):
        of_log[log_read.aggregate].append(log_read)
    of_view: defaultdict[str, list[ViewRead]] = defaultdict(list)
    for view_read in sorted(views, key=lambda one: (one.started_seconds, one.completed_seconds)):
        of_view[view_read.aggregate].append(view_read)
    return tuple(
        Stream(aggregate=name, operations=tuple(mine), logs=tuple(of_log[name]), views=tuple(of_view[name]))
        for name, mine in operations.items()
    )


def diverged(
    found: Iterable[Stream], *, fold: Fold, view: str, title: str = "not converged", why: str = ""
) -> tuple[Finding, ...]:
    """The last read of the view shows the fold of the log, aggregate by aggregate.

    Args:
        found: what concerns the clause; at rest, so that nothing is on its way any more.
        fold: from events to state.
        view: name of the view.
        title: of the findings.
        why: what was done to the aggregates, e.g. ``after its events were delivered again``.
    """
    wrong = []
    for stream in found:
        read, log = stream.last(view), stream.log
        if read is None or log is None or read.started_seconds < log.started_seconds:
            continue
        expected = fold(stream.states)
        if read.state == expected:
            continue
        (seen,) = versions_of(stream, [read], fold)
        behind = f", the state of its first {seen} events" if 0 <= seen < len(stream.events) else ""
        wrong.append(
            finding(
                title,
                f"Aggregate {stream.aggregate} has {_events(len(stream.events))} at {moment(log.started_seconds)},"
                f" which fold to {shorten(_text(expected), 160)}; '{view}' shows {shorten(read.text, 160)} at"
                f" {moment(read.started_seconds)}{behind}{' ' + why if why else ''}.",
                stream.aggregate,
                (*_last_operation(stream), log.observation(), read.observation()),
            )
        )
    return ranked(wrong)


def impossible_states(found: Iterable[Stream], *, fold: Fold, view: str) -> tuple[Finding, ...]:
    """Every state that a view ever showed is that of some beginning of the log; anything else is torn or invented."""
    wrong = []
    for stream in found:
        if stream.log is None:
            continue
        possible = _prefixes(stream, fold)
        strange = [read for read in stream.of(view) if read.state not in possible]
        strange = [read for read in strange if read.completed_seconds < stream.log.started_seconds]
        if strange:
            read = strange[0]
            wrong.append(
                finding(
                    "impossible state",
                    f"'{view}' shows {shorten(read.text, 160)} of aggregate {stream.aggregate} at"
                    f" {moment(read.started_seconds)}, which is the fold of no beginning of its"
                    f" {_events(len(stream.events))} ({len(strange)} such reads).",
                    stream.aggregate,
                    (read.observation(), stream.log.observation()),
                )
            )
    return ranked(wrong)


def different(found: Iterable[Stream], *, live: str, other: str) -> tuple[Finding, ...]:
    """The last reads of two views of each aggregate show the same state.

    Args:
        found: what concerns the clause, at rest.
        live: name of the one view.
        other: name of the other.
    """
    wrong = []
    for stream in found:
        one, two = stream.last(live), stream.last(other)
        if one is None or two is None or one.state == two.state:
            continue
        wrong.append(
            finding(
                "not the same",
                f"Of aggregate {stream.aggregate} '{live}' shows {shorten(one.text, 160)} at"
                f" {moment(one.started_seconds)}, and '{other}' shows {shorten(two.text, 160)} at"
                f" {moment(two.started_seconds)}.",
                stream.aggregate,
                (one.observation(), two.observation()),
            )
        )
    return ranked(wrong)


def unseen(found: Iterable[Stream], *, views: Collection[str]) -> tuple[str, ...]:
    """What was not read to its end, so that nothing is known of it."""
    gaps = []
    for stream in found:
        if stream.log is None or not stream.logs[-1].complete:
            reason = stream.logs[-1].reason if stream.logs else "nobody read it"
            gaps.append(f"the log of {stream.aggregate} was not read at the end: {reason}")
        for view in views:
            mine = [read for read in stream.views if read.port == view]
            if not mine:
                gaps.append(f"'{view}' was not read of {stream.aggregate}")
            elif not mine[-1].complete:
                gaps.append(f"'{view}' could not be read of {stream.aggregate} at the end: {mine[-1].reason}")
            elif stream.log is not None and mine[-1].started_seconds < stream.log.started_seconds:
                gaps.append(f"'{view}' was not read of {stream.aggregate} after its log")
    return tuple(gaps)


def versions_of(stream: Stream, reads: Iterable[ViewRead], fold: Fold) -> list[int]:
    """The last event that each read had seen: as it says itself, or the latest up to which the fold is what it shows.

    Returns:
        Sequences; 0 before the first event, `UNKNOWN_VERSION` where the state is that of no beginning of the log.
    """
    possible = _prefixes(stream, fold)
    found = []
    for read in reads:
        if read.version is not None:
            found.append(read.version)
            continue
        fitting = [at for at, state in enumerate(possible) if state == read.state]
        if not fitting:
            found.append(UNKNOWN_VERSION)
        else:
            found.append(stream.events[fitting[-1] - 1].sequence if fitting[-1] else 0)
    return found


def visibility(found: Iterable[Stream], *, fold: Fold, view: str) -> Distribution:
    """From each command's acknowledgement to the start of the first read that shows its event, seconds; 0 at least."""
    durations = []
    for stream in found:
        sequences = {event.command: event.sequence for event in stream.events}
        reads = list(zip(versions_of(stream, stream.of(view), fold), stream.of(view), strict=True))
        for key, operation in stream.acknowledgements().items():
            if key not in sequences:
                continue
            seen = [read for version, read in reads if version >= sequences[key]]
            if seen:
                first = min(read.started_seconds for read in seen)
                durations.append(max(first - answered_seconds(operation), 0.0))
    return Distribution.of(durations)


def _prefixes(stream: Stream, fold: Fold) -> list[Any]:
    """The states of all beginnings of the log, the empty one first."""
    states = stream.states
    return [fold(states[:length]) for length in range(len(states) + 1)]


def _last_operation(stream: Stream) -> tuple[Operation, ...]:
    return stream.operations[-1:]


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _text(state: Any) -> str:
    return "nothing" if state is None else json.dumps(state, sort_keys=True, ensure_ascii=False)
