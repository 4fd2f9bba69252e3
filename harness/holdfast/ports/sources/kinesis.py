"""Records of a Kinesis stream that belong to a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.ports.context import PortContext
from holdfast.ports.expression import search
from holdfast.ports.sources.reading import Entry, Reading, subject
from holdfast.ports.sources.sqs import body_json
from holdfast.ports.text import decoded, text_of
from holdfast.stack.aws_errors import translated
from holdfast.stack.effects import KinesisSource
from holdfast.stack.templates import render_text


def read(source: KinesisSource, context: PortContext, port: str) -> Reading:
    """Every record that is kept and whose ``match`` equals the rendered ``equals``, shard by shard, oldest first."""
    stream = context.resource(source.stream)
    wanted = render_text(source.equals, context.values)
    client = context.client("kinesis")
    with translated(subject(port, stream), context.target):
        texts = [text for shard in _shards(client, stream.name) for text in _records(client, stream.name, shard)]
    entries = (Entry(body_json(text), text) for text in texts)
    found = ((entry, search(source.match, entry.data)) for entry in entries)
    return Reading(tuple(entry for entry, key in found if key is not None and text_of(key) == wanted))


def _shards(client: Any, stream: str) -> Iterator[str]:
    request: dict[str, Any] = {"StreamName": stream}
    while True:
        answer = client.list_shards(**request)
        yield from (shard["ShardId"] for shard in answer["Shards"])
        if not answer.get("NextToken"):
            return
        request = {"NextToken": answer["NextToken"]}


def _records(client: Any, stream: str, shard: str) -> Iterator[str]:
    """The records of a shard up to now: pages may be empty while there are more, until none is behind the latest."""
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]
    while iterator:
        answer = client.get_records(ShardIterator=iterator)
        yield from (decoded(record["Data"]) for record in answer["Records"])
        if not answer["Records"] and not answer.get("MillisBehindLatest"):
            return
        iterator = answer.get("NextShardIterator")
