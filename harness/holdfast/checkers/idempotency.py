"""Family I: at most one effect per key whatever the deliveries, exactly one if acknowledged, and never a mixture.

Duplicates are judged from the effects, never from the answers: an answer that hides the second effect hides nothing.
"""

from __future__ import annotations

from typing import Literal

from holdfast.checkers import persistence
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
from holdfast.verdict.describe import moment, shorten, times
from holdfast.verdict.model import Finding

Conflict = Literal["refused", "first-wins", "either"]
"""What a later submission with the same key and another payload must get."""


def duplicated(history: History, *, effect: str) -> tuple[Finding, ...]:
    """No key has more than one effect at quiescence, however often it was submitted or delivered.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
    """
    found = []
    for record in records(history, effect):
        read = record.final
        if read is None or read.count <= 1:
            continue
        submissions = len(record.operations)
        acknowledged = len(record.of(Outcome.OK))
        found.append(
            finding(
                "duplicated",
                f"Key {record.key} was submitted {times(submissions)} ({acknowledged} acknowledged) and its effect"
                f" '{effect}' was there {times(read.count)} at {moment(read.started_seconds)}, expected at most 1.",
                record.key,
                (*record.operations, read),
            )
        )
    return ranked(found)


def exactly_once(history: History, *, effect: str) -> tuple[Finding, ...]:
    """No key has more than one effect, and every acknowledged key has one.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
    """
    return ranked(duplicated(history, effect=effect) + persistence.acknowledged_and_lost(history, effect=effect))


def mixture(
    history: History, *, effect: str, compare: Compare = "value", conflict: Conflict = "either"
) -> tuple[Finding, ...]:
    """Of conflicting payloads under one key exactly one stands, whole, and it is one that may stand.

    A payload *may be the first* unless every submission of it that was not refused was sent after another payload had
    been acknowledged; of submissions that overlap in time either may be first. At most one finding per key.

    Args:
        history: what concerns the clause; keys submitted with one payload only, or with one that is not known, say
            nothing here.
        effect: name of the effect port.
        compare: ``value`` for the command's value, ``body`` for the whole payload.
        conflict: ``either``: one submitted payload, whole, and not a refused one unless nothing else could have stood;
            ``first-wins``: also, it may be the first; ``refused``: also, a conflicting submission sent after the first
            was acknowledged was refused (an unknown outcome may be a refusal whose answer was lost).
    """
    found = []
    for record in records(history, effect):
        by_payload = _by_payload(record, compare)
        carried = [submitted(operation, compare) for operation in record.of(*MAY_APPLY)]
        if len(by_payload) < 2 or None in carried:
            continue
        found.extend(
            _mixed(record, by_payload, compare)
            or _refused_stands(record, by_payload, compare)
            or (_not_first(record, by_payload, compare) if conflict != "either" else [])
            or (_not_refused(record, by_payload, compare) if conflict == "refused" else [])
        )
    return ranked(found)


def undecided(history: History, *, effect: str, compare: Compare | None = None) -> tuple[str, ...]:
    """Keys about which the history proves neither that the clause was kept nor that it was broken.

    Their last observation is missing or incomplete, or began before the last answer was in: an effect may have come
    after it.

    Args:
        history: what concerns the clause.
        effect: name of the effect port.
        compare: also keys whose effect shows no payload, or whose submission carried none, in this sense.
    """
    untold = set(persistence.undecided(history, effect=effect, compare=compare))
    return tuple(
        record.key
        for record in records(history, effect)
        if record.key in untold
        or record.settled is None
        or record.settled.started_seconds <= record.last_answer_seconds
    )


def _by_payload(record: Record, compare: Compare) -> dict[str, list[Operation]]:
    groups: dict[str, list[Operation]] = {}
    for operation in record.operations:
        payload = submitted(operation, compare)
        if payload is not None:
            groups.setdefault(payload, []).append(operation)
    return groups


def _standing(record: Record, compare: Compare) -> tuple[Observation | None, tuple[str, ...]]:
    """The last complete read and the different payloads that it shows."""
    read = record.final
    return read, () if read is None else tuple(dict.fromkeys(shown(read, compare)))


def _mixed(record: Record, by_payload: dict[str, list[Operation]], compare: Compare) -> list[Finding]:
    read, standing = _standing(record, compare)
    strange = [payload for payload in standing if payload not in by_payload]
    if read is None or (len(standing) <= 1 and not strange):
        return []
    submissions = [operations[0] for operations in by_payload.values()]
    if strange:
        what = f"shows {shorten(strange[0])}, which is none of the {len(by_payload)} submitted"
    else:
        what = f"shows {len(standing)} of the {len(by_payload)} submitted, " + " and ".join(map(shorten, standing[:3]))
        submissions = [by_payload[payload][0] for payload in standing]
    return [
        finding(
            "mixture",
            f"Key {record.key} was submitted with {len(by_payload)} different payloads ({compare}) and its effect"
            f" '{read.port}' {what}, at {moment(read.started_seconds)}, expected exactly 1 of them, whole.",
            record.key,
            (*submissions, read),
        )
    ]


def _refused_stands(record: Record, by_payload: dict[str, list[Operation]], compare: Compare) -> list[Finding]:
    read, standing = _standing(record, compare)
    if read is None or len(standing) != 1:
        return []
    carriers = by_payload[standing[0]]
    if any(operation.outcome in MAY_APPLY for operation in carriers):
        return []
    refused = min(carriers, key=answered_seconds)
    earlier = [o for o in record.of(*MAY_APPLY) if o.invoked_seconds <= answered_seconds(refused)]
    if not earlier:
        return []
    return [
        finding(
            "refused payload stands",
            f"Key {record.key} shows in effect '{read.port}' at {moment(read.started_seconds)} the {compare}"
            f" {shorten(standing[0])} whose submission was refused at {moment(answered_seconds(refused))}, expected one"
            f" of the {len(earlier)} submitted earlier and not refused.",
            record.key,
            (earlier[0], refused, read),
        )
    ]


def _sent_after(operation: Operation, record: Record, payload: str, compare: Compare) -> Operation | None:
    """The first acknowledged submission of another payload, if it was acknowledged before this operation was sent."""
    others = [o for o in record.of(Outcome.OK) if submitted(o, compare) not in {None, payload}]
    first = min(others, key=answered_seconds, default=None)
    return first if first is not None and answered_seconds(first) < operation.invoked_seconds else None


def _may_be_first(record: Record, by_payload: dict[str, list[Operation]], compare: Compare) -> list[str]:
    return [
        payload
        for payload, operations in by_payload.items()
        if any(
            operation.outcome in MAY_APPLY and _sent_after(operation, record, payload, compare) is None
            for operation in operations
        )
    ]


def _not_first(record: Record, by_payload: dict[str, list[Operation]], compare: Compare) -> list[Finding]:
    read, standing = _standing(record, compare)
    if read is None or len(standing) != 1 or standing[0] in _may_be_first(record, by_payload, compare):
        return []
    stands = next((o for o in by_payload[standing[0]] if o.outcome in MAY_APPLY), by_payload[standing[0]][0])
    first = _sent_after(stands, record, standing[0], compare)
    if first is None:
        return []
    return [
        finding(
            "later payload stands",
            f"Key {record.key} was acknowledged with the {compare} {shorten(submitted(first, compare) or '')} at"
            f" {moment(answered_seconds(first))} but its effect '{read.port}' shows {shorten(standing[0])}, sent at"
            f" {moment(stands.invoked_seconds)}, expected the 1 acknowledged first.",
            record.key,
            (first, stands, read),
        )
    ]


def _not_refused(record: Record, by_payload: dict[str, list[Operation]], compare: Compare) -> list[Finding]:
    _, standing = _standing(record, compare)
    winners = [p for p in _may_be_first(record, by_payload, compare) if not standing or p == standing[0]]
    accepted = []
    for winner in winners:
        pairs = [
            (first, operation)
            for payload, operations in by_payload.items()
            for operation in operations
            if payload != winner
            and operation.outcome is Outcome.OK
            and (first := _sent_after(operation, record, payload, compare)) is not None
        ]
        if not pairs:
            return []
        accepted.append(min(pairs, key=lambda pair: pair[1].invoked_seconds))
    if not accepted:
        return []
    first, operation = min(accepted, key=lambda pair: pair[1].invoked_seconds)
    return [
        finding(
            "conflict accepted",
            f"Key {record.key} was acknowledged with the {compare} {shorten(submitted(first, compare) or '')} at"
            f" {moment(answered_seconds(first))} and again with {shorten(submitted(operation, compare) or '')}, sent at"
            f" {moment(operation.invoked_seconds)}, expected the 1 sent later to be refused.",
            record.key,
            (first, operation),
        )
    ]
