"""Items of a DynamoDB table, read consistently wherever DynamoDB can (never through an index)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Set
from decimal import Decimal
from typing import Any, cast

from boto3.dynamodb.types import Binary, TypeDeserializer, TypeSerializer

from holdfast.errors import PortError
from holdfast.ports.context import PortContext
from holdfast.ports.sources.reading import Entry, Reading, subject
from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.effects import DynamoGetSource, DynamoQuerySource
from holdfast.stack.templates import render, render_text


def get(source: DynamoGetSource, context: PortContext, port: str) -> Reading:
    """One item by its primary key."""
    table = context.resource(source.table)
    key = {name: _serialised(port, render(value, context.values)) for name, value in source.item_key.items()}
    with translated(subject(port, table), context.target):
        answer = context.client("dynamodb").get_item(TableName=table.name, Key=key, ConsistentRead=True)
    item = answer.get("Item")
    return Reading((Entry(plain_item(item)),)) if item else Reading()


def query(source: DynamoQuerySource, context: PortContext, port: str) -> Reading:
    """All items of one partition whose sort key begins with the prefix, page by page."""
    table = context.resource(source.table)
    ((partition, template),) = source.partition.items()
    condition = "#p = :p"
    names = {"#p": partition}
    values = {":p": _serialised(port, render(template, context.values))}
    for sort_key, prefix in source.sort_prefix.items():
        condition += " AND begins_with(#s, :s)"
        names["#s"] = sort_key
        values[":s"] = {"S": render_text(prefix, context.values)}
    request: dict[str, Any] = {
        "TableName": table.name,
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }
    # A consistent read of a global secondary index is an error; whether an index is local is not worth a call.
    request |= {"ConsistentRead": True} if source.index is None else {"IndexName": source.index}
    entries: list[Entry] = []
    client = context.client("dynamodb")
    with translated(subject(port, table), context.target):
        while True:
            answer = client.query(**request)
            entries += [Entry(plain_item(item)) for item in answer.get("Items", ())]
            if not answer.get("LastEvaluatedKey"):
                return Reading(tuple(entries))
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def plain_item(item: Mapping[str, Any]) -> dict[str, Json]:
    """An item in DynamoDB's JSON as plain JSON."""
    deserialise = TypeDeserializer().deserialize
    return {name: plain(deserialise(value)) for name, value in item.items()}


def plain(value: Any) -> Json:
    """A deserialised attribute as plain JSON: numbers exact or as text, sets sorted, bytes as text or base64."""
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, Set):
        return sorted((plain(part) for part in value), key=lambda part: (str(type(part)), part))
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, Binary | bytes | bytearray):
        return _bytes(bytes(cast("Any", value)))
    return value


def _number(value: Decimal) -> int | float | str:
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


def _bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")


def _serialised(port: str, value: Json) -> dict[str, Any]:
    try:
        serialised: Any = TypeSerializer().serialize(Decimal(str(value)) if isinstance(value, float) else value)
    except TypeError as error:
        raise PortError(
            f"{port}: {value!r} cannot be part of a DynamoDB key",
            cause=str(error),
            remedy="make it text, a number or bytes in the descriptor",
        ) from None
    return dict(serialised)
