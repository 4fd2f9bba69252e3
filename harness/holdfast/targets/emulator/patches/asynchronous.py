"""Asynchronous invocations are retried, keep their request id, and end in the dead-letter queue as they came.

* Two more attempts after a function error; throttles are retried until the event is too old; with reserved
  concurrency 0 an event goes on at once:
  https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html.
* A dead-letter queue gets the event itself, with the attributes RequestID, ErrorCode and ErrorMessage; an on-failure
  destination gets a record about it:
  https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html.
* EventBridge and SNS invoke asynchronously:
  https://docs.aws.amazon.com/lambda/latest/dg/with-eventbridge-scheduler.html and
  https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html. MiniStack invokes once and forgets failures.

One difference from AWS stays, and is meant: the waits between attempts are seconds, not minutes.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ministack.core.concurrency import spawn_background
from ministack.services import eventbridge, lambda_svc, sns, sqs

from holdfast.targets.emulator.interception import REQUEST_ID
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches import queue_store

_LONGEST_AGE_SECONDS = 21_600
Function = dict[str, Any]


def apply() -> None:
    """Replace the asynchronous path and lead EventBridge and SNS to it."""
    require(lambda_svc.invoke_async_with_retry, "289fe4d3cbd4", "lambda_svc.invoke_async_with_retry")
    require(eventbridge._dispatch_to_lambda, "1f95adbaed3a", "eventbridge._dispatch_to_lambda")
    require(sns._deliver_to_lambda, "aa6b8a8c312e", "sns._deliver_to_lambda")
    lambda_svc.invoke_async_with_retry = invoke
    eventbridge._dispatch_to_lambda = _from_eventbridge
    sns._deliver_to_lambda = _from_sns


def invoke(func: Function, event: Any) -> None:
    """Accept an event; see ``lambda_svc.invoke_async_with_retry``."""
    spawn_background(_deliver, func, event, thread_name="holdfast-async")


def _deliver(func: Function, event: Any) -> None:
    config = func.get("config") or func
    if lambda_svc._function_config_scope_mismatch(config):
        lambda_svc._run_with_function_config_scope(config, _deliver, func, event)
        return
    settings = func.get("event_invoke_config") or (func.get("event_invoke_configs") or {}).get("$LATEST") or {}
    retries = settings.get("MaximumRetryAttempts")
    retries = 2 if retries is None else int(retries)
    end = time.time() + int(settings.get("MaximumEventAgeInSeconds") or _LONGEST_AGE_SECONDS)
    request_id = lambda_svc.new_uuid()
    REQUEST_ID.set(request_id)
    failures = 0
    pause = float(lambda_svc._LAMBDA_ASYNC_RETRY_BASE_SECONDS)
    while True:
        current, _, _ = lambda_svc._get_func_record_for_ref(config.get("FunctionArn", ""))
        func = {**func, "concurrency": (current or func).get("concurrency")}
        result = lambda_svc._execute_function(func, event)
        if not result.get("error"):
            return
        if result.get("throttle"):
            if lambda_svc._reserved_concurrency(func, config) == 0:
                break
        else:
            failures += 1
            if failures > retries:
                break
        if time.time() + pause > end:
            break
        time.sleep(pause)
        pause = min(pause * 2, lambda_svc._LAMBDA_ASYNC_RETRY_MAX_SECONDS)
    destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if destination:
        lambda_svc._route_async_failure(destination, config.get("FunctionName", ""), event, result)
    dead_letters = (config.get("DeadLetterConfig") or {}).get("TargetArn")
    if dead_letters:
        _to_dead_letters(dead_letters, event, request_id, result)


def _to_dead_letters(arn: str, event: Any, request_id: str, result: dict[str, Any]) -> None:
    answer = result.get("body")
    message = (
        str(answer.get("errorMessage") or answer.get("message") or "") if isinstance(answer, dict) else str(answer)
    )
    attributes = {
        "RequestID": {"DataType": "String", "StringValue": request_id},
        "ErrorCode": {"DataType": "Number", "StringValue": "429" if result.get("throttle") else "200"},
        "ErrorMessage": {"DataType": "String", "StringValue": message[:1024] or "none"},
    }
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    queue = sqs._queue_by_arn(arn)
    if queue is not None:
        queue_store.deliver(queue, body, attributes)
    elif arn in sns._topics:
        sns._fanout(arn, lambda_svc.new_uuid(), body, "", "", attributes)


def _invoke_ref(reference: str, event: Any) -> None:
    func, config, _ = lambda_svc._get_func_record_for_ref(reference)
    if func and config:
        invoke(lambda_svc._execution_record_for_config(func, config), event)


def _from_eventbridge(arn: str, payload: str) -> None:
    try:
        event = json.loads(payload)
    except (TypeError, ValueError):
        event = {"body": payload}
    _invoke_ref(arn, event)


def _from_sns(endpoint: str, envelope: str, _topic: str, subscription: str, *_: Any) -> None:
    record = {
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription,
        "EventSource": "aws:sns",
        "Sns": json.loads(envelope),
    }
    _invoke_ref(endpoint, {"Records": [record]})
