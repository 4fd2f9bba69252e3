"""The configuration that static clauses judge, read from the deployment; no traffic, nothing changed."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from botocore.exceptions import ClientError

from holdfast.errors import ResourceError
from holdfast.stack.aws_errors import is_missing, translated
from holdfast.stack.relays import Archive, Relay, read_archives, read_relays
from holdfast.stack.resolve import Mapping, Stack

ASYNCHRONOUS_CALLERS = ("events.amazonaws.com", "sns.amazonaws.com", "s3.amazonaws.com")
"""Services that invoke functions asynchronously, by the principal in the function's resource policy."""

POLLING_SECONDS = {"localstack": 15.0}
"""By kind of target. LocalStack 4.14 looks into an empty queue after 10 s at most (its variable
LAMBDA_EVENT_SOURCE_MAPPING_MAX_BACKOFF_ON_EMPTY_POLL_SEC), randomized by half; AWS polls without a pause
(docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueConfiguration:
    """One queue.

    Attributes:
        component: its name in the descriptor; the queue's own name where the descriptor has none for it.
        arn: its ARN.
        url: its URL.
        visibility_seconds: how long a received message is hidden.
        retention_seconds: how long a message is kept.
        dead_letter_arn: where messages go after too many receives; empty when nowhere.
        maximum_receives: how often a message is received before that; 0 without a redrive policy.
        holds_dead_letters: whether the descriptor names it as a dead-letter store, or a queue redrives to it.
    """

    component: str
    arn: str
    url: str
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
        memory_megabytes: what it is given, and priced by.
    """

    component: str
    timeout_seconds: int
    reserved_concurrency: int | None = None
    asynchronous_callers: tuple[str, ...] = ()
    failure_destination: str = ""
    event_age_seconds: int = 21_600
    mappings: tuple[Mapping, ...] = ()
    behind_api: bool = False
    memory_megabytes: int = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineConfiguration:
    """One state machine.

    Attributes:
        component: its name in the descriptor.
        arn: its ARN.
        express: whether it is an Express workflow.
        definition: its definition in Amazon States Language, JSON.
    """

    component: str
    arn: str
    express: bool
    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfiguration:
    """One Kinesis stream.

    Attributes:
        component: its name in the descriptor.
        arn: its ARN.
        retention_seconds: how long a record is kept.
    """

    component: str
    arn: str
    retention_seconds: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """The queues, functions, state machines and streams of a stack as they are deployed.

    Attributes:
        queues: those the descriptor names, those that feed its functions, and the dead-letter queues of both.
        functions: those the descriptor names.
        absent: ARNs of queues that something points to and that do not exist.
        relays: where the rules and topics of the descriptor pass events on to.
        archives: its archives.
        machines: its state machines.
        streams: its Kinesis streams.
        polling_seconds: how late a function may be given what has come to its queue, because the target looks into an
            empty queue only now and then.
    """

    queues: tuple[QueueConfiguration, ...]
    functions: tuple[FunctionConfiguration, ...]
    absent: frozenset[str] = frozenset()
    relays: tuple[Relay, ...] = ()
    archives: tuple[Archive, ...] = ()
    machines: tuple[MachineConfiguration, ...] = ()
    streams: tuple[StreamConfiguration, ...] = ()
    polling_seconds: float = 0.0

    def stream(self, arn: str) -> StreamConfiguration | None:
        """The Kinesis stream of an ARN, where the descriptor names it."""
        return next((stream for stream in self.streams if stream.arn == arn), None)

    def machine(self, component: str | None) -> MachineConfiguration | None:
        """The state machine of a component."""
        return next((machine for machine in self.machines if machine.component == component), None)

    def queue(self, arn: str) -> QueueConfiguration | None:
        """The queue of an ARN, where it is known and exists."""
        return next((queue for queue in self.queues if queue.arn == arn), None)

    def function(self, component: str) -> FunctionConfiguration | None:
        """The function of a component."""
        return next((function for function in self.functions if function.component == component), None)

    def worked_off(self, store: str | None = None) -> tuple[QueueConfiguration, ...]:
        """The queues that empty by themselves: those that feed functions, be it with dead letters, and a store."""
        sources = {mapping.source_arn for function in self.functions for mapping in function.mappings}
        return tuple(
            queue
            for queue in self.queues
            if queue.arn in sources or (queue.component == store and not queue.holds_dead_letters)
        )


def read_configuration(stack: Stack) -> Configuration:
    """Read the functions of the descriptor, its queues, the queues that feed functions, and where all of them lead.

    Raises:
        ResourceError: one of them may not be read.
        TargetError: the target does not answer.
    """
    components = stack.descriptor.components.items()
    functions = tuple(_function(stack, name) for name, component in components if component.type == "function")
    queues = [
        _queue(stack, name, stack.resource(name).url) for name, component in components if component.type == "queue"
    ]
    absent: set[str] = set()
    sources = [mapping.source_arn for function in functions for mapping in function.mappings]
    _follow(stack, [arn for arn in sources if ":sqs:" in arn], queues, absent)
    _follow(stack, [queue.dead_letter_arn for queue in queues if queue.dead_letter_arn], queues, absent)
    dead = {queue.dead_letter_arn for queue in queues}
    named = {port.queue for port in stack.descriptor.dead_letters.values()}
    return Configuration(
        tuple(replace(queue, holds_dead_letters=queue.arn in dead or queue.component in named) for queue in queues),
        functions,
        frozenset(absent),
        read_relays(stack),
        read_archives(stack),
        tuple(_machine(stack, name) for name, component in components if component.type == "state_machine"),
        tuple(_stream(stack, name) for name, component in components if component.type == "stream"),
        POLLING_SECONDS.get(stack.target.kind, 0.0),
    )


def _stream(stack: Stack, component: str) -> StreamConfiguration:
    resource = stack.resource(component)
    with translated(f"The stream {component}", stack.target):
        found = stack.target.client("kinesis").describe_stream_summary(StreamName=resource.name)
    hours = int(found["StreamDescriptionSummary"]["RetentionPeriodHours"])
    return StreamConfiguration(component=component, arn=resource.arn, retention_seconds=hours * 3600)


def _machine(stack: Stack, component: str) -> MachineConfiguration:
    arn = stack.resource(component).arn
    with translated(f"The definition of state machine {component}", stack.target):
        found = stack.target.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    return MachineConfiguration(
        component=component, arn=arn, express=found.get("type") == "EXPRESS", definition=str(found["definition"])
    )


def _follow(stack: Stack, arns: list[str], queues: list[QueueConfiguration], absent: set[str]) -> None:
    """Read the queues of these ARNs that are not known yet; those that do not exist are absent."""
    for arn in dict.fromkeys(arns):
        if any(queue.arn == arn for queue in queues):
            continue
        account, name = arn.split(":")[4:6]
        try:
            with translated(f"The queue {arn}", stack.target):
                url = stack.target.client("sqs").get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)[
                    "QueueUrl"
                ]
            queues.append(_queue(stack, name, url))
        except ResourceError as error:
            if not _absent(error):
                raise
            absent.add(arn)


def _queue(stack: Stack, component: str, url: str) -> QueueConfiguration:
    with translated(f"The attributes of queue {component}", stack.target):
        found = stack.target.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    redrive = json.loads(found.get("RedrivePolicy") or "{}")
    return QueueConfiguration(
        component=component,
        arn=found["QueueArn"],
        url=url,
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
        memory_megabytes=int(configuration.get("MemorySize", 128)),
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
