"""A message that SQS has accepted is never lost: no two threads may rewrite a queue at the same moment.

"Amazon SQS stores copies of your messages on multiple servers for redundancy and high availability"
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html). MiniStack removes
messages by building a new list, while requests, mappings and services that deliver to queues append from other
threads to the old one. Here every change holds one lock and removes in place, so that a bare append from anywhere is
safe.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from ministack.services import sqs

from holdfast.targets.emulator.known import require

LOCK = threading.RLock()
Message = dict[str, Any]
Queue = dict[str, Any]

_KNOWN = {
    "_act_send_message": "3abd766508c8",
    "_act_send_message_batch": "2cab381a76df",
    "_act_delete_message": "8d700665e3d6",
    "_act_delete_message_batch": "877517c32f0f",
    "_act_change_visibility": "387eac7e8e12",
    "_act_change_visibility_batch": "bd08e3c7b0ab",
    "_act_purge_queue": "34196ea56d71",
    "_refresh_counts": "5d0fb7b342d2",
    "_collect_msgs": "308a6eb1b3d4",
    "_expire_retained": "c0da3361632b",
    "_dlq_sweep": "6a77691e1671",
    "_delete_messages_for_esm": "c1686f29b48b",
}


def apply() -> None:
    """Put the lock around every change of a queue."""
    for name, known in _KNOWN.items():
        require(getattr(sqs, name), known, f"sqs.{name}")
    sqs._act_delete_message = _delete_message
    sqs._act_delete_message_batch = _delete_message_batch
    sqs._expire_retained = _expire_retained
    sqs._dlq_sweep = _dlq_sweep
    sqs._delete_messages_for_esm = delete_received
    for name in (
        "_act_send_message",
        "_act_send_message_batch",
        "_act_change_visibility",
        "_act_change_visibility_batch",
        "_act_purge_queue",
        "_refresh_counts",
        "_collect_msgs",
    ):
        setattr(sqs, name, _locked(getattr(sqs, name)))
    for action, handler in sqs._HANDLERS.items():
        sqs._HANDLERS[action] = getattr(sqs, handler.__name__)


def _locked(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def locked(*arguments: Any) -> Any:
        with LOCK:
            return function(*arguments)

    return locked


def deliver(queue: Queue, body: str, attributes: dict[str, Any]) -> None:
    """Put a message of a service into a queue."""
    now = sqs.time.time()
    message = {"id": sqs.new_uuid(), "body": body, "sent_at": now, "visible_at": now + sqs.queue_delay(queue)}
    message.update(message_attributes=attributes, md5_attrs=sqs._md5_msg_attrs(attributes))
    sqs._ensure_msg_fields(message)
    queue["messages"].append(message)
    sqs.esm_wake.set()


def remove(queue: Queue, gone: Callable[[Message], bool]) -> int:
    """Remove messages in place; how many."""
    with LOCK:
        messages = queue["messages"]
        places = [at for at, message in enumerate(tuple(messages)) if gone(message)]
        for at in reversed(places):
            del messages[at]
        return len(places)


def delete_received(queue_url: str, receipt_handles: set[str]) -> None:
    """Delete messages that a mapping has received; see ``sqs._delete_messages_for_esm``."""
    remove(sqs._get_q(queue_url), lambda message: message.get("receipt_handle") in receipt_handles)


def _delete_by_receipt(queue: Queue, receipt: str) -> bool:
    return bool(receipt) and remove(queue, lambda message: message.get("receipt_handle") == receipt) > 0


def _delete_message(data: dict[str, Any], queue_url: str) -> dict[str, Any]:
    queue = sqs._get_q(data.get("QueueUrl", queue_url), "sqs:DeleteMessage")
    receipt = data.get("ReceiptHandle", "")
    if not receipt:
        raise sqs._Err("MissingParameter", "The request must contain the parameter ReceiptHandle.")
    if not _delete_by_receipt(queue, receipt):
        raise sqs._Err("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
    return {}


def _delete_message_batch(data: dict[str, Any], queue_url: str) -> dict[str, Any]:
    queue = sqs._get_q(data.get("QueueUrl", queue_url), "sqs:DeleteMessage")
    entries = data.get("Entries", [])
    sqs._validate_batch_entries(entries, "DeleteMessageBatchRequestEntry")
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for entry in entries:
        name = entry.get("Id", "")
        if _delete_by_receipt(queue, entry.get("ReceiptHandle", "")):
            done.append({"Id": name})
        else:
            message = "The input receipt handle is invalid."
            failed.append({"Id": name, "Code": "ReceiptHandleIsInvalid", "Message": message, "SenderFault": True})
    return {"Successful": done, "Failed": failed}


def _expire_retained(queue: Queue) -> None:
    """Drop what is older than the retention period, counted from the (re-)enqueuing."""
    try:
        retention = int(queue["attributes"].get("MessageRetentionPeriod", "345600"))
    except (TypeError, ValueError):
        return
    now = sqs.time.time()
    remove(queue, lambda message: bool(message.get("enqueued_at", message.get("sent_at", now)) <= now - retention))


def _dlq_sweep(queue: Queue) -> None:
    """Move what was received too often to the dead-letter queue."""
    try:
        policy = sqs.json.loads(queue["attributes"].get("RedrivePolicy") or "{}")
        most = int(policy.get("maxReceiveCount", 0))
        target = sqs._queue_by_arn(policy.get("deadLetterTargetArn", ""))
    except (AttributeError, TypeError, ValueError):
        return
    if not most or target is None:
        return
    now = sqs.time.time()
    with LOCK:
        spent = [
            one
            for one in tuple(queue["messages"])
            if one["receive_count"] - one.get("received_elsewhere", 0) >= most and one["visible_at"] <= now
        ]
        if not spent:
            return
        for message in spent:
            moved = {**message, "receipt_handle": None, "visible_at": now, "sys": dict(message.get("sys", {}))}
            # its count is that of all queues, but each queue's policy counts for itself
            moved["received_elsewhere"] = message["receive_count"]
            if target.get("is_fifo"):
                moved["enqueued_at"] = now
            moved["sys"].setdefault("DeadLetterQueueSourceArn", queue["attributes"].get("QueueArn", ""))
            target["messages"].append(moved)
        gone = {id(message) for message in spent}
        remove(queue, lambda message: id(message) in gone)
    sqs.esm_wake.set()
