"""A rule delivers to its targets apart from PutEvents, tries again, and sends what it cannot deliver on.

* ``RetryPolicy`` and ``DeadLetterConfig`` of a target; the dead letter is the event, with the attributes RULE_ARN,
  TARGET_ARN, ERROR_CODE, ERROR_MESSAGE, EXHAUSTED_RETRY_CONDITION and RETRY_ATTEMPTS; what a missing target or
  permission refuses is not tried again: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html and
  https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html.
* A queue, and a dead-letter queue, must let ``events.amazonaws.com`` send:
  https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html.
* Each delivery is a call of the rule, under the interceptor's rules and in its record.

MiniStack delivers once, while PutEvents waits, and asks no policy. One difference from AWS stays, and is meant: the
waits between attempts are a fifth of a second to two seconds, not seconds to hours.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.services import eventbridge, lambda_svc, sns, sqs, stepfunctions

from holdfast.targets.emulator.dispatch import CallFailedError, call, handling
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches import queue_store

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 2.0
_MOST_RETRIES = 185
_LONGEST_AGE_SECONDS = 86_400
_SERVICE = "events.amazonaws.com"
_FINAL = {"NO_RESOURCE", "NO_PERMISSIONS"}


class UndeliverableError(Exception):
    """A delivery that failed.

    Attributes:
        code: EventBridge's name for why.
        message: what the target said.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class _Delivery:
    """One event on its way to one target.

    Attributes:
        rule: the rule as the emulator keeps it.
        target: the target as the emulator keeps it.
        event: the event that matched, JSON.
        event_id: its id.
    """

    rule: dict[str, Any]
    target: dict[str, Any]
    event: str
    event_id: str


_DELIVERY: ContextVar[_Delivery | None] = ContextVar("holdfast_rule_delivery", default=None)


def apply() -> None:
    """Lead every delivery through here; after ``asynchronous``, which invokes functions."""
    for name, known in _KNOWN.items():
        require(getattr(eventbridge, name), known, f"eventbridge.{name}")
    invoke = eventbridge._invoke_target
    to_lambda, to_sqs, to_sns, to_states, to_bus = (
        eventbridge._dispatch_to_lambda,
        eventbridge._dispatch_to_sqs,
        eventbridge._dispatch_to_sns,
        eventbridge._dispatch_to_stepfunctions,
        eventbridge._dispatch_to_event_bus,
    )

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        view = view or eventbridge._pattern_event_view(event)
        text = json.dumps(view.event_with_detail(), ensure_ascii=False)
        token = _DELIVERY.set(_Delivery(rule, target, text, event.get("EventId", "")))
        try:
            invoke(target, event, rule, view)
        finally:
            _DELIVERY.reset(token)

    def lambda_(arn: str, payload: str) -> None:
        _start("lambda", "Invoke", payload, lambda: _to_function(to_lambda, arn, payload))

    def queue(spec: Any, payload: str, parameters: dict[str, Any] | None = None) -> None:
        delivery = _DELIVERY.get()
        _start("sqs", "SendMessage", payload, lambda: _to_queue(to_sqs, spec, payload, parameters, delivery))

    def topic(arn: str, payload: str) -> None:
        _start("sns", "Publish", payload, lambda: _to_topic(to_sns, arn, payload))

    def machine(arn: str, payload: str) -> None:
        _start("states", "StartExecution", payload, lambda: _to_machine(arn, payload, to_states))

    def bus(spec: Any, event: dict[str, Any], rule: dict[str, Any], *rest: Any) -> None:
        _start("events", "PutEvents", json.dumps(event, default=str), lambda: to_bus(spec, event, rule, *rest))

    eventbridge._invoke_target = invoke_target
    eventbridge._dispatch_to_lambda = lambda_
    eventbridge._dispatch_to_sqs = queue
    eventbridge._dispatch_to_sns = topic
    eventbridge._dispatch_to_stepfunctions = machine
    eventbridge._dispatch_to_event_bus = bus


def _to_function(invoke: Callable[[str, str], None], arn: str, payload: str) -> None:
    function, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if not function or not config:
        raise UndeliverableError("NO_RESOURCE", f"function {arn} does not exist")
    invoke(arn, payload)


def _to_queue(send: Callable[..., None], spec: Any, payload: str, parameters: Any, delivery: _Delivery | None) -> None:
    arn = str(spec)
    if sqs._queue_by_arn(arn) is None:
        raise UndeliverableError("NO_RESOURCE", f"queue {arn} does not exist")
    if delivery is not None and not delivery.target.get("RoleArn") and not _may_send(arn, delivery.rule["Arn"]):
        raise UndeliverableError("NO_PERMISSIONS", f"the policy of queue {arn} does not let {_SERVICE} send")
    send(spec, payload, parameters)


def _may_send(queue_arn: str, rule_arn: str) -> bool:
    return bool(sqs.queue_policy_allows(queue_arn, _SERVICE, rule_arn, rule_arn.split(":")[4]))


def _to_topic(publish: Callable[[str, str], None], arn: str, payload: str) -> None:
    if sns._topic_by_arn_any_scope(arn) is None:
        raise UndeliverableError("NO_RESOURCE", f"topic {arn} does not exist")
    publish(arn, payload)


def _to_machine(arn: str, payload: str, start: Callable[[str, str], None]) -> None:
    if stepfunctions._resolve_state_machine_arn(arn) is None:
        raise UndeliverableError("NO_RESOURCE", f"state machine {arn} does not exist")
    start(arn, payload)


def _start(service: str, operation: str, payload: str, deliver: Callable[[], None]) -> None:
    """Deliver in the background: PutEvents has answered by then."""
    delivery = _DELIVERY.get()
    if delivery is not None:
        spawn_background(_deliver, delivery, service, operation, payload, deliver, thread_name="holdfast-rule")


def _deliver(delivery: _Delivery, service: str, operation: str, payload: str, deliver: Callable[[], None]) -> None:
    policy = delivery.target.get("RetryPolicy") or {}
    retries = policy.get("MaximumRetryAttempts")
    retries = _MOST_RETRIES if retries is None else int(retries)
    end = time.time() + float(policy.get("MaximumEventAgeInSeconds") or _LONGEST_AGE_SECONDS)
    pause = _FIRST_PAUSE_SECONDS
    with handling(delivery.rule["Name"], delivery.event, delivery.event_id) as handled:
        attempt = 0
        while True:
            failure = _attempt(
                lambda: call(handled, service, operation, deliver, payload=payload, about=(delivery.target["Arn"],))
            )
            if failure is None:
                return
            exhausted = ""
            if attempt >= retries:
                exhausted = "MaximumRetryAttempts"
            elif time.time() + pause > end:
                exhausted = "MaximumEventAgeInSeconds"
            if exhausted or failure.code in _FINAL:
                handled.failed = True
                _to_dead_letters(delivery, failure, exhausted, attempt)
                return
            attempt += 1
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


def _attempt(deliver: Callable[[], None]) -> UndeliverableError | None:
    try:
        deliver()
    except UndeliverableError as failure:
        return failure
    except CallFailedError as failure:
        if failure.denied:
            return UndeliverableError("NO_PERMISSIONS", failure.message)
        code = "THROTTLING" if failure.throttled else "SDK_CLIENT_ERROR" if failure.lost else "INTERNAL_ERROR"
        return UndeliverableError(code, f"{failure.code}: {failure.message}")
    return None


def _to_dead_letters(delivery: _Delivery, failure: UndeliverableError, exhausted: str, retries: int) -> None:
    arn = str((delivery.target.get("DeadLetterConfig") or {}).get("Arn") or "")
    queue = sqs._queue_by_arn(arn) if arn else None
    if queue is None or not _may_send(arn, delivery.rule["Arn"]):
        return
    told = {
        "RULE_ARN": delivery.rule["Arn"],
        "TARGET_ARN": delivery.target.get("Arn", ""),
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message,
        "EXHAUSTED_RETRY_CONDITION": exhausted,
        "RETRY_ATTEMPTS": str(retries) if exhausted else "",
    }
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.items() if value}
    queue_store.deliver(queue, delivery.event, attributes)


_KNOWN = {
    "_invoke_target": "550e304af080",
    "_dispatch_to_sqs": "eb75981283a2",
    "_dispatch_to_sns": "72c921fe20b6",
    "_dispatch_to_stepfunctions": "d36195e1c480",
    "_dispatch_to_event_bus": "fef5c8d488f1",
}
