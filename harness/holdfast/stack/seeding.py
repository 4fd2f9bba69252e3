"""Puts the rows and objects that a stack needs before a run: stock, accounts, prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.descriptor import SeedItem
from holdfast.stack.resolve import Stack
from holdfast.stack.templates import render, render_text


def seed(stack: Stack) -> int:
    """Put every row and object of ``[[seed]]``, in order; what is there under the same key is overwritten.

    Args:
        stack: the resolved stack.

    Returns:
        How many were put.

    Raises:
        ResourceError: a table or bucket refuses, or may not be written.
        TargetError: the target does not answer.
    """
    for number, item in enumerate(stack.descriptor.seed, 1):
        _put(stack, item, number)
    return len(stack.descriptor.seed)


def _put(stack: Stack, item: SeedItem, number: int) -> None:
    values = stack.values()
    target = stack.target
    if item.table is not None:
        table = stack.resource(item.table)
        with translated(f"Seed {number}, a row of table {table.name}", target):
            target.client("dynamodb").put_item(TableName=table.name, Item=dynamo_item(render(item.item, values)))
        return
    assert item.bucket is not None
    assert item.object_key is not None
    assert item.body is not None
    bucket = stack.resource(item.bucket)
    with translated(f"Seed {number}, an object of bucket {bucket.name}", target):
        target.client("s3").put_object(
            Bucket=bucket.name,
            Key=render_text(item.object_key, values),
            Body=render_text(item.body, values).encode(),
            ExpectedBucketOwner=target.account,
        )


def dynamo_item(item: dict[str, Json]) -> dict[str, Any]:
    """A row in DynamoDB's own notation; fractions keep the digits they were written with."""
    from boto3.dynamodb.types import TypeSerializer

    serializer = TypeSerializer()
    return {name: serializer.serialize(_exact(value)) for name, value in item.items()}


def _exact(value: Json) -> Json:
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, dict):
        return {key: _exact(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_exact(inner) for inner in value]
    return value
