"""Objects of a bucket."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from holdfast.errors import PortError
from holdfast.ports.context import PortContext
from holdfast.ports.sources.reading import Entry, Reading, subject
from holdfast.ports.text import decoded
from holdfast.stack.aws_errors import translated
from holdfast.stack.effects import S3ObjectSource, S3PrefixSource
from holdfast.stack.resolve import Resource
from holdfast.stack.templates import render_text


def read_object(source: S3ObjectSource, context: PortContext, port: str) -> Reading:
    """One object, if it is there."""
    bucket = context.resource(source.bucket)
    key = render_text(source.object_key, context.values)
    with translated(subject(port, bucket), context.target):
        text = object_text(context.client("s3"), bucket.name, key)
    return Reading() if text is None else Reading((_entry(port, bucket, key, text, source.content),))


def read_prefix(source: S3PrefixSource, context: PortContext, port: str) -> Reading:
    """Every object under a prefix, oldest first."""
    bucket = context.resource(source.bucket)
    with translated(subject(port, bucket), context.target):
        found = objects(context.client("s3"), bucket.name, render_text(source.prefix, context.values))
    return Reading(tuple(_entry(port, bucket, key, text, source.content) for key, text in found))


def objects(client: Any, bucket: str, prefix: str = "") -> list[tuple[str, str]]:
    """Keys and contents of the objects under a prefix, oldest first; objects deleted meanwhile are left out."""
    request = {"Bucket": bucket, "Prefix": prefix}
    listed: list[tuple[Any, str]] = []
    while True:
        answer = client.list_objects_v2(**request)
        listed += [(found["LastModified"], found["Key"]) for found in answer.get("Contents", ())]
        if not answer.get("IsTruncated"):
            break
        request["ContinuationToken"] = answer["NextContinuationToken"]
    texts = ((key, object_text(client, bucket, key)) for _, key in sorted(listed))
    return [(key, text) for key, text in texts if text is not None]


def object_text(client: Any, bucket: str, key: str) -> str | None:
    """An object's bytes as text; None when there is no such object."""
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "404"}:
            return None
        raise
    return decoded(answer["Body"].read())


def _entry(port: str, bucket: Resource, key: str, text: str, content: str) -> Entry:
    if content == "bytes":
        return Entry(text, text)
    try:
        return Entry(json.loads(text), text)
    except (ValueError, RecursionError) as error:
        raise PortError(
            f"{port}: object {key} in bucket {bucket.name} is no JSON",
            cause=str(error),
            remedy="set content = 'bytes' on the source, or correct its key",
        ) from None
