"""The IAM permissions that judging a stack takes: of its levers, its provocations, its ports, and of reading it.

What only a load run takes is kept apart: whoever runs none can leave it out.

Actions and the resources they admit are those of the Service Authorization Reference
(docs.aws.amazon.com/service-authorization/latest/reference).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.levers import LEVERS
from holdfast.levers.base import Lever
from holdfast.levers.pointing import pointing
from holdfast.ports.bulk import is_scanned
from holdfast.provocations.faults import levers_of, requirements_of
from holdfast.provocations.model import Provocation
from holdfast.provocations.requirements import Situation, unmet
from holdfast.stack.commands import AnyCall, ExecutionCall, HttpCall
from holdfast.stack.effects import (
    AnySource,
    DynamoGetSource,
    DynamoQuerySource,
    HttpSource,
    RdsDataSource,
    S3ObjectSource,
    S3PrefixSource,
)
from holdfast.stack.patterns import Pattern
from holdfast.stack.resolve import Stack
from holdfast.stack.resources import Arn, Resource, execution_arns, partition
from holdfast.stack.templates import render
from holdfast.targets.deployment import artifacts_bucket_name

_READING = {
    "function": (
        "lambda:GetFunctionConfiguration",
        "lambda:GetFunctionConcurrency",
        "lambda:GetFunctionEventInvokeConfig",
        "lambda:GetFunctionUrlConfig",
        "lambda:GetPolicy",
    ),
    "queue": ("sqs:GetQueueUrl", "sqs:GetQueueAttributes"),
    "table": ("dynamodb:DescribeTable",),
    "bucket": ("s3:ListBucket",),
    "topic": ("sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic"),
    "bus": ("events:DescribeEventBus",),
    "rule": ("events:DescribeRule", "events:ListTargetsByRule"),
    "archive": ("events:DescribeArchive",),
    "api": ("apigateway:GET",),
    "state_machine": ("states:DescribeStateMachine",),
    "role": ("iam:GetRole",),
    "stream": ("kinesis:DescribeStreamSummary",),
    "cluster": ("rds:DescribeDBClusters",),
    "process": (),
    "container": (),
    "ecs_task": (),
    "pod": (),
}
"""What reading a component and its configuration takes, by type."""

_SENDING = {
    "sqs": ("queue", "sqs:SendMessage"),
    "sns": ("topic", "sns:Publish"),
    "eventbridge": ("bus", "events:PutEvents"),
    "lambda": ("function", "lambda:InvokeFunction"),
    "execution": ("state_machine", "states:StartExecution"),
    "s3": ("bucket", "s3:PutObject"),
}
"""The component and the action of a call, by its kind."""

_WATCHING = {
    "dynamodb-get": ("table", ("dynamodb:GetItem",)),
    "dynamodb-query": ("table", ("dynamodb:Query",)),
    "s3-object": ("bucket", ("s3:GetObject",)),
    "s3-prefix": ("bucket", ("s3:GetObject",)),
    "kinesis": ("stream", ("kinesis:ListShards", "kinesis:GetShardIterator", "kinesis:GetRecords")),
    "rds-data": ("cluster", ("rds-data:ExecuteStatement",)),
    "sqs-messages": ("queue", ("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility")),
}
"""The component and the actions of a source, by its kind."""

_SIGNED = {"execute-api": "execute-api:Invoke", "lambda": "lambda:InvokeFunctionUrl"}
"""The action of a signed HTTP request, by the service it is signed for."""

_UNSCOPED = frozenset({"lambda:ListEventSourceMappings", "sns:GetSubscriptionAttributes", "events:ListEventBuses"})
"""Actions that admit no resource."""

LOAD_ONLY = "LoadRun"
"""How the ids of statements begin that only a load run needs."""

_LOOKING_AT_TASKS = frozenset({"ecs:ListTasks", "ecs:DescribeTasks"})
_SESSIONS = "ecs:ExecuteCommand"

_OF_OBJECTS = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")


@dataclass(frozen=True, slots=True)
class Grant:
    """One action on one resource.

    Attributes:
        action: IAM action.
        resource: ARN, or ``*`` where the action admits none.
    """

    action: str
    resource: str


def of_reading(situation: Situation) -> frozenset[Grant]:
    """What resolving a stack, checking its ports and reading its configuration takes."""
    return frozenset(_of_reading(situation))


def of_ports(stack: Stack) -> frozenset[Grant]:
    """What sending the commands, counting the effects and seeding take."""
    return frozenset(_of_ports(stack))


def of_provocation(provocation: Provocation, situation: Situation) -> frozenset[Grant]:
    """What a provocation takes beside the ports: its levers, what it strikes itself, and the calls it makes itself.

    Nothing where it cannot be run here.
    """
    if unmet(requirements_of(provocation), situation):
        return frozenset()
    levers = levers_of(provocation.window, situation, "plan") if provocation.window is not None else []
    own = (Grant(action, arn) for use in provocation.uses for arn in use.on(situation) for action in use.actions)
    pulled = (grant for lever in levers for grant in of_lever(lever, situation.stack))
    struck = (
        grant
        for strike in provocation.strikes
        for grant in _of_component(situation.stack, strike.on(situation), LEVERS[strike.lever].permissions)
    )
    return frozenset((*own, *pulled, *struck))


def of_load(stack: Stack, pattern: Pattern) -> frozenset[Grant]:
    """What a load run takes beside a verification: counting the effects of all of its keys from one read.

    Its faults on everything are those of a verification; any other lever of its plan is on docs/levers.md.
    """
    effects = [stack.descriptor.effects[port] for port in pattern.counted]
    sources = (source for effect in effects if effect.listing is None for source in effect.sources)
    return frozenset(grant for source in sources for grant in _of_counting(source, stack))


def of_pointing(stack: Stack) -> frozenset[Grant]:
    """What pointing the functions at the target's interceptor takes; nothing where they need not be pointed."""
    url = stack.target.interceptor_url
    return frozenset(grant for lever in (pointing(stack, url) if url else ()) for grant in of_lever(lever, stack))


def of_lever(lever: Lever, stack: Stack) -> Iterator[Grant]:
    """What pulling a lever takes."""
    resource = lever.resource
    if lever.name.startswith("component-"):
        yield from _of_component(stack, lever.component, lever.permissions)
        return
    if not resource.startswith("arn:"):
        # a mapping is known by its UUID alone
        resource = _arn(stack, "lambda", f"event-source-mapping:{resource}")
    found = Arn.parse(resource)
    for action in lever.permissions:
        service = action.partition(":")[0]
        fitting = found is not None and found.service == service and action not in _UNSCOPED
        yield Grant(action, resource if fitting else "*")


def of_deployment(stack_name: str, stack: Stack) -> frozenset[Grant]:
    """What deploying the template and removing it takes, beside the permissions for the resources in it."""
    deployed = _arn(stack, "cloudformation", f"stack/{stack_name}/*")
    bucket = f"arn:{partition(stack.target.region)}:s3:::{artifacts_bucket_name(stack.target, stack_name)}"
    actions = (
        "CreateStack CreateChangeSet DescribeChangeSet ExecuteChangeSet DescribeStacks DescribeStackEvents "
        "ListStackResources DeleteStack"
    )
    return frozenset(
        (
            *(Grant(f"cloudformation:{action}", deployed) for action in actions.split()),
            *(Grant(action, bucket) for action in ("s3:CreateBucket", "s3:ListBucketVersions", "s3:DeleteBucket")),
            *(
                Grant(action, f"{bucket}/*")
                for action in ("s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:DeleteObjectVersion")
            ),
        )
    )


def policy(grants: Iterable[Grant], of_load: Iterable[Grant] = ()) -> dict[str, Any]:
    """An IAM policy that allows exactly these: one statement for each set of resources.

    Args:
        grants: what a verification takes.
        of_load: what only a load run takes; in statements of their own, whose ids say so.
    """
    known = frozenset(grants)
    only_load = _statements(frozenset(of_load) - known)
    return {
        "Version": "2012-10-17",
        "Statement": [
            *_statements(known),
            *({"Sid": f"{LOAD_ONLY}{number}", **one} for number, one in enumerate(only_load, start=1)),
        ],
    }


def _statements(grants: Iterable[Grant]) -> list[dict[str, Any]]:
    resources: dict[str, set[str]] = {}
    for grant in grants:
        resources.setdefault(grant.action, set()).add(grant.resource)
    actions: dict[tuple[str, ...], list[str]] = {}
    for action, arns in sorted(resources.items()):
        actions.setdefault(("*",) if "*" in arns else tuple(sorted(arns)), []).append(action)
    return [{"Effect": "Allow", "Action": allowed, "Resource": list(arns)} for arns, allowed in actions.items()]


def _of_reading(situation: Situation) -> Iterator[Grant]:
    stack = situation.stack
    for resource in stack.resources.values():
        yield from _of_resource(resource, stack)
    for queue in situation.configuration.queues:
        for action in _READING["queue"]:
            yield Grant(action, queue.arn)
    machine = situation.configuration.machine(getattr(situation.pattern, "state_machine", None))
    if machine is not None and not machine.express:
        yield Grant("states:ListExecutions", machine.arn)
        for arn in execution_arns(machine.arn):
            yield Grant("states:DescribeExecution", arn)
            yield Grant("states:GetExecutionHistory", arn)
    name = stack.cloudformation
    if name:
        for action in ("DescribeStacks", "ListStackResources"):
            yield Grant(f"cloudformation:{action}", _arn(stack, "cloudformation", f"stack/{name}/*"))


def _of_resource(resource: Resource, stack: Stack) -> Iterator[Grant]:
    yield from _of_component(stack, resource.component, _LOOKING_AT_TASKS)
    if stack.descriptor.components[resource.component].command_line is not None:
        yield from _of_component(stack, resource.component, (_SESSIONS,))
    if not resource.arn:
        return
    for action in _READING[resource.type]:
        yield Grant(action, resource.arn)
    match resource.type:
        case "api":
            yield Grant("apigateway:GET", f"{resource.arn}/stages*")
        case "function":
            yield Grant("lambda:ListEventSourceMappings", "*")
        case "topic":
            yield Grant("sns:GetSubscriptionAttributes", "*")


def _of_ports(stack: Stack) -> Iterator[Grant]:
    descriptor = stack.descriptor
    for call in (call for command in descriptor.commands.values() for call in command.calls):
        yield from _of_call(call, stack)
    for source in descriptor.sources:
        yield from _of_source(source, stack)
    for letters in descriptor.dead_letters.values():
        if letters.queue is not None:
            for action in _WATCHING["sqs-messages"][1]:
                yield Grant(action, stack.resource(letters.queue).arn)
        elif letters.bucket is not None:
            yield Grant("s3:GetObject", f"{stack.resource(letters.bucket).arn}/*")
    if descriptor.stop.alarm is not None:
        yield Grant("cloudwatch:DescribeAlarms", _arn(stack, "cloudwatch", f"alarm:{descriptor.stop.alarm}"))
    for item in descriptor.seed:
        if item.table is not None:
            yield Grant("dynamodb:PutItem", stack.resource(item.table).arn)
        elif item.bucket is not None:
            yield Grant("s3:PutObject", f"{stack.resource(item.bucket).arn}/*")


def _of_counting(source: AnySource, stack: Stack) -> Iterator[Grant]:
    match source:
        case DynamoGetSource() | DynamoQuerySource() if is_scanned(source):
            index = source.index if isinstance(source, DynamoQuerySource) else None
            yield Grant("dynamodb:Scan", _table_or_index(stack.resource(source.table).arn, index))
        case S3ObjectSource() | S3PrefixSource() if source.where is None:
            yield Grant("s3:ListBucket", stack.resource(source.bucket).arn)


def _of_component(stack: Stack, component: str, actions: Iterable[str]) -> Iterator[Grant]:
    """Of what runs beside the functions only tasks are reached through AWS.

    docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html
    """
    described = stack.descriptor.components.get(component)
    if described is None or described.type != "ecs_task":
        return
    cluster = (described.cluster or "default").rpartition("/")[2]
    for action in actions:
        if action == "ecs:ListTasks":  # of tasks it admits a condition on their cluster, and no resource
            yield Grant(action, "*")
            continue
        yield Grant(action, _arn(stack, "ecs", f"task/{cluster}/*"))
        if action == _SESSIONS:
            yield Grant(action, _arn(stack, "ecs", f"cluster/{cluster}"))


def _of_call(call: AnyCall, stack: Stack) -> Iterator[Grant]:
    if isinstance(call, HttpCall):
        yield from _of_request(call, stack)
        return
    if call.kind not in _SENDING:
        return
    attribute, action = _SENDING[call.kind]
    if isinstance(call, ExecutionCall) and call.synchronous:
        action = "states:StartSyncExecution"
    component = getattr(call, attribute)
    if component is None:
        yield Grant(action, _arn(stack, "events", "event-bus/default"))
        return
    yield Grant(action, _on(action, stack.resource(component).arn))


def _of_source(source: AnySource, stack: Stack) -> Iterator[Grant]:
    if isinstance(source, HttpSource):
        yield from _of_request(source, stack)
        return
    if source.kind not in _WATCHING:
        return
    attribute, actions = _WATCHING[source.kind]
    arn = stack.resource(getattr(source, attribute)).arn
    if isinstance(source, RdsDataSource):
        yield Grant("secretsmanager:GetSecretValue", str(render(source.secret, stack.values())))
    index = source.index if isinstance(source, DynamoQuerySource) else None
    for action in actions:
        yield Grant(action, _table_or_index(_on(action, arn), index))


def _of_request(part: HttpCall | HttpSource, stack: Stack) -> Iterator[Grant]:
    action = _SIGNED.get(part.sigv4 or "")
    if action is None:
        return
    resource = stack.resource(part.api) if part.api is not None else None
    if resource is None or not resource.arn:
        yield Grant(action, "*")
    elif resource.type == "api":
        yield Grant(action, _arn(stack, "execute-api", f"{resource.name}/{resource.stage}/*"))
    else:
        yield Grant(action, resource.arn)


def _on(action: str, arn: str) -> str:
    return f"{arn}/*" if action in _OF_OBJECTS else arn


def _table_or_index(arn: str, index: str | None) -> str:
    return arn if index is None else f"{arn}/index/{index}"


def _arn(stack: Stack, service: str, resource: str) -> str:
    target = stack.target
    return f"arn:{partition(target.region)}:{service}:{target.region}:{target.account}:{resource}"
