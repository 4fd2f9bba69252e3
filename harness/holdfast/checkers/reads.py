"""Strong reads: a read that began after an acknowledgement shows what was acknowledged."""

from __future__ import annotations

from holdfast.checkers.records import Record, answered_seconds, finding, ranked, records
from holdfast.history.model import History, Observation, Operation, Outcome
from holdfast.verdict.describe import moment, shorten
from holdfast.verdict.model import Finding


def stale_reads(history: History, *, port: str) -> tuple[Finding, ...]:
    """No complete read that began after an acknowledgement shows nothing, or only overwritten values.

    A value is overwritten for a read when another was acknowledged before the read began and sent after every
    submission of the value had been answered. Use it on keys whose later values replace earlier ones; where the first
    payload stands, submit each key once. One finding per key, about its first stale read.

    Args:
        history: what concerns the clause.
        port: name of the effect port that was read.
    """
    found = []
    for record in records(history, port):
        reads = [(read, write) for read in record.complete if (write := _missed(record, read)) is not None]
        if not reads:
            continue
        read, write = reads[0]
        if read.count == 0:
            what = "shows it 0 times"
        else:
            what = f"shows {shorten(read.values[-1])}, older than {shorten(write.value or '')}"
        found.append(
            finding(
                "stale read",
                f"Key {record.key} was acknowledged at {moment(answered_seconds(write))} but a read of '{port}' that"
                f" began at {moment(read.started_seconds)} {what} ({len(reads)} of {len(record.complete)} reads were"
                " stale), expected what was acknowledged.",
                record.key,
                (write, read),
            )
        )
    return ranked(found)


def unread(history: History, *, port: str) -> tuple[str, ...]:
    """Acknowledged keys without a complete read that began after the acknowledgement: they decide nothing.

    Args:
        history: what concerns the clause.
        port: name of the effect port that was read.
    """
    return tuple(
        record.key
        for record in records(history, port)
        if (write := record.acknowledgement) is not None
        and not any(read.started_seconds > answered_seconds(write) for read in record.complete)
    )


def _missed(record: Record, read: Observation) -> Operation | None:
    """The acknowledged write that a read should have shown and did not."""
    before = [o for o in record.of(Outcome.OK) if answered_seconds(o) < read.started_seconds]
    if not before:
        return None
    if read.count == 0:
        return before[0]
    overwriting = [_overwriting(record, value, before) for value in read.values]
    missed = [write for write in overwriting if write is not None]
    return missed[-1] if missed and len(missed) == len(read.values) else None


def _overwriting(record: Record, value: str, before: list[Operation]) -> Operation | None:
    writes = [o for o in record.of(Outcome.OK, Outcome.UNKNOWN) if o.value == value]
    if not writes or any(write.completed_seconds is None or write.outcome is Outcome.UNKNOWN for write in writes):
        return None
    last_seconds = max(answered_seconds(write) for write in writes)
    return next((o for o in before if o.value not in {None, value} and o.invoked_seconds > last_seconds), None)
