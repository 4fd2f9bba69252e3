"""The configuration that static clauses judge, read from the deployment; no traffic, nothing changed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from botocore.exceptions import ClientError

from holdfast.errors import ResourceError
from holdfast.stack.aws_errors import is_missing, translated
from holdfast.stack.resolve import Mapping, Stack

ASYNCHRONOUS_CALLERS = ("events.amazonaws.com", "sns.amazonaws.com", "s3.amazonaws.com")
"""Services that invoke functions asynchronously, by the principal in the function's resource policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfiguration:
    """One queue.

    Attributes:
        component: its name in the descriptor.
        arn: its ARN.
        visibility_seconds: how long a received message is hidden.
        retention_seconds: how long a message is kept.
        dead_letter_arn: where messages go after too many receives; empty when nowhere.
        maximum_receives: how often a message is received before that; 0 without a redrive policy.
        holds_dead_letters: whether the descriptor names it as a dead-letter store, or a queue redrives to it.
    """

    component: str
    arn: str
    visibility_seconds: int
    retention_seconds: int
    dead_letter_arn: str = ""
    maximum_receives: int = 0
    holds_dead_letters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionConfiguration:
    """One function.

    Attributes:
        component: its name in the descriptor.
        timeout_seconds: when an invocation is ended.
        reserved_concurrency: the most invocations at once; None when unbounded.
        asynchronous_callers: services that may invoke it asynchronously.
        failure_destination: where asynchronous events go that failed for good; empty when nowhere.
        event_age_seconds: the oldest an asynchronous event may become.
        mappings: its event source mappings.
        behind_api: whether it answers API requests.
    """

    component: str
    timeout_seconds: int
    reserved_concurrency: int | None = None
    asynchronous_callers: tuple[str, ...] = ()
    failure_destination: str = ""
    event_age_seconds: int = 21_600
    mappings: tuple[Mapping, ...] = ()
    behind_api: bool = False


@dataclass(frozen=True, slots=True)
class Configuration:
    """The queues and functions of a stack as they are deployed."""

    queues: tuple[QueueConfiguration, ...]
    functions: tuple[FunctionConfiguration, ...]

    def queue(self, arn: str) -> QueueConfiguration | None:
        """The queue of an ARN, where the descriptor names it."""
        return next((queue for queue in self.queues if queue.arn == arn), None)


def read_configuration(stack: Stack) -> Configuration:
    """Read the queues and functions of the descriptor, and the dead-letter queues they point to.

    Raises:
        ResourceError: one of them may not be read.
        TargetError: the target does not answer.
    """
    queues = [
        _queue(stack, name, stack.resource(name).url)
        for name, component in stack.descriptor.components.items()
        if component.type == "queue"
    ]
    known = {queue.arn for queue in queues}
    for arn in [queue.dead_letter_arn for queue in queues]:
        if arn and arn not in known:
            known.add(arn)
            sqs = stack.target.client("sqs")
            with translated(f"The dead-letter queue {arn}", stack.target):
                url = sqs.get_queue_url(QueueName=arn.rsplit(":", 1)[-1])["QueueUrl"]
            queues.append(_queue(stack, arn.rsplit(":", 1)[-1], url))
    functions = [
        _function(stack, name)
        for name, component in stack.descriptor.components.items()
        if component.type == "function"
    ]
    dead = {queue.dead_letter_arn for queue in queues}
    named = {port.queue for port in stack.descriptor.dead_letters.values()}
    return Configuration(
        tuple(
            QueueConfiguration(
                component=queue.component,
                arn=queue.arn,
                visibility_seconds=queue.visibility_seconds,
                retention_seconds=queue.retention_seconds,
                dead_letter_arn=queue.dead_letter_arn,
                maximum_receives=queue.maximum_receives,
                holds_dead_letters=queue.arn in dead or queue.component in named,
            )
            for queue in queues
        ),
        tuple(functions),
    )


def _queue(stack: Stack, component: str, url: str) -> QueueConfiguration:
    with translated(f"The attributes of queue {component}", stack.target):
        found = stack.target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    redrive = json.loads(found.get("RedrivePolicy") or "{}")
    return QueueConfiguration(
        component=component,
        arn=found["QueueArn"],
        visibility_seconds=int(found.get("VisibilityTimeout", 30)),
        retention_seconds=int(found.get("MessageRetentionPeriod", 345_600)),
        dead_letter_arn=str(redrive.get("deadLetterTargetArn", "")),
        maximum_receives=int(redrive.get("maxReceiveCount", 0)),
    )


def _function(stack: Stack, component: str) -> FunctionConfiguration:
    client, name = stack.target.client("lambda"), stack.resource(component).name
    with translated(f"The configuration of function {component}", stack.target):
        configuration = client.get_function_configuration(FunctionName=name)
        reserved = client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    callers = _callers(stack, component, name)
    destination, age_seconds = _asynchronous(stack, component, name)
    return FunctionConfiguration(
        component=component,
        timeout_seconds=int(configuration.get("Timeout", 3)),
        reserved_concurrency=reserved,
        asynchronous_callers=tuple(caller for caller in callers if caller in ASYNCHRONOUS_CALLERS),
        failure_destination=destination or str((configuration.get("DeadLetterConfig") or {}).get("TargetArn", "")),
        event_age_seconds=age_seconds,
        mappings=stack.mappings(component),
        behind_api="apigateway.amazonaws.com" in callers,
    )


def _callers(stack: Stack, component: str, name: str) -> tuple[str, ...]:
    try:
        with translated(f"The resource policy of function {component}", stack.target):
            policy = json.loads(stack.target.client("lambda").get_policy(FunctionName=name)["Policy"])
    except ResourceError as error:
        if _absent(error):
            return ()
        raise
    principals = [statement.get("Principal") for statement in policy.get("Statement", [])]
    return tuple(
        str(principal.get("Service", "")) if isinstance(principal, dict) else str(principal) for principal in principals
    )


def _asynchronous(stack: Stack, component: str, name: str) -> tuple[str, int]:
    try:
        with translated(f"The asynchronous configuration of function {component}", stack.target):
            found = stack.target.client("lambda").get_function_event_invoke_config(FunctionName=name)
    except ResourceError as error:
        if _absent(error):
            return "", 21_600
        raise
    on_failure = (found.get("DestinationConfig") or {}).get("OnFailure") or {}
    return str(on_failure.get("Destination", "")), int(found.get("MaximumEventAgeInSeconds", 21_600))


def _absent(error: ResourceError) -> bool:
    return isinstance(error.__cause__, ClientError) and is_missing(error.__cause__)
