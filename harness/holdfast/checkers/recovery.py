"""Family R: dead letters, neighbours of a failing request, the steady state, and acknowledgements that do not wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from holdfast.checkers import idempotency, persistence
from holdfast.checkers.differences import closest, difference
from holdfast.checkers.durations import Distribution
from holdfast.checkers.records import finding, ranked
from holdfast.history.model import DeadLetterSeen, History, Operation, Outcome
from holdfast.verdict.describe import moment
from holdfast.verdict.model import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The state of a stack at rest, measured before a fault or after it was healed.

    Attributes:
        success_rate: acknowledged share of the operations, 0 to 1.
        latency_p50_seconds: median latency of acknowledgements, seconds.
        queue_depth: messages waiting in the source queues.
        dead_letters: entries in the dead-letter stores.
    """

    success_rate: float
    latency_p50_seconds: float
    queue_depth: int
    dead_letters: int


def dead_lettered(
    history: History, *, letters: Iterable[DeadLetterSeen], keys: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """Each expected key has a dead letter, with its original as it was submitted.

    An entry that shows no original, or a key whose submitted bodies are not known, is judged by its presence alone.

    Args:
        history: the requests that can never succeed.
        letters: what lies in the dead-letter stores.
        keys: the expected keys; those of all acknowledged operations when not given.
    """
    entries: defaultdict[str, list[DeadLetterSeen]] = defaultdict(list)
    for letter in letters:
        entries[letter.key].append(letter)
    submissions: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in sorted(history.operations, key=lambda o: o.invoked_seconds):
        if operation.outcome is not Outcome.FAIL or (keys is not None and operation.key in keys):
            submissions[operation.key].append(operation)
    expected = keys
    if expected is None:
        expected = [key for key, mine in submissions.items() if any(o.outcome is Outcome.OK for o in mine)]
    found = []
    for key in dict.fromkeys(expected):
        problem = _letter_problem(key, submissions.get(key, []), entries.get(key, []), len(entries))
        if problem is not None:
            found.append(problem)
    return ranked(found)


def _letter_problem(
    key: str, submissions: list[Operation], mine: list[DeadLetterSeen], keys_seen: int
) -> Finding | None:
    first = submissions[:1]
    since = f", submitted at {moment(first[0].invoked_seconds)}," if first else ""
    if not mine:
        others = "1 other key has" if keys_seen == 1 else f"{keys_seen} other keys have"
        return finding(
            "not dead-lettered",
            f"Key {key}{since} has 0 dead letters ({others} some), expected at least 1.",
            key,
            first,
        )
    bodies = [operation.body for operation in submissions if operation.body is not None]
    originals = [letter.original for letter in mine]
    if len(bodies) < len(submissions) or not bodies or any(o is None or o in bodies for o in originals):
        return None
    seen = originals[0] or ""
    expected = closest(bodies, seen)
    return finding(
        "dead letter altered",
        f"Key {key}{since} has {len(mine)} dead {'letter' if len(mine) == 1 else 'letters'} in '{mine[0].port}'"
        f" and none holds the original as it was submitted: {difference(expected, seen)}.",
        key,
        [operation for operation in submissions if operation.body == expected][:1],
    )


def neighbours(
    history: History,
    *,
    effect: str,
    bound_seconds: float,
    since_seconds: float = 0.0,
    except_roles: Collection[str] = ("poison",),
) -> tuple[Finding, ...]:
    """Acknowledged requests beside a failing one take effect, once, within a bound.

    Args:
        history: the failing requests and their neighbours.
        effect: name of the effect port.
        bound_seconds: longest time to effect, seconds from the acknowledgement.
        since_seconds: the bound counts from here where the acknowledgement was earlier.
        except_roles: roles of the operations that are not neighbours.
    """
    beside = History(
        tuple(operation for operation in history.operations if operation.role not in except_roles),
        history.observations,
        history.windows,
    )
    wrong = idempotency.exactly_once(beside, effect=effect)
    told = {one.key for one in wrong}
    slow = persistence.late(beside, effect=effect, bound_seconds=bound_seconds, since_seconds=since_seconds)
    return ranked(wrong + tuple(one for one in slow if one.key not in told))


def steady(
    before: Sample, after: Sample, *, latency_ratio: float, latency_floor_seconds: float = 0.0
) -> tuple[Finding, ...]:
    """After healing the stack is where it was: success rate, median latency, queue depth and dead letters.

    Args:
        before: measured before any fault.
        after: measured after the last was healed.
        latency_ratio: how many times the earlier median latency is still the same.
        latency_floor_seconds: medians up to this, seconds, are the same whatever their ratio.
    """
    allowed_seconds = max(before.latency_p50_seconds * latency_ratio, latency_floor_seconds)
    found = []
    if after.success_rate < before.success_rate:
        found.append(
            f"The success rate was {before.success_rate:.1%} before the faults and {after.success_rate:.1%} after"
            f" healing, expected at least {before.success_rate:.1%}."
        )
    if after.latency_p50_seconds > allowed_seconds:
        found.append(
            f"The median latency was {before.latency_p50_seconds:.3f} s before the faults and"
            f" {after.latency_p50_seconds:.3f} s after healing, expected at most {allowed_seconds:.3f} s."
        )
    for name, was, became in (
        ("queue depth", before.queue_depth, after.queue_depth),
        ("number of dead letters", before.dead_letters, after.dead_letters),
    ):
        if became > was:
            found.append(f"The {name} was {was} before the faults and {became} after healing, expected at most {was}.")
    return tuple(Finding(title="not steady", sentence=sentence) for sentence in found)


def acknowledgement_latency(history: History) -> Distribution:
    """Latency of the acknowledged operations, from sending to the answer."""
    return Distribution.of(latency for _, latency in _acknowledged(history))


def waiting_acknowledgements(
    calm: History, faulted: History, *, ratio: float, floor_seconds: float = 0.0
) -> tuple[Finding, ...]:
    """The 99th percentile of acknowledgement latency under a fault stays within a ratio of that without.

    No finding when either history has no acknowledged operation; look at `acknowledgement_latency(...).count` first.

    Args:
        calm: operations while nothing was wrong.
        faulted: operations while processing was slow or dead.
        ratio: the declared bound.
        floor_seconds: latencies up to this, seconds, are fine whatever their ratio.
    """
    usual, under = acknowledgement_latency(calm), acknowledgement_latency(faulted)
    allowed_seconds = max(usual.p99 * ratio, floor_seconds)
    if not usual.count or not under.count or under.p99 <= allowed_seconds:
        return ()
    slowest = next(operation for operation, latency in _acknowledged(faulted) if latency == under.p99)
    return (
        finding(
            "acknowledgement waits",
            f"The 99th percentile of acknowledgement latency was {under.p99:.3f} s over {_requests(under.count)} under"
            f" the fault (key {slowest.key}) and {usual.p99:.3f} s over {_requests(usual.count)} without, expected at"
            f" most {allowed_seconds:.3f} s.",
            slowest.key,
            (slowest,),
        ),
    )


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _acknowledged(history: History) -> list[tuple[Operation, float]]:
    return [
        (operation, operation.latency_seconds)
        for operation in history.operations
        if operation.outcome is Outcome.OK and operation.latency_seconds is not None
    ]
