"""Is there an order that explains everything? Wing and Gong's search, as improved by Lowe, with a budget.

For models whose values are not unique no sort decides, and the question is NP-complete. The search tries one operation
after another that could come next in real time, remembers which set of operations in which state led nowhere, and
gives up past its budget: then the answer is inconclusive, never a guess. Each key is searched by itself.

Source: J. Wing, C. Gong, "Testing and verifying concurrent objects", Journal of Parallel and Distributed Computing 17
(1993); G. Lowe, "Testing for linearizability", Concurrency and Computation 29 (2017).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from holdfast.checkers.columnar.result import Result, conclude, plural
from holdfast.checkers.columnar.segments import dense
from holdfast.checkers.records import finding
from holdfast.errors import HistoryError
from holdfast.history.columns import FAIL, NEVER_NS, OK, UNKNOWN, Columns, Integers
from holdfast.verdict.model import Finding

Step = Callable[[Hashable, str, object, bool], tuple[bool, Hashable]]
"""From a state, an operation's kind and value, and whether its answer is known: can it happen, and the state after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a search may cost.

    Attributes:
        steps: operations tried, over all keys.
        states: sets of operations remembered, per key; they are what takes memory.
    """

    steps: int = 20_000_000
    states: int = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One operation of a search.

    Attributes:
        row: its row in the history.
        kind: what it did.
        value: what it wrote or returned.
        begin_ns: when it began.
        end_ns: when it ended; `NEVER_NS` for one of which it is unknown whether it happened.
        answered: whether its answer is known.
    """

    row: int
    kind: str
    value: object
    begin_ns: int
    end_ns: int
    answered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What came of a search over many keys.

    Attributes:
        keys: how many were searched.
        findings: one per key that no order explains.
        undecided: a sentence for the keys on which the budget was spent.
    """

    keys: int
    findings: tuple[Finding, ...]
    undecided: tuple[str, ...]


class _SpentError(Exception):
    """The budget is spent."""


def register_step(state: Hashable, kind: str, value: object, answered: bool) -> tuple[bool, Hashable]:  # noqa: FBT001
    """One value that is read, written, compared and set, or appended to; null at first."""
    if kind == "read":
        return not answered or state == frozen(value), state
    if kind == "write":
        return True, frozen(value)
    if kind == "append":
        return True, value if state is None else str(state) + str(value)
    old, new = value if isinstance(value, (list, tuple)) and len(value) == 2 else (None, None)
    matches = state == frozen(old)
    # one that may or may not have happened can always be taken as one that found another value
    return matches or not answered, frozen(new) if matches else state


def queue_step(state: Hashable, kind: str, value: object, answered: bool) -> tuple[bool, Hashable]:  # noqa: FBT001
    """A first-in first-out queue; a dequeue that returns null found it empty."""
    items = state if isinstance(state, tuple) else ()
    if kind == "enqueue":
        return True, (*items, frozen(value))
    if not answered:
        return True, items[1:]
    if value is None:
        return not items, items
    return bool(items) and items[0] == frozen(value), items[1:]


def counter_step(state: Hashable, kind: str, value: object, answered: bool) -> tuple[bool, Hashable]:  # noqa: FBT001
    """A number that is added to and read; 0 at first."""
    total = state if isinstance(state, int) else 0
    if kind == "read":
        return not answered or total == value, total
    return True, total + (value if isinstance(value, int) else 1)


def frozen(value: object) -> Hashable:
    """A value as part of a state: lists become tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(frozen(one) for one in value)
    if isinstance(value, dict):
        return tuple(sorted((str(name), frozen(one)) for name, one in value.items()))
    return value if isinstance(value, Hashable) else str(value)


CHANGES_NOTHING = frozenset({"read"})
"""Kinds that leave every state as it is: where one fits, it may be put in its place at once."""

RETURNS = frozenset({"read", "dequeue"})
"""Kinds whose value is their answer: before it came nothing is known of it."""

SHRUNK_CALLS = 200
"""Longest history of a key whose reads are tried one by one for whether a witness needs them."""

SearchedModel = Literal["register", "queue", "counter"]

KINDS = {
    "register": {"read", "write", "cas", "append"},
    "queue": {"enqueue", "dequeue"},
    "counter": {"add", "read"},
}
"""Operations of each model."""

STEPS: dict[str, Step] = {"register": register_step, "queue": queue_step, "counter": counter_step}


def search_keys(
    columns: Columns, key: Integers, rows: Integers, budget: Budget, *, model: str = "register"
) -> Searched:
    """Search each key of some rows for an order that explains it.

    Args:
        columns: the history.
        key: the dense key of each row.
        rows: all rows of the keys to search.
        budget: what may be spent.
        model: ``register``, ``queue`` or ``counter``.
    """
    rows = rows[np.argsort(key[rows], kind="stable")]
    borders = np.flatnonzero(np.diff(key[rows])) + 1
    findings: list[Finding] = []
    unsearched = 0
    steps = budget.steps
    groups = [group for group in np.split(rows, borders) if len(group)]
    # short keys first: one long key does not spend what would decide a thousand others
    for group in sorted(groups, key=len):
        calls = calls_of(columns, group)
        try:
            best, spent = search(calls, STEPS[model], steps=steps, states=budget.states)
        except _SpentError as spent_all:
            unsearched += 1
            steps -= int(str(spent_all))
            continue
        steps -= spent
        if best is not None:
            findings.append(_unexplained(columns, calls, model, replace(budget, steps=max(steps, 1) // 64)))
    undecided: list[str] = []
    if unsearched:
        undecided.append(f"the budget of {budget.steps:,} steps did not suffice for {plural(unsearched, 'key')}")
    if findings and not columns.complete:
        undecided.append(f"what is missing may explain {plural(len(findings), 'key')} that nothing else explains")
        findings = []
    return Searched(keys=len(groups), findings=tuple(findings), undecided=tuple(undecided))


def check(columns: Columns, *, model: SearchedModel = "queue", budget: Budget | None = None) -> Result:
    """Whether some order of all operations explains what each object showed, found by search.

    Rows: ``read``, ``write``, ``cas`` with ``[old, new]`` and ``append`` of a register; ``enqueue`` and ``dequeue`` of
    a first-in first-out queue; ``add`` and ``read`` of a counter.

    Args:
        columns: the history.
        model: ``register``, ``queue`` or ``counter``.
        budget: what the search may cost; None for the default.

    Raises:
        HistoryError: the model has no such operation.
    """
    unknown = sorted({columns.kinds[code] for code in np.unique(columns.kind).tolist()} - KINDS[model])
    if unknown:
        raise HistoryError(
            f"A {model} has no operation {', '.join(unknown)}.",
            remedy=f"its operations are {', '.join(sorted(KINDS[model]))}",
        )
    key, _ = dense(columns.key)
    outcome = search_keys(columns, key, np.arange(len(columns)), budget or Budget(), model=model)
    return conclude(
        f"linearizable {model}",
        columns,
        outcome.findings,
        holds=f"{plural(len(columns), 'operation')} on {plural(outcome.keys, 'key')} have an order that explains them.",
        undecided=outcome.undecided,
        figures={"keys": float(outcome.keys)},
    )


def calls_of(columns: Columns, rows: Integers) -> list[Call]:
    """Rows as calls in the order in which they began; refused ones and unanswered reads are left out."""
    calls = []
    for row in rows.tolist():
        kind, outcome = columns.kinds[int(columns.kind[row])], int(columns.outcome[row])
        if outcome == FAIL or (outcome == UNKNOWN and kind == "read"):
            continue
        calls.append(
            Call(
                row=row,
                kind=kind,
                value=columns.value_of(row),
                begin_ns=int(columns.earliest_ns[row]),
                end_ns=int(columns.latest_ns[row]) if outcome == OK else NEVER_NS,
                answered=outcome == OK,
            )
        )
    shown = _shown_values(calls)
    needed = [call for call in calls if call.answered or shown is None or not _is_idle(call, shown)]
    return sorted(needed, key=lambda call: (call.begin_ns, call.end_ns))


def search(calls: Sequence[Call], step: Step, *, steps: int, states: int) -> tuple[tuple[int, ...] | None, int]:
    """Look for an order of the calls that the model allows and real time permits.

    Args:
        calls: the operations of one key.
        step: the model.
        steps: operations that may be tried.
        states: sets of operations that may be remembered.

    Returns:
        None if there is an order; otherwise the longest that was found, as places in ``calls``. And the steps spent.

    Raises:
        _SpentError: the budget does not suffice.
    """
    events = _Events(calls)
    unplaced = sum(call.answered for call in calls)
    longest: tuple[int, ...] = ()
    done, state, spent = 0, cast("Hashable", None), 0
    seen: set[tuple[int, Hashable]] = {(0, None)}
    placed: list[tuple[int, int, Hashable]] = []
    at = events.first()
    while unplaced:
        candidate = events.call(at)
        if candidate is not None:
            spent += 1
            if spent > steps or len(seen) > states:
                raise _SpentError(spent)
            call = calls[candidate]
            allowed, after = step(state, call.kind, call.value, call.answered)
            reached = (done | 1 << candidate, after)
            if allowed and reached not in seen:
                seen.add(reached)
                placed.append((candidate, done, state))
                done, state = reached
                unplaced -= call.answered
                events.take(candidate)
                at = events.first()
                if len(placed) > len(longest):
                    longest = tuple(one for one, _, _ in placed)
            else:
                at = events.after(at)
            continue
        # here a call ended that is not in its place yet: the last choice was wrong. One that changed nothing was none
        while placed:
            candidate, done, state = placed.pop()
            events.put_back(candidate)
            unplaced += calls[candidate].answered
            if calls[candidate].kind not in CHANGES_NOTHING:
                break
        else:
            return longest, spent
        at = events.after(events.began[candidate])
    return None, spent


class _Events:
    """Beginnings and ends of calls in time order, as a doubly linked list from which calls can be taken and put back.

    Beginnings of one moment come before its ends: intervals are closed. Between two ends the order of beginnings says
    nothing, so reads come first there: a read that fits now need not wait.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        count = len(calls)
        ends = sorted((call.end_ns, at) for at, call in enumerate(calls) if call.answered)
        moments = [moment for moment, _ in ends]
        events = [
            (bisect_left(moments, call.begin_ns), 0, call.kind not in CHANGES_NOTHING, call.begin_ns, at)
            for at, call in enumerate(calls)
        ]
        events += [(place, 1, False, moment, at) for place, (moment, at) in enumerate(ends)]
        events.sort()
        self._call = [-1] * (len(events) + 2)
        self.began, self._ended = [0] * count, [0] * count
        for place, (_, is_end, _, _, at) in enumerate(events, start=1):
            if is_end:
                self._ended[at] = place
            else:
                self.began[at] = place
                self._call[place] = at
        self._next: list[int] = [*range(1, len(events) + 2), 0]
        self._previous: list[int] = [0, *range(len(events) + 1)]

    def first(self) -> int:
        """The first event."""
        return self._next[0]

    def after(self, at: int) -> int:
        """The event after another."""
        return self._next[at]

    def call(self, at: int) -> int | None:
        """The call that begins here; None where one ends."""
        call = self._call[at]
        return None if call < 0 else call

    def take(self, call: int) -> None:
        """Take both events of a call out."""
        self._take(self.began[call])
        if self._ended[call]:
            self._take(self._ended[call])

    def put_back(self, call: int) -> None:
        """Put both events of the call that was taken last back."""
        if self._ended[call]:
            self._put_back(self._ended[call])
        self._put_back(self.began[call])

    def _take(self, at: int) -> None:
        before, after = self._previous[at], self._next[at]
        self._next[before], self._previous[after] = after, before

    def _put_back(self, at: int) -> None:
        before, after = self._previous[at], self._next[at]
        self._next[before] = self._previous[after] = at


def _explained(calls: Sequence[Call], model: str, budget: Budget) -> bool:
    """Whether some order explains the calls; also when the budget does not suffice to say so."""
    try:
        return search(calls, STEPS[model], steps=budget.steps, states=budget.states)[0] is None
    except _SpentError:
        return True


def _until(calls: Sequence[Call], moment_ns: int) -> list[Call]:
    """What was known at a moment: calls that had not ended may or may not have happened."""
    known = []
    for call in calls:
        if call.begin_ns > moment_ns:
            continue
        if call.end_ns <= moment_ns:
            known.append(call)
        elif call.kind not in RETURNS:
            known.append(replace(call, end_ns=NEVER_NS, answered=False))
    return known


def smallest_unexplained(calls: Sequence[Call], model: str, budget: Budget) -> list[Call]:
    """The shortest beginning that no order explains, without the reads that it does not need.

    Leaving a read out takes a constraint away; leaving a write out would not, so writes stay.

    Args:
        calls: calls that no order explains.
        model: the model.
        budget: what each trial may spend.
    """
    moments = sorted({call.end_ns for call in calls if call.answered})
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        if _explained(_until(calls, moments[middle]), model, budget):
            low = middle + 1
        else:
            high = middle
    shortest = _until(calls, moments[low])
    if _explained(shortest, model, budget):
        return list(calls)
    if len(shortest) <= SHRUNK_CALLS:
        for call in [one for one in shortest if one.kind in CHANGES_NOTHING]:
            fewer = [one for one in shortest if one is not call]
            if not _explained(fewer, model, budget):
                shortest = fewer
        shown = _shown_values(shortest)
        shortest = [call for call in shortest if shown is None or not _is_idle(call, shown)]
    return shortest


def _shown_values(calls: Sequence[Call]) -> set[Hashable] | None:
    """The values that some call shows or needs; None when an append makes every value count."""
    shown: set[Hashable] = set()
    for call in calls:
        if call.kind == "append":
            return None
        if call.kind == "read":
            shown.add(frozen(call.value))
        elif call.kind == "cas" and isinstance(call.value, (list, tuple)) and call.value:
            shown.add(frozen(call.value[0]))
    return shown


def _is_idle(call: Call, shown: set[Hashable]) -> bool:
    """Whether nothing is lost by leaving out a write of which it is unknown whether it happened."""
    return call.kind == "write" and not call.answered and frozen(call.value) not in shown


def _unexplained(columns: Columns, calls: Sequence[Call], model: str, budget: Budget) -> Finding:
    """The finding of a key that no order explains."""
    witness = smallest_unexplained(calls, model, budget)
    last = max((call for call in witness if call.answered), key=lambda call: (call.end_ns, call.row))
    named = str(columns.keys.label(columns.key[witness[0].row]))
    operations = columns.operations(call.row for call in witness)
    return finding(
        "not linearizable",
        f"Key {named}: no order of {plural(len(witness), 'operation')} that real time permits explains"
        f" the {last.kind} #{last.row + 1}.",
        operations[0].key,
        operations,
    )
