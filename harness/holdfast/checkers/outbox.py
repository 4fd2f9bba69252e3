"""Outbox: the business row and its outgoing message exist both or neither.

A message may come more than once, a row may not. Two ports cannot be read at one moment, so an absence counts only when
its read began after the other side had been seen; read both at least twice, in turns, to decide both directions.
"""

from __future__ import annotations

from holdfast.checkers.records import Record, finding, ranked, records
from holdfast.history.model import History
from holdfast.verdict.describe import moment, times
from holdfast.verdict.model import Finding


def matched(history: History, *, row: str, message: str) -> tuple[Finding, ...]:
    """Each key has its row, once, and at least one message, or neither.

    Args:
        history: what concerns the clause.
        row: name of the effect port that counts rows.
        message: name of the effect port that counts messages.
    """
    messages = {record.key: record for record in records(history, message)}
    found = []
    for rows in records(history, row):
        sent = messages[rows.key]
        found.extend(_repeated(rows))
        found.extend(_one_sided("row without message", rows, sent))
        found.extend(_one_sided("message without row", sent, rows))
    return ranked(found)


def undecided(history: History, *, row: str, message: str) -> tuple[str, ...]:
    """Keys about which the history proves neither a match nor a mismatch.

    The last observation of either side is missing or incomplete, or one side was there and the other was not read
    again after that.

    Args:
        history: what concerns the clause.
        row: name of the effect port that counts rows.
        message: name of the effect port that counts messages.
    """
    messages = {record.key: record for record in records(history, message)}
    return tuple(rows.key for rows in records(history, row) if _open(rows, messages[rows.key]))


def _repeated(rows: Record) -> list[Finding]:
    read = rows.final
    if read is None or read.count <= 1:
        return []
    return [
        finding(
            "row repeated",
            f"Key {rows.key} was submitted {times(len(rows.operations))} and its row in '{read.port}' was there"
            f" {times(read.count)} at {moment(read.started_seconds)}, expected at most 1.",
            rows.key,
            (*rows.operations, read),
        )
    ]


def _one_sided(title: str, there: Record, missing: Record) -> list[Finding]:
    """Findings where one side is there at quiescence and the other is not."""
    present, first, absent = there.final, there.first_seen, missing.settled
    if present is None or present.count == 0 or first is None or absent is None or absent.count >= 1:
        return []
    if absent.started_seconds <= first.completed_seconds:
        return []
    return [
        finding(
            title,
            f"Key {there.key} is in '{first.port}' {times(first.count)} at {moment(first.started_seconds)} but in"
            f" '{absent.port}' 0 times at {moment(absent.started_seconds)}, expected both or neither.",
            there.key,
            (there.operations[0], first, absent),
        )
    ]


def _open(rows: Record, messages: Record) -> bool:
    row, message = rows.settled, messages.settled
    if row is None or message is None:
        return True
    if (row.count >= 1) == (message.count >= 1):
        last_seconds = min(row.started_seconds, message.started_seconds)
        return row.count == 0 and last_seconds <= rows.last_answer_seconds
    there, absent = (rows.first_seen, message) if row.count >= 1 else (messages.first_seen, row)
    return there is None or absent.started_seconds <= there.completed_seconds
