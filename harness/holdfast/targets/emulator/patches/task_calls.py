"""The calls of a state machine's tasks pass the interceptor: Lambda, optimised and SDK integrations.

The caller is the state machine, the event the execution's input, and the call is of the state that makes it; a rule's
key may also be in the task's own parameters.
What a task sees of a refused call is the error's name as Step Functions gives it, of a lost answer the client's own
error (``Lambda.SdkClientException`` and its like), which is not one of the service:
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html and
https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception.

An execution counts as running until it has ended, as an invocation does. Activities are no calls: workers ask for them.
"""

from __future__ import annotations

import json
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from ministack.services import stepfunctions

from holdfast.targets.emulator.dispatch import CallFailedError, about_of, call, handling
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches.executions import EndedError, current_state, ended
from holdfast.targets.interceptor.tracing import Invocation

EXECUTION: ContextVar[Invocation | None] = ContextVar("holdfast_execution", default=None)
"""The execution whose states this thread runs."""

_INTEGRATION = re.compile(r"arn:[^:]+:states:::(aws-sdk:)?([a-z0-9-]+):([A-Za-z0-9]+)")
_ENDPOINTS = {"sfn": "states", "eventbridge": "events", "cloudwatchlogs": "logs", "cloudwatch": "monitoring"}
_OPTIMISED = {
    "dynamodb": "DynamoDB",
    "sqs": "SQS",
    "sns": "SNS",
    "events": "EventBridge",
    "states": "StepFunctions",
    "ecs": "ECS",
    "lambda": "Lambda",
}
"""How the errors of an optimised integration begin."""


@dataclass(frozen=True, slots=True)
class _Call:
    service: str
    operation: str
    prefix: str
    about: tuple[str, ...] = ()


def apply() -> None:
    """Wrap what a task calls, and the run of an execution; after ``executions`` and ``task_timeouts``."""
    require(stepfunctions._invoke_resource, "a85d2be9a858", "stepfunctions._invoke_resource")
    invoke = stepfunctions._invoke_resource
    run = stepfunctions._run_execution

    def invoke_resource(resource: str, parameters: Any) -> Any:
        if ended():
            raise EndedError
        execution, named = EXECUTION.get(), _call_of(resource)
        if execution is None or named is None:
            return invoke(resource, parameters)
        payload = json.dumps(parameters, ensure_ascii=False, default=str)
        try:
            return call(
                execution,
                named.service,
                named.operation,
                lambda: invoke(resource, parameters),
                payload=payload,
                about=named.about or about_of(named.service, named.operation, parameters),
                state=current_state(),
            )
        except CallFailedError as failure:
            raise stepfunctions._ExecutionError(f"{named.prefix}.{failure.code}", failure.message) from failure

    def run_execution(arn: str) -> None:
        execution = stepfunctions._executions.get(arn)
        if not execution:
            return
        machine = execution["stateMachineArn"].rpartition(":")[2]
        with handling(machine, execution["input"], execution["name"]) as handled:
            token = EXECUTION.set(handled)
            try:
                run(arn)
            finally:
                EXECUTION.reset(token)
                handled.failed = execution["status"] not in ("RUNNING", "SUCCEEDED")

    stepfunctions._invoke_resource = invoke_resource
    stepfunctions._run_execution = run_execution


def _call_of(resource: str) -> _Call | None:
    """The AWS call that a task's resource makes; None for an activity."""
    if ":lambda:" in resource and ":function:" in resource:
        return _Call("lambda", "Invoke", "Lambda", (resource,))
    found = _INTEGRATION.match(resource)
    if found is None:
        return None
    sdk, service, action = found.groups()
    operation = action[0].upper() + action[1:]
    if sdk:
        prefix = stepfunctions._AWS_SDK_ERROR_PREFIX.get(service, service.capitalize())
        return _Call(_ENDPOINTS.get(service, service), operation, prefix)
    return _Call(service, operation, _OPTIMISED.get(service, service.capitalize()))
