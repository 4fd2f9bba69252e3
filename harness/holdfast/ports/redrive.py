"""Moving dead letters back to the queue they came from."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from botocore.exceptions import ClientError

from holdfast.errors import GuardRailError, PortError
from holdfast.ports.dead_letters import DeadLetter, letter, read_dead_letters
from holdfast.ports.queue import received
from holdfast.ports.sources.reading import subject
from holdfast.stack.aws_errors import error_code, translated
from holdfast.stack.base import Json
from holdfast.stack.effects import DeadLetters
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.base import Capability
from holdfast.waiting import eventually

_TASK_SECONDS = 60.0
_TASK_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
# What SQS answers when a move task cannot be had: another one runs, or the endpoint does not know the operation.
_NO_TASK = frozenset(
    {
        "InvalidAction",
        "UnsupportedOperation",
        "AWS.SimpleQueueService.UnsupportedOperation",
        "UnknownOperationException",
    }
)


def redrive(port: DeadLetters, stack: Stack, name: str, keys: Collection[str]) -> int:
    """Move the dead letters of these keys, and no others, back to their source queue.

    SQS' own move task is used where every dead letter is asked for; it cannot choose. Otherwise each message is
    received, sent to its source with its body and attributes, and deleted; others are received with it and released.

    Returns:
        How many were moved.

    Raises:
        PortError: the dead letters are in a bucket, or no queue redrives to theirs.
        GuardRailError: the source queue is no component of the stack.
        ResourceError: the queue is missing or may not be used.
        TargetError: the target does not answer.
    """
    wanted = frozenset(keys)
    if port.queue is None:
        raise PortError(
            f"dead_letters {name}: objects in a bucket cannot be redriven",
            cause="S3 has no redrive, and how they are processed again is the stack's own affair",
            remedy="waive the clause that redrives (ES-9) with the reason",
        )
    queue = stack.resource(port.queue)
    who = subject(f"dead_letters {name}", queue)
    with translated(who, stack.target):
        sources = _sources(stack, name, queue)
        letters = read_dead_letters(port, stack, name)
        asked = [one for one in letters if one.key in wanted]
        if not asked:
            return 0
        moved = 0
        if len(asked) == len(letters) and stack.target.supports(Capability.SQS_REDRIVE).supported:
            moved = _by_task(stack, queue, sources)
        if moved < len(asked):
            moved += _one_by_one(port, stack, queue, sources, wanted)
        return moved


def _sources(stack: Stack, name: str, queue: Resource) -> dict[str, Resource]:
    """The queues of the stack that redrive to this one, by ARN."""
    client = stack.target.client("sqs")
    urls: list[str] = []
    request: dict[str, Any] = {"QueueUrl": queue.url}
    while True:
        answer = client.list_dead_letter_source_queues(**request)
        urls += answer.get("queueUrls", ())
        if not answer.get("NextToken"):
            break
        request["NextToken"] = answer["NextToken"]
    if not urls:
        raise PortError(
            f"dead_letters {name}: no queue redrives to {queue.name}",
            cause="no queue names it in its redrive policy, so nothing says where its messages came from",
            remedy="name the dead-letter queue of a queue, or waive the clause that redrives (ES-9) with the reason",
        )
    # By name, not by URL: an emulator may write its own URLs with another host.
    ours = {one.name: one for one in stack.resources.values() if one.type == "queue"}
    names = [url.rstrip("/").rpartition("/")[2] for url in urls]
    foreign = [one for one in names if one not in ours]
    if foreign:
        raise GuardRailError(
            f"dead_letters {name}: the source queue {foreign[0]} is no component of the stack",
            cause="a redrive sends messages to it, and nothing outside the descriptor may be changed",
            remedy="add it to components",
        )
    return {ours[one].arn: ours[one] for one in names}


def _by_task(stack: Stack, queue: Resource, sources: Mapping[str, Resource]) -> int:
    """Move messages by StartMessageMoveTask; how many were moved, which is fewer than all when the task failed.

    With one source it is named: AWS fails the task at a message that was sent to the dead-letter queue directly
    (CouldNotDetermineMessageSource).
    """
    client = stack.target.client("sqs")
    destination = {"DestinationArn": next(iter(sources))} if len(sources) == 1 else {}
    try:
        client.start_message_move_task(SourceArn=queue.arn, **destination)
    except ClientError as error:
        if error_code(error) in _NO_TASK:
            return 0
        raise

    def state() -> Mapping[str, Any]:
        results = client.list_message_move_tasks(SourceArn=queue.arn, MaxResults=1).get("Results", ())
        return dict(results[0]) if results else {}

    waited = eventually(state, lambda task: task.get("Status") in _TASK_ENDED, deadline_seconds=_TASK_SECONDS)
    if not waited.met:
        raise PortError(
            f"the redrive of queue {queue.name} did not end within {_TASK_SECONDS:g} s",
            cause=f"its move task is {waited.value.get('Status', 'not listed')}",
            remedy="see the queue's message move tasks (aws sqs list-message-move-tasks)",
        )
    return int(waited.value.get("ApproximateNumberOfMessagesMoved", 0))


def _one_by_one(
    port: DeadLetters, stack: Stack, queue: Resource, sources: Mapping[str, Resource], wanted: frozenset[str]
) -> int:
    client = stack.target.client("sqs")
    moved = 0
    with received(client, queue.url) as messages:
        for message in messages:
            if _letter(port, message).key in wanted:
                client.send_message(**_copy(message, _source_of(message, sources, queue)))
                client.delete_message(QueueUrl=queue.url, ReceiptHandle=message["ReceiptHandle"])
                moved += 1
    return moved


def _letter(port: DeadLetters, message: Mapping[str, Any]) -> DeadLetter:
    attributes: dict[str, Json] = {
        name: value.get("StringValue") for name, value in message.get("MessageAttributes", {}).items()
    }
    return letter(port, str(message["MessageId"]), str(message["Body"]), attributes)


def _source_of(message: Mapping[str, Any], sources: Mapping[str, Resource], queue: Resource) -> Resource:
    arn = str(message.get("Attributes", {}).get("DeadLetterQueueSourceArn", ""))
    if arn in sources:
        return sources[arn]
    if len(sources) == 1:
        return next(iter(sources.values()))
    raise PortError(
        f"queue {queue.name}: message {message['MessageId']} does not say which queue it came from",
        cause=f"{len(sources)} queues redrive to it, and SQS names none of them on the message",
        remedy="give each queue a dead-letter queue of its own",
    )


def _copy(message: Mapping[str, Any], source: Resource) -> dict[str, Any]:
    request: dict[str, Any] = {"QueueUrl": source.url, "MessageBody": message["Body"]}
    attributes = {
        name: {part: value[part] for part in ("DataType", "StringValue", "BinaryValue") if part in value}
        for name, value in message.get("MessageAttributes", {}).items()
    }
    if attributes:
        request["MessageAttributes"] = attributes
    system = message.get("Attributes", {})
    if source.name.endswith(".fifo"):
        # A fresh deduplication id: the original's may still be remembered, and SQS would swallow the message.
        request |= {"MessageGroupId": system["MessageGroupId"], "MessageDeduplicationId": uuid.uuid4().hex}
    elif "MessageGroupId" in system:
        request["MessageGroupId"] = system["MessageGroupId"]
    return request
