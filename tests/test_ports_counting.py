"""Counting the effects of many keys at once gives what reads of one key give, for every source that allows it."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.ports import Ports
from holdfast.ports.bulk import Keys
from holdfast.stack.generate import Submission
from holdfast.stack.resolve import Resource
from holdfast.targets.embedded import EmbeddedTarget
from ports_rig import StubTarget, answers, new_bucket, new_ledger, new_queue, ports_of, resource, serving

KEYS = tuple(f"k-{number}" for number in range(12))
PLACE = {"kind": "http", "url": "http://127.0.0.1:9/"}


@pytest.fixture(scope="module")
def table(embedded: EmbeddedTarget) -> Resource:
    """A ledger: key number n has n % 4 entries, each with the amount n; a row of another run lies beside them."""
    ledger, dynamodb = new_ledger(embedded), embedded.client("dynamodb")
    pad = {"S": "x" * 200_000}  # so that a scan has several pages
    for number, key in enumerate(KEYS):
        for entry in range(number % 4):
            item = {"pk": {"S": key}, "sk": {"S": f"e#{entry}"}, "by": {"S": f"v-{key}"}, "n": {"N": str(number)}}
            dynamodb.put_item(TableName=ledger.name, Item=item | {"pad": pad})
    dynamodb.put_item(TableName=ledger.name, Item={"pk": {"S": "k-99"}, "sk": {"S": "e#0"}})
    dynamodb.put_item(TableName=ledger.name, Item={"pk": {"S": "shared"}, "sk": {"S": "k-3/a"}})
    return ledger


def place(number: int) -> Submission:
    """What was submitted for a key."""
    return Submission(KEYS[number], f"v-{KEYS[number]}", {"n": number})


def both(ports: Ports) -> tuple[list[int], list[int], str]:
    """The counts at once, key by key, and how the former were found."""
    with ports:
        found = ports.count("done", Keys(KEYS), place, deadline_seconds=60)
        assert found.observed.all(), found.reason
        each = [ports.observe("done", place(number)).count for number in range(len(KEYS))]
    return found.count.tolist(), each, found.how


QUERY = {"kind": "dynamodb-query", "table": "ledger", "partition": {"pk": "{key}"}}
SOURCES: dict[str, dict[str, Any]] = {
    "query": QUERY,
    "prefix": {**QUERY, "sort_prefix": {"sk": "e#"}},
    "prefix of a shared partition": {**QUERY, "partition": {"pk": "shared"}, "sort_prefix": {"sk": "{key}/"}},
    "index": {**QUERY, "index": "by-value", "partition": {"by": "{value}"}},
    "where": {**QUERY, "where": "n > `2`"},
    "sum": {**QUERY, "measure": {"kind": "sum", "path": "n", "step": "{n}"}},
    "get": {"kind": "dynamodb-get", "table": "ledger", "item_key": {"pk": "{key}", "sk": "e#1"}},
}


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "sum"])
def test_a_scanned_table_counts_as_reads_of_one_key_do(name: str, embedded: EmbeddedTarget, table: Resource) -> None:
    """Over pages, through an index, by prefix and by condition."""
    at_once, each, how = both(ports_of(embedded, PLACE, table, effects={"done": {"sources": [SOURCES[name]]}}))
    assert at_once == each
    assert sum(each) > 0
    assert "scanned once" in how


def test_a_measure_counts_as_reads_of_one_key_do(embedded: EmbeddedTarget, table: Resource) -> None:
    """What one effect adds may depend on what was submitted."""
    ports = ports_of(embedded, PLACE, table, effects={"done": {"sources": [SOURCES["sum"]]}})
    with ports:
        keys = KEYS[1:]
        found = ports.count("done", Keys(keys), lambda at: place(at + 1), deadline_seconds=60)
        each = [ports.observe("done", place(number)).count for number in range(1, len(KEYS))]
    assert found.count.tolist() == each == [number % 4 for number in range(1, len(KEYS))]


def test_a_bucket_is_listed_once(embedded: EmbeddedTarget) -> None:
    """Objects by their keys, and by prefix."""
    bucket = new_bucket(embedded)
    for name in ("k-1/a", "k-1/b", "k-11/a", "k-3", "k-99/a"):
        embedded.client("s3").put_object(Bucket=bucket.name, Key=name, Body=b"{}")
    prefix = {"kind": "s3-prefix", "bucket": "bucket", "prefix": "{key}/"}
    one = {"kind": "s3-object", "bucket": "bucket", "object_key": "{key}"}
    for source, wanted in ((prefix, {1: 2, 11: 1}), (one, {3: 1})):
        at_once, each, how = both(ports_of(embedded, PLACE, bucket, effects={"done": {"sources": [source]}}))
        assert at_once == each == [wanted.get(number, 0) for number in range(len(KEYS))]
        assert how == "5 objects of bucket, listed once"


def test_a_queue_is_looked_through_once(embedded: EmbeddedTarget) -> None:
    """Messages by what identifies them."""
    queue = new_queue(embedded)
    for key in ("k-1", "k-1", "k-7", "k-99"):
        embedded.client("sqs").send_message(QueueUrl=queue.url, MessageBody=f'{{"id": "{key}"}}')
    source = {"kind": "sqs-messages", "queue": "queue", "match": "id"}
    at_once, each, how = both(ports_of(embedded, PLACE, queue, effects={"done": {"sources": [source]}}))
    assert at_once == each == [{1: 2, 7: 1}.get(number, 0) for number in range(len(KEYS))]
    assert how == "4 messages of queue, looked through once"


@pytest.mark.parametrize(("combine", "wanted"), [("sum", 3), ("all", 2)])
def test_several_sources_are_combined(combine: str, wanted: int, embedded: EmbeddedTarget, table: Resource) -> None:
    """As for one key: the sum, or the largest as soon as one shows more than one."""
    sources = [SOURCES["query"], SOURCES["get"]]
    effects = {"done": {"sources": sources, "combine": combine}}
    at_once, each, _ = both(ports_of(embedded, PLACE, table, effects=effects))
    assert at_once == each
    assert at_once[2] == wanted


def test_a_listing_is_read_once() -> None:
    """One answer shows the effects of all keys."""
    with serving() as web:
        web.behaviour = answers(200, [{"id": "k-1"}, {"id": "k-1"}, {"id": "k-4"}])
        source = {"kind": "http", "url": f"{web.url}/one/{{key}}"}
        listing = {"source": {"kind": "http", "url": f"{web.url}/all"}, "key": "id"}
        effects = {"done": {"sources": [source], "listing": listing}}
        with ports_of(StubTarget(), PLACE, effects=effects) as ports:
            found = ports.count("done", Keys(KEYS), place, deadline_seconds=60)
        assert found.count.tolist() == [{1: 2, 4: 1}.get(number, 0) for number in range(len(KEYS))]
        assert [one.path for one in web.received] == ["/all"]


def test_what_answers_for_one_key_is_asked_key_by_key_until_the_deadline() -> None:
    """Keys that were not asked for in time are not observed, and neither are those whose read failed."""
    with serving() as web:
        source = {"kind": "http", "url": f"{web.url}/{{key}}", "entries": "n"}

        def behaviour(handler: Any) -> None:
            answers(500 if handler.path == "/k-3" else 200, {"n": 1})(handler)

        web.behaviour = behaviour
        with ports_of(StubTarget(), PLACE, effects={"done": {"sources": [source]}}) as ports:
            found = ports.count("done", Keys(KEYS), place, deadline_seconds=60)
            late = ports.count("done", Keys(KEYS), place, deadline_seconds=0)
    assert [number for number, seen in enumerate(found.observed) if not seen] == [3]
    assert "500" in found.reason
    assert found.count.tolist() == [int(number != 3) for number in range(len(KEYS))]
    assert not late.observed.any()
    assert late.reason == "the time to look at keys one by one was over"


def test_a_table_that_cannot_be_read_is_not_taken_for_an_empty_one(embedded: EmbeddedTarget) -> None:
    """Nothing is observed, with the reason."""
    gone = resource("ledger", "table", name="gone", arn="arn:aws:dynamodb:us-east-1:000000000000:table/gone")
    with ports_of(embedded, PLACE, gone, effects={"done": {"sources": [QUERY]}}) as ports:
        found = ports.count("done", Keys(KEYS), place, deadline_seconds=60)
    assert not found.observed.any()
    assert found.reason
