"""Probes of queues and of the mappings that read them."""

from __future__ import annotations

import functools
import json
import threading
import time
from uuid import UUID

from botocore.exceptions import ClientError

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, Queue, bench, check, wait_for

_TOLERANCE_SECONDS = 0.3


def _with_dead_letters(on: Bench, *, visibility: int, receives: int, **attributes: str) -> tuple[Queue, Queue]:
    dead = on.queue(**attributes)
    policy = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": receives})
    return on.queue(VisibilityTimeout=str(visibility), RedrivePolicy=policy, **attributes), dead


def peek(target: Target) -> None:
    """Messages can be read without a receive, with their attributes."""
    with bench(target) as on:
        queue = on.queue()
        on.send(queue, {"n": 1}, MessageAttributes={"kind": {"DataType": "String", "StringValue": "order"}})
        seen = [target.peek_messages(queue.url) for _ in range(2)][-1]
        check(len(seen) == 1, f"{len(seen)} messages seen")
        message = seen[0]
        check(json.loads(message.body) == {"n": 1}, f"the body is {message.body!r}")
        check(message.visible, "peeking hid the message")
        check(message.receive_count == 0, f"peeking counted {message.receive_count} receives")
        check(dict(message.attributes) == {"kind": "order"}, f"the attributes are {message.attributes}")


def redelivery(target: Target) -> None:
    """A failed batch comes back when its visibility timeout ends, and ends in the dead-letter queue as it was."""
    with bench(target) as on:
        visibility, receives = 1, 2
        queue, dead = _with_dead_letters(on, visibility=visibility, receives=receives)
        function = on.function()
        on.invoke(function, {})
        on.mapping(function, queue.arn)
        body = {"raise": "poison", "text": 'é & + % " \\'}
        started = time.monotonic()
        on.send(queue, body)
        found = wait_for(
            lambda: on.bodies(dead), "the message was not dead-lettered", seconds=visibility * receives + 10
        )
        late = time.monotonic() - started - visibility * receives
        check([json.loads(text) for text in found] == [body], f"the dead letter is {found}")
        check(-_TOLERANCE_SECONDS < late < _TOLERANCE_SECONDS * receives, f"dead-lettered {late:+.2f} s off")


def throttled_mapping(target: Target) -> None:
    """A function at concurrency 0 behind a mapping: messages are hidden, counted as received, and dead-lettered."""
    with bench(target) as on:
        queue, dead = _with_dead_letters(on, visibility=1, receives=2)
        function = on.function()
        target.client("lambda").put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
        on.mapping(function, queue.arn)
        on.send(queue, {"n": 1})
        wait_for(
            lambda: any(not message.visible and message.receive_count for message in target.peek_messages(queue.url)),
            "the throttled message was not received",
        )
        wait_for(lambda: on.bodies(dead), "the message was not dead-lettered")


def throttle_released(target: Target) -> None:
    """A throttled batch runs once the throttle is gone, at the latest when its visibility timeout is over."""
    with bench(target) as on:
        table, _ = on.table()
        queue = on.queue(VisibilityTimeout="10")
        function = on.function(table=table)
        functions = target.client("lambda")
        functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
        on.mapping(function, queue.arn)
        on.send(queue, {"put": "key"})
        wait_for(
            lambda: any(message.receive_count for message in target.peek_messages(queue.url)), "nothing was received"
        )
        functions.delete_function_concurrency(FunctionName=function)
        # a poller that found nothing pauses beyond the timeout, LocalStack's for up to 10 s
        wait_for(lambda: on.puts(table, "key") == 1, "the released batch did not run", seconds=60)


def partial_batch(target: Target) -> None:
    """Of a batch with reported failures only those come back."""
    with bench(target) as on:
        table, _ = on.table()
        queue, dead = _with_dead_letters(on, visibility=1, receives=2)
        function = on.function(table=table)
        uuid = on.mapping(
            function, queue.arn, FunctionResponseTypes=["ReportBatchItemFailures"], Enabled=False, BatchSize=10
        )
        on.send_all(queue, [{"put": "one"}, {"report": True}, {"put": "two"}])
        target.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=True)
        found = wait_for(lambda: on.bodies(dead), "the failed message was not dead-lettered")
        check([json.loads(text) for text in found] == [{"report": True}], f"dead letters are {found}")
        counts = [on.puts(table, key) for key in ("one", "two")]
        check(counts == [1, 1], f"the neighbours took effect {counts} times")


def bad_identifier(target: Target) -> None:
    """A batch response that names no message of the batch fails the whole batch."""
    with bench(target) as on:
        table, _ = on.table()
        queue, dead = _with_dead_letters(on, visibility=1, receives=1)
        function = on.function(table=table)
        on.mapping(function, queue.arn, FunctionResponseTypes=["ReportBatchItemFailures"])
        on.send(queue, {"report": "no-such-message"})
        wait_for(lambda: on.bodies(dead), "the batch counted as done")


def redrive(target: Target) -> None:
    """StartMessageMoveTask moves dead letters back to their queue as new messages."""
    with bench(target) as on:
        sqs = target.client("sqs")
        queue, dead = _with_dead_letters(on, visibility=0, receives=1)
        sent = on.send(queue, {"n": 1})
        sqs.receive_message(QueueUrl=queue.url)
        wait_for(lambda: sqs.receive_message(QueueUrl=queue.url) and on.bodies(dead), "nothing was dead-lettered")
        sqs.start_message_move_task(SourceArn=dead.arn)
        wait_for(lambda: on.bodies(queue), "the dead letter was not moved back")
        message = target.peek_messages(queue.url)[0]
        check(message.receive_count == 0, f"the moved message has {message.receive_count} receives")
        check(UUID(message.id) != UUID(sent), "the moved message kept its id")
        done = wait_for(lambda: sqs.list_message_move_tasks(SourceArn=dead.arn)["Results"], "no task is listed")
        check(done[0]["SourceArn"] == dead.arn, f"the task is {done[0]}")
        try:
            sqs.start_message_move_task(SourceArn=queue.arn)
        except ClientError:
            return
        check(holds=False, otherwise="a queue that is no dead-letter queue was redriven")


def _twice_then(queue: Queue) -> dict[str, str]:
    """The attributes of a queue that gives a message up after two receives."""
    policy = {"deadLetterTargetArn": queue.arn, "maxReceiveCount": 2}
    return {"VisibilityTimeout": "0", "RedrivePolicy": json.dumps(policy)}


def chained_dead_letters(target: Target) -> None:
    """A dead-letter queue with a policy of its own counts its own receives, not those of the queue before it."""
    with bench(target) as on:
        sqs = target.client("sqs")
        last = on.queue()
        middle = on.queue(**_twice_then(last))
        first = on.queue(**_twice_then(middle))
        on.send(first, {"n": 1})
        for queue, following in ((first, middle), (middle, last)):
            received = [sqs.receive_message(QueueUrl=queue.url).get("Messages", []) for _ in range(2)]
            check([len(messages) for messages in received] == [1, 1], f"two receives of {queue.url} gave {received}")
            move = functools.partial(sqs.receive_message, QueueUrl=queue.url)
            arrived = functools.partial(on.bodies, following)
            wait_for(lambda ask=move, look=arrived: ask() and look(), "it was not moved on")  # type: ignore[misc]


def fifo_order(target: Target) -> None:
    """A FIFO queue keeps the order of a group through a mapping, also after a failure."""
    with bench(target) as on:
        queue = on.queue(FifoQueue="true", ContentBasedDeduplication="true", VisibilityTimeout="1")
        table, _ = on.table()
        function = on.function(table=table, code=_ORDERED)
        on.mapping(function, queue.arn, BatchSize=3)
        for number in range(6):
            on.send(queue, {"n": number, "fail": number == 2}, MessageGroupId="one")
        wait_for(lambda: on.puts(table, "order") == 6, "not all arrived")
        found = target.client("dynamodb").query(
            TableName=table,
            KeyConditionExpression="pk = :key",
            ExpressionAttributeValues={":key": {"S": "order"}},
            ConsistentRead=True,
        )["Items"]
        order = [int(item["n"]["N"]) for item in sorted(found, key=lambda item: item["at"]["N"])]
        check(order == sorted(order), f"the order was {order}")


_ORDERED = """
import json, os, time
import boto3

table = boto3.client("dynamodb")


def handler(event, context):
    for record in event["Records"]:
        order = json.loads(record["body"])
        if order["fail"] and record["attributes"]["ApproximateReceiveCount"] == "1":
            raise ValueError("first time")
        table.put_item(
            TableName=os.environ["TABLE"],
            Item={
                "pk": {"S": "order"}, "sk": {"S": str(order["n"])}, "n": {"N": str(order["n"])},
                "at": {"N": str(time.time())},
            },
        )
"""


def batching_window(target: Target) -> None:
    """With a batching window what comes within it is one batch; a full batch does not wait."""
    with bench(target) as on:
        table, _ = on.table()
        queue = on.queue()
        function = on.function(table=table, code=_COUNTED)
        on.invoke(function, {"Records": []})
        on.mapping(function, queue.arn, BatchSize=3, MaximumBatchingWindowInSeconds=1)
        for _ in range(2):
            on.send(queue, {})
        wait_for(lambda: on.puts(table, "2") == 1, "the two messages were not one batch")
        started = time.monotonic()
        on.send_all(queue, [{}] * 3)
        wait_for(lambda: on.puts(table, "3") == 1, "the three messages were not one batch")
        check(time.monotonic() - started < 0.9, "a full batch waited for the window")


_COUNTED = """
import os
import boto3

table = boto3.client("dynamodb")


def handler(event, context):
    size = str(len(event["Records"]))
    table.put_item(TableName=os.environ["TABLE"], Item={"pk": {"S": size}, "sk": {"S": context.aws_request_id}})
"""


def mapping_disabled(target: Target) -> None:
    """A disabled mapping delivers nothing and goes on where it stopped."""
    with bench(target) as on:
        table, _ = on.table()
        queue = on.queue()
        function = on.function(table=table)
        uuid = on.mapping(function, queue.arn, Enabled=False)
        on.send(queue, {"put": "key"})
        check(on.puts(table, "key") == 0, "a disabled mapping delivered")
        target.client("lambda").update_event_source_mapping(UUID=uuid, Enabled=True)
        wait_for(lambda: on.puts(table, "key") == 1, "the enabled mapping did not deliver")


def limits(target: Target) -> None:
    """A message is at most 1 MiB, attributes included, and has only the characters that SQS admits."""
    with bench(target) as on:
        queue = on.queue()
        sqs = target.client("sqs")
        attribute = {"a": {"DataType": "String", "StringValue": "x" * 10}}
        room = 1_048_576 - len("a") - len("String") - 10
        sqs.send_message(QueueUrl=queue.url, MessageBody="y" * room, MessageAttributes=attribute)
        for body, told in (("y" * (room + 1), attribute), ("a\x01b", {}), ("a\ufffeb", {})):
            try:
                sqs.send_message(QueueUrl=queue.url, MessageBody=body, MessageAttributes=told)
            except ClientError:
                continue
            check(holds=False, otherwise=f"SQS accepted {body[:10]!r} of {len(body)} characters")


def nothing_lost(target: Target) -> None:
    """Messages sent from many threads while a mapping deletes others all arrive."""
    with bench(target) as on:
        table, _ = on.table()
        queue = on.queue()
        function = on.function(table=table)
        on.mapping(function, queue.arn)
        senders = [
            threading.Thread(target=lambda at=at: [on.send(queue, {"put": f"{at}-{n}"}) for n in range(10)])
            for at in range(4)
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        keys = [f"{at}-{n}" for at in range(4) for n in range(10)]
        missing = keys
        end = time.monotonic() + 15
        while missing and time.monotonic() < end:
            missing = [key for key in missing if not on.puts(table, key)]
        check(not missing, f"{len(missing)} of {len(keys)} accepted messages had no effect")
