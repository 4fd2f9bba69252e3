"""Static clauses: what a deployed configuration says, on literal configurations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.checkers.configuration import (
    dead_lettered_in_time,
    functions_bounded,
    outlives_outage,
    queue_processing,
)
from holdfast.stack.configuration import Configuration, FunctionConfiguration, QueueConfiguration
from holdfast.stack.relays import Archive, Relay
from holdfast.stack.resources import Mapping
from holdfast.verdict import Finding

DAY_SECONDS = 86_400
SOURCE, DEAD = "arn:aws:sqs:eu-west-1:123456789012:orders", "arn:aws:sqs:eu-west-1:123456789012:orders-dead"
MAPPING = Mapping(
    uuid="m",
    source_arn=SOURCE,
    function_arn="arn:f",
    enabled=True,
    state="Enabled",
    batch_size=10,
    response_types=("ReportBatchItemFailures",),
    maximum_concurrency=2,
)
QUEUE = QueueConfiguration(
    component="queue",
    arn=SOURCE,
    url="http://queue",
    visibility_seconds=60,
    retention_seconds=4 * DAY_SECONDS,
    dead_letter_arn=DEAD,
    maximum_receives=3,
)
DLQ = QueueConfiguration(
    component="dlq",
    arn=DEAD,
    url="http://dlq",
    visibility_seconds=30,
    retention_seconds=14 * DAY_SECONDS,
    holds_dead_letters=True,
)
WORKER = FunctionConfiguration(component="worker", timeout_seconds=10, mappings=(MAPPING,))
GOOD = Configuration((QUEUE, DLQ), (WORKER,))


def titles(found: tuple[Finding, ...]) -> list[str]:
    """What the findings are called."""
    return [one.title for one in found]


def with_queue(**changes: object) -> Configuration:
    """The good configuration with another source queue."""
    return Configuration((replace(QUEUE, **changes), DLQ), (WORKER,))  # type: ignore[arg-type]


def with_worker(**changes: object) -> Configuration:
    """The good configuration with another worker."""
    return Configuration((QUEUE, DLQ), (replace(WORKER, **changes),))  # type: ignore[arg-type]


def test_a_good_configuration_has_no_findings() -> None:
    """A configuration as AWS recommends it is fault-free for every static clause."""
    assert queue_processing(GOOD, ["worker"]) == ()
    assert outlives_outage(GOOD, DAY_SECONDS) == ()
    assert functions_bounded(GOOD, workers=["worker"], worker_concurrency=2) == ()
    assert dead_lettered_in_time(GOOD) == ()


@pytest.mark.parametrize(
    ("wrong", "title"),
    [
        (with_queue(dead_letter_arn="", maximum_receives=0), "no redrive policy"),
        (Configuration((QUEUE,), (WORKER,), frozenset({DEAD})), "dead-letter queue gone"),
        (Configuration((QUEUE, replace(DLQ, retention_seconds=60)), (WORKER,)), "dead letters expire first"),
        (with_queue(visibility_seconds=59), "visibility timeout too short"),
        (with_worker(mappings=(replace(MAPPING, response_types=()),)), "whole batches fail"),
    ],
)
def test_queue_processing_names_each_fault(wrong: Configuration, title: str) -> None:
    """ES-14 names exactly what is wrong."""
    assert titles(queue_processing(wrong, ["worker"])) == [title]


def test_single_records_need_no_partial_answers() -> None:
    """A batch of one has no neighbours to repeat."""
    alone = with_worker(mappings=(replace(MAPPING, response_types=(), batch_size=1),))
    assert queue_processing(alone, ["worker"]) == ()


STREAM = replace(
    MAPPING,
    source_arn="arn:aws:dynamodb:eu-west-1:123456789012:table/t/stream/1",
    maximum_retry_attempts=3,
    on_failure_arn=DEAD,
)


@pytest.mark.parametrize(
    ("wrong", "title"),
    [
        (with_queue(retention_seconds=DAY_SECONDS - 1), "retention shorter than an outage"),
        (with_queue(dead_letter_arn=""), "no dead-letter queue"),
        (Configuration((QUEUE,), (WORKER,), frozenset({DEAD})), "dead-letter queue gone"),
        (
            with_worker(asynchronous_callers=("s3.amazonaws.com",), event_age_seconds=3600, mappings=(MAPPING,)),
            "events expire in an outage",
        ),
        (with_worker(mappings=(MAPPING, replace(STREAM, on_failure_arn=""))), "no failure destination"),
        (replace(GOOD, relays=(Relay(component="rule", target_arn=SOURCE),)), "no dead-letter queue"),
        (
            replace(
                GOOD,
                relays=(Relay(component="rule", target_arn=SOURCE, dead_letter_arn=DEAD, event_age_seconds=60),),
            ),
            "events expire in an outage",
        ),
        (replace(GOOD, archives=(Archive(component="kept", retention_seconds=60),)), "archive shorter than an outage"),
    ],
)
def test_an_outage_names_each_hop_that_forgets(wrong: Configuration, title: str) -> None:
    """SF-9 names every hop that loses requests in the declared outage."""
    assert titles(outlives_outage(wrong, DAY_SECONDS)) == [title]


def test_an_archive_without_end_outlives_everything() -> None:
    """An archive that keeps events for ever is no finding."""
    kept = replace(GOOD, archives=(Archive(component="kept", retention_seconds=None),))
    assert outlives_outage(kept, 10 * DAY_SECONDS - 1) == outlives_outage(GOOD, 10 * DAY_SECONDS - 1)


def test_an_outage_longer_than_a_stream() -> None:
    """A DynamoDB stream forgets after a day, whatever the mapping says."""
    both = Configuration((QUEUE, DLQ), (replace(WORKER, mappings=(MAPPING, STREAM)),))
    assert titles(outlives_outage(both, DAY_SECONDS)) == []
    assert titles(outlives_outage(both, DAY_SECONDS + 1)) == ["stream shorter than an outage"]


def test_a_queue_for_others_needs_no_dead_letter_queue() -> None:
    """Nothing of the stack takes from it, so nothing of the stack can fail on it."""
    inbox = replace(QUEUE, component="inbox", arn=f"{SOURCE}-inbox", dead_letter_arn="", maximum_receives=0)
    assert outlives_outage(Configuration((QUEUE, DLQ, inbox), (WORKER,)), DAY_SECONDS) == ()


@pytest.mark.parametrize(
    ("wrong", "title"),
    [
        (with_worker(behind_api=True, timeout_seconds=30), "timeout longer than the API's"),
        (with_worker(asynchronous_callers=("sns.amazonaws.com",)), "no failure destination"),
        (with_worker(mappings=(replace(MAPPING, maximum_concurrency=3),)), "no concurrency limit"),
        (with_worker(mappings=(replace(MAPPING, maximum_concurrency=None),)), "no concurrency limit"),
    ],
)
def test_functions_are_bounded(wrong: Configuration, title: str) -> None:
    """XX-2 names exactly what is wrong."""
    assert titles(functions_bounded(wrong, workers=["worker"], worker_concurrency=2)) == [title]


def test_reserved_concurrency_is_a_bound_too() -> None:
    """A limit may stand on the function instead of its mapping."""
    reserved = with_worker(reserved_concurrency=2, mappings=(replace(MAPPING, maximum_concurrency=None),))
    assert functions_bounded(reserved, workers=["worker"], worker_concurrency=2) == ()


@pytest.mark.parametrize(("receives", "late"), [(5759, False), (5760, True)])
def test_a_message_must_not_expire_before_it_is_dead_lettered(receives: int, late: bool) -> None:
    """Deliveries that together last as long as the retention leave nothing for the dead-letter queue (SF-10)."""
    found = dead_lettered_in_time(with_queue(maximum_receives=receives))
    assert titles(found) == (["expires before it is dead-lettered"] if late else [])
