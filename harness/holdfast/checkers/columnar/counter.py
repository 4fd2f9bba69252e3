"""Does a counter count? Every read lies between what must and what may have been added.

An addition that was acknowledged before the read began must be in it; one that began after the read had ended cannot
be; any other that was not refused may be. After Jepsen's counter checker, which assumes that nothing is subtracted.
"""

from __future__ import annotations

import numpy as np

from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural
from holdfast.checkers.columnar.segments import combined, dense
from holdfast.checkers.columnar.versions import places
from holdfast.checkers.columnar.wording import finding_of, key_text, named
from holdfast.errors import HistoryError
from holdfast.history.columns import FAIL, NEVER_NS, NOTHING, OK, Columns, Integers

MODEL = "counter"


def check(columns: Columns) -> Result:
    """Whether each read of each counter is possible; counters begin at 0.

    Rows: ``add`` with the amount, which may be negative; ``read`` with the value.

    Raises:
        HistoryError: an amount or a value is no whole number.
    """
    key, _ = dense(columns.key)
    amounts = _numbers(columns)
    adds = np.flatnonzero(columns.is_kind("add") & (columns.outcome != FAIL))
    reads = np.flatnonzero(columns.is_kind("read") & (columns.outcome == OK))
    amount = amounts[adds]
    ended = np.where(columns.outcome[adds] == OK, columns.latest_ns[adds], NEVER_NS)
    began_reads, ended_reads = columns.earliest_ns[reads], columns.latest_ns[reads]

    # sums over those that ended before the read began, and over those that began before it ended
    certain = _sum_before(key[adds], ended, amount, key[reads], began_reads, side="left")
    plus, minus = np.maximum(amount, 0), np.minimum(amount, 0)
    begun = columns.earliest_ns[adds]
    high = certain + (
        _sum_before(key[adds], begun, plus, key[reads], ended_reads, side="right")
        - _sum_before(key[adds], ended, plus, key[reads], began_reads, side="left")
    )
    low = certain + (
        _sum_before(key[adds], begun, minus, key[reads], ended_reads, side="right")
        - _sum_before(key[adds], ended, minus, key[reads], began_reads, side="left")
    )
    value = amounts[reads]
    # what is missing may have added anything, in both directions where anything was subtracted
    above, below = value > high, value < low
    undecided: list[str] = []
    if not columns.complete:
        open_above, open_below = int(above.sum()), int(below.sum()) if (amount < 0).any() else 0
        if open_above + open_below:
            undecided.append(f"{plural(open_above + open_below, 'read')} may show additions that are missing")
        above &= False
        if (amount < 0).any():
            below &= False
    wrong = np.flatnonzero(above | below)
    findings = []
    for at in wrong[:FINDINGS_KEPT].tolist():
        read = int(reads[at])
        mine = adds[key[adds] == key[read]]
        counted = mine[columns.earliest_ns[mine] <= ended_reads[at]]
        findings.append(
            finding_of(
                columns,
                "impossible count",
                f"{named(columns, read)} of {key_text(columns, read)} returned {value[at]}, which must be from"
                f" {low[at]} to {high[at]}: {plural(len(counted), 'addition')} had begun.",
                {read, *counted.tolist()[:WITNESS_ADDITIONS]},
            )
        )
    return conclude(
        MODEL,
        columns,
        findings,
        holds=f"{plural(len(reads), 'read')} were possible after {plural(len(adds), 'addition')}.",
        undecided=undecided,
        figures={"reads": float(len(reads)), "additions": float(len(adds))},
        violations=len(wrong),
    )


WITNESS_ADDITIONS = 20
"""Additions that are shown beside an impossible read."""


def _numbers(columns: Columns) -> Integers:
    """The amounts and values as numbers; an addition without amount adds 1."""
    labels = columns.values.labels
    if (columns.value < NOTHING).any() or not (labels is None or all(type(label) is int for label in labels)):
        raise HistoryError("A counter's amount or value is no whole number.", remedy="correct the history")
    numbers = columns.value if labels is None else np.array([*labels, 1], np.int64)[columns.value]
    return np.where(columns.value == NOTHING, 1, numbers)


def _sum_before(
    group: Integers, moment: Integers, amount: Integers, asked_group: Integers, asked: Integers, *, side: str
) -> Integers:
    """For each question the sum of the amounts of its group up to a moment; ``left`` leaves that moment itself out."""
    if not len(group):
        return np.zeros(len(asked), np.int64)
    order = np.argsort(combined(group, moment), kind="stable")
    sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(amount[order])))
    sorted_group = group[order]
    until = places(sorted_group, moment[order], asked_group, asked, side=side)
    return sums[until] - sums[np.searchsorted(sorted_group, asked_group)]
