"""An event source mapping of a queue behaves as Lambda's pollers do.

* A failed batch comes back when its visibility timeout ends, not when a poll happens to pass.
* Pollers ignore reserved concurrency: they receive, retry a *throttled* batch until its visibility timeout ends, then
  let it go; the receive count has risen, so a function at concurrency 0 ends messages in the dead-letter queue.
* A batch is sent when it is full or its batching window has passed.
* ``batchItemFailures`` that is no list, or that names an unknown or empty id, fails the whole batch.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html (backoff strategy for failed invocations;
success and failure conditions), https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html (batch size
and window) and https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html.

The poller's own ReceiveMessage, Invoke and DeleteMessage are calls of the mapping, under the interceptor's rules and in
its record: a refused receive gives the messages back, one whose answer is lost leaves them hidden, a refused or
lost delete has them delivered again or not; an invocation that Lambda refuses is tried again as a throttled one is.

Deliveries at which a fault is aimed travel alone, so that the fault harms no neighbour; AWS promises nothing about
the composition of a batch, and the order of a message group stays as it is.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

from ministack.services import lambda_svc, sqs

from holdfast.targets.emulator.dispatch import CallFailedError, aimed_keys, call, handling, invoke
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches import queue_store
from holdfast.targets.emulator.patches.mappings import Mapping, mappings
from holdfast.targets.interceptor.tracing import Invocation

_THROTTLE_PAUSE_SECONDS = 0.1
_LONGEST_THROTTLE_PAUSE_SECONDS = 1.0
_REFUSED_PAUSE_SECONDS = 0.2
Message = dict[str, Any]


def apply() -> None:
    """Replace the poller of queues."""
    require(lambda_svc._poll_sqs, "e438a6a1e094", "lambda_svc._poll_sqs")
    require(lambda_svc._run_sqs_batch, "f9bf630aabf3", "lambda_svc._run_sqs_batch")
    require(sqs._receive_messages_for_esm, "f230dbcd4974", "sqs._receive_messages_for_esm")
    lambda_svc._poll_sqs = poll


def poll() -> bool:
    """Give each mapping that has room one batch; whether any got one."""
    busy = False
    for mapping in mappings("sqs"):
        with mapping.scope():
            queue = sqs._queue_by_arn(mapping.source)
            if queue is not None and lambda_svc._esm_inflight.get(mapping.id, 0) < _most_batches(mapping, queue):
                busy = _start_batch(mapping, queue) or busy
    return busy


def seconds_until_due() -> float | None:
    """How long until a hidden message of a mapped queue becomes visible; None when there is none."""
    now = time.time()
    due: list[float] = []
    for mapping in mappings("sqs"):
        with mapping.scope():
            queue = sqs._queue_by_arn(mapping.source)
            if queue is not None and lambda_svc._esm_inflight.get(mapping.id, 0) < _most_batches(mapping, queue):
                due.extend(message["visible_at"] for message in tuple(queue["messages"]) if message["visible_at"] > now)
                waiting = _deliverable(queue, now)
                if waiting and _window_end(mapping, waiting) > now:
                    due.append(_window_end(mapping, waiting))
    return max(0.0, min(due) - now) if due else None


def _most_batches(mapping: Mapping, queue: dict[str, Any]) -> int:
    if queue["is_fifo"]:
        return 1
    limit = (mapping.record.get("ScalingConfig") or {}).get("MaximumConcurrency")
    return int(limit or lambda_svc._ESM_SQS_DEFAULT_CONCURRENCY)


def _start_batch(mapping: Mapping, queue: dict[str, Any]) -> bool:
    batch = _receive(mapping, queue)
    if not batch:
        return False
    records = [_record(message, mapping.source) for message in batch]
    wanted = lambda_svc._apply_filter_criteria(records, mapping.record)
    kept = {record["messageId"] for record in wanted}
    unwanted = {message["receipt_handle"] for message in batch if message["id"] not in kept}
    if unwanted:  # a filtered message is deleted: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
        queue_store.delete_received(queue["url"], unwanted)
    if wanted:
        batch = [message for message in batch if message["id"] in kept]
        lambda_svc._dispatch_esm_batch(mapping.id, _run_batch, mapping, wanted, batch, queue["url"])
    return True


def _receive(mapping: Mapping, queue: dict[str, Any]) -> list[Message]:
    """Receive a batch; what a rule is aimed at comes alone."""
    keys = aimed_keys(mapping.function, mapping.id)
    with queue_store.LOCK:
        sqs._expire_retained(queue)
        sqs._dlq_sweep(queue)
        now = time.time()
        waiting = _deliverable(queue, now)
        size = _size(mapping, queue)
        if not waiting or (len(waiting) < size and _window_end(mapping, waiting) > now):
            return []
        hidden_seconds = int(queue["attributes"].get("VisibilityTimeout", "30"))
        chosen: list[Message] = []
        for message in waiting:
            sqs._ensure_msg_fields(message)
            aimed = bool(keys) and _is_aimed(message, mapping.source, keys)
            if aimed and chosen:
                if queue["is_fifo"]:
                    break  # nothing of its group may overtake it
                continue
            chosen.append(message)
            if aimed or len(chosen) >= size:
                break
        for message in chosen:
            message["receipt_handle"] = sqs.new_uuid()
            message["visible_at"] = now + hidden_seconds
            message["receive_count"] += 1
            if message.get("first_receive_at") is None:
                message["first_receive_at"] = now
        return chosen


def _size(mapping: Mapping, queue: dict[str, Any]) -> int:
    size = int(mapping.record.get("BatchSize") or 10)
    return min(size, 10) if queue["is_fifo"] else size


def _window_end(mapping: Mapping, waiting: list[Message]) -> float:
    """When the mapping stops waiting for a full batch, seconds since the epoch."""
    window: float = mapping.record.get("MaximumBatchingWindowInSeconds") or 0
    return float(min(message["visible_at"] for message in waiting) + window)


def _deliverable(queue: dict[str, Any], now: float) -> list[Message]:
    """Visible messages, in order; of a FIFO queue only those of groups with nothing in flight."""
    messages = tuple(queue["messages"])
    if not queue["is_fifo"]:
        return [message for message in messages if message["visible_at"] <= now]
    blocked = {one.get("group_id") or "" for one in messages if one["visible_at"] > now and one["receive_count"]}
    open_ones = []
    for message in messages:
        group = message.get("group_id") or ""
        if message["visible_at"] > now:
            blocked.add(group)  # delayed: the rest of its group waits behind it
        elif group not in blocked:
            open_ones.append(message)
    return open_ones


def _is_aimed(message: Message, source: str, keys: tuple[str, ...]) -> bool:
    text = json.dumps(_record(message, source), ensure_ascii=False)
    return any(key in text for key in keys)


def _record(message: Message, source: str) -> dict[str, Any]:
    """A message as the function sees it: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html."""
    attributes = {
        "ApproximateReceiveCount": str(message.get("receive_count", 1)),
        "SentTimestamp": str(int(message["sent_at"] * 1000)),
        "SenderId": message.get("sys", {}).get("SenderId") or sqs.get_account_id(),
        "ApproximateFirstReceiveTimestamp": str(int((message.get("first_receive_at") or time.time()) * 1000)),
    }
    for name, value in (
        ("AWSTraceHeader", message.get("sys", {}).get("AWSTraceHeader")),
        ("MessageGroupId", message.get("group_id")),
        ("MessageDeduplicationId", message.get("dedup_id")),
        ("SequenceNumber", message.get("seq")),
    ):
        if value:
            attributes[name] = str(value)
    return {
        "messageId": message["id"],
        "receiptHandle": message["receipt_handle"],
        "body": message["body"],
        "attributes": attributes,
        "messageAttributes": lambda_svc._sqs_message_attributes_to_camel_case(message.get("message_attributes", {})),
        "md5OfBody": message.get("md5_body") or message.get("md5") or "",
        "eventSource": "aws:sqs",
        "eventSourceARN": source,
        "awsRegion": sqs.get_region(),
    }


def _run_batch(mapping: Mapping, records: list[dict[str, Any]], batch: list[Message], queue_url: str) -> None:
    with handling(mapping.id, json.dumps({"Records": records}, ensure_ascii=False)) as handled:
        received: list[bool] = []
        try:
            call(handled, "sqs", "ReceiveMessage", lambda: received.append(True), about=(queue_url,))
        except CallFailedError as failure:
            if not failure.lost:
                time.sleep(_REFUSED_PAUSE_SECONDS)
                _give_back(batch)
            return
        for _ in received:  # received twice, it is delivered twice
            _deliver(handled, mapping, records, batch, queue_url)


def _give_back(batch: list[Message]) -> None:
    """What was not received is in the queue as it was."""
    with queue_store.LOCK:
        for message in batch:
            message["visible_at"] = time.time()
            message["receive_count"] -= 1
    sqs.esm_wake.set()


def _deliver(
    handled: Invocation, mapping: Mapping, records: list[dict[str, Any]], batch: list[Message], queue_url: str
) -> None:
    visible_at = min(message["visible_at"] for message in batch)
    pause = _THROTTLE_PAUSE_SECONDS
    result = invoke(handled, mapping.target, {"Records": records})
    while result.get("throttle") and time.time() + pause < visible_at:
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_THROTTLE_PAUSE_SECONDS)
        result = invoke(handled, mapping.target_now(), {"Records": records})
    if result.get("error"):
        handled.failed = True
        mapping.record["LastProcessingResult"] = "FAILED"
        return
    failed = set()
    if "ReportBatchItemFailures" in (mapping.record.get("FunctionResponseTypes") or []):
        failed = failed_items(result.get("body"), {message["id"] for message in batch})
    done = {message["receipt_handle"] for message in batch if message["id"] not in failed}
    if done:
        with suppress(CallFailedError):  # what is not deleted comes back
            call(
                handled,
                "sqs",
                "DeleteMessage",
                lambda: queue_store.delete_received(queue_url, done),
                about=(queue_url,),
            )
    mapping.record["LastProcessingResult"] = f"OK - {len(done)} records"


def failed_items(answer: Any, known: set[str]) -> set[str]:
    """The ids that a partial batch response names; all of them when it is not understood."""
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except ValueError:
            return known
    if answer is None:
        return set()
    if not isinstance(answer, dict):
        return known
    items = answer.get("batchItemFailures") or []
    if not isinstance(items, list):
        return known
    failed = set()
    for item in items:
        name = item.get("itemIdentifier") if isinstance(item, dict) else None
        if name not in known:
            return known
        failed.add(name)
    return failed
