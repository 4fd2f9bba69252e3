"""Probes of the mappings that read DynamoDB streams."""

from __future__ import annotations

import json

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, bench, check, wait_for

_SLOW_SECONDS = 8
"""How long a slow handler works: an emulator on a slow machine brings a message meanwhile."""


def _write(on: Bench, table: str, orders: list[dict[str, object]]) -> None:
    for at, order in enumerate(orders):
        on.target.client("dynamodb").put_item(
            TableName=table, Item={"pk": {"S": f"order-{at}"}, "sk": {"S": "0"}, "order": {"S": json.dumps(order)}}
        )


def retries_bounded(target: Target) -> None:
    """After MaximumRetryAttempts the batch goes to the destination and the shard goes on."""
    with bench(target) as on:
        source, stream = on.table(stream=True)
        effects, _ = on.table()
        failures = on.queue()
        function = on.function(table=effects)
        on.mapping(
            function,
            stream,
            StartingPosition="TRIM_HORIZON",
            BatchSize=1,
            MaximumRetryAttempts=1,
            DestinationConfig={"OnFailure": {"Destination": failures.arn}},
        )
        _write(on, source, [{"put": "poison", "raise": "poison"}, {"put": "healthy"}])
        wait_for(lambda: on.puts(effects, "healthy") == 1, "the shard did not go on")
        check(on.puts(effects, "poison") == 2, f"{on.puts(effects, 'poison')} attempts instead of 2")
        record = json.loads(wait_for(lambda: on.bodies(failures), "the destination got nothing")[0])
        condition = record["requestContext"]["condition"]
        check(condition == "RetryAttemptsExhausted", f"the condition is {condition}")
        check(record["DDBStreamBatchInfo"]["batchSize"] == 1, f"the record is {record}")


def bisected(target: Target) -> None:
    """With BisectBatchOnFunctionError a bad record is cut out of its batch."""
    with bench(target) as on:
        source, stream = on.table(stream=True)
        effects, _ = on.table()
        function = on.function(table=effects)
        _write(on, source, [{"put": "one"}, {"put": "two"}, {"raise": "poison"}, {"put": "three"}])
        on.mapping(
            function,
            stream,
            StartingPosition="TRIM_HORIZON",
            BatchSize=10,
            MaximumRetryAttempts=0,
            BisectBatchOnFunctionError=True,
        )
        wait_for(lambda: on.puts(effects, "three") == 1, "the record behind the bad one had no effect")
        check(on.puts(effects, "one") >= 1, "a record before the bad one had no effect")


def partial_batch(target: Target) -> None:
    """ReportBatchItemFailures goes on at the lowest failed record."""
    with bench(target) as on:
        source, stream = on.table(stream=True)
        effects, _ = on.table()
        function = on.function(table=effects)
        _write(on, source, [{"put": "one"}, {"report": True}, {"put": "two"}])
        on.mapping(
            function,
            stream,
            StartingPosition="TRIM_HORIZON",
            BatchSize=10,
            MaximumRetryAttempts=1,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
        wait_for(lambda: on.puts(effects, "two") >= 2, "the batch was not delivered again")
        check(
            on.puts(effects, "one") == 1, f"a record before the failed one took effect {on.puts(effects, 'one')} times"
        )


def slow_stream(target: Target) -> None:
    """A slow handler of a stream does not hold up a queue's mapping."""
    with bench(target) as on:
        source, stream = on.table(stream=True)
        effects, _ = on.table()
        function = on.function(table=effects, timeout_seconds=2 * _SLOW_SECONDS)
        queue = on.queue(VisibilityTimeout=str(2 * _SLOW_SECONDS))
        on.mapping(function, queue.arn)
        on.mapping(function, stream, StartingPosition="TRIM_HORIZON")
        _write(on, source, [{"begin": "begun", "sleep": _SLOW_SECONDS, "put": "slow"}])
        wait_for(lambda: on.puts(effects, "begun") == 1, "the record did not come")
        on.send(queue, {"put": "quick"})
        wait_for(lambda: on.puts(effects, "quick") == 1, "the message did not come")
        check(on.puts(effects, "slow") == 0, "the queue waited for the stream")


def mapping_disabled(target: Target) -> None:
    """A disabled stream mapping goes on where it stopped."""
    with bench(target) as on:
        source, stream = on.table(stream=True)
        effects, _ = on.table()
        function = on.function(table=effects)
        uuid = on.mapping(function, stream, StartingPosition="LATEST")
        client = target.client("lambda")
        wait_for(lambda: client.get_event_source_mapping(UUID=uuid)["State"] == "Enabled", "it was not enabled")
        client.update_event_source_mapping(UUID=uuid, Enabled=False)
        wait_for(lambda: client.get_event_source_mapping(UUID=uuid)["State"] == "Disabled", "it was not disabled")
        _write(on, source, [{"put": "meanwhile"}])
        client.update_event_source_mapping(UUID=uuid, Enabled=True)
        wait_for(lambda: on.puts(effects, "meanwhile") == 1, "a record written meanwhile was skipped")
