"""A topic delivers to each subscription apart from Publish, tries again, and sends what it cannot deliver on.

* ``RedrivePolicy`` of a subscription: a message that cannot be delivered goes to its dead-letter queue as it would have
  been delivered; client errors (the endpoint is gone, its policy does not let the topic send) are not tried again:
  https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html.
* Server errors are tried again, for endpoints that AWS manages in phases of immediate, growing and long waits:
  https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html.
* The dead-letter queue's policy must let ``sns.amazonaws.com`` send:
  https://docs.aws.amazon.com/sns/latest/dg/sns-configure-dead-letter-queue.html.
* A FIFO topic keeps the order of its messages over retries:
  https://docs.aws.amazon.com/sns/latest/dg/fifo-message-delivery.html.
* Each delivery is a call of the topic, under the interceptor's rules and in its record.

MiniStack delivers once, and forgets what fails. Two differences from AWS stay, and are meant: the waits between
attempts are a tenth of those of AWS, and the last phase, of 100,000 attempts over 23 days, is left out.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.core.responses import request_scope
from ministack.services import lambda_svc, sns, sqs

from holdfast.targets.emulator.dispatch import CallFailedError, call, handling
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches import queue_store

_PAUSES_SECONDS = (0.0, 0.0, 0.1, 0.1, *(min(0.1 * 1.4**at, 2.0) for at in range(10)))
"""Between the fifteen attempts of the first three phases."""

_HTTP_PAUSES_SECONDS = (2.0, 2.0, 2.0)
"""Three retries, 20 s apart on AWS: the default delivery policy of HTTP endpoints."""

_SERVICE = "sns.amazonaws.com"
Subscription = dict[str, Any]


class _FinalError(Exception):
    """The endpoint cannot take the message, however often it is tried."""


@dataclass(frozen=True, slots=True)
class _Message:
    """What is published.

    Attributes:
        topic: ARN of the topic.
        id: the message id.
        text: the message as this subscription's protocol gets it.
        envelope: the notification around it.
        attributes: message attributes.
        group: message group of a FIFO topic.
        deduplication: deduplication id of a FIFO topic.
    """

    topic: str
    id: str
    text: str
    envelope: str
    attributes: dict[str, Any]
    group: str
    deduplication: str


@dataclass(slots=True)
class _Lane:
    """The messages of a FIFO subscription that wait for those before them."""

    waiting: deque[_Message] = field(default_factory=deque)
    busy: bool = False


_LANES: dict[str, _Lane] = {}
_LANES_LOCK = threading.Lock()


def apply() -> None:
    """Replace the fan-out; after ``asynchronous``, which invokes functions."""
    require(sns._fanout, "984cdd91d64a", "sns._fanout")
    require(sns._deliver_to_sqs, "f85849838cca", "sns._deliver_to_sqs")
    sns._fanout = fanout


def fanout(  # noqa: PLR0917 - MiniStack's calling convention
    topic_arn: str,
    message_id: str,
    message: str,
    subject: str,
    message_structure: str = "",
    message_attributes: dict[str, Any] | None = None,
    message_group_id: str = "",
    message_dedup_id: str = "",
) -> None:
    """Deliver a message to every subscription that wants it; see ``sns._fanout``."""
    topic = sns._topic_by_arn_any_scope(topic_arn)
    if not topic:
        return
    attributes = message_attributes or {}
    for subscription in tuple(topic["subscriptions"]):
        if not subscription.get("confirmed") or subscription["protocol"] not in _DELIVERIES:
            continue
        text = sns._resolve_message_for_protocol(message, message_structure, subscription["protocol"])
        if not sns._matches_filter_policy(subscription, attributes, text):
            continue
        envelope = sns._build_envelope(topic_arn, message_id, text, subject, attributes, _is_raw(subscription))
        one = _Message(topic_arn, message_id, text, envelope, attributes, message_group_id, message_dedup_id)
        # whatever account publishes, the topic's owner delivers
        with request_scope(*_scope(topic_arn)):
            if sns._is_fifo_topic(topic):
                _deliver_in_order(subscription, one)
            else:
                spawn_background(_deliver, subscription, one, thread_name="holdfast-topic")


def _scope(topic_arn: str) -> tuple[str, str]:
    parts = topic_arn.split(":")
    return parts[4], parts[3]


def _is_raw(subscription: Subscription) -> bool:
    return bool(subscription.get("attributes", {}).get("RawMessageDelivery", "false") == "true")


def _deliver_in_order(subscription: Subscription, message: _Message) -> None:
    with _LANES_LOCK:
        lane = _LANES.setdefault(subscription["arn"], _Lane())
        lane.waiting.append(message)
        if lane.busy:
            return
        lane.busy = True
    spawn_background(_serve, lane, subscription, thread_name="holdfast-topic")


def _serve(lane: _Lane, subscription: Subscription) -> None:
    while True:
        with _LANES_LOCK:
            if not lane.waiting:
                lane.busy = False
                return
            message = lane.waiting.popleft()
        _deliver(subscription, message)


def _deliver(subscription: Subscription, message: _Message) -> None:
    """Deliver a message, with retries; what cannot be delivered goes to the dead-letter queue."""
    service, operation, send = _DELIVERIES[subscription["protocol"]]
    pauses = _HTTP_PAUSES_SECONDS if service == "http" else _PAUSES_SECONDS
    with handling(message.topic.rpartition(":")[2], message.text, message.id) as handled:
        for pause in (*pauses, None):
            try:
                call(
                    handled,
                    service,
                    operation,
                    lambda: send(subscription, message),
                    payload=message.envelope,
                    about=(subscription["endpoint"],),
                )
            except _FinalError:
                break
            except (CallFailedError, OSError) as failure:
                if isinstance(failure, CallFailedError) and failure.denied:
                    break
                if pause is not None:
                    time.sleep(pause)
            else:
                return
        handled.failed = True
        _to_dead_letters(subscription, message)


def _to_queue(subscription: Subscription, message: _Message) -> None:
    arn = subscription["endpoint"]
    if sqs._queue_by_arn(arn) is None or not sqs.queue_policy_allows(
        arn, _SERVICE, message.topic, _scope(message.topic)[0]
    ):
        raise _FinalError
    sns._deliver_to_sqs(
        arn,
        message.envelope,
        _is_raw(subscription),
        message.text,
        message_group_id=message.group,
        message_dedup_id=message.deduplication,
        message_attributes=message.attributes,
        topic_arn=message.topic,
    )


def _to_function(subscription: Subscription, message: _Message) -> None:
    function, config, _ = lambda_svc._get_func_record_for_ref(subscription["endpoint"])
    if not function or not config:
        raise _FinalError
    sns._deliver_to_lambda(
        subscription["endpoint"],
        message.envelope,
        message.topic,
        subscription["arn"],
        message.id,
        message.text,
        message.attributes,
    )


def _to_http(subscription: Subscription, message: _Message) -> None:
    try:
        sns._http_post_sync(subscription["endpoint"], message.envelope, "Notification")
    except urllib.error.HTTPError as error:
        if 400 <= error.code < 500 and error.code != 429:
            raise _FinalError from error
        raise


_Send = Callable[[Subscription, _Message], None]
_DELIVERIES: dict[str, tuple[str, str, _Send]] = {
    "sqs": ("sqs", "SendMessage", _to_queue),
    "lambda": ("lambda", "Invoke", _to_function),
    "http": ("http", "POST", _to_http),
    "https": ("http", "POST", _to_http),
}
"""By protocol: the service and operation that the delivery calls, and what does it."""


def _to_dead_letters(subscription: Subscription, message: _Message) -> None:
    try:
        policy = json.loads(subscription.get("attributes", {}).get("RedrivePolicy") or "{}")
        arn = policy.get("deadLetterTargetArn", "")
    except (ValueError, AttributeError):
        return
    queue = sqs._queue_by_arn(arn) if arn else None
    if queue is None or not sqs.queue_policy_allows(arn, _SERVICE, message.topic, _scope(message.topic)[0]):
        return
    raw = _is_raw(subscription)
    queue_store.deliver(queue, message.text if raw else message.envelope, message.attributes if raw else {})
