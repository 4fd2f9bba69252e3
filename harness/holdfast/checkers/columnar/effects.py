"""Did each submission take effect exactly once? A multiset difference of attempted, acknowledged and seen.

*Lost*: acknowledged and not seen. *Duplicated*: seen more often than once; a duplicate of an effect is a violation,
whatever the answers said, so judge from a ledger of effects and not from responses. *Phantom*: seen and never
attempted, or refused. *Recovered*: of unknown outcome and seen; that is allowed.
"""

from __future__ import annotations

import numpy as np

from holdfast.checkers.columnar.elements import elements_of, label_of
from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural
from holdfast.checkers.columnar.wording import finding_of, named
from holdfast.history.columns import FAIL, NEVER_NS, NOTHING, OK, UNKNOWN, Columns, Integers, Mask
from holdfast.verdict.describe import shorten
from holdfast.verdict.model import Finding

ATTEMPTS = ("enqueue", "submit")
"""Kinds that try to bring an element in."""

TAKES = ("dequeue",)
"""Kinds that take one element out; null found nothing."""

LEDGERS = ("drain", "effect")
"""Kinds that show elements for good: all that a drained queue still held, or entries of a ledger."""


def check(columns: Columns, *, model: str = "queue") -> Result:
    """Whether each element that went in came out exactly once.

    Rows: ``enqueue`` with the element, ``dequeue`` with the element it got or null, ``drain`` with the list of all
    that was left; or ``submit`` with the id, and one ``effect`` per entry of the ledger with its id or a list of ids.
    An element that was acknowledged and not seen is lost when the history shows that nothing was left: a drain, an
    effect, or a dequeue that found nothing, began after the last acknowledgement. A dequeue of unknown outcome may
    have taken one.

    Args:
        columns: the history of one queue or one ledger.
        model: name of the model in the result.
    """
    attempts = np.flatnonzero(columns.is_kind(*ATTEMPTS))
    seen_rows = np.flatnonzero(columns.is_kind(*TAKES, *LEDGERS) & (columns.outcome == OK))
    elements = elements_of(columns, seen_rows)
    attempted = elements.value[attempts]
    codes, number = np.unique(np.concatenate((attempted, elements.element)), return_inverse=True)
    attempt_code, seen_code = number[: len(attempts)], number[len(attempts) :]
    size = len(codes)
    outcome = columns.outcome[attempts]

    acknowledged = np.bincount(attempt_code[outcome == OK], minlength=size) > 0
    unsure = np.bincount(attempt_code[outcome == UNKNOWN], minlength=size) > 0
    refused = (np.bincount(attempt_code[outcome == FAIL], minlength=size) > 0) & ~acknowledged & ~unsure
    seen = np.bincount(seen_code, minlength=size)
    began = np.full(size, NEVER_NS, np.int64)
    lasting = outcome != FAIL
    np.minimum.at(began, attempt_code[lasting], columns.earliest_ns[attempts[lasting]])
    first_end = np.full(size, NEVER_NS, np.int64)
    np.minimum.at(first_end, seen_code, columns.latest_ns[elements.row])

    known = acknowledged | unsure
    duplicated = known & (seen > 1)
    early = known & (seen > 0) & (first_end < began)
    missing = acknowledged & (seen == 0)
    stray = (seen > 0) & ~known & ~refused
    there = (seen > 0) & refused
    undecided: list[str] = []
    lost = missing & _nothing_left(columns, seen_rows, attempts)
    takers = int(np.count_nonzero(columns.is_kind(*TAKES, *LEDGERS) & (columns.outcome == UNKNOWN)))
    if missing.any() and not lost.any():
        undecided.append(
            f"{plural(int(missing.sum()), 'acknowledged element')} were not seen, but nothing shows that none was left"
        )
    if lost.any() and not columns.complete:
        undecided.append(f"{plural(int(lost.sum()), 'acknowledged element')} may have been seen in what is missing")
        lost &= False
    elif lost.any() and _unknown_could_have_taken(columns, takers, int(lost.sum())):
        undecided.append(
            f"{plural(int(lost.sum()), 'acknowledged element')} may have been taken by {plural(takers, 'operation')}"
            " of unknown outcome"
        )
        lost &= False
    if stray.any() and not columns.complete:
        undecided.append(f"{plural(int(stray.sum()), 'element')} may have been submitted in what is missing")
        stray &= False
    wrong = {
        "never submitted": stray,
        "refused and there": there,
        "duplicated": duplicated,
        "seen before it was submitted": early,
        "acknowledged and lost": lost,
    }
    where = _Rows(attempts, attempt_code, elements.row, seen_code)
    return conclude(
        model,
        columns,
        [
            _finding(columns, title, shorten(str(label_of(columns, elements, int(codes[code])))), int(code), where)
            for title, mask in wrong.items()
            for code in np.flatnonzero(mask)[:FINDINGS_KEPT]
        ],
        holds=f"{plural(int(acknowledged.sum()), 'acknowledged element')} were seen once, and no other.",
        undecided=undecided,
        figures={
            "attempted": float(np.count_nonzero(np.bincount(attempt_code, minlength=size))),
            "acknowledged": float(acknowledged.sum()),
            "lost": float(lost.sum()),
            "duplicated": float(duplicated.sum()),
            "phantom": float(stray.sum() + there.sum()),
            "recovered": float((unsure & ~acknowledged & (seen > 0)).sum()),
        },
        violations=int(sum(int(mask.sum()) for mask in wrong.values())),
    )


def _nothing_left(columns: Columns, seen_rows: Integers, attempts: Integers) -> bool:
    """Whether somebody looked after the last acknowledgement and found that nothing was left."""
    answered = attempts[columns.outcome[attempts] == OK]
    if not len(answered):
        return True
    last = columns.latest_ns[answered].max()
    empties = seen_rows[columns.is_kind(*LEDGERS)[seen_rows] | (columns.value[seen_rows] == NOTHING)]
    return bool((columns.earliest_ns[empties] > last).any())


def _unknown_could_have_taken(columns: Columns, takers: int, missing: int) -> bool:
    """Whether operations of unknown outcome can explain what is missing; an unknown drain explains anything."""
    drains: Mask = columns.is_kind(*LEDGERS) & (columns.outcome == UNKNOWN)
    return bool(drains.any()) or takers >= missing


class _Rows:
    """Where each element was attempted and seen."""

    def __init__(self, attempts: Integers, attempt_code: Integers, seen: Integers, seen_code: Integers) -> None:
        self._attempts, self._attempt_code = attempts, attempt_code
        self._seen, self._seen_code = seen, seen_code

    def of(self, code: int) -> tuple[list[int], list[int]]:
        """Rows of attempts, and rows that saw it."""
        return (
            self._attempts[self._attempt_code == code].tolist(),
            self._seen[self._seen_code == code].tolist(),
        )


def _finding(columns: Columns, title: str, label: str, code: int, where: _Rows) -> Finding:
    attempts, seen = where.of(code)
    order = {OK: 0, UNKNOWN: 1, FAIL: 2}
    attempts.sort(key=lambda row: (order[int(columns.outcome[row])], int(columns.latest_ns[row])))
    seen.sort(key=lambda row: int(columns.latest_ns[row]))
    witness = [*attempts[:1], *seen[:1]]
    if title == "never submitted":
        sentence = f"{named(columns, seen[0])} shows {label}, which nobody submitted."
    elif title == "refused and there":
        sentence = f"{named(columns, seen[0])} shows {label}, but {named(columns, attempts[0])} was refused."
    elif title == "duplicated":
        witness = [*attempts[:1], *seen]
        sentence = f"{label} of {named(columns, attempts[0])} was seen {len(seen)} times."
    elif title == "seen before it was submitted":
        attempts.sort(key=lambda row: int(columns.earliest_ns[row]))
        witness = [attempts[0], seen[0]]
        sentence = f"{named(columns, seen[0])} shows {label} and ended before {named(columns, attempts[0])} began."
    else:
        sentence = f"{label} of {named(columns, attempts[0])} was acknowledged and never seen."
    return finding_of(columns, title, sentence, witness)
