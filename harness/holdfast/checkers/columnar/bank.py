"""Is money conserved? Every read of all accounts has the same total and no overdraft; so has every step of a ledger.

After Jepsen's bank workload: transfers move amounts between accounts, so no read may ever see a total that differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np

from holdfast.checkers.columnar.result import FINDINGS_KEPT, Result, conclude, plural
from holdfast.checkers.columnar.segments import combined, dense, is_first
from holdfast.checkers.columnar.wording import finding_of, key_text, named
from holdfast.errors import HistoryError
from holdfast.history.columns import FIRST_COMPOSITE, NOTHING, OK, Columns, Integers
from holdfast.verdict.model import Finding

MODEL = "bank"


def check(columns: Columns, *, total: int | None = None, least: int | None = 0) -> Result:
    """Whether the total stays the same, and no balance falls below the least.

    Rows: ``read`` with an object of balances by account; or ``entry`` per line of a ledger: key is the account, value
    the signed amount, position its place in the account's ledger (time where there is none). Entries must add up to
    the total, 0 unless it is given. ``transfer`` rows are not judged.

    Args:
        columns: the history.
        total: the sum of all balances; None for that of the first read.
        least: least balance that is allowed; None where overdrafts are.

    Raises:
        HistoryError: a balance or an amount is no whole number.
    """
    reads = np.flatnonzero(columns.is_kind("read") & (columns.outcome == OK))
    entries = np.flatnonzero(columns.is_kind("entry") & (columns.outcome == OK))
    reads = reads[np.argsort(columns.earliest_ns[reads], kind="stable")]
    findings = [*_reads(columns, reads, total, least), *_ledger(columns, entries, total or 0, least)]
    undecided = []
    if not len(reads) and not len(entries):
        undecided.append("the history holds no read of the accounts and no entry of a ledger")
    if len(entries) and not columns.complete:
        undecided.append("entries of the ledger may be missing")
        findings = [one for one in findings if one.witness[0].command == "read"]  # type: ignore[union-attr]
    return conclude(
        MODEL,
        columns,
        findings,
        holds=f"{plural(len(reads), 'read')} and {plural(len(entries), 'entry', 'entries')} conserve the total.",
        undecided=undecided,
        figures={"reads": float(len(reads)), "entries": float(len(entries))},
    )


def _reads(columns: Columns, reads: Integers, total: int | None, least: int | None) -> Iterator[Finding]:
    first: int | None = None
    for row in reads.tolist():
        balances = _balances(columns, row)
        if balances is None:
            continue
        low = [(account, amount) for account, amount in balances.items() if least is not None and amount < least]
        if low:
            yield finding_of(
                columns,
                "overdraft",
                f"{named(columns, row)} shows {low[0][1]} in account {low[0][0]}, less than {least}.",
                {row},
            )
        seen = sum(balances.values())
        if total is not None:
            if seen != total:
                yield finding_of(
                    columns, "wrong total", f"{named(columns, row)} adds up to {seen} instead of {total}.", {row}
                )
        elif first is None:
            first = row
        elif seen != (expected := sum((_balances(columns, first) or {}).values())):
            yield finding_of(
                columns,
                "wrong total",
                f"{named(columns, first)} adds up to {expected} and {named(columns, row)} to {seen}.",
                {first, row},
            )


def _balances(columns: Columns, row: int) -> Mapping[str, int] | None:
    value = columns.value_of(row)
    if value is None:
        return None
    if not isinstance(value, Mapping) or not all(type(amount) is int for amount in value.values()):
        raise HistoryError(
            f"Read #{row + 1} shows no balances.", remedy='a read of accounts is an object such as {"a": 10, "b": 5}'
        )
    return cast("Mapping[str, int]", value)


def _ledger(columns: Columns, entries: Integers, total: int, least: int | None) -> Iterator[Finding]:
    """The fold of the ledger: no running balance below the least, and the right sum in the end."""
    if not len(entries):
        return
    labels = columns.values.labels
    wrong = (columns.value[entries] <= FIRST_COMPOSITE) | (columns.value[entries] == NOTHING)
    if wrong.any() or not (labels is None or all(type(label) is int for label in labels)):
        raise HistoryError("An entry's amount is no whole number.", remedy="correct the history")
    amount = columns.value[entries] if labels is None else np.array(labels, np.int64)[columns.value[entries]]
    key, _ = dense(columns.key)
    place = columns.earliest_ns if columns.position is None else columns.position
    order = np.argsort(combined(key[entries], place[entries]), kind="stable")
    rows, amount = entries[order], amount[order]
    sums = np.cumsum(amount)
    begins = np.maximum.accumulate(np.where(is_first(key[rows]), np.arange(len(rows)), 0))
    balance = sums - (sums[begins] - amount[begins])
    if least is not None:
        low = np.flatnonzero(balance < least)
        for at in low[is_first(key[rows[low]])][:FINDINGS_KEPT].tolist():
            row = int(rows[at])
            yield finding_of(
                columns,
                "overdraft",
                f"{named(columns, row)} of {key_text(columns, row)} leaves {balance[at]}, less than {least}.",
                {row, int(rows[max(at - 1, begins[at])])},
            )
    if int(sums[-1]) != total:
        yield finding_of(
            columns,
            "wrong total",
            f"the {plural(len(rows), 'entry', 'entries')} add up to {int(sums[-1])} instead of {total}.",
            {int(rows[-1])},
        )
