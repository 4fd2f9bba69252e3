"""How sagas end: within their bound, surfaced where they cannot be undone, and as they say themselves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

from holdfast.checkers.records import finding, ranked, records
from holdfast.checkers.saga import Fate, Left, left
from holdfast.history.executions import EXECUTION, ExecutionStatus
from holdfast.history.model import DeadLetterSeen, History, Observation, Operation, Outcome
from holdfast.stack.base import Json
from holdfast.stack.patterns import SagaPattern
from holdfast.verdict.describe import moment, shorten, times
from holdfast.verdict.model import Finding

UNFINISHED = "unfinished"
"""Title of the finding that a saga was under way past its bound."""


def unfinished(
    history: History, *, port: str, running: Collection[str], bound_seconds: float, keys: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """No saga is still under way when it was last looked at, later than its bound after its last start.

    Args:
        history: what concerns the clause.
        port: what tells how a saga stands: its executions (`holdfast.history.executions.EXECUTION`) or a status.
        running: the states in which it is under way.
        bound_seconds: from the start of a saga to its end.
        keys: only these; all where None.
    """
    found = []
    for record in records(history, port):
        if keys is not None and record.key not in keys:
            continue
        started = max(operation.invoked_seconds for operation in record.operations)
        late = [
            read for read in record.complete if read.state in running and read.started_seconds - started > bound_seconds
        ]
        if late:
            found.append(
                finding(
                    UNFINISHED,
                    f"Key {record.key} was started at {moment(started)} and '{port}' says {shorten(late[0].state)} at"
                    f" {moment(late[0].started_seconds)}, expected that it has ended within {bound_seconds:g} s.",
                    record.key,
                    (record.operations[-1], late[0]),
                )
            )
    return ranked(found)


def over_since(history: History, *, port: str, running: Collection[str]) -> frozenset[str]:
    """The keys that were under way no more when they were last looked at, and not only since their fault was healed.

    Args:
        history: what concerns the clause.
        port: what tells how a saga stands.
        running: the states in which it is under way.
    """
    healed = {window.key: window.ended_seconds for window in history.windows if window.key}
    return frozenset(
        record.key
        for record in records(history, port)
        if record.final is not None
        and over(record.final, running)
        and any(
            over(read, running) and read.started_seconds <= healed.get(record.key, read.started_seconds)
            for read in record.complete
        )
    )


def over(read: Observation, running: Collection[str]) -> bool:
    """Whether a look shows that a saga is under way no more."""
    return bool(read.state) and read.state not in running


def running_still(history: History) -> tuple[str, ...]:
    """Keys whose execution was still running when it was last looked at."""
    return tuple(
        record.key
        for record in records(history, EXECUTION)
        if record.final is not None and record.final.state == ExecutionStatus.RUNNING
    )


def surfaced(
    history: History, saga: SagaPattern, *, letters: Iterable[DeadLetterSeen], keys: Collection[str]
) -> tuple[Finding, ...]:
    """Each settled saga that is neither committed nor compensated has a dead letter, which holds its input.

    An input counts as held when the original is equal to what was submitted, as JSON where both are; where the dead
    letter shows no original, its presence is enough.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
        letters: what lies in the dead-letter stores.
        keys: the sagas of which a compensation, or a step after the pivot, failed for good.
    """
    entries: defaultdict[str, list[DeadLetterSeen]] = defaultdict(list)
    for letter in letters:
        entries[letter.key].append(letter)
    found = []
    for one in left(history, saga):
        if one.key not in keys or not one.settled or one.fate in (Fate.COMMITTED, Fate.COMPENSATED, None):
            continue
        mine = entries.get(one.key, [])
        if not mine:
            problem = "has 0 dead letters, expected 1 with its input"
        elif not any(_holds_input(letter, one.operations) for letter in mine):
            problem = f"has {len(mine)} dead letters, and none holds its input as it was submitted"
        else:
            continue
        found.append(
            finding(
                "not surfaced", f"Key {one.key} left {one.counts()} for good and {problem}.", one.key, one.witness()
            )
        )
    return ranked(found)


def _holds_input(letter: DeadLetterSeen, operations: Iterable[Operation]) -> bool:
    bodies = [operation.body for operation in operations if operation.body is not None]
    if letter.original is None or not bodies:
        return True
    return any(letter.original == body or _json(letter.original) == _json(body) for body in bodies)


def _json(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Claim(StrEnum):
    """What a saga says of itself."""

    DONE = "done"
    UNDONE = "undone"
    OPEN = "under way"


def agree(
    history: History,
    saga: SagaPattern,
    *,
    port: str,
    claims: Mapping[str, Claim],
    surfaced_keys: Collection[str] = (),
) -> tuple[Finding, ...]:
    """What each saga reports at last is what has become of it.

    Done says that it is committed; undone that it is compensated, or was surfaced as half done. A saga of which nothing
    was ever done need report nothing; one that is committed, or was begun, has to.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
        port: what it reports: a status, or its executions (`holdfast.history.executions.EXECUTION`).
        claims: what each state says; states that are not in it say nothing and are a contradiction themselves.
        surfaced_keys: sagas with a dead letter.
    """
    said = {record.key: record for record in records(history, port)}
    found = []
    for one in left(history, saga):
        read = said[one.key].settled
        if read is None or not one.settled or one.fate is None:
            continue
        problem = _disagreement(one, read, claims, surfaced=one.key in surfaced_keys)
        if problem:
            found.append(
                finding(
                    "outcome disagrees",
                    f"Key {one.key} is {one.fate} ({one.counts()}) and '{port}' says"
                    f" {shorten(read.state) if read.state else 'nothing'} at {moment(read.started_seconds)},"
                    f" expected {problem}.",
                    one.key,
                    (*one.witness(), read),
                )
            )
    return ranked(found)


def _disagreement(one: Left, read: Observation, claims: Mapping[str, Claim], *, surfaced: bool) -> str:
    if not read.state:
        accepted = any(start.outcome is Outcome.OK for start in one.operations)
        return "what has become of it" if one.fate is not Fate.COMPENSATED and accepted else ""
    claim = claims.get(read.state)
    if claim is None:
        return f"1 of the {len(claims)} declared states"
    if claim is Claim.OPEN:
        return "" if surfaced and one.fate is Fate.HALF else "that it has ended"
    if one.fate is Fate.COMMITTED:
        return "" if claim is Claim.DONE else "that it is done"
    if one.fate is Fate.COMPENSATED:
        return "" if claim is Claim.UNDONE else "that it is undone"
    return "" if claim is Claim.UNDONE else "no claim that it is done"


def answers_agree(history: History, saga: SagaPattern, *, tells_outcome: bool) -> tuple[Finding, ...]:
    """What the client was told is true: a refused saga left nothing, and an acknowledged one is committed.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
        tells_outcome: whether the answer comes when the saga has ended, so that an acknowledgement says it is done.
    """
    found = []
    for one in left(history, saga):
        if not one.settled or one.fate is None:
            continue
        told = {start.outcome for start in one.operations}
        if told == {Outcome.FAIL} and any(step.net != 0 for step in one.steps):
            expected = "0 of each, since every start was refused"
        elif tells_outcome and Outcome.OK in told and one.fate is not Fate.COMMITTED:
            expected = "1 of each, since the client was told that it is done"
        else:
            continue
        found.append(
            finding(
                "answer disagrees",
                f"Key {one.key} was started {times(len(one.operations))} and left {one.counts()}, expected {expected}.",
                one.key,
                one.witness(),
            )
        )
    return ranked(found)


def unreported(history: History, saga: SagaPattern, *, port: str) -> tuple[str, ...]:
    """Keys of which the history does not prove what is reported, or what has become of them.

    Args:
        history: what concerns the clause.
        saga: the pattern with its steps.
        port: what they report.
    """
    said = {record.key: record for record in records(history, port)}
    return tuple(
        one.key for one in left(history, saga) if not (one.settled and one.whole) or said[one.key].settled is None
    )
