"""Every invocation passes here: it is traced, aimed faults act on it, and asynchronous retries keep their request id.

AWS keeps one request id over the attempts of an asynchronous invocation: "Lambda ... retries ... with the same request
ID" (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html and
https://repost.aws/knowledge-center/lambda-function-duplicate-invocations). MiniStack gives each attempt a new one.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ministack.services import lambda_svc

from holdfast.targets.base import Rule
from holdfast.targets.emulator.interception import CURRENT, REQUEST_ID, RULES, TRACER
from holdfast.targets.emulator.known import require
from holdfast.targets.interceptor.tracing import Invocation

Result = dict[str, Any]


def apply() -> None:
    """Replace the entrance of all executors."""
    require(lambda_svc._execute_function, "3ceb16d6480a", "lambda_svc._execute_function")
    lambda_svc._execute_function = execute_function


def execute_function(func: dict[str, Any], event: Any) -> Result:
    """Run one invocation, whatever its source; see ``lambda_svc._execute_function``."""
    config = func.get("config") or func
    if lambda_svc._function_config_scope_mismatch(config):
        return dict(lambda_svc._run_with_function_config_scope(config, execute_function, func, event))
    name = config.get("FunctionName", "unknown")
    request_id = REQUEST_ID.get() or lambda_svc.new_uuid()
    invocation = TRACER.begin(name, request_id, json.dumps(event, ensure_ascii=False))
    token = CURRENT.set(invocation)
    try:
        result = _run(func, config, event, invocation)
        invocation.failed = bool(result.get("error"))
    except BaseException:
        invocation.failed = True
        raise
    finally:
        invocation.ended_seconds = time.time()
        CURRENT.reset(token)
    return result


def _run(func: dict[str, Any], config: dict[str, Any], event: Any, invocation: Invocation) -> Result:
    rules = RULES.claim_invocation(invocation.function, invocation.event)
    for rule in rules:
        if rule.action == "throttle":
            RULES.hit(rule)
            return _at_limit(invocation, "function")
    slot, limit = lambda_svc._acquire_execution_slot(func, config)
    if slot is None:
        for rule in rules:
            RULES.release(rule)
        return _at_limit(invocation, limit)
    try:
        invocation.kill = tuple(rule for rule in rules if rule.action == "kill")
        started = time.time()
        failed = _faults(rules, "before", invocation)
        if failed is not None:
            return failed
        result: Result = lambda_svc._execute_function_dispatch(func, config, event, invocation.request_id, started)
        return _faults(rules, "after", invocation) or result
    finally:
        lambda_svc._release_execution_slot(slot)


def _faults(rules: tuple[Rule, ...], when: str, invocation: Invocation) -> Result | None:
    """Do the delays and failures of one side of the handler; the failed result, if any."""
    for rule in rules:
        if rule.when != when or rule.action not in ("delay", "fail"):
            continue
        RULES.hit(rule)
        if rule.action == "delay":
            time.sleep(rule.delay_seconds)
            continue
        message = f"RequestId: {invocation.request_id} Error: injected by rule {rule.id}"
        return {"body": {"errorMessage": message, "errorType": rule.error or "InjectedFault"}, "error": True, "log": ""}
    return None


def _at_limit(invocation: Invocation, limit: str) -> Result:
    invocation.throttled = True
    lambda_svc._emit_lambda_metrics(invocation.function, duration_ms=0.0, error=False, throttle=True)
    if limit == "function":
        result = lambda_svc._throttle_response(
            reason_code="ReservedFunctionConcurrentInvocationLimitExceeded", msg="Rate Exceeded."
        )
    else:
        result = lambda_svc._throttle_response(reason_code="ConcurrentInvocationLimitExceeded", msg="Rate Exceeded.")
    result["body"]["errorType"] = "Lambda.TooManyRequestsException"  # the name that Step Functions catches
    return dict(result)
