"""What provocations and clauses of logs and read models need, and which faults they open: pure functions."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench_rig import pretended_bench
from holdfast.checkers import streams
from holdfast.clause import clause_of
from holdfast.history.recorder import Recorder
from holdfast.levers.invocation import InvocationFault
from holdfast.provocations import cqrs_hooks, cqrs_replays
from holdfast.provocations.bench import Bench
from holdfast.provocations.cqrs_load import CQRS_LOAD, CQRS_RACES, CQRS_SESSIONS
from holdfast.provocations.cqrs_replays import CQRS_REPLAYS, stream_of
from holdfast.provocations.cqrs_runs import aggregate_of, aggregates_of, fold_of, on_one_aggregate, one_of_each
from holdfast.provocations.cqrs_sides import READ_SIDE_DEAD, READ_STORE_SLOW, WRITE_SIDE_DEAD, WRITE_STORE_SLOW
from holdfast.provocations.faults import levers_of, requirements_of
from holdfast.provocations.model import Window
from holdfast.provocations.requirements import Situation, unmet
from holdfast.provocations.windows import STORAGE_THROTTLED
from holdfast.stack.configuration import Configuration, FunctionConfiguration, StreamConfiguration
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import CqrsPattern
from holdfast.stack.resolve import Stack
from holdfast.stack.resources import Mapping
from holdfast.targets.capabilities import EMBEDDED
from holdfast_fixtures.catalogue import reference_stacks
from holdfast_suites import test_cqrs as suite

ACCOUNTS = next(one for one in reference_stacks() if one.name == "accounts")
STREAM = "arn:aws:dynamodb:eu-west-1:123456789012:table/events/stream/1"
KINESIS = "arn:aws:kinesis:eu-west-1:123456789012:stream/events"


def mapping(**more: Any) -> Mapping:
    """A stream mapping that is configured as it should be."""
    given: dict[str, Any] = {
        "uuid": "u",
        "source_arn": STREAM,
        "function_arn": "arn:f",
        "enabled": True,
        "state": "Enabled",
        "batch_size": 10,
        "maximum_retry_attempts": 12,
        "maximum_record_age_seconds": 79_200,
        "on_failure_arn": "arn:dlq",
    }
    return Mapping(**{**given, **more})


def configuration(*mappings: Mapping, **more: Any) -> Configuration:
    """The configuration of a projector with these mappings."""
    projector = FunctionConfiguration(component="projector", timeout_seconds=3, mappings=mappings)
    return Configuration((), (projector,), **more)


def situation(*mappings: Mapping, interceptor: bool = True, **pattern: Any) -> Situation:
    """The reference stack, its pattern changed."""
    descriptor = load_descriptor(ACCOUNTS.descriptor, {})
    target = SimpleNamespace(
        kind="embedded", interceptor=object() if interceptor else None, supports=EMBEDDED.__getitem__
    )

    def resource(name: str) -> Any:
        kind = descriptor.components[name].type
        return SimpleNamespace(name=f"stack-{name}", arn=f"arn:aws:x:{name}", type=kind, role=f"arn:role:{name}")

    stack = SimpleNamespace(
        descriptor=descriptor,
        path=ACCOUNTS.descriptor,
        target=target,
        resource=resource,
        mappings=lambda name: (mapping(),) if name == "projector" else (),
    )
    changed = descriptor.patterns["cqrs"].model_copy(update=pattern)
    return Situation(
        stack=cast("Stack", stack), pattern=changed, configuration=configuration(*(mappings or (mapping(),)))
    )


def bench(there: Situation) -> Bench:
    """A bench that draws and sends nothing."""
    return pretended_bench(there, Recorder())


def test_commands_on_one_aggregate_share_it_and_nothing_else() -> None:
    """Keys and values are each command's own; the next group is another aggregate."""
    there = bench(situation())
    first, second = on_one_aggregate(there, 3), on_one_aggregate(there, 2)
    names = {aggregate_of(there.pattern, one) for one in first}
    assert len(names) == 1
    assert names != {aggregate_of(there.pattern, one) for one in second}
    assert len({one.key for one in (*first, *second)}) == 5
    assert one_of_each(there.pattern, [*first, *second]) == [first[0], second[0]]
    assert set(aggregates_of(there.pattern, first)) == {one.key for one in first}


def test_a_command_of_another_port_is_about_the_same_aggregate() -> None:
    """It has a key of its own; ports can be read with it, and its effect is looked for only when it counts."""
    there = bench(situation())
    (first,) = on_one_aggregate(there, 1)
    hook = there.other("take_snapshot", first)
    removal = there.other("close", first, counted=True)
    assert aggregate_of(there.pattern, hook) == aggregate_of(there.pattern, first)
    assert set(first.fields) <= set(hook.fields)
    assert there.keys() == (first.key, removal.key)
    assert len({first.key, hook.key, removal.key}) == 3


def test_the_fold_of_the_reference_stack() -> None:
    """The removal ends the state."""
    fold = fold_of(situation())
    deposit = {"amount": 5, "note": "n", "tag": "food", "type": "deposited"}
    assert fold([deposit]) == {"balance": 5, "entries": 1, "last": "n", "tags": ["food"]}
    assert fold([deposit, {"amount": -5, "type": "closed"}]) is None


def test_each_side_dies_alone() -> None:
    """The read side: projectors detached, throttled and denied; the write side: throttled, its store denied to all."""
    there = situation()
    reads = [(lever.name, lever.component) for lever in levers_of(Window.READ_SIDE_DEAD, there, "run")]
    writes = [(lever.name, lever.component) for lever in levers_of(Window.WRITE_SIDE_DEAD, there, "run")]
    denied = [("role-deny", role) for role in cast("CqrsPattern", there.pattern).read_roles]
    assert ("role-deny", "query_role") in denied
    assert reads == [("mapping-disable", "projector"), ("function-throttle", "projector"), *denied]
    others = [one for one in denied if one[1] != "command_role"]
    assert writes == [("function-throttle", "commands"), ("role-deny", "command_role"), *others]


@pytest.mark.parametrize(
    ("window", "store", "does"),
    [
        (Window.READ_STORE_SLOW, "balances", ("delay", "", 1.0)),
        (Window.WRITE_STORE_SLOW, "events", ("delay", "", 1.0)),
        (Window.STORAGE_THROTTLED, "events", ("refuse", "ThrottlingException", 0.5)),
    ],
)
def test_a_store_is_slow_or_throttled_for_functions_alone(window: Window, store: str, does: Any) -> None:
    """Every call of a function about it is met, or every other; the harness reads the truth undisturbed."""
    there = situation()
    (lever,) = levers_of(window, there, "run")
    assert isinstance(lever, InvocationFault)
    rule = lever.rule
    assert (lever.component, rule.resource, rule.point, rule.caller) == (store, f"stack-{store}", "call", "function")
    assert (rule.key, rule.function, rule.times) == ("", "", 0)
    assert (rule.action, rule.error, rule.probability) == does
    if rule.action == "delay":
        assert there.stack.descriptor.bounds.acknowledgement_floor_seconds < rule.delay_seconds < 2.0


@pytest.mark.parametrize(
    ("provocation", "changes", "told"),
    [
        (CQRS_LOAD, {}, ""),
        (CQRS_SESSIONS, {}, ""),
        (CQRS_RACES, {"ingest": []}, ""),
        (CQRS_REPLAYS, {}, ""),
        (CQRS_REPLAYS, {"workers": []}, "names no workers"),
        (READ_SIDE_DEAD, {}, ""),
        (READ_SIDE_DEAD, {"workers": []}, "names no workers"),
        (READ_STORE_SLOW, {}, ""),
        (READ_STORE_SLOW, {"read_store": None}, "names no component that holds the view"),
        (WRITE_STORE_SLOW, {}, ""),
        (WRITE_STORE_SLOW, {"store": None}, "names no store"),
        (STORAGE_THROTTLED, {}, ""),
        (STORAGE_THROTTLED, {"store": None}, "names no store"),
        (WRITE_SIDE_DEAD, {}, ""),
        (WRITE_SIDE_DEAD, {"ingest": []}, ""),
        (WRITE_SIDE_DEAD, {"ingest": [], "storage_roles": []}, "names neither the write side's functions"),
        (cqrs_hooks.CQRS_REBUILD, {"rebuild": None}, "names no rebuild"),
        (cqrs_hooks.CQRS_SNAPSHOTS, {"snapshot": None}, "names no snapshot"),
    ],
)
def test_a_reason_is_given_where_something_cannot_be_provoked(provocation: Any, changes: Any, told: str) -> None:
    """Each requirement is met by the reference stack, and told in one sentence where it is not."""
    missing = "; ".join(unmet(requirements_of(provocation), situation(**changes)))
    assert (told in missing) if told else not missing
    assert provocation.commands(situation(**changes)) > 0


def test_deliveries_are_repeated_from_the_stream_or_from_what_was_seen() -> None:
    """Without a DynamoDB stream an interceptor must see them."""
    queue = mapping(source_arn="arn:aws:sqs:eu-west-1:123456789012:events")
    assert stream_of(situation()) == STREAM
    assert stream_of(situation(queue)) == ""
    assert unmet(CQRS_REPLAYS.requires, situation(queue)) == ()
    (told,) = unmet(CQRS_REPLAYS.requires, situation(queue, interceptor=False))
    assert told.startswith("the projector is fed by no DynamoDB stream")
    assert unmet(CQRS_REPLAYS.requires, situation(interceptor=False)) == ()


def test_the_stream_is_read_with_permissions_of_its_own() -> None:
    """A least-privilege policy names the stream, where there is one."""
    there = situation()
    assert [use.on(there) for use in CQRS_REPLAYS.uses] == [["arn:aws:x:projector"], [STREAM]]
    assert cqrs_replays.CQRS_REPLAYS.uses[1].on(situation(mapping(source_arn="arn:aws:sqs:x:1:q"))) == []


OUTAGE = 64_800.0


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"maximum_retry_attempts": -1, "maximum_record_age_seconds": -1}, ["retries without bound"]),
        ({"maximum_retry_attempts": None, "maximum_record_age_seconds": None}, ["retries without bound"]),
        ({"maximum_retry_attempts": -1}, []),
        ({"maximum_record_age_seconds": 60}, ["given up in an outage"]),
        ({"maximum_record_age_seconds": -1}, []),
        ({"source_arn": "arn:aws:sqs:eu-west-1:123456789012:q", "maximum_retry_attempts": None}, []),
    ],
)
def test_stream_mappings_are_bounded_and_give_nothing_up_in_an_outage(changed: Any, expected: list[str]) -> None:
    """Retries or age bound what cannot be projected; the age must outlive the outage."""
    found = streams.bounded(configuration(mapping(**changed)), ["projector"], OUTAGE)
    assert [one.title for one in found] == expected


def test_a_kinesis_stream_keeps_records_as_long_as_it_says() -> None:
    """Too short is a finding; a stream that the descriptor does not name is undecided."""
    fed = mapping(source_arn=KINESIS)
    short = StreamConfiguration(component="events", arn=KINESIS, retention_seconds=3600)
    (found,) = streams.bounded(configuration(fed, streams=(short,)), ["projector"], OUTAGE)
    assert found.title == "stream shorter than an outage"
    long = replace(short, retention_seconds=86_400)
    assert streams.bounded(configuration(fed, streams=(long,)), ["projector"], OUTAGE) == ()
    assert streams.unknown(configuration(fed, streams=(long,)), ["projector"]) == ()
    assert len(streams.unknown(configuration(fed), ["projector"])) == 1
    assert streams.bounded(configuration(fed), ["projector"], OUTAGE) == ()


def test_the_suite_has_every_clause_of_the_contract() -> None:
    """CQ-1 to CQ-11, each once, in order."""
    found = [clause_of(value) for value in vars(suite).values()]
    assert [one.id for one in found if one is not None] == [f"CQ-{number}" for number in range(1, 12)]
