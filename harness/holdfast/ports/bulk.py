"""Sources that are read once for all keys: what they show is counted by what a read of one key would ask for.

A read of one key renders the templates of its source; the identity is what they render to. So the same descriptor
serves both, and both count the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from holdfast.ports.context import PortContext
from holdfast.ports.expression import search
from holdfast.ports.measure import measure
from holdfast.ports.queue import look
from holdfast.ports.sources import read
from holdfast.ports.sources.dynamodb import plain_item
from holdfast.ports.sources.reading import Entry, subject
from holdfast.ports.sources.sqs import body_json
from holdfast.ports.text import text_of
from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.effects import (
    AnySource,
    DynamoGetSource,
    DynamoQuerySource,
    ItemsMeasure,
    Listing,
    S3ObjectSource,
    S3PrefixSource,
    SqsMessagesSource,
)
from holdfast.stack.templates import placeholders, render
from holdfast.targets.base import Capability

Counts = NDArray[np.int64]
ContextOf = Callable[[int], PortContext]
_KEY = "{key}"
_AFTER = "\U0010ffff"
"""Sorts behind every text that begins alike."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a run, in an order in which they are counted.

    Attributes:
        texts: the keys.
    """

    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    def rendered(self, template: Json, context: ContextOf) -> Sequence[str]:
        """What a template renders to for each key, as text."""
        if template == _KEY:
            return self.texts
        names = placeholders(template)
        if not names and not isinstance(template, str):
            return [text_of(template)] * len(self)
        if names <= {"key"}:
            return [text_of(render(template, {"key": key})) for key in self.texts]
        return [text_of(context(place).render(template)) for place in range(len(self))]


def counted_at_once(
    source: AnySource | Listing, keys: Keys, context: ContextOf, port: str
) -> tuple[Counts, str] | None:
    """The count of every key from one read of the source; None where it only answers for one key.

    Args:
        source: what is read.
        keys: the keys of the run.
        context: what a read of one key works with, by the key's place.
        port: who reads, for messages.

    Raises:
        PortError: the source answers what it must not.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
    """
    if not len(keys):
        return np.zeros(0, np.int64), "nothing to look at"
    match source:
        case Listing():
            found = read(source.source, context(0), port).entries
            return (
                _by_identity(keys.texts, (_identity(source.key, entry) for entry in found)),
                f"{len(found):,} entries of one listing",
            )
        case DynamoGetSource() | DynamoQuerySource():
            return _table(source, keys, context, port)
        case S3ObjectSource() | S3PrefixSource() if source.where is None:
            return _bucket(source, keys, context, port)
        case SqsMessagesSource() if context(0).target.supports(Capability.QUEUE_PEEK).supported:
            return _queue(source, keys, context, port)
    return None


def is_scanned(source: DynamoGetSource | DynamoQuerySource) -> bool:
    """Whether its table is scanned to count it: not where items below a prefix are more than counted."""
    return not (isinstance(source, DynamoQuerySource) and source.sort_prefix) or _of_keys_alone(source)


def _of_keys_alone(source: DynamoGetSource | DynamoQuerySource) -> bool:
    return isinstance(source.measure, ItemsMeasure) and source.where is None


def _identity(expression: str, entry: Entry) -> str | None:
    found = search(expression, entry.data)
    return None if found is None else text_of(found)


def _by_identity(identities: Sequence[str], found: Iterator[str | None]) -> Counts:
    """How often the identity of each key was found."""
    counted = Counter(found)
    return np.fromiter((counted.get(one, 0) for one in identities), np.int64, len(identities))


def _queue(source: SqsMessagesSource, keys: Keys, context: ContextOf, port: str) -> tuple[Counts, str]:
    one = context(0)
    queue = one.resource(source.queue)
    with translated(subject(port, queue), one.target):
        messages = look(one.target, queue.url)
    entries = [Entry(body_json(message.body), message.body) for message in messages]
    kept = (entry for entry in entries if source.where is None or search(source.where, entry.data) is True)
    counts = _by_identity(keys.rendered(source.equals, context), (_identity(source.match, entry) for entry in kept))
    return counts, f"{len(entries):,} messages of {source.queue}, looked through once"


def _bucket(source: S3ObjectSource | S3PrefixSource, keys: Keys, context: ContextOf, port: str) -> tuple[Counts, str]:
    one = context(0)
    bucket = one.resource(source.bucket)
    names: list[str] = []
    with translated(subject(port, bucket), one.target):
        for page in one.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
            names += [each["Key"] for each in page.get("Contents", ())]
    how = f"{len(names):,} objects of {source.bucket}, listed once"
    if isinstance(source, S3ObjectSource):
        return _by_identity(keys.rendered(source.object_key, context), iter(names)), how
    names.sort()
    prefixes = keys.rendered(source.prefix, context)
    return np.fromiter((_beginning(names, prefix) for prefix in prefixes), np.int64, len(keys)), how


def _beginning(ordered: Sequence[str], prefix: str) -> int:
    return bisect_left(ordered, prefix + _AFTER) - bisect_left(ordered, prefix)


def _table(
    source: DynamoGetSource | DynamoQuerySource, keys: Keys, context: ContextOf, port: str
) -> tuple[Counts, str] | None:
    if isinstance(source, DynamoGetSource):
        attributes, index = dict(source.item_key), None
    else:
        attributes, index = dict(source.partition), source.index
    prefixes = dict(source.sort_prefix) if isinstance(source, DynamoQuerySource) else {}
    wanted = [keys.rendered(template, context) for template in attributes.values()]
    if not is_scanned(source):
        return None
    plain = _of_keys_alone(source)
    needed = [*attributes, *prefixes] if plain else []
    scanned = 0

    def items() -> Iterator[Mapping[str, Json]]:
        nonlocal scanned
        for page in _pages(context(0), source.table, index, needed, port):
            scanned += len(page)
            yield from page

    def identity(item: Mapping[str, Json]) -> str:
        return _joined([text_of(item.get(name)) for name in attributes])

    identities = wanted[0] if len(wanted) == 1 else [_joined(parts) for parts in zip(*wanted, strict=True)]
    if prefixes:
        ((sort_key, template),) = prefixes.items()
        places: defaultdict[str, list[str]] = defaultdict(list)
        for item in items():
            places[identity(item)].append(text_of(item.get(sort_key)))
        for texts in places.values():
            texts.sort()
        begin = keys.rendered(template, context)
        counts = (_beginning(places.get(one, ()), prefix) for one, prefix in zip(identities, begin, strict=True))
        found = np.fromiter(counts, np.int64, len(keys))
    elif plain:
        found = _by_identity(identities, map(identity, items()))
    else:
        found = _measured(source, identities, ((identity(item), item) for item in items()), context, port)
    return found, f"{scanned:,} items of {source.table}, scanned once"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else "\0".join(parts)


def _measured(
    source: DynamoGetSource | DynamoQuerySource,
    identities: Sequence[str],
    items: Iterator[tuple[str, Mapping[str, Json]]],
    context: ContextOf,
    port: str,
) -> Counts:
    """The measure of the source, over the items of each key; items come with their identities."""
    wanted = set(identities)
    entries: defaultdict[str, list[Entry]] = defaultdict(list)
    for one, item in items:
        if one in wanted and (source.where is None or search(source.where, item) is True):
            entries[one].append(Entry(item))
    counts = np.zeros(len(identities), np.int64)
    for place, one in enumerate(identities):
        if found := entries.get(one):
            counts[place], _ = measure(source.measure, found, context(place).values, port)
    return counts


def _pages(
    context: PortContext, table: str, index: str | None, attributes: Sequence[str], port: str
) -> Iterator[list[Mapping[str, Json]]]:
    """All items of a table or an index, a page at a time; only the named attributes, where any are named.

    docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
    """
    resource = context.resource(table)
    # A consistent read of a global secondary index is an error; whether an index is local is not worth a call.
    request: dict[str, Any] = {"TableName": resource.name}
    request |= {"ConsistentRead": True} if index is None else {"IndexName": index}
    if attributes:
        names = {f"#a{number}": name for number, name in enumerate(dict.fromkeys(attributes))}
        request |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
    client = context.client("dynamodb")
    with translated(subject(port, resource), context.target):
        while True:
            answer = client.scan(**request)
            yield [_plain(item) for item in answer.get("Items", ())]
            if not answer.get("LastEvaluatedKey"):
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _plain(item: Mapping[str, Any]) -> Mapping[str, Json]:
    """An item as plain JSON; what holds text alone, as keys do, without the general way's cost."""
    if all("S" in value for value in item.values()):
        return {name: value["S"] for name, value in item.items()}
    return plain_item(item)
