"""Reading a queue without taking from it."""

from __future__ import annotations

import base64
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from holdfast.errors import Inconclusive
from holdfast.targets.base import PeekedMessage, Target

HOLD_SECONDS = 20
_BATCH = 10
_MOST_MESSAGES = 10_000

_locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
_locks_lock = threading.Lock()


def look(target: Target, queue_url: str) -> tuple[PeekedMessage, ...]:
    """Every message of a queue, oldest first, left where it is.

    Where the target cannot peek (AWS), each message is received once and released at once. That has a cost, which SQS
    leaves no way around: its receive count grows by one, messages in flight with somebody else are not seen, and of a
    FIFO queue only the first messages of each group are.

    Raises:
        TargetError: the target does not answer.
    """
    try:
        return target.peek_messages(queue_url)
    except Inconclusive:
        with received(target.client("sqs"), queue_url) as messages:
            return tuple(map(_peeked, messages))


@contextmanager
def received(client: Any, queue_url: str) -> Iterator[list[Mapping[str, Any]]]:
    """Every message that can be received, as SQS' API gives it; those not deleted meanwhile are released afterwards.

    All are held until the end, or it would not end: with a visibility timeout of 0 the same ten come again.
    """
    with _lock(queue_url):
        held: dict[str, Mapping[str, Any]] = {}
        try:
            _receive_all(client, queue_url, held)
            yield list(held.values())
        finally:
            release(client, queue_url, [str(message["ReceiptHandle"]) for message in held.values()])


def release(client: Any, queue_url: str, receipts: list[str]) -> None:
    """Make received messages visible again; those deleted meanwhile are ignored by SQS, entry by entry."""
    for start in range(0, len(receipts), _BATCH):
        entries = [
            {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
            for index, receipt in enumerate(receipts[start : start + _BATCH])
        ]
        client.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)


def _receive_all(client: Any, queue_url: str, held: dict[str, Mapping[str, Any]]) -> None:
    fresh = True
    while fresh and len(held) < _MOST_MESSAGES:
        answer = client.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=HOLD_SECONDS,
            WaitTimeSeconds=1,  # long polling asks every SQS server, short polling only some of them
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        messages = answer.get("Messages", ())
        fresh = any(message["MessageId"] not in held for message in messages)
        held.update({str(message["MessageId"]): message for message in messages})


def _peeked(message: Mapping[str, Any]) -> PeekedMessage:
    return PeekedMessage(
        id=str(message["MessageId"]),
        body=str(message["Body"]),
        attributes={name: _text(value) for name, value in message.get("MessageAttributes", {}).items()},
        visible=True,
        receive_count=int(message.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
    )


def _text(attribute: Mapping[str, Any]) -> str:
    if "StringValue" in attribute:
        return str(attribute["StringValue"])
    return base64.b64encode(attribute.get("BinaryValue", b"")).decode("ascii")


def _lock(queue_url: str) -> threading.Lock:
    with _locks_lock:
        return _locks[queue_url]
