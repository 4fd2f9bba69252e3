"""The kinds of faults, which of them apply to which fault point, and the rule that does each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from holdfast.stack.allowed_calls import is_read
from holdfast.sweep.points import Caller, Point
from holdfast.targets.base import Action, Rule


class Kind(StrEnum):
    """What can go wrong at a fault point."""

    REFUSED = "refused"
    THROTTLED = "throttled"
    ANSWER_LOST = "answer-lost"
    KILLED_BEFORE = "killed-before"
    KILLED_AFTER = "killed-after"
    DELAYED = "delayed"
    DUPLICATED = "duplicated"
    FOR_GOOD = "for-good"
    LOST_FOR_GOOD = "lost-for-good"


ABOUT: Mapping[Kind, str] = {
    Kind.REFUSED: "refused before its effect",
    Kind.THROTTLED: "throttled",
    Kind.ANSWER_LOST: "effect applied, answer lost",
    Kind.KILLED_BEFORE: "caller killed before",
    Kind.KILLED_AFTER: "caller killed after",
    Kind.DELAYED: "delayed past its caller's timeout",
    Kind.DUPLICATED: "delivered twice",
    Kind.FOR_GOOD: "failing for good",
    Kind.LOST_FOR_GOOD: "effect applied, every answer lost",
}

LASTING = frozenset({Kind.FOR_GOOD, Kind.LOST_FOR_GOOD})
"""Kinds that do not pass by themselves."""

LONGEST_DELAY_SECONDS = 20.0
"""No call is held longer; a caller that waits longer than this is not made to give up."""

BUSY_FACTOR = 5.0
"""On the embedded target a timeout may come that much later while the machine is busy (targets/emulator/starvation)."""

MARGIN_SECONDS = 1.0

STALLED_TIMES = 3
"""So often fails what would be tried for ever; then it has stalled its command long enough, and passes."""

_DENIED = "AccessDeniedException"
"""What refuses a function's call: the SDK does not try again by itself, so the handler sees it."""

_SERVER_ERRORS = {"lambda": "ServiceException", "dynamodb": "InternalServerError", "states": "InternalFailure"}
_THROTTLES = {
    "lambda": "TooManyRequestsException",
    "dynamodb": "ProvisionedThroughputExceededException",
    "s3": "SlowDown",
}
_DELIVERIES = {
    "sqs": ("SendMessage", "SendMessageBatch"),
    "sns": ("Publish", "PublishBatch"),
    "events": ("PutEvents",),
    "lambda": ("Invoke", "InvokeAsync"),
}
"""Calls that hand something on which may arrive twice: standard queues, topics, buses and asynchronous or polled
invocations deliver at least once (docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html and
docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known of the callers.

    Attributes:
        timeout_seconds: when each function is ended, by component.
        visibility_seconds: how long the queue behind a mapping hides a message, by the mapping's caller.
        state_seconds: how long each state waits for its task, by component of its state machine and name.
        computed: what sets the time of a state only when it runs, e.g. ``TimeoutSecondsPath``, by the same.
        express: the components of state machines that are Express.
        once: the states that may not be run twice, by component and name, as the descriptor says.
        enduring: the rules and topics that try a delivery again for hours.
        unbounded_seconds: how long a call is held from a state without a timeout; 0 where such a state is left alone,
            since a whole bound of a saga passes until it shows anything.
    """

    timeout_seconds: Mapping[str, float] = field(default_factory=dict)
    visibility_seconds: Mapping[Caller, float] = field(default_factory=dict)
    state_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    computed: Mapping[tuple[str, str], str] = field(default_factory=dict)
    express: frozenset[str] = frozenset()
    once: frozenset[tuple[str, str]] = frozenset()
    enduring: frozenset[str] = frozenset()
    unbounded_seconds: float = 0.0


def inapplicable(point: Point, kind: Kind, known: Surroundings) -> str:
    """Why a kind of fault does not apply to a point; empty when it does, also where it is `untried`."""
    match kind:
        case Kind.KILLED_BEFORE | Kind.KILLED_AFTER if point.caller.type != "function":
            stops = "; SG-12 of holdfast verify stops its executions" if point.caller.type == "state_machine" else ""
            return f"a {_said(point.caller)} is a service and has no process to kill{stops}"
        case Kind.ANSWER_LOST | Kind.LOST_FOR_GOOD if is_read(point.operation):
            return "it only reads, so there is no effect of which the answer could be lost"
        case Kind.DELAYED:
            return "" if delay_seconds(point, known) or untried(point, kind, known) else _never_gives_up(point)
        case Kind.DUPLICATED:
            return _once(point, known)
        case _:
            return ""


def untried(point: Point, kind: Kind, known: Surroundings) -> str:
    """Why a kind of fault that applies to a point is not tried, and what to do about it; empty when it is tried."""
    if kind is not Kind.DELAYED or delay_seconds(point, known):
        return ""
    patience = _patience_seconds(point, known)
    if patience is not None:
        return (
            f"its caller waits {patience:g} s, and no call is held longer than {LONGEST_DELAY_SECONDS:g} s: "
            f"sweep with a timeout of at most {LONGEST_DELAY_SECONDS - MARGIN_SECONDS:g} s"
        )
    computed = known.computed.get((point.caller.component, point.state))
    if computed is not None and point.caller.type == "state_machine":
        return (
            f"{computed} sets how long the state waits only when it runs, so nobody knows how long to hold the call: "
            "sweep with the seconds as a number"
        )
    return ""


def endless(point: Point, kind: Kind, known: Surroundings) -> bool:
    """Whether a fault that does not pass holds a command up for as long as it is there, and uses no delivery up.

    So does a poll, and a stream whose function is throttled: its batch is tried until it is too old
    (docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html). So do a rule and a topic, which try a target
    for 24 hours and longer unless they declare otherwise
    (docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html and
    docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html).
    """
    if point.caller.type in ("rule", "topic"):
        return kind in LASTING and point.caller.component in known.enduring
    if kind is not Kind.FOR_GOOD or point.caller.type != "mapping":
        return False
    stream = point.caller not in known.visibility_seconds
    return point.operation in ("ReceiveMessage", "GetRecords") or (stream and point.operation == "Invoke")


def delay_seconds(point: Point, known: Surroundings) -> float:
    """How long a call is held so that its caller gives up; 0 when that is too long, or never happens."""
    patience = _patience_seconds(point, known)
    if patience is None and point.caller.type == "state_machine":
        return known.unbounded_seconds
    if patience is None or patience + MARGIN_SECONDS > LONGEST_DELAY_SECONDS:
        return 0.0
    factor = BUSY_FACTOR if point.caller.type == "function" else 1.0
    return min(patience * factor + MARGIN_SECONDS, LONGEST_DELAY_SECONDS)


def rule_of(point: Point, kind: Kind, key: str, caller: str, known: Surroundings) -> Rule:
    """The rule that does a kind of fault at a point, for one key.

    Args:
        point: where.
        kind: what.
        key: whose.
        caller: the physical name under which the point's caller makes its calls.
        known: the callers.
    """
    action, when, error = _action(point, kind)
    for_good = kind in LASTING
    nth = 0 if for_good and point.nth == 1 else point.nth
    lasts = STALLED_TIMES if endless(point, kind, known) else 0
    return Rule(
        id="",
        action=action,
        point="invocation" if point.invocation else "call",
        when="after" if when == "after" else "before",
        function=caller,
        key=key,
        service=point.service,
        operation=point.operation,
        state=point.state,
        nth=nth,
        onwards=for_good and nth > 0,
        times=lasts if for_good else 1,
        error=error,
        delay_seconds=delay_seconds(point, known) if kind is Kind.DELAYED else 0.0,
    )


def _action(point: Point, kind: Kind) -> tuple[Action, str, str]:
    """Action, side and error of a kind's rule."""
    function = point.caller.type == "function"
    refusal = _DENIED if function else _SERVER_ERRORS.get(point.service, "")
    throttle = "" if point.invocation else _THROTTLES.get(point.service, "")
    invocations: dict[Kind, tuple[Action, str, str]] = {
        Kind.REFUSED: ("fail", "before", ""),
        Kind.ANSWER_LOST: ("fail", "after", ""),
        Kind.FOR_GOOD: ("fail", "before", ""),
        Kind.LOST_FOR_GOOD: ("fail", "after", ""),
    }
    calls: dict[Kind, tuple[Action, str, str]] = {
        Kind.REFUSED: ("refuse", "before", refusal),
        Kind.ANSWER_LOST: ("drop", "after", ""),
        Kind.FOR_GOOD: ("refuse", "before", refusal),
        Kind.LOST_FOR_GOOD: ("drop", "after", ""),
        Kind.DELAYED: ("delay", "before", ""),
        Kind.DUPLICATED: ("duplicate", "before", ""),
    }
    both: dict[Kind, tuple[Action, str, str]] = {
        Kind.THROTTLED: ("throttle", "before", throttle),
        Kind.KILLED_BEFORE: ("kill", "before", ""),
        Kind.KILLED_AFTER: ("kill", "after", ""),
    }
    return (both | (invocations if point.invocation else calls))[kind]


def _once(point: Point, known: Surroundings) -> str:
    """Why a point is not visited twice."""
    if point.invocation:
        return "what invokes it delivers twice, or the client repeats its command"
    if point.operation not in _DELIVERIES.get(point.service, ()):
        return "it hands nothing on that is delivered at least once"
    caller = point.caller
    if caller.type == "state_machine":
        if (caller.component, point.state) in known.once:
            return "the descriptor says that this step is not idempotent"
        if caller.component not in known.express:
            return "a standard execution runs a task once unless it retries, and the lost answer makes it retry"
    return ""


def _patience_seconds(point: Point, known: Surroundings) -> float | None:
    """How long a call's caller waits for it; None when there is no limit to reach."""
    if point.invocation:
        return None
    caller = point.caller
    match caller.type:
        case "function":
            return known.timeout_seconds.get(caller.component)
        case "mapping":
            return known.visibility_seconds.get(caller)
        case "state_machine":
            return known.state_seconds.get((caller.component, point.state))
        case _:
            return None


def _never_gives_up(point: Point) -> str:
    if point.invocation:
        return "a function's time begins when it runs; its calls are delayed instead"
    if point.caller.type == "state_machine":
        return "the state sets no time, so it waits as long as its execution lives"
    return f"a {_said(point.caller)} sets no time after which it gives the call up"


def _said(caller: Caller) -> str:
    return {"mapping": "mapping", "state_machine": "state machine", "api": "API"}.get(caller.type, caller.type)
