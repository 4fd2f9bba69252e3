"""The event source mapping of a DynamoDB stream bounds its retries, splits batches and sends failures on.

``MaximumRetryAttempts``, ``BisectBatchOnFunctionError`` (a split is no retry), ``MaximumRecordAgeInSeconds``,
``ReportBatchItemFailures`` (the lowest failed sequence number is where it goes on) and the on-failure destination:
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html and
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html. A throttle is no attempt. Each
batch runs in a thread of its own: a slow handler must not stall other mappings, as MiniStack's poller thread does.

GetRecords, Invoke and the sending on of failures are calls of the mapping, under the interceptor's rules and in its
record; a read that fails is made again, and a failure that cannot be sent on is lost, as on AWS, which counts it
(``DestinationDeliveryFailures``): https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html.

A record at which a fault is aimed travels alone; the order of the shard stays as it is.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ministack.core.arn import parse_arn
from ministack.services import dynamodb, lambda_svc

from holdfast.targets.emulator.dispatch import CallFailedError, aimed_keys, call, handling, invoke
from holdfast.targets.emulator.interception import TRACER
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches.mappings import Mapping, mappings
from holdfast.targets.interceptor.tracing import Invocation

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
Record = dict[str, Any]


@dataclass(slots=True)
class _Retry:
    """The batch that a shard is stuck at.

    Attributes:
        position: place of its first record in the stream.
        size: how many records it has.
        attempts: how often the function failed on it.
        not_before: earliest next try, seconds since the epoch.
        pause: how long the next wait is, in seconds.
    """

    position: int
    size: int
    attempts: int = 0
    not_before: float = 0.0
    pause: float = _FIRST_PAUSE_SECONDS


_RETRIES: dict[str, _Retry] = {}


def apply() -> None:
    """Replace the poller of DynamoDB streams."""
    require(lambda_svc._poll_dynamodb_streams, "2b2460e933a9", "lambda_svc._poll_dynamodb_streams")
    require(lambda_svc._send_ddb_stream_failure_record, "0efd5f5ffe2d", "lambda_svc._send_ddb_stream_failure_record")
    lambda_svc._poll_dynamodb_streams = poll
    TRACER.also_open.append(waiting)


def poll() -> bool:
    """Give each idle mapping its next batch; whether any got one."""
    busy = False
    for mapping in mappings("dynamodb"):
        retry = _RETRIES.get(mapping.id)
        if lambda_svc._esm_inflight.get(mapping.id, 0) or (retry and retry.not_before > time.time()):
            continue
        with mapping.scope():
            busy = _start_batch(mapping, retry) or busy
    return busy


def waiting() -> int:
    """How many mappings wait to try a batch again: they are not at rest, although nothing runs."""
    return sum(mapping.id in _RETRIES for mapping in mappings("dynamodb"))


def seconds_until_due() -> float | None:
    """How long until the next retry; None when none waits."""
    now = time.time()
    due = [retry.not_before for retry in tuple(_RETRIES.values()) if retry.not_before > now]
    return min(due) - now if due else None


def _start_batch(mapping: Mapping, retry: _Retry | None) -> bool:
    named = lambda_svc._dynamodb_stream_table_from_arn_spec(parse_arn(mapping.source))
    if named is None:
        return False
    table = named[0]
    description = dynamodb._tables.get(table)
    if not description or description.get("LatestStreamArn") != mapping.source:
        return False
    position = _position(mapping, table)
    size = int(mapping.record.get("BatchSize") or 100)
    if retry is not None and retry.position == position:
        size = retry.size
    records = _up_to_aimed(mapping, dynamodb.stream_records_since(table, position, size))
    if not records:
        return False
    wanted = lambda_svc._apply_filter_criteria(records, mapping.record)
    if wanted:
        lambda_svc._dispatch_esm_batch(mapping.id, _run_batch, mapping, position, records, wanted)
    else:
        _advance(mapping, position + len(records))
    return True


def _position(mapping: Mapping, table: str) -> int:
    """Where the mapping stands; records that have expired are passed over."""
    horizon: int = dynamodb.stream_start_position(table)
    with lambda_svc._dynamodb_stream_positions_lock:
        positions = lambda_svc._dynamodb_stream_positions
        if mapping.id not in positions:
            latest = mapping.record.get("StartingPosition", "LATEST") != "TRIM_HORIZON"
            positions[mapping.id] = dynamodb.stream_end_position(table) if latest else horizon
        positions[mapping.id] = max(positions[mapping.id], horizon)
        return int(positions[mapping.id])


def _advance(mapping: Mapping, position: int) -> None:
    with mapping.scope(), lambda_svc._dynamodb_stream_positions_lock:
        lambda_svc._dynamodb_stream_positions[mapping.id] = position


def _up_to_aimed(mapping: Mapping, records: list[Record]) -> list[Record]:
    """The records before the first that a rule is aimed at, or that one alone."""
    keys = aimed_keys(mapping.function, mapping.id)
    if not keys:
        return records
    for at, record in enumerate(records):
        text = json.dumps(record, ensure_ascii=False)
        if any(key in text for key in keys):
            return records[: max(at, 1)]
    return records


def _run_batch(mapping: Mapping, position: int, records: list[Record], wanted: list[Record]) -> None:
    with handling(mapping.id, json.dumps({"Records": wanted}, ensure_ascii=False)) as handled:
        try:
            call(handled, "dynamodb", "GetRecords", lambda: None, about=(mapping.source,))
        except CallFailedError:
            _wait(_retry(mapping, position, len(records)))
            return
        _deliver(handled, mapping, position, records, wanted)


def _deliver(handled: Invocation, mapping: Mapping, position: int, records: list[Record], wanted: list[Record]) -> None:
    result = invoke(handled, mapping.target_now(), {"Records": wanted})
    failed_at = _first_failed(mapping, records, result)
    if failed_at is None:
        _RETRIES.pop(mapping.id, None)
        _advance(mapping, position + len(records))
        mapping.record["LastProcessingResult"] = f"OK - {len(wanted)} records"
        return
    handled.failed = True
    mapping.record["LastProcessingResult"] = "FAILED"
    if failed_at:
        position, records = position + failed_at, records[failed_at:]
        _advance(mapping, position)
    _decide(handled, mapping, _retry(mapping, position, len(records)), records, result)


def _retry(mapping: Mapping, position: int, size: int) -> _Retry:
    """The retry of the batch at a position."""
    retry = _RETRIES.get(mapping.id)
    if retry is None or retry.position != position:
        retry = _RETRIES[mapping.id] = _Retry(position, size)
    retry.size = size
    return retry


def _wait(retry: _Retry) -> None:
    retry.not_before = time.time() + retry.pause
    retry.pause = min(retry.pause * 2, _LONGEST_PAUSE_SECONDS)


def _decide(
    handled: Invocation, mapping: Mapping, retry: _Retry, records: list[Record], result: dict[str, Any]
) -> None:
    """Retry, split, or give a failed batch up."""
    oldest = min(float(record["dynamodb"].get("ApproximateCreationDateTime", time.time())) for record in records)
    most_seconds = int(mapping.record.get("MaximumRecordAgeInSeconds") or -1)
    most_attempts = mapping.record.get("MaximumRetryAttempts")
    most_attempts = -1 if most_attempts is None else int(most_attempts)
    if 0 < most_seconds < time.time() - oldest:
        _give_up(handled, mapping, retry, records, result, "MaxRecordAgeExceeded")
        return
    if not result.get("throttle"):
        if mapping.record.get("BisectBatchOnFunctionError") and len(records) > 1 and result.get("error"):
            retry.size = len(records) // 2
            return
        retry.attempts += 1
        if 0 <= most_attempts < retry.attempts:
            _give_up(handled, mapping, retry, records, result, "RetryAttemptsExhausted")
            return
    _wait(retry)


def _give_up(  # noqa: PLR0917 - what a failure record tells
    handled: Invocation,
    mapping: Mapping,
    retry: _Retry,
    records: list[Record],
    result: dict[str, Any],
    condition: str,
) -> None:
    destination = ((mapping.record.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination", "")
    service, operation = ("sns", "Publish") if ":sns:" in destination else ("sqs", "SendMessage")

    def send_on() -> None:
        with mapping.scope():
            lambda_svc._send_ddb_stream_failure_record(
                mapping.record, mapping.target, records, mapping.source, result, condition
            )

    if destination:
        with suppress(CallFailedError):
            call(handled, service, operation, send_on, about=(destination,))
    _RETRIES.pop(mapping.id, None)
    _advance(mapping, retry.position + len(records))


def _first_failed(mapping: Mapping, records: list[Record], result: dict[str, Any]) -> int | None:
    """Index of the first record that is to be delivered again; None when all are done."""
    if result.get("error"):
        return 0
    if "ReportBatchItemFailures" not in (mapping.record.get("FunctionResponseTypes") or []):
        return None
    answer = result.get("body")
    if answer is None:
        return None
    items = answer.get("batchItemFailures") or [] if isinstance(answer, dict) else None
    if not isinstance(items, list):
        return 0
    places = {str(record["dynamodb"]["SequenceNumber"]): at for at, record in enumerate(records)}
    found = [places.get(str(item.get("itemIdentifier"))) if isinstance(item, dict) else None for item in items]
    known = [at for at in found if at is not None]
    if len(known) != len(found):
        return 0
    return min(known, default=None)
