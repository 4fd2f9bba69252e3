"""What the system says about a command agrees with what happened to it."""

from __future__ import annotations

from collections.abc import Collection

from holdfast.checkers.records import Record, answered_seconds, finding, ranked, records
from holdfast.history.model import History, Observation
from holdfast.verdict.describe import moment, shorten, times
from holdfast.verdict.model import Finding


def agrees(
    history: History,
    *,
    status: str,
    effect: str,
    done: Collection[str],
    failed: Collection[str] = (),
    pending: Collection[str] = (),
) -> tuple[Finding, ...]:
    """The last state of each acknowledged key is terminal, and what a terminal state says of the effect is true.

    Keys that were not acknowledged need no status, but what is said of them must be true. A `done` that is not there is
    proven by a read of the effect that began after a read of the status had said so; the system says it too early when
    that read is not the last one (`premature`).

    Args:
        history: what concerns the clause.
        status: name of the status port.
        effect: name of the effect port.
        done: states that claim that the effect is there.
        failed: states that claim that it never will be.
        pending: states on the way.
    """
    effects = {record.key: record for record in records(history, effect)}
    found = []
    for record in records(history, status):
        said = record.settled
        if said is None:
            continue
        unfinished = _unfinished(record, said, {*done, *failed}, pending)
        if unfinished is not None:
            found.append(unfinished)
        elif said.state:
            found.extend(_untrue(record, said, effects[record.key], done, failed))
        elif (seen := effects[record.key].first_seen) is not None and said.started_seconds > seen.completed_seconds:
            found.append(_contradiction(record, said, seen, f"had no state at {moment(said.started_seconds)}", "0"))
    return ranked(found)


def premature(history: History, *, status: str, effect: str, done: Collection[str]) -> tuple[Finding, ...]:
    """No status says done before the effect is there: every effect read that began after it counts the effect.

    Only for effect ports whose reads are strongly consistent; a lagging read would accuse an honest status.

    Args:
        history: what concerns the clause.
        status: name of the status port.
        effect: name of the effect port.
        done: states that claim that the effect is there.
    """
    effects = {record.key: record for record in records(history, effect)}
    found = []
    for record in records(history, status):
        said = _first_saying(record, done)
        if said is None:
            continue
        absent = next(
            (
                read
                for read in effects[record.key].complete
                if read.count == 0 and read.started_seconds > said.completed_seconds
            ),
            None,
        )
        if absent is not None:
            says = f"already said {shorten(said.state)} at {moment(said.completed_seconds)}"
            found.append(_contradiction(record, said, absent, says, "at least 1"))
    return ranked(found)


def undecided(history: History, *, status: str, effect: str, done: Collection[str]) -> tuple[str, ...]:
    """Keys about which the history proves neither agreement nor contradiction.

    The last observation of the status or of the effect is missing or incomplete, or the effect was absent but not read
    again after the status had said that it was done, or the status of an acknowledged key was empty before the
    acknowledgement and not read again.

    Args:
        history: what concerns the clause.
        status: name of the status port.
        effect: name of the effect port.
        done: states that claim that the effect is there.
    """
    effects = {record.key: record for record in records(history, effect)}
    return tuple(record.key for record in records(history, status) if _open(record, effects[record.key], done))


def _open(record: Record, effect: Record, done: Collection[str]) -> bool:
    said, seen, acknowledged = record.settled, effect.settled, record.acknowledgement
    if said is None or seen is None:
        return True
    if acknowledged is not None and said.state not in done and said.started_seconds <= answered_seconds(acknowledged):
        return True
    if not said.state and effect.first_seen is not None:
        return said.started_seconds <= effect.first_seen.completed_seconds
    first = _first_saying(record, done)
    claimed = said.state in done and seen.count == 0
    return claimed and (first is None or seen.started_seconds <= first.completed_seconds)


def _unfinished(record: Record, said: Observation, terminal: set[str], pending: Collection[str]) -> Finding | None:
    acknowledged = record.acknowledgement
    if said.state in terminal:
        return None
    if said.state and said.state not in pending:
        problem, witness = "which is none of the declared states", record.operations[0]
    elif acknowledged is not None and said.started_seconds > answered_seconds(acknowledged):
        problem = f"though acknowledged at {moment(answered_seconds(acknowledged))}"
        witness = acknowledged
    else:
        return None
    state = f"state {shorten(said.state)}" if said.state else "no state"
    return finding(
        "status not terminal",
        f"Key {record.key} has {state} in '{said.port}' at {moment(said.started_seconds)}, {problem}, expected 1 of the"
        f" {len(terminal)} terminal states.",
        record.key,
        (witness, said),
    )


def _untrue(
    record: Record, said: Observation, effect: Record, done: Collection[str], failed: Collection[str]
) -> list[Finding]:
    says = f"says {shorten(said.state)} at {moment(said.started_seconds)}"
    if said.state in done:
        first, seen = _first_saying(record, done), effect.settled
        if first is None or seen is None or seen.count >= 1 or seen.started_seconds <= first.completed_seconds:
            return []
        return [_contradiction(record, first, seen, says, "at least 1")]
    seen = effect.final
    if said.state not in failed or seen is None or seen.count == 0:
        return []
    return [_contradiction(record, said, seen, says, "0")]


def _contradiction(record: Record, said: Observation, seen: Observation, says: str, expected: str) -> Finding:
    return finding(
        "status disagrees",
        f"Key {record.key} {says} in '{said.port}' and its effect '{seen.port}' was there {times(seen.count)} at"
        f" {moment(seen.started_seconds)}, expected {expected}.",
        record.key,
        (record.operations[0], said, seen),
    )


def _first_saying(record: Record, states: Collection[str]) -> Observation | None:
    return next((read for read in record.complete if read.state in states), None)
