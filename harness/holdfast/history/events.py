"""Events of a run in a recorded file: what happened and when, without the payloads.

An operation's kind is the command's name; an observation's is ``observe:PORT``, its value the count. Beside the columns
of every history a row has the provocation, the role and the status (of an observation: the state and whether the read
was complete), so that one reader, `holdfast.history.reading`, serves recorded files of every origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from holdfast.errors import HistoryError
from holdfast.history.columns import NANOSECONDS
from holdfast.history.model import FaultWindow, Observation, Operation, Outcome
from holdfast.history.writing import COLUMNS, EnduringFile

OBSERVE = "observe:"
"""Begins the kind of an observation's row; what follows is the port."""

EVENT_COLUMNS = (*COLUMNS, "provocation", "role", "status")
INCOMPLETE = "incomplete"
"""Role of an observation whose read did not finish."""

VALUE_CHARACTERS = 200
"""A longer value is a payload and left out."""

Event = Operation | Observation | FaultWindow


class EventFile:
    """Writes events to one recorded file while they happen; usable from many threads.

    A disk that is full ends the record, never the run: `problem` says so.

    Args:
        path: the file; it must not exist.
        recorder: name of the recorder, unique in the run.
        clean: removes secrets from a text.
        origin_unix_ns: the moment on the wall clock from which the events count their seconds; None for now.

    Raises:
        HistoryError: the file exists or cannot be written.
    """

    def __init__(
        self, path: Path, *, recorder: str, clean: Callable[[str], str], origin_unix_ns: int | None = None
    ) -> None:
        self._clean = clean
        self._file = EnduringFile(path, recorder=recorder, origin_unix_ns=origin_unix_ns, columns=EVENT_COLUMNS)

    @property
    def problem(self) -> HistoryError | None:
        """Why nothing is recorded any more; None while all is well."""
        return self._file.problem

    def add(self, event: Event) -> None:
        """Append one event."""
        if isinstance(event, Operation):
            self._operation(event)
        elif isinstance(event, Observation):
            self._observation(event)
        else:
            self._file.window(_cleaned(event, self._clean))

    def add_all(self, events: Iterable[Event]) -> None:
        """Append events in their order."""
        for event in events:
            self.add(event)

    def close(self) -> None:
        """End the file, so that a reader knows that it is whole; one with a problem is left without its last line."""
        self._file.close()

    def _operation(self, one: Operation) -> None:
        value = None if one.value is None or len(one.value) > VALUE_CHARACTERS else self._clean(one.value)
        completed_ns = None if one.completed_seconds is None else _nanoseconds(one.completed_seconds)
        self._file.add_row(
            (
                one.command,
                one.key,
                value,
                _nanoseconds(one.invoked_seconds),
                completed_ns,
                one.outcome,
                None,
                None,
                one.provocation,
                one.role,
                self._clean(one.status),
            )
        )

    def _observation(self, one: Observation) -> None:
        self._file.add_row(
            (
                f"{OBSERVE}{one.port}",
                one.key,
                one.count,
                _nanoseconds(one.started_seconds),
                _nanoseconds(one.completed_seconds),
                Outcome.OK,
                None,
                None,
                one.provocation,
                "" if one.complete else INCOMPLETE,
                self._clean(one.state),
            )
        )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def _cleaned(window: FaultWindow, clean: Callable[[str], str]) -> FaultWindow:
    return replace(window, proof=clean(window.proof), healed_proof=clean(window.healed_proof))
