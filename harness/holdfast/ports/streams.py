"""The records of a DynamoDB stream, in the form in which Lambda hands them to a function."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.resolve import Stack


def stream_records(stack: Stack, arn: str) -> list[dict[str, Any]]:
    """Every record that a stream keeps, shard by shard, oldest first.

    The form is that of an event source mapping:
    https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html.

    Args:
        stack: the stack.
        arn: of the stream.

    Raises:
        ResourceError: the stream does not exist or may not be read.
        TargetError: the target does not answer.
    """
    client = stack.target.client("dynamodbstreams")
    with translated(f"The stream {arn}", stack.target):
        return [
            {**_plain(record), "eventSourceARN": arn}
            for shard in _shards(client, arn)
            for record in _records(client, arn, shard)
        ]


def records_given_up(stack: Stack, letter: str) -> list[dict[str, Any]]:
    """The records that a message about a batch names which Lambda has given up; none when it is no such message.

    Such a message tells the stream and the first and the last sequence number, and nothing of what is in the records:
    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html.

    Args:
        stack: the stack.
        letter: the message.

    Raises:
        ResourceError: the stream does not exist or may not be read.
        TargetError: the target does not answer.
    """
    try:
        batch = json.loads(letter)["DDBStreamBatchInfo"]
        first, last = int(batch["startSequenceNumber"]), int(batch["endSequenceNumber"])
        arn = str(batch["streamArn"])
    except (ValueError, TypeError, KeyError):
        return []
    return [one for one in stream_records(stack, arn) if first <= int(one["dynamodb"]["SequenceNumber"]) <= last]


def _shards(client: Any, arn: str) -> Iterator[str]:
    request: dict[str, Any] = {"StreamArn": arn}
    while True:
        found = client.describe_stream(**request)["StreamDescription"]
        yield from (shard["ShardId"] for shard in found["Shards"])
        if not found.get("LastEvaluatedShardId"):
            return
        request["ExclusiveStartShardId"] = found["LastEvaluatedShardId"]


def _records(client: Any, arn: str, shard: str) -> Iterator[dict[str, Any]]:
    iterator = client.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    empty = 0
    # an open shard has no end, and pages may be empty before its newest record
    while iterator and empty < _EMPTY_PAGES:
        answer = client.get_records(ShardIterator=iterator)
        yield from answer["Records"]
        empty = 0 if answer["Records"] else empty + 1
        iterator = answer.get("NextShardIterator")


_EMPTY_PAGES = 2


def _plain(value: Any) -> Json:
    """What boto3 gives as plain JSON: bytes in base64, times as seconds since the epoch."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value.timestamp() if isinstance(value, datetime) else value
