"""One module per way out: each reads the entries that one key has left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.ports.context import PortContext
from holdfast.ports.sources import dynamodb, http, kinesis, python, rds_data, s3, sql, sqs
from holdfast.ports.sources.reading import Entry, Reading
from holdfast.stack.effects import AnySource

__all__ = ["Entry", "Reading", "read"]

_SOURCES: Mapping[str, Callable[[Any, PortContext, str], Reading]] = {
    "dynamodb-get": dynamodb.get,
    "dynamodb-query": dynamodb.query,
    "s3-object": s3.read_object,
    "s3-prefix": s3.read_prefix,
    "sqs-messages": sqs.read,
    "http": http.read,
    "python": python.read,
    "sql": sql.read,
    "rds-data": rds_data.read,
    "kinesis": kinesis.read,
}


def read(source: AnySource, context: PortContext, port: str) -> Reading:
    """Read the entries of one source that belong to the context's key.

    Args:
        source: the source of the descriptor.
        context: key, values, clients.
        port: who reads, for messages, e.g. ``effect fulfilled``.

    Raises:
        PortError: the source does not answer, or answers what it must not.
        ResourceError: a component is missing or may not be read.
    """
    found = _SOURCES[source.kind](source, context, port)
    # before anything is said of it
    context.stack.descriptor.marked.learn([entry.data for entry in found.entries], but=context.key)
    return found
