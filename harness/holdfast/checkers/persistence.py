"""Family P: what was acknowledged takes effect, what was refused does not, and both whole.

An acknowledged operation (`ok`) must be there at quiescence, a refused one (`fail`) must not, an `unknown` one may go
either way. Lost = acknowledged and absent from a read that began after the acknowledgement and from every later one
(Jepsen's set-full, element by element).
"""

from __future__ import annotations

from holdfast.checkers.differences import closest, difference
from holdfast.checkers.durations import Distribution
from holdfast.checkers.records import (
    MAY_APPLY,
    Compare,
    Record,
    answered_seconds,
    finding,
    ranked,
    records,
    shown,
    submitted,
)
from holdfast.history.model import History, Observation, Operation, Outcome
from holdfast.verdict.describe import moment, times
from holdfast.verdict.model import Finding


def acknowledged_and_lost(history: History, *, effect: str) -> tuple[Finding, ...]:
    """Every acknowledged key has its effect at quiescence.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
    """
    found = []
    for record in records(history, effect):
        acknowledged, read = record.acknowledgement, record.settled
        if acknowledged is None or read is None or read.count >= 1:
            continue
        if read.started_seconds <= answered_seconds(acknowledged):
            continue
        seen = record.first_seen
        gone = "" if seen is None else f" after {times(seen.count)} at {moment(seen.started_seconds)}"
        found.append(
            finding(
                "acknowledged and lost",
                f"Key {record.key} was acknowledged{_status(acknowledged)} at {moment(answered_seconds(acknowledged))}"
                f" but its effect '{effect}' was there 0 times at {moment(read.started_seconds)}{gone},"
                " expected at least 1.",
                record.key,
                (acknowledged, read) if seen is None else (acknowledged, seen, read),
            )
        )
    return ranked(found)


def phantoms(history: History, *, effect: str) -> tuple[Finding, ...]:
    """A key all of whose operations were refused has no effect.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
    """
    found = []
    for record in records(history, effect):
        read = record.final
        if record.of(*MAY_APPLY) or read is None or read.count == 0:
            continue
        refused = record.operations[0]
        others = "" if len(record.operations) == 1 else f" (all {len(record.operations)} submissions were)"
        found.append(
            finding(
                "phantom",
                f"Key {record.key} was refused{_status(refused)} at {moment(answered_seconds(refused))}{others}"
                f" but its effect '{effect}' was there {times(read.count)} at {moment(read.started_seconds)},"
                " expected 0.",
                record.key,
                (*record.operations, read),
            )
        )
    return ranked(found)


def refused(history: History) -> int:
    """How many keys were refused by every submission of theirs."""
    outcomes: dict[str, set[Outcome]] = {}
    for operation in history.operations:
        outcomes.setdefault(operation.key, set()).add(operation.outcome)
    return sum(outcome == {Outcome.FAIL} for outcome in outcomes.values())


def altered(history: History, *, effect: str, compare: Compare = "value") -> tuple[Finding, ...]:
    """Each payload that an effect shows equals, whole, one that was submitted for its key and not refused.

    One finding per key, about the first payload shown that differs. Keys with an acknowledged or unknown submission
    whose payload is not known are left out; `undecided` names them.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
        compare: ``value`` for the command's value, ``body`` for the whole payload.
    """
    found = []
    for record in records(history, effect):
        read = record.final
        if read is None or not _comparable(record, compare):
            continue
        allowed = [submitted(operation, compare) for operation in record.of(*MAY_APPLY)]
        seen = next((payload for payload in shown(read, compare) if payload not in allowed), None)
        if seen is not None:
            found.append(_altered(record, read, seen, compare))
    return ranked(found)


def _altered(record: Record, read: Observation, seen: str, compare: Compare) -> Finding:
    where = f"Key {record.key} shows in effect '{read.port}' at {moment(read.started_seconds)}"
    operation = next((o for o in record.of(Outcome.FAIL) if submitted(o, compare) == seen), None)
    if operation is not None:
        sentence = (
            f"{where} the {compare} of a submission refused{_status(operation)} at"
            f" {moment(answered_seconds(operation))}, expected 0 effects of it."
        )
    else:
        candidates = record.of(*MAY_APPLY) or record.operations
        expected = closest([submitted(o, compare) or "" for o in candidates], seen)
        operation = next(o for o in candidates if submitted(o, compare) == expected)
        sentence = f"{where} a {compare} that was never submitted: {difference(expected, seen)}."
    return finding("altered", sentence, record.key, (operation, read))


def recovered(history: History, effect: str) -> tuple[str, ...]:
    """Keys that were never acknowledged, had an unknown outcome, and took effect; allowed, and worth counting.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
    """
    return tuple(
        record.key
        for record in records(history, effect)
        if record.acknowledgement is None
        and record.of(Outcome.UNKNOWN)
        and record.final is not None
        and record.final.count >= 1
    )


def time_to_effect(history: History, *, effect: str) -> Distribution:
    """From each key's acknowledgement to the end of the first read that counted its effect, as a distribution.

    A key whose effect was seen before its acknowledgement counts with 0 seconds; one never seen does not count.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
    """
    return Distribution.of(
        max(0.0, record.first_seen.completed_seconds - answered_seconds(record.acknowledgement))
        for record in records(history, effect)
        if record.acknowledgement is not None and record.first_seen is not None
    )


def late(history: History, *, effect: str, bound_seconds: float, since_seconds: float = 0.0) -> tuple[Finding, ...]:
    """Every acknowledged key has its effect within a bound.

    Late is proven by a complete read that began after the bound and counted no effect, before any that did. That an
    effect was first *seen* after the bound proves nothing: it may have waited to be looked at; `undecided` names it.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
        bound_seconds: longest time to effect, seconds from the acknowledgement.
        since_seconds: the bound counts from here where the acknowledgement was earlier, e.g. when the fault was healed.
    """
    found = []
    for record in records(history, effect):
        acknowledged, absent = record.acknowledgement, _last_absent(record)
        if acknowledged is None or absent is None:
            continue
        start_seconds = max(answered_seconds(acknowledged), since_seconds)
        waited_seconds = absent.started_seconds - start_seconds
        if waited_seconds <= bound_seconds:
            continue
        seen = record.first_seen
        then = "never seen" if seen is None else f"first seen at {moment(seen.started_seconds)}"
        origin = "that" if start_seconds > since_seconds else f"the bound began at {moment(start_seconds)}"
        found.append(
            finding(
                "late",
                f"Key {record.key} was acknowledged{_status(acknowledged)} at {moment(answered_seconds(acknowledged))}"
                f" but its effect '{effect}' was there 0 times {waited_seconds:.3f} s after {origin} ({then}),"
                f" expected at least 1 within {bound_seconds:.3f} s.",
                record.key,
                (acknowledged, absent) if seen is None else (acknowledged, absent, seen),
            )
        )
    return ranked(found)


def undecided(
    history: History,
    *,
    effect: str,
    compare: Compare | None = None,
    bound_seconds: float | None = None,
    since_seconds: float = 0.0,
) -> tuple[str, ...]:
    """Keys about which the history proves neither that the clause was kept nor that it was broken.

    Their last observation is missing or incomplete, or it counted no effect but began before the first acknowledgement
    was in (where nothing was acknowledged: the last answer).

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
        compare: also keys whose effect shows no payload, or whose submission carried none, in this sense.
        bound_seconds: also acknowledged keys that `late` can decide neither way with this bound.
        since_seconds: as for `late`.
    """
    return tuple(
        record.key
        for record in records(history, effect)
        if _open(record)
        or (compare is not None and _shows_nothing(record, compare))
        or (bound_seconds is not None and _untimed(record, bound_seconds, since_seconds))
    )


def _open(record: Record) -> bool:
    read, acknowledged = record.settled, record.acknowledgement
    if read is None:
        return True
    answer_seconds = record.last_answer_seconds if acknowledged is None else answered_seconds(acknowledged)
    return read.count == 0 and read.started_seconds <= answer_seconds


def _comparable(record: Record, compare: Compare) -> bool:
    operations = record.of(*MAY_APPLY) or record.operations
    return all(submitted(operation, compare) is not None for operation in operations)


def _shows_nothing(record: Record, compare: Compare) -> bool:
    read = record.final
    if read is None or read.count == 0:
        return False
    return not shown(read, compare) or not _comparable(record, compare)


def _last_absent(record: Record) -> Observation | None:
    """The last complete read without the effect before the first with it."""
    absent = None
    for read in record.complete:
        if read.count >= 1:
            break
        absent = read
    return absent


def _untimed(record: Record, bound_seconds: float, since_seconds: float) -> bool:
    acknowledged, absent, seen = record.acknowledgement, _last_absent(record), record.first_seen
    if acknowledged is None:
        return False
    end_seconds = max(answered_seconds(acknowledged), since_seconds) + bound_seconds
    in_time = seen is not None and seen.completed_seconds <= end_seconds
    too_late = absent is not None and absent.started_seconds > end_seconds
    return not in_time and not too_late


def _status(operation: Operation) -> str:
    return f" ({operation.status})" if operation.status else ""
