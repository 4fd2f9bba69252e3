"""Waits until a stack has come to rest: nothing queued and nothing running for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from botocore.exceptions import BotoCoreError, ClientError

from holdfast.levers.signals import interrupts
from holdfast.stack.configuration import Configuration, QueueConfiguration
from holdfast.stack.deliveries import patience_seconds
from holdfast.stack.patterns import Pattern, SagaPattern
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Capability, Target
from holdfast.waiting import eventually

QUIET_SECONDS = {"embedded": 2.0, "localstack": 3.0, "aws": 60.0}
"""How long nothing may be waiting or running before the stack counts as quiet, by kind of the target. On the embedded
one a stream's poller looks once a second. On AWS the counts of a queue may lag by a minute:
docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference, GetQueueAttributes."""

_WAITING = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def await_silence(
    stack: Stack,
    pattern: Pattern,
    configuration: Configuration,
    now_seconds: Callable[[], float],
    *,
    say: Callable[[str, float], None],
    check: Callable[[], None],
) -> bool:
    """Wait until nothing has been queued and nothing has run for a while; whether that came within the bounds.

    Args:
        stack: the stack.
        pattern: the pattern under test.
        configuration: how the stack is deployed.
        now_seconds: the clock.
        say: told what is waited for, and for how many seconds at most.
        check: raises when the run has to end.
    """
    quiet_seconds = _quiet_seconds(stack, pattern, configuration)
    deadline_seconds = longest_wait_seconds(stack, pattern, configuration)
    busy_at = now_seconds()

    def quiet() -> bool:
        nonlocal busy_at
        interrupts.check()
        check()
        if _busy(stack, pattern, configuration):
            busy_at = now_seconds()
        return now_seconds() - busy_at >= quiet_seconds

    say("silence on every queue and in every function", deadline_seconds)
    return eventually(
        quiet,
        bool,
        deadline_seconds=deadline_seconds,
        interval_seconds=0.2,
        longest_interval_seconds=0.4,
        pause=interrupts.pause,
    ).met


def longest_wait_seconds(stack: Stack, pattern: Pattern, configuration: Configuration) -> float:
    """How long silence is waited for at most: what the declared bounds allow, and the silence itself."""
    bounds = stack.descriptor.bounds
    redelivered_seconds = patience_seconds(configuration, pattern.workers, bounds)
    saga_seconds = bounds.saga_seconds if isinstance(pattern, SagaPattern) else 0.0
    quiet_seconds = _quiet_seconds(stack, pattern, configuration)
    return bounds.recovery_seconds + redelivered_seconds + saga_seconds + quiet_seconds


def _quiet_seconds(stack: Stack, pattern: Pattern, configuration: Configuration) -> float:
    """How long nothing may be seen at work; as long as work may take where it passes no queue and nobody sees it."""
    quiet_seconds = QUIET_SECONDS[stack.target.kind]
    if stack.target.interceptor is not None and stack.target.supports(Capability.INVOCATION_FAULTS).supported:
        return quiet_seconds
    functions = [configuration.function(worker) for worker in pattern.workers]
    seen = all(
        function is not None and function.mappings and all(":sqs:" in one.source_arn for one in function.mappings)
        for function in functions
    )
    return quiet_seconds if seen else max(quiet_seconds, stack.descriptor.bounds.effect_seconds)


def _busy(stack: Stack, pattern: Pattern, configuration: Configuration) -> bool:
    try:
        if queue_depth(stack.target, configuration.worked_off(pattern.store)):
            return True
    except (ClientError, BotoCoreError):
        return True  # what cannot be seen now may be busy; the deadline bounds the wait
    interceptor = stack.target.interceptor
    return interceptor.running() > 0 if interceptor is not None else _executing(stack, pattern, configuration)


def _executing(stack: Stack, pattern: Pattern, configuration: Configuration) -> bool:
    """Whether executions run that began within the bound of a saga; older ones are stuck, or somebody else's."""
    saga = pattern if isinstance(pattern, SagaPattern) else None
    machine = configuration.machine(saga.state_machine) if saga is not None else None
    if machine is None or machine.express:
        return False
    client = stack.target.client("stepfunctions")
    try:
        found = client.list_executions(stateMachineArn=machine.arn, statusFilter="RUNNING")["executions"]
    except (ClientError, BotoCoreError):
        return True
    bound_seconds = stack.descriptor.bounds.saga_seconds
    return any(time.time() - each["startDate"].timestamp() <= bound_seconds for each in found)


def queue_depth(target: Target, queues: Iterable[QueueConfiguration]) -> int:
    """Messages waiting, delayed or in flight in all these queues."""
    sqs = target.client("sqs")
    total = 0
    for queue in queues:
        answer = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=list(_WAITING))
        total += sum(int(answer["Attributes"].get(attribute, 0)) for attribute in _WAITING)
    return total
