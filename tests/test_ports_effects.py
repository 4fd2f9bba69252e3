"""Counting effects: measures, order, combination, and what DynamoDB's items look like as JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from holdfast.ports.effect import Seen, combined
from holdfast.ports.sources.dynamodb import plain_item
from holdfast.ports.text import decoded, encoded, json_text, text_of
from ports_rig import Stub, StubTarget, client_error, resource, stack_of, submission

TABLE = resource("ledger", "table", name="ledger-1", arn="arn:table")
QUERY = {"kind": "dynamodb-query", "table": "ledger", "partition": {"pk": "{key}"}}
SERIALISE = TypeSerializer().serialize


def items(*found: dict[str, Any]) -> list[dict[str, Any]]:
    """Items as DynamoDB gives them."""
    return [{name: SERIALISE(value) for name, value in item.items()} for item in found]


def counted(source: dict[str, Any], *found: dict[str, Any], **fields: Any) -> Any:
    """The observation of an effect whose query finds these items."""
    client = Stub(query={"Items": items(*found)})
    stack = stack_of(StubTarget({"dynamodb": client}), TABLE, effects={"done": {"sources": [{**QUERY, **source}]}})
    return Ports(stack, Recorder()).observe("done", submission(**fields), provocation="p")


def test_items() -> None:
    """Each item is one effect, with its value, body and place; text is text, other JSON compact."""
    first = {"pk": "k-1", "n": 1, "v": "v-1", "b": {"z": Decimal("1.50"), "a": ["é", None, True]}}
    second = {"pk": "k-1", "n": 2, "v": 7, "b": "text"}
    seen = counted({"value": "v", "body": "b", "order": "n"}, first, second)
    assert (seen.count, seen.values, seen.orders) == (2, ("v-1", "7"), ("1", "2"))
    assert seen.bodies == ('{"z":1.5,"a":["é",null,true]}', "text")
    assert (seen.port, seen.key, seen.provocation, seen.complete, seen.state) == ("done", "k-1", "p", True, "")
    assert seen.started_seconds <= seen.completed_seconds


def test_nothing() -> None:
    """No item is no effect."""
    seen = counted({"value": "v"})
    assert (seen.count, seen.values, seen.bodies, seen.orders) == (0, (), (), ())


def test_entries_that_lack_the_value() -> None:
    """An effect that should show the value and does not shows null, so that it cannot pass for the right one."""
    assert counted({"value": "v"}, {"pk": "k-1"}).values == ("null",)


def test_where() -> None:
    """Only entries for which the condition is true are counted."""
    found = [{"pk": "k-1", "s": "DONE"}, {"pk": "k-1", "s": "OPEN"}, {"pk": "k-1"}]
    assert counted({"where": "s == 'DONE'"}, *found).count == 1


@pytest.mark.parametrize(
    ("places", "sorted_places"), [([10, 9, 100], ("9", "10", "100")), (["b", "a", "10"], ("10", "a", "b"))]
)
def test_order(places: list[Any], sorted_places: tuple[str, ...]) -> None:
    """Numbers are ordered as numbers, text as text; values follow their places."""
    seen = counted({"order": "n", "value": "n"}, *({"pk": "k-1", "n": place} for place in places))
    assert seen.orders == seen.values == sorted_places


@pytest.mark.parametrize(
    ("measure", "found", "count"),
    [
        ({"kind": "attribute", "path": "done"}, [{"done": False}], 1),
        ({"kind": "attribute", "path": "done"}, [{"other": 1}], 0),
        ({"kind": "attribute", "path": "s", "equals": "{value}"}, [{"s": "v-1"}, {"s": "v-2"}], 1),
        ({"kind": "attribute", "path": "n", "equals": 1.0}, [{"n": 1}], 1),
        ({"kind": "attribute", "path": "n", "equals": True}, [{"n": 1}], 0),
        ({"kind": "delta", "path": "stock", "start": 100, "step": -2}, [{"stock": 96}], 2),
        ({"kind": "delta", "path": "stock", "start": 100}, [], 0),
        ({"kind": "delta", "path": "stock", "start": 100}, [{"stock": 99}], -1),
        ({"kind": "delta", "path": "balance", "start": 0, "step": "{amount}"}, [{"balance": Decimal("37.5")}], 3),
        ({"kind": "delta", "path": "balance", "start": 0, "step": 0.1}, [{"balance": Decimal("0.3")}], 3),
        ({"kind": "member", "path": "done"}, [{"done": {"k-1", "k-2"}}], 1),
        ({"kind": "member", "path": "done"}, [{"done": ["k-1", "k-2", "k-1"]}], 2),
        ({"kind": "member", "path": "done"}, [{"done": {"k-1": {"a": 1}}}], 1),
        ({"kind": "member", "path": "done"}, [{"done": {"k-2"}}], 0),
        ({"kind": "member", "path": "done", "element": "{amount}"}, [{"done": [Decimal("12.5")]}], 1),
        ({"kind": "member", "path": "done"}, [{"other": 1}], 0),
        ({"kind": "sum", "path": "n"}, [{"n": 1}, {"n": 2}, {"other": 1}], 3),
        ({"kind": "sum", "path": "n", "step": 2}, [{"n": "4"}], 2),
    ],
)
def test_measures(measure: dict[str, Any], found: list[dict[str, Any]], count: int) -> None:
    """Presence, delta, membership and sum count what they say, exactly."""
    seen = counted({"measure": measure}, *found, amount=12.5)
    assert (seen.count, seen.complete, seen.state) == (count, True, "")


@pytest.mark.parametrize(
    ("measure", "found", "state"),
    [
        ({"kind": "delta", "path": "n"}, {"n": "many"}, "effect done: n is no number: it is 'many'"),
        ({"kind": "delta", "path": "n"}, {"n": True}, "effect done: n is no number: it is 'true'"),
        (
            {"kind": "sum", "path": "n", "step": 2},
            {"n": 3},
            "effect done: 3 is no multiple of 2.0: the number moved by something that is not a whole number of effects",
        ),
        ({"kind": "member", "path": "n"}, {"n": 5}, "effect done: n is no set, list or map: it is '5'"),
        (
            {"kind": "delta", "path": "n", "step": "{value}"},
            {"n": 3},
            "effect done: step is no number that can be used: '{value}' renders to 'v-1'",
        ),
    ],
)
def test_measures_of_garbage(measure: dict[str, Any], found: dict[str, Any], state: str) -> None:
    """What cannot be counted is an incomplete observation that says why, never a count."""
    seen = counted({"measure": measure}, found)
    assert (seen.count, seen.complete, seen.state) == (0, False, state)


def test_reads_that_fail() -> None:
    """A table that does not answer is an incomplete observation, recorded like any other."""
    recorder = Recorder()
    client = Stub(query=client_error("InternalServerError", 500, "Query"))
    stack = stack_of(StubTarget({"dynamodb": client}), TABLE, effects={"done": {"sources": [QUERY]}})
    seen = Ports(stack, recorder).observe("done", submission())
    assert (seen.count, seen.complete) == (0, False)
    assert seen.state == (
        "effect done: the component ledger (table ledger-1) cannot be read: Query answered InternalServerError: said so"
    )
    assert recorder.history().observations == (seen,)


def test_pages_and_consistency() -> None:
    """A query follows every page, reads consistently, and carries the sort-key prefix."""
    pages = [
        {"Items": items({"pk": "k-1", "sk": "a"}), "LastEvaluatedKey": {"pk": {"S": "k-1"}, "sk": {"S": "a"}}},
        {"Items": items({"pk": "k-1", "sk": "b"})},
    ]
    requests: list[dict[str, Any]] = []

    def query(**request: Any) -> Any:
        requests.append(dict(request))
        return pages[len(requests) - 1]

    source = {**QUERY, "sort_prefix": {"sk": "order#{key}"}}
    stack = stack_of(StubTarget({"dynamodb": Stub(query=query)}), TABLE, effects={"done": {"sources": [source]}})
    assert Ports(stack, Recorder()).observe("done", submission()).count == 2
    assert requests[0] == {
        "TableName": "ledger-1",
        "KeyConditionExpression": "#p = :p AND begins_with(#s, :s)",
        "ExpressionAttributeNames": {"#p": "pk", "#s": "sk"},
        "ExpressionAttributeValues": {":p": {"S": "k-1"}, ":s": {"S": "order#k-1"}},
        "ConsistentRead": True,
    }
    assert requests[1]["ExclusiveStartKey"] == {"pk": {"S": "k-1"}, "sk": {"S": "a"}}


def test_indexes_are_not_read_consistently() -> None:
    """DynamoDB refuses consistent reads of a global index, so none is asked for."""
    client = Stub(query={"Items": []})
    stack = stack_of(
        StubTarget({"dynamodb": client}), TABLE, effects={"done": {"sources": [{**QUERY, "index": "by-order"}]}}
    )
    Ports(stack, Recorder()).observe("done", submission())
    request = client.calls[0][1]
    assert request["IndexName"] == "by-order"
    assert "ConsistentRead" not in request


def test_get() -> None:
    """One item by its key, whose parts keep their types, read consistently."""
    client = Stub(get_item={"Item": items({"pk": "k-1", "v": "v-1"})[0]})
    source = {
        "kind": "dynamodb-get",
        "table": "ledger",
        "item_key": {"pk": "{key}", "n": "{n}", "x": 1.5},
        "value": "v",
    }
    stack = stack_of(StubTarget({"dynamodb": client}), TABLE, effects={"done": {"sources": [source]}})
    assert Ports(stack, Recorder()).observe("done", submission(n=7)).values == ("v-1",)
    assert client.calls == [
        (
            "get_item",
            {
                "TableName": "ledger-1",
                "Key": {"pk": {"S": "k-1"}, "n": {"N": "7"}, "x": {"N": "1.5"}},
                "ConsistentRead": True,
            },
        )
    ]


@pytest.mark.parametrize(
    ("every", "counts", "count"),
    [
        (False, [1, 2], 3),
        (False, [0, 0], 0),
        (True, [1, 1], 1),
        (True, [1, 0], 0),
        (True, [1, 2], 2),
        (True, [0, 3], 3),
        (True, [0, 0], 0),
    ],
)
def test_several_sources(every: bool, counts: list[int], count: int) -> None:
    """``sum`` adds; ``all`` takes the smallest, or the largest as soon as one shows a duplicate."""
    assert combined([Seen(one) for one in counts], every=every).count == count


def test_several_sources_that_show_the_same() -> None:
    """With ``all``, what every source shows alike is kept once, and what differs is kept whole."""
    alike = [Seen(1, values=("a",)), Seen(1, values=("a",)), Seen(1)]
    assert combined(alike, every=True).values == ("a",)
    assert combined(alike, every=False).values == ("a", "a")
    assert combined([Seen(1, values=("a",)), Seen(1, values=("b",))], every=True).values == ("a", "b")


def test_items_as_json() -> None:
    """Every DynamoDB type becomes plain JSON, numbers exactly or as text."""
    item = {
        "s": {"S": "x"},
        "n": {"N": "12.50"},
        "i": {"N": "12345678901234567890123456789012345678"},
        "long": {"N": "0.12345678901234567890123456789"},
        "tenth": {"N": "0.1"},
        "b": {"B": b"bytes"},
        "raw": {"B": b"\xff\x00"},
        "ss": {"SS": ["b", "a"]},
        "ns": {"NS": ["10", "9"]},
        "m": {"M": {"x": {"L": [{"BOOL": True}, {"NULL": True}]}}},
    }
    assert plain_item(item) == {
        "s": "x",
        "n": 12.5,
        "i": 12345678901234567890123456789012345678,
        "long": "0.12345678901234567890123456789",
        "tenth": 0.1,
        "b": "bytes",
        "raw": "/wA=",
        "ss": ["a", "b"],
        "ns": [9, 10],
        "m": {"x": [True, None]},
    }


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=6))
def test_numbers_are_exact(number: Decimal) -> None:
    """No number of DynamoDB changes its value on the way into JSON and back."""
    shown = plain_item({"n": {"N": str(number)}})["n"]
    assert Decimal(str(shown)) == number
    json.dumps(shown)


@given(st.binary())
def test_bytes_survive_as_text(data: bytes) -> None:
    """Any bytes become text and come back the same."""
    assert encoded(decoded(data)) == data


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda j: st.lists(j) | st.dictionaries(st.text(), j)
    )
)
def test_json_text_can_be_sent(value: Any) -> None:
    """Any JSON, lone surrogates included, becomes UTF-8 that parses to the same JSON."""
    assert json.loads(json_text(value).encode()) == value


@given(st.text(st.characters(exclude_categories=[])))
def test_text_stays_text(text: str) -> None:
    """Text is compared as it is, and JSON of it can always be encoded."""
    assert text_of(text) is text
    json_text([text]).encode()


def test_keys_that_dynamodb_does_not_take() -> None:
    """A key part of a type that no key has is a mistake of the descriptor's."""
    source = {"kind": "dynamodb-get", "table": "ledger", "item_key": {"pk": "{odd}"}}
    stack = stack_of(StubTarget({"dynamodb": Stub()}), TABLE, effects={"done": {"sources": [source]}})
    seen = Ports(stack, Recorder()).observe("done", submission(odd=object()))
    assert not seen.complete
    assert seen.state.startswith("effect done: <object object")
