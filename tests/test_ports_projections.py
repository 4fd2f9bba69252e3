"""Folding events, and reading logs and views through the new kinds of sources."""

from __future__ import annotations

import json
import random
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import GuardRailError, PortError
from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from holdfast.ports.folding import canonical_state, folding
from holdfast.ports.streams import records_given_up, stream_records
from holdfast.stack.guarded import GuardRail
from holdfast.stack.patterns import CqrsPattern
from holdfast.stack.readers import Located, read
from ports_rig import ACCOUNT, REGION, Stub, StubTarget, answers, client_error, resource, serving, stack_of, submission

RULES: dict[str, Any] = {
    "balance": {"kind": "sum", "path": "amount"},
    "entries": {"kind": "count"},
    "deposits": {"kind": "count", "where": "amount > `0`"},
    "last": {"kind": "last", "path": "note"},
    "tags": {"kind": "set", "path": "tag"},
}
REMOVAL = {"command": "close", "event": "type == 'closed'"}


def cqrs(**more: Any) -> CqrsPattern:
    """A pattern with the fold of these tests."""
    given = {
        "command": "deposit",
        "effect": "recorded",
        "aggregate": "account_id",
        "log": "accounts",
        "view": "balances",
        "fold": RULES,
    }
    return CqrsPattern.model_validate({**given, **more})


def fold(*events: dict[str, Any], **more: Any) -> Any:
    return folding(cqrs(**more), Path("x.stack.toml"))(list(events))


def test_each_rule_folds_as_it_says() -> None:
    """Sums are exact, the last value is the last that is there, sets have no order and no repeats."""
    assert fold(
        {"amount": 0.1, "note": "a", "tag": "y"},
        {"amount": "0.2", "tag": "x"},
        {"amount": -3, "note": None, "tag": "y"},
    ) == {"balance": "-2.7", "entries": 3, "deposits": 1, "last": "a", "tags": ["x", "y"]}


def test_no_events_and_a_removal_give_nothing() -> None:
    """After a removal only what follows counts."""
    first, closed = {"amount": 1, "tag": "x"}, {"amount": 0, "type": "closed"}
    assert fold() is None
    assert fold(first, closed, removal=REMOVAL) is None
    assert fold(first, closed, {"amount": 2}, removal=REMOVAL)["balance"] == 2
    assert fold(first, closed)["entries"] == 2


@pytest.mark.parametrize("shown", [12.5, "12.50", Decimal("12.5")])
def test_a_view_may_show_numbers_in_any_type(shown: Any) -> None:
    """What a sum gives is compared as a number, wherever the view keeps texts or floats; sets in any order."""
    state = {"balance": shown, "entries": 2.0, "deposits": "2", "last": "n", "tags": ["b", "a", "b"]}
    events = [{"amount": 12, "tag": "a"}, {"amount": 0.5, "note": "n", "tag": "b"}]
    assert canonical_state(cqrs(), state) == fold(*events)


def test_the_state_of_no_events_counts_as_nothing() -> None:
    """A view may show zeros of an aggregate that has no events, or nulls, or nothing."""
    zeros = {"balance": 0, "entries": 0, "deposits": 0, "last": None, "tags": []}
    assert canonical_state(cqrs(), zeros) is None
    assert canonical_state(cqrs(), dict.fromkeys(zeros)) is None
    assert canonical_state(cqrs(), None) is None


def test_a_fold_is_the_same_however_often_and_in_whatever_batches_it_is_done() -> None:
    """Folding twice gives the same; sums and counts do not depend on the order of events."""
    rng = random.Random(1)
    rules = {name: RULES[name] for name in ("balance", "entries", "deposits", "tags")}
    for _ in range(500):
        events = [{"amount": rng.randint(-9, 9) / 10, "tag": rng.choice("xyz")} for _ in range(rng.randint(1, 6))]
        once = fold(*events, fold=rules)
        assert once == fold(*events, fold=rules) == fold(*rng.sample(events, len(events)), fold=rules)
        assert Decimal(str(once["balance"])) == sum(Decimal(str(one["amount"])) for one in events)
        assert once["tags"] == sorted({one["tag"] for one in events})


def test_a_fold_in_python_is_beside_the_descriptor(tmp_path: Path) -> None:
    """It is given the events in order; what it raises is an error that names file and cause."""
    (tmp_path / "folds.py").write_text("def total(events):\n    return {'sum': sum(e['amount'] for e in events) / 2}\n")
    called = folding(cqrs(fold="folds:total"), tmp_path / "x.stack.toml")
    assert called([{"amount": 1}, {"amount": 2}]) == {"sum": "1.5"}
    with pytest.raises(PortError, match=r"folds\.py could not fold 1 events") as caught:
        called([{}])
    assert caught.value.cause == "KeyError: 'amount'"


def test_a_sum_of_what_is_no_number_is_refused() -> None:
    """The message names the path and what is there."""
    with pytest.raises(PortError, match="amount is no number"):
        fold({"amount": "lots"})


# -- logs and views through ports --------------------------------------------------------------------------------------

DEPOSIT = {
    "calls": [{"kind": "http", "url": "http://127.0.0.1:9/", "json": {"id": "{key}"}}],
    "fields": {"account_id": {"type": "text"}},
}
LOG = {"sequence": "version", "event": "event_id", "command": "command_id"}


def ports(target: StubTarget, *resources: Any, log: Any = None, view: Any = None, path: str = "x.stack.toml") -> Ports:
    """Ports with one log and one view."""
    stack = stack_of(
        target,
        *resources,
        path=Path(path),
        commands={"deposit": DEPOSIT},
        logs={"accounts": {"source": log, **LOG}} if log else {},
        views={"balances": {"source": view, "version": "version"}} if view else {},
    )
    return Ports(stack, Recorder())


def test_a_log_is_read_from_the_oldest_record_of_a_kinesis_stream() -> None:
    """Every shard, page by page, also over empty pages; only the aggregate's records, by their sequence."""
    pages = {
        "i1": ([b'{"account_id": "a", "version": 2, "event_id": "e2", "command_id": "k2"}'], "i2", 5),
        "i2": ([], "i3", 5),
        "i3": ([b'{"account_id": "b", "version": 1}', b"no JSON"], "i4", 0),
        "i4": ([], "i5", 0),
        "j1": ([b'{"account_id": "a", "version": 1, "event_id": "e1", "command_id": "k1"}'], None, 0),
    }

    def records(ShardIterator: str) -> Any:  # noqa: N803 - as boto3 names it
        data, following, behind = pages[ShardIterator]
        found: dict[str, Any] = {"Records": [{"Data": one} for one in data], "MillisBehindLatest": behind}
        return found | ({"NextShardIterator": following} if following else {})

    def shards(**request: Any) -> Any:
        if "NextToken" in request:
            return {"Shards": [{"ShardId": "j"}]}
        return {"Shards": [{"ShardId": "i"}], "NextToken": "more"}

    def iterator(ShardId: str, **_: Any) -> Any:  # noqa: N803
        return {"ShardIterator": f"{ShardId}1"}

    client = Stub(list_shards=shards, get_shard_iterator=iterator, get_records=records)
    source = {"kind": "kinesis", "stream": "events", "match": "account_id", "equals": "{account_id}"}
    there = ports(StubTarget({"kinesis": client}), resource("events", "stream"), log=source)
    read = there.read_log("accounts", "a", submission(account_id="a"))
    assert [(one.sequence, one.identity, one.command) for one in read.events] == [(1, "e1", "k1"), (2, "e2", "k2")]
    assert (read.port, read.aggregate, read.complete) == ("accounts", "a", True)


def test_a_view_is_read_through_the_rds_data_api() -> None:
    """Parameters are typed, rows are objects; an error makes the read incomplete, with its reason."""
    rows = json.dumps([{"balance": 5, "entries": 1, "deposits": 1, "last": "n", "tags": ["t"], "version": 3}])
    client = Stub(execute_statement={"formattedRecords": rows})
    source = {
        "kind": "rds-data",
        "cluster": "aurora",
        "secret": "arn:secret",
        "database": "reports",
        "query": "select * from balances where account = :account and kind = :kind",
        "parameters": {"account": "{account_id}", "kind": 7},
    }
    cluster = resource("aurora", "cluster", arn="arn:cluster")
    there = ports(StubTarget({"rds-data": client}), cluster, view=source)
    read = there.read_view("balances", cqrs(), "a", submission(account_id="a"), reader="r")
    assert read.state == {"balance": 5, "entries": 1, "deposits": 1, "last": "n", "tags": ["t"]}
    assert (read.version, read.reader, read.complete) == (3, "r", True)
    assert client.calls == [
        (
            "execute_statement",
            {
                "resourceArn": "arn:cluster",
                "secretArn": "arn:secret",
                "database": "reports",
                "sql": source["query"],
                "parameters": [
                    {"name": "account", "value": {"stringValue": "a"}},
                    {"name": "kind", "value": {"longValue": 7}},
                ],
                "formatRecordsAs": "JSON",
            },
        )
    ]
    failing = Stub(execute_statement=client_error("BadRequestException", 400, "ExecuteStatement"))
    read = ports(StubTarget({"rds-data": failing}), cluster, view=source).read_view(
        "balances", cqrs(), "a", submission(account_id="a"), reader="r"
    )
    assert not read.complete
    assert read.reason


def reports(tmp_path: Path) -> Path:
    """A SQLite file beside a descriptor."""
    file = tmp_path / "reports.db"
    with sqlite3.connect(file) as database:
        database.execute("create table balances (account text, balance numeric, last text, picture blob)")
        database.execute("insert into balances values ('a', 12.5, 'n', x'ff'), ('b', 1, null, null)")
    return file


def test_a_view_is_read_from_a_sql_database(tmp_path: Path) -> None:
    """A relative SQLite file is beside the descriptor; parameters are bound, never pasted; rows are objects."""
    reports(tmp_path)
    rules = {"balance": RULES["balance"], "last": RULES["last"]}
    source = {
        "kind": "sql",
        "url": "sqlite:///reports.db",
        "query": "SELECT balance, last FROM balances WHERE account = :account",
        "parameters": {"account": "{account_id}"},
    }
    there = ports(StubTarget(), view=source, path=str(tmp_path / "x.stack.toml"))

    def shown(account: str) -> Any:
        found = there.read_view("balances", cqrs(fold=rules), account, submission(account_id=account), reader="r")
        assert found.complete, found.reason
        return found.state

    assert shown("a") == {"balance": "12.5", "last": "n"}
    assert shown("b") == {"balance": 1, "last": None}
    assert shown("a' OR '1' = '1") is None


def test_a_session_may_tell_what_it_has_seen() -> None:
    """``{seen}`` is the last event that the reader knows of, 0 when nobody says."""
    with serving() as web:
        web.behaviour = answers(200, {"balance": 1, "version": 4})
        source = {"kind": "http", "url": f"{web.url}/accounts/{{account_id}}", "query": {"at_least": "{seen}"}}
        there = ports(StubTarget(), view=source)
        for seen in (None, 3):
            told = {} if seen is None else {"seen": seen}
            read = there.read_view("balances", cqrs(), "a", submission(account_id="a"), reader="r", **told)
            assert (read.complete, read.version) == (True, 4)
        assert [one.path for one in web.received] == ["/accounts/a?at_least=0", "/accounts/a?at_least=3"]


@pytest.mark.parametrize(
    ("query", "url", "told"),
    [
        ("SELECT missing FROM balances", "sqlite:///reports.db", "no such column: missing"),
        ("SELECT 1 AS balance UNION ALL SELECT 2", "sqlite:///reports.db", "2 entries of one aggregate"),
        ("SELECT 1", "nonsense", "Could not parse SQLAlchemy URL"),
        ("SELECT 1", "postgresql+nothing://localhost/x", "could not be read"),
    ],
)
def test_a_database_that_cannot_be_read_says_why(query: str, url: str, told: str, tmp_path: Path) -> None:
    """No traceback: the read is incomplete, and its reason is the database's own first line."""
    reports(tmp_path)
    there = ports(StubTarget(), view={"kind": "sql", "url": url, "query": query}, path=str(tmp_path / "x.stack.toml"))
    found = there.read_view("balances", cqrs(), "a", submission(account_id="a"), reader="r")
    assert not found.complete
    assert told in found.reason


def test_a_source_reads_and_nothing_else() -> None:
    """A query that begins otherwise is refused when the descriptor is loaded."""
    with pytest.raises(ValueError, match="begins with SELECT or WITH"):
        ports(StubTarget(), view={"kind": "sql", "url": "sqlite://", "query": "delete from balances"})


def test_streams_and_clusters_are_found_by_name_or_arn() -> None:
    """A component of either type becomes a resource by one read."""
    stream_arn, cluster_arn = (
        f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/events",
        f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:a",
    )
    kinesis = Stub(
        describe_stream_summary={"StreamDescriptionSummary": {"StreamName": "events", "StreamARN": stream_arn}}
    )
    rds = Stub(describe_db_clusters={"DBClusters": [{"DBClusterIdentifier": "a", "DBClusterArn": cluster_arn}]})
    target: Any = StubTarget({"kinesis": kinesis, "rds": rds})
    for physical in ("events", stream_arn):
        found = read(Located(component="log", type="stream", physical=physical), target)
        assert (found.name, found.arn) == ("events", stream_arn)
    found = read(Located(component="reports", type="cluster", physical="a"), target)
    assert (found.name, found.arn) == ("a", cluster_arn)
    assert [request for _, request in kinesis.calls] == [{"StreamName": "events"}] * 2


@pytest.mark.parametrize(
    ("sql", "arn", "allowed"),
    [
        ("SELECT 1", "arn:cluster", True),
        (" with x as (select 1)\nselect * from x", "arn:cluster", True),
        ("DELETE FROM x", "arn:cluster", False),
        ("SELECT 1", "arn:another", False),
    ],
)
def test_the_data_api_is_asked_for_reads_of_the_stacks_clusters_only(sql: str, arn: str, allowed: bool) -> None:
    """The guard rail refuses a statement that writes, and any on a cluster that is no component."""
    rail = GuardRail(stack_of(StubTarget(), resource("aurora", "cluster", arn="arn:cluster")))
    parameters = {"resourceArn": arn, "secretArn": "s", "sql": sql}
    if allowed:
        rail.check("rds-data", "ExecuteStatement", parameters)
        return
    with pytest.raises(GuardRailError, match="was refused; nothing was sent"):
        rail.check("rds-data", "ExecuteStatement", parameters)


def test_an_event_without_a_place_is_refused() -> None:
    """The reason names what was found there, and the read is incomplete."""
    client = Stub(query={"Items": [{"version": {"S": "first"}}]})
    source = {"kind": "dynamodb-query", "table": "events", "partition": {"account_id": "{account_id}"}}
    there = ports(StubTarget({"dynamodb": client}), resource("events", "table"), log=source)
    read = there.read_log("accounts", "a", submission(account_id="a"))
    assert not read.complete
    assert "sequence is no whole number: it is 'first'" in read.reason


def test_records_of_a_stream_are_those_that_a_function_is_given() -> None:
    """Every shard; bytes and times become plain JSON, and each record names its stream."""
    from datetime import UTC, datetime

    record = {
        "eventID": "1",
        "eventName": "INSERT",
        "dynamodb": {
            "ApproximateCreationDateTime": datetime.fromtimestamp(12, UTC),
            "NewImage": {"id": {"S": "a"}, "raw": {"B": b"\x00\x01"}},
            "SequenceNumber": "100",
        },
    }

    def describe(**request: Any) -> Any:
        if "ExclusiveStartShardId" in request:
            return {"StreamDescription": {"Shards": [{"ShardId": "2"}]}}
        return {"StreamDescription": {"Shards": [{"ShardId": "1"}], "LastEvaluatedShardId": "1"}}

    def records(ShardIterator: str) -> Any:  # noqa: N803
        return {"Records": [record] if ShardIterator == "2" else [], "NextShardIterator": "end"}

    def iterator(ShardId: str, **_: Any) -> Any:  # noqa: N803
        return {"ShardIterator": ShardId}

    client = Stub(describe_stream=describe, get_shard_iterator=iterator, get_records=records)
    stack = stack_of(StubTarget({"dynamodbstreams": client}))
    assert stream_records(stack, "arn:stream") == [
        {
            "eventID": "1",
            "eventName": "INSERT",
            "eventSourceARN": "arn:stream",
            "dynamodb": {
                "ApproximateCreationDateTime": 12.0,
                "NewImage": {"id": {"S": "a"}, "raw": {"B": "AAE="}},
                "SequenceNumber": "100",
            },
        }
    ]


def given_up(first: str, last: str) -> str:
    """What Lambda tells of a batch."""
    batch = {"streamArn": "arn:stream", "startSequenceNumber": first, "endSequenceNumber": last}
    return json.dumps({"DDBStreamBatchInfo": batch})


@pytest.mark.parametrize(
    ("letter", "expected"),
    [
        (given_up("2", "10"), ["2", "10"]),
        (given_up("3", "9"), []),
        (given_up("no", "9"), []),
        ('{"reason": "parked"}', []),
        ('["no", "object"]', []),
        ("no JSON", []),
    ],
)
def test_a_message_about_a_batch_that_was_given_up_names_its_records(letter: str, expected: list[str]) -> None:
    """Sequence numbers are compared as numbers; any other message names none."""
    numbers = ["1", "2", "10", "11"]
    client = Stub(
        describe_stream=lambda **_: {"StreamDescription": {"Shards": [{"ShardId": "s"}]}},
        get_shard_iterator=lambda **_: {"ShardIterator": "i"},
        get_records=lambda **_: {"Records": [{"dynamodb": {"SequenceNumber": one}} for one in numbers]},
    )
    stack = stack_of(StubTarget({"dynamodbstreams": client}))
    assert [one["dynamodb"]["SequenceNumber"] for one in records_given_up(stack, letter)] == expected
