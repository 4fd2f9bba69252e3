"""Batches of the log's stream handed to the projector again, reordered, too late, and before their turn (CQ-4)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from holdfast.ports.streams import stream_records
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.cqrs_runs import (
    aggregate_of,
    await_projected,
    cqrs_of,
    on_one_aggregate,
    submit_in_order,
)
from holdfast.provocations.deliveries import last_worker
from holdfast.provocations.model import Aimed, Provocation, Uses
from holdfast.provocations.requirements import INVOCATION_FAULTS, Situation, unmet, workers_named
from holdfast.stack.generate import Submission
from holdfast.targets.base import Rule

AGGREGATES = 2
COMMANDS = 4
AGAIN, EARLY, REMOVED = "delivered again", "delivered before its turn", "delivered after the removal"


def stream_of(situation: Situation) -> str:
    """The DynamoDB stream that feeds the projector; empty where none does."""
    worker = situation.configuration.function(situation.pattern.workers[-1]) if situation.pattern.workers else None
    sources = [mapping.source_arn for mapping in worker.mappings] if worker is not None else []
    return next((arn for arn in sources if ":dynamodb:" in arn and "/stream/" in arn), "")


def _deliveries_known(situation: Situation) -> str:
    """The deliveries to the projector must be there to be repeated: in a stream, or in what an interceptor saw."""
    if stream_of(situation) or situation.stack.target.interceptor is not None:
        return ""
    return "the projector is fed by no DynamoDB stream, and nobody sees its deliveries: none can be repeated"


def _replay(bench: Bench) -> None:
    again = [on_one_aggregate(bench, COMMANDS) for _ in range(AGGREGATES)]
    work = [partial(_deliver_again, bench, stream) for stream in again]
    if cqrs_of(bench).removal is not None:
        work += [partial(_deliver_after_removal, bench, on_one_aggregate(bench, COMMANDS))]
    work += [partial(_deliver_early, bench, on_one_aggregate(bench, COMMANDS)) for _ in range(AGGREGATES)]
    side_by_side(lambda job: job(), work, len(work))


def _deliver_again(bench: Bench, stream: Sequence[Submission]) -> None:
    """All of an aggregate's records once more, then in the opposite order, then the oldest alone."""
    submit_in_order(bench, stream, AGAIN)
    if await_projected(bench, stream[:1]):
        bench.note(f"{aggregate_of(bench.pattern, stream[0])} was not projected before its events were {AGAIN}")
    records = _records(bench, stream)
    if _enough(bench, stream, records):
        for batch in (records, records[::-1], [*records[1:2], *records[:1]], records[:1]):
            _invoke(bench, batch)
        await_projected(bench, stream[:1])


def _deliver_after_removal(bench: Bench, stream: Sequence[Submission]) -> None:
    """An aggregate's records once more when it has been removed: none may bring it back."""
    removal = cqrs_of(bench).removal
    assert removal is not None
    submit_in_order(bench, stream, REMOVED)
    await_projected(bench, stream[:1])
    records = _records(bench, stream)
    bench.submit(bench.other(removal.command, stream[0], counted=True), REMOVED, command=removal.command)
    await_projected(bench, stream[:1])
    if _enough(bench, stream, records):
        for batch in (records, records[-1:], records[:1]):
            _invoke(bench, batch)
        await_projected(bench, stream[:1])


def _deliver_early(bench: Bench, stream: Sequence[Submission]) -> None:
    """Later records before the first one, whose own delivery is throttled meanwhile; then all come in their order.

    A throttled delivery is no attempt, so the event is not given up however long this takes.
    """
    if not stream_of(bench.situation) or unmet((INVOCATION_FAULTS,), bench.situation):
        bench.undecided("no record can be delivered before its turn: there is no stream to read it from", _keys(stream))
        return
    worker = bench.pattern.workers[-1]
    rule = Rule(id="", action="throttle", function=bench.function_name(worker), key=stream[0].key)
    with bench.aimed([(worker, rule)]) as aim:
        submit_in_order(bench, stream, EARLY)
        records = bench.until(
            "the records of the stream",
            lambda: _records(bench, stream),
            lambda found: len(found) >= COMMANDS,
            bench.patience_seconds,
        ).value
        bench.until(
            "a throttled delivery", partial(aim.hits, stream[0].key), lambda hits: hits > 0, bench.patience_seconds
        )
        if _enough(bench, stream, records):
            _invoke(bench, records[1:2])
            _invoke(bench, records[:0:-1])
    await_projected(bench, stream[:1])


def _records(bench: Bench, stream: Sequence[Submission]) -> list[Any]:
    """The records of these commands, in their order, as the projector is given them."""
    arn = stream_of(bench.situation)
    found: list[Any] = []
    if arn:
        found = stream_records(bench.stack, arn)
    else:
        function = bench.function_name(bench.pattern.workers[-1])
        for one in stream:
            for invocation in bench.interceptor.invocations(function, one.key):
                with suppress(ValueError):
                    found += json.loads(invocation.event).get("Records", [])
    texts = [(json.dumps(record), record) for record in found]
    first = [next((record for text, record in texts if one.key in text), None) for one in stream]
    return [record for record in first if record is not None]


def _enough(bench: Bench, stream: Sequence[Submission], records: Sequence[Any]) -> bool:
    if len(records) < 2:
        bench.undecided(
            f"{len(records)} deliveries of {len(stream)} events were found, too few to change", _keys(stream)
        )
    return len(records) >= 2


def _invoke(bench: Bench, records: Sequence[Any]) -> None:
    """Hand a batch to the projector; it may refuse one that comes before its turn."""
    client = bench.stack.target.client("lambda")
    payload = json.dumps({"Records": list(records)}).encode()
    with suppress(client.exceptions.TooManyRequestsException):
        client.invoke(FunctionName=bench.function_name(bench.pattern.workers[-1]), Payload=payload)
        bench.count("batches_replayed")


def _keys(stream: Sequence[Submission]) -> list[str]:
    return [one.key for one in stream]


def _arns(situation: Situation) -> list[str]:
    return [arn] if (arn := stream_of(situation)) else []


def _commands(situation: Situation) -> int:
    removal = getattr(situation.pattern, "removal", None)
    return 2 * AGGREGATES * COMMANDS + (COMMANDS + 1 if removal is not None else 0)


CQRS_REPLAYS = Provocation(
    name="cqrs-replays",
    provoke=_replay,
    requires=(workers_named, _deliveries_known),
    aims=(Aimed(action="throttle", at=last_worker),),
    uses=(
        Uses(
            actions=("lambda:InvokeFunction",),
            on=lambda situation: [situation.stack.resource(worker).arn for worker in last_worker(situation)],
        ),
        Uses(
            actions=("dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"),
            on=_arns,
        ),
    ),
    commands=_commands,
)
