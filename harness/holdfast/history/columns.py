"""A history in columns: ten million operations as a dozen arrays, so that a checker is a sort and not a loop.

One row is one operation. Keys, values and sessions are *codes*, whole numbers; a `Names` says what they stand for.
Times are nanoseconds from one origin. Closed intervals: an operation that began the moment another ended is concurrent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, SupportsIndex, cast

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import HistoryError
from holdfast.history.model import FaultWindow, Operation, Outcome

Integers = NDArray[np.int64]
Small = NDArray[np.uint8]
Mask = NDArray[np.bool_]

NEVER_NS = int(np.iinfo(np.int64).max)
"""Completion time of an operation that was never answered."""

NOTHING = -1
"""The code of ``null``: no value, the initial value of a register, no key."""

FIRST_COMPOSITE = -2
"""A list or object has the code ``FIRST_COMPOSITE - its place in Columns.composites``."""

NO_POSITION = -1
"""The position of a row that has none."""

OUTCOMES: tuple[Outcome, ...] = (Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN)
"""Outcomes by their code."""

OK, FAIL, UNKNOWN = range(3)

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Names:
    """What codes stand for.

    Attributes:
        labels: the label of each code; None when the codes are the labels themselves, whole numbers from 0.
    """

    labels: Sequence[object] | None = None

    def label(self, code: SupportsIndex) -> object:
        """What a code stands for; None for `NOTHING`."""
        number = int(code)
        if number == NOTHING:
            return None
        return number if self.labels is None else self.labels[number]


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """A history, one row an operation, in no particular order.

    Attributes:
        kind: code of what the operation did, an index into ``kinds``.
        kinds: names of kinds, e.g. ``read``, ``write``, ``add``.
        key: code of the object it was done to.
        value: code of what was written, or of what was read.
        invoked_ns: when it was sent.
        completed_ns: when the answer was in; `NEVER_NS` when none came.
        outcome: `OK`, `FAIL` or `UNKNOWN`.
        session: code of the client; one session does one thing after another.
        position: version or sequence number that the system gave, from 0; `NO_POSITION` for none. None: nowhere.
        composites: lists and objects among the values.
        windows: fault windows, in seconds from the same origin.
        uncertainty_ns: by how much each clock may be wrong; intervals are judged as if wider by it at both ends.
        complete: whether every operation is here; not so when a file is damaged or a recorder was killed.
        notes: what is missing or was left out, a sentence each.
    """

    kinds: tuple[str, ...]
    kind: Small
    key: Integers
    value: Integers
    invoked_ns: Integers
    completed_ns: Integers
    outcome: Small
    session: Integers
    position: Integers | None = None
    keys: Names = field(default_factory=Names)
    values: Names = field(default_factory=Names)
    sessions: Names = field(default_factory=Names)
    composites: Sequence[Any] = ()
    windows: tuple[FaultWindow, ...] = ()
    uncertainty_ns: int = 0
    complete: bool = True
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.kind)

    @cached_property
    def earliest_ns(self) -> Integers:
        """When each operation was sent at the earliest, clocks considered."""
        return self.invoked_ns - self.uncertainty_ns if self.uncertainty_ns else self.invoked_ns

    @cached_property
    def latest_ns(self) -> Integers:
        """When each answer was in at the latest, clocks considered."""
        if not self.uncertainty_ns:
            return self.completed_ns
        return np.where(self.completed_ns == NEVER_NS, NEVER_NS, self.completed_ns + self.uncertainty_ns)

    def is_kind(self, *names: str) -> Mask:
        """Which rows are of one of these kinds."""
        codes = [code for code, name in enumerate(self.kinds) if name in names]
        if len(codes) == 1:
            return cast("Mask", self.kind == codes[0])
        chosen = np.zeros(256, np.bool_)
        chosen[codes] = True
        return cast("Mask", chosen[self.kind])

    def is_outcome(self, *outcomes: int) -> Mask:
        """Which rows ended in one of these ways."""
        mask = self.outcome == outcomes[0]
        for outcome in outcomes[1:]:
            mask |= self.outcome == outcome
        return cast("Mask", mask)

    def at(self, rows: Mask | Integers) -> Columns:
        """The same history with only these rows."""
        return replace(
            self,
            kind=self.kind[rows],
            key=self.key[rows],
            value=self.value[rows],
            invoked_ns=self.invoked_ns[rows],
            completed_ns=self.completed_ns[rows],
            outcome=self.outcome[rows],
            session=self.session[rows],
            position=None if self.position is None else self.position[rows],
        )

    def value_of(self, row: SupportsIndex) -> object:
        """What one operation wrote or read: a scalar, a list or an object; None for none."""
        code = int(self.value[row])
        return self.composites[FIRST_COMPOSITE - code] if code <= FIRST_COMPOSITE else self.values.label(code)

    def operation(self, row: SupportsIndex) -> Operation:
        """One row as the operation that verdicts show; its id is its row, counted from 1."""
        value, key, session = self.value_of(row), self.keys.label(self.key[row]), self.sessions.label(self.session[row])
        completed = int(self.completed_ns[row])
        position = NO_POSITION if self.position is None else int(self.position[row])
        return Operation(
            id=f"#{int(row) + 1}",
            key="" if key is None else str(key),
            command=self.kinds[int(self.kind[row])],
            provocation="",
            invoked_seconds=int(self.invoked_ns[row]) / NANOSECONDS,
            completed_seconds=None if completed == NEVER_NS else completed / NANOSECONDS,
            outcome=OUTCOMES[int(self.outcome[row])],
            value=None if value is None else str(value),
            role="" if session is None else f"session {session}",
            sequence=position,
        )

    def operations(self, rows: Iterable[SupportsIndex]) -> tuple[Operation, ...]:
        """Some rows as operations, each once, in the order in which they began."""
        chosen = sorted({int(row) for row in rows}, key=lambda row: (int(self.invoked_ns[row]), row))
        return tuple(self.operation(row) for row in chosen)


def columns_of(table: Mapping[str, Any] | Any) -> Columns:
    """A history from columns of any table: a dictionary of lists, a pandas or polars DataFrame, an Arrow table.

    Columns ``kind``, ``value``, ``invoked_ns`` and ``completed_ns`` are needed (or ``invoked_seconds`` and
    ``completed_seconds``); ``key``, ``outcome`` (``ok``, ``fail``, ``unknown``; default ``ok``), ``session`` and
    ``position`` may be there. A missing completion is None or NaN.

    Args:
        table: anything that gives a column for ``table[name]``.

    Raises:
        HistoryError: a column is missing, of another length, or holds what it must not.
    """
    from holdfast.history.coding import Coder

    kind = _column(table, "kind")
    if kind is None:
        raise HistoryError(
            "The table has no column kind.",
            remedy="give the columns kind, key, value, invoked_ns, completed_ns, outcome and session",
        )
    rows = len(kind)
    coder = Coder()
    given = {name: _column(table, name) for name in ("key", "value", "outcome", "session", "position")}
    invoked, completed = _times(table, "invoked"), _times(table, "completed")
    if invoked is None or completed is None:
        raise HistoryError(
            "The table has no times.",
            remedy="give the columns invoked_ns and completed_ns, or invoked_seconds and completed_seconds",
        )
    lengths = {len(column) for column in (*given.values(), invoked, completed) if column is not None} | {rows}
    if len(lengths) > 1:
        raise HistoryError(f"The columns have different lengths: {sorted(lengths)}.", remedy="give one entry a row")
    nothing: list[Any] = [None] * rows
    positions = given["position"]
    coder.add(
        kind=kind,
        key=given["key"] or nothing,
        value=given["value"] or nothing,
        invoked_ns=invoked,
        completed_ns=completed,
        outcome=given["outcome"] or ["ok"] * rows,
        session=given["session"] or nothing,
        position=None if positions is None else [None if one is None else int(one) for one in positions],
    )
    return coder.columns()


def _column(table: Any, name: str) -> list[Any] | None:
    try:
        column = table[name]
    except (KeyError, LookupError, TypeError, ValueError):
        return None
    except Exception as error:
        if type(error).__name__ in ("ColumnNotFoundError", "ArrowKeyError"):  # polars and Arrow have trees of their own
            return None
        raise
    for method in ("to_pylist", "tolist", "to_list"):
        if hasattr(column, method):
            return [None if one != one else one for one in getattr(column, method)()]  # noqa: PLR0124 - NaN
    return list(column)


def _times(table: Any, name: str) -> list[int | None] | None:
    nanoseconds = _column(table, f"{name}_ns")
    if nanoseconds is not None:
        return [None if one is None else int(one) for one in nanoseconds]
    seconds = _column(table, f"{name}_seconds")
    return None if seconds is None else [None if one is None else round(one * NANOSECONDS) for one in seconds]
