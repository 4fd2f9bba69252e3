"""A stack on which every lever can act, how each lever is made for it, and all of its configuration read back."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import psutil
from botocore.exceptions import ClientError

from holdfast.drivers.base import Load
from holdfast.errors import Inconclusive, ResourceError
from holdfast.levers import (
    LEVERS,
    ArchiveReplay,
    BucketDeny,
    ChannelFault,
    ComponentEnd,
    ComponentKill,
    ComponentPressure,
    ComponentStop,
    ExecutionAbort,
    FunctionExperiment,
    FunctionMemory,
    FunctionThrottle,
    FunctionTimeout,
    FunctionVariable,
    HttpApiThrottle,
    InvocationAction,
    InvocationFault,
    MappingDisable,
    PermissionCut,
    QueueDelay,
    QueueDeny,
    QueueRedrive,
    QueueVisibility,
    RestApiThrottle,
    RoleDeny,
    RuleDisable,
    SubscriptionFilter,
    TableCap,
    TableCapacity,
    TableDeny,
)
from holdfast.levers.base import Lever
from holdfast.relay.model import ChannelRule
from holdfast.stack.aws_errors import error_code
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.base import Capability, Rule, Target
from holdfast.waiting import eventually
from lever_bed import FIS_ROLE, PREFIX, program, rest_api
from lever_services import LONG_AGO, Services
from lever_services import deploy as deploy_services
from lever_stack import deploy as deploy_worker
from lever_stack import stack_of

PROCESSES = ("sidecar", "supervised", "ended", "pressed")
CHANNEL = {"channel": {"from": "supervised", "to": "sidecar", "upstream": "127.0.0.1:9"}}
WAITING = json.dumps({"StartAt": "wait", "States": {"wait": {"Type": "Wait", "Seconds": 86_400, "End": True}}})


def _functions(stack: Stack) -> list[str]:
    return [name for name, each in stack.resources.items() if each.type == "function"]


def _rule() -> Rule:
    """A fault that waits for a key that never comes."""
    id_ = secrets.token_hex(8)
    return Rule(id=id_, action="drop", point="call", service="sqs", operation="SendMessage", key=f"nobody-{id_}")


MAKERS: Mapping[str, Callable[[Stack], Iterable[Lever]]] = MappingProxyType(
    {
        "archive-replay": lambda s: [ArchiveReplay.on(s, "archive", since=LONG_AGO)],
        "bucket-deny": lambda s: [BucketDeny.on(s, "bucket")],
        "execution-abort": lambda s: ExecutionAbort.on(s, "machine", prefix=PREFIX),
        "function-experiment": lambda s: [
            FunctionExperiment.on(s, "worker", action=InvocationAction(kind="error"), role_arn=FIS_ROLE)
        ],
        "function-memory": lambda s: [FunctionMemory.on(s, "worker")],
        "function-throttle": lambda s: [FunctionThrottle.on(s, each) for each in _functions(s)],
        "function-timeout": lambda s: [FunctionTimeout.on(s, "worker")],
        "function-variable": lambda s: [
            FunctionVariable.on(s, "worker", variable="DONE", value="nowhere"),
            FunctionVariable.on(s, "caller", variable="AWS_ENDPOINT_URL", value="http://127.0.0.1:9"),
        ],
        "http-api-throttle": lambda s: [HttpApiThrottle.on(s, "http")],
        "invocation-fault": lambda s: [InvocationFault.on(s, "worker", _rule())],
        "mapping-disable": lambda s: MappingDisable.on(s, "worker"),
        "permission-cut": lambda s: PermissionCut.on(s, "worker", principal="apigateway.amazonaws.com"),
        "channel-fault": lambda s: [ChannelFault.on(s, "channel", ChannelRule(id="", action="cut"))],
        "component-end": lambda s: [ComponentEnd.on(s, "ended")],
        "component-kill": lambda s: [ComponentKill.on(s, "supervised")],
        "component-pressure": lambda s: [ComponentPressure.on(s, "pressed", load=Load(seconds=120.0))],
        "component-stop": lambda s: [ComponentStop.on(s, "sidecar")],
        "queue-delay": lambda s: [QueueDelay.on(s, "queue", seconds=900)],
        "queue-deny": lambda s: [QueueDeny.on(s, "queue"), QueueDeny.on(s, "other")],
        "queue-redrive": lambda s: [QueueRedrive.on(s, "queue")],
        "queue-visibility": lambda s: [QueueVisibility.on(s, "queue", seconds=0)],
        "rest-api-throttle": lambda s: [RestApiThrottle.on(s, "rest")],
        "role-deny": lambda s: [RoleDeny.on(s, "role", actions=("sqs:SendMessage",))],
        "rule-disable": lambda s: [RuleDisable.on(s, "rule")],
        "subscription-filter": lambda s: [
            SubscriptionFilter.on(s, "topic", to="filtered"),
            SubscriptionFilter.on(s, "topic", to="other"),
        ],
        "table-cap": lambda s: [TableCap.on(s, "table")],
        "table-capacity": lambda s: [TableCapacity.on(s, "provisioned")],
        "table-deny": lambda s: [TableDeny.on(s, "table")],
    }
)
"""How each lever of the registry is put on this stack."""


def supported(stack: Stack) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The levers that can be injected here, and for each of the others the reason it gives itself."""
    can: list[str] = []
    left_out: dict[str, str] = {}
    for name in LEVERS:
        try:
            found = [lever.snapshot() for lever in MAKERS[name](stack)]
        except (Inconclusive, ResourceError) as error:
            left_out[name] = str(error)
        else:
            assert found, f"{name} has nothing to act on"
            can.append(name)
    return tuple(can), left_out


class Supervisor:
    """Keeps one process alive, as whoever runs it would; a thread of this process.

    Args:
        marker: text in its command line that no other process has.
    """

    def __init__(self, marker: str) -> None:
        self.marker = marker
        self._stopping = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def state(self) -> list[str]:
        """For each process with the marker whether it is stopped."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if self.marker in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append("stopped" if process.status() == psutil.STATUS_STOPPED else "runs")
        return found

    def close(self) -> None:
        """End it."""
        self._stopping.set()
        self._thread.join()
        self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        # it ends with its standard input, and so with this process
        command = [sys.executable, "-c", "import sys; sys.stdin.read()", self.marker]
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _watch(self) -> None:
        while not self._stopping.wait(0.02):
            if self._process.poll() is not None:
                self._end()
                self._process = self._start()


@dataclass(frozen=True)
class Everything:
    """The stack, its processes, and how it is told to a run in another process.

    Attributes:
        stack: the stack.
        supervisors: what keeps each process of it alive, by component.
    """

    stack: Stack
    supervisors: Mapping[str, Supervisor]

    def resources(self) -> list[dict[str, Any]]:
        """The resources, for a run in another process."""
        return [asdict(resource) for resource in self.stack.resources.values()]

    def components(self) -> dict[str, Any]:
        """What the descriptor says of its processes."""
        return components({name: each.marker for name, each in self.supervisors.items()})

    def configuration(self) -> dict[str, Any]:
        """All that is configured, comparable."""
        return {**configuration(self.stack), **{name: each.state() for name, each in self.supervisors.items()}}

    def close(self) -> None:
        """End its processes."""
        for each in self.supervisors.values():
            each.close()


def components(markers: Mapping[str, str]) -> dict[str, Any]:
    """What a descriptor says of processes with these markers."""
    return {name: {"type": "process", "name": program(), "command_line": marker} for name, marker in markers.items()}


def deploy(target: Target) -> Everything:
    """Make everything on a target; the levers' own support checks say later what can be used."""
    worker = deploy_worker(target, reserved=4)
    services = deploy_services(target)
    functions = target.client("lambda")
    functions.update_function_configuration(FunctionName=worker.function, MemorySize=256)
    eventually(
        lambda: functions.get_function_configuration(FunctionName=worker.function).get("LastUpdateStatus"),
        lambda status: status == "Successful",
        deadline_seconds=60,
    )
    functions.add_permission(
        FunctionName=worker.function,
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
        SourceArn=f"arn:aws:execute-api:{target.region}:{target.account}:a/*/*/*",
    )
    subscription = services.subscription("other")
    target.client("sns").set_subscription_attributes(
        SubscriptionArn=subscription, AttributeName="FilterPolicy", AttributeValue='{"kind": ["order"]}'
    )
    services.put_event()
    markers = {name: f"holdfast-{secrets.token_hex(8)}" for name in PROCESSES}
    theirs = {"worker": "caller", "role": "caller_role"}
    stack = stack_of(
        target,
        *worker.stack.resources.values(),
        *(replace(each, component=theirs.get(name, name)) for name, each in services.stack.resources.items()),
        _second_rule(target, services),
        *_apis(target),
        _machine(target, worker.function, worker.stack.resource("role").arn),
        *(Resource(component=name, type="process", name=program()) for name in PROCESSES),
        components=components(markers),
        channels=CHANNEL,
    )
    return Everything(stack, {name: Supervisor(marker) for name, marker in markers.items()})


def _second_rule(target: Target, services: Services) -> Resource:
    """Another rule on the bus, so that a replay arrives while the first one is switched off."""
    client, name = target.client("events"), f"{services.name}-second"
    at = {"EventBusName": services.name}
    arn = client.put_rule(Name=name, EventPattern='{"source": ["levers"]}', **at)["RuleArn"]
    client.put_targets(Rule=name, Targets=[{"Id": "function", "Arn": services.arn("worker")}], **at)
    return Resource(component="second_rule", type="rule", name=name, arn=arn)


def _apis(target: Target) -> list[Resource]:
    base = f"arn:aws:apigateway:{target.region}::"
    rest = rest_api(target)
    made = [Resource(component="rest", type="api", name=rest, arn=f"{base}/restapis/{rest}", stage="live")]
    if target.supports(Capability.HTTP_API_INTEGRATION).supported:
        client = target.client("apigatewayv2")
        http = client.create_api(Name="http", ProtocolType="HTTP")["ApiId"]
        client.create_stage(ApiId=http, StageName="$default", AutoDeploy=True)
        made.append(Resource(component="http", type="api", name=http, arn=f"{base}/apis/{http}", stage="$default"))
    return made


def _machine(target: Target, name: str, role: str) -> Resource:
    """A state machine with one execution that runs for a day."""
    client = target.client("stepfunctions")
    arn = client.create_state_machine(name=name, definition=WAITING, roleArn=role)["stateMachineArn"]
    client.start_execution(stateMachineArn=arn, name=f"{PREFIX}-1")
    return Resource(component="machine", type="state_machine", name=name, arn=arn, role=role)


def configuration(stack: Stack) -> dict[str, Any]:
    """The configuration of every resource of a stack, without what changes by itself."""
    return {name: _READERS[each.type](stack, each) for name, each in stack.resources.items() if each.type in _READERS}


def _settled(answer: Mapping[str, Any], *changing: str) -> dict[str, Any]:
    """An answer without what changes by itself."""
    return {name: value for name, value in answer.items() if name not in (*changing, "ResponseMetadata")}


def _function(stack: Stack, resource: Resource) -> Any:
    client, named = stack.target.client("lambda"), {"FunctionName": resource.name}
    read = client.get_function_configuration(**named)
    if not (read.get("Environment") or {}).get("Variables"):
        read.pop("Environment", None)  # an environment without variables is none
    mappings = client.list_event_source_mappings(**named)["EventSourceMappings"]
    changing = ("LastModified", "LastProcessingResult", "StateTransitionReason")
    return {
        "configuration": _settled(read, "RevisionId", "LastModified", "LastUpdateStatusReason"),
        "concurrency": client.get_function_concurrency(**named).get("ReservedConcurrentExecutions"),
        "policy": _absent(lambda: json.loads(client.get_policy(**named)["Policy"])),
        "mappings": {each["UUID"]: _settled(each, *changing) for each in mappings},
    }


def _queue(stack: Stack, resource: Resource) -> Any:
    found = stack.target.client("sqs").get_queue_attributes(QueueUrl=resource.url, AttributeNames=["All"])["Attributes"]
    return {name: value for name, value in found.items() if not name.startswith(("Approximate", "LastModified"))}


def _topic(stack: Stack, resource: Resource) -> Any:
    client = stack.target.client("sns")

    def subscription(arn: str) -> dict[str, Any]:
        found = dict(client.get_subscription_attributes(SubscriptionArn=arn)["Attributes"])
        # an empty filter policy is none: https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html
        if json.loads(found.get("FilterPolicy") or "{}") == {}:
            found.pop("FilterPolicy", None)
            found.pop("FilterPolicyScope", None)  # LocalStack shows the default one from the first filter policy on
        return found

    listed = client.list_subscriptions_by_topic(TopicArn=resource.arn)["Subscriptions"]
    return {
        "attributes": client.get_topic_attributes(TopicArn=resource.arn)["Attributes"],
        "subscriptions": {each["SubscriptionArn"]: subscription(each["SubscriptionArn"]) for each in listed},
    }


def _rule_of(stack: Stack, resource: Resource) -> Any:
    client = stack.target.client("events")
    at = {"EventBusName": resource.arn.split("/")[1]}
    targets = client.list_targets_by_rule(Rule=resource.name, **at)["Targets"]
    return {"rule": _settled(client.describe_rule(Name=resource.name, **at)), "targets": targets}


def _archive(stack: Stack, resource: Resource) -> Any:
    client = stack.target.client("events")
    replays = client.list_replays(EventSourceArn=resource.arn).get("Replays", [])
    return {
        "archive": _settled(client.describe_archive(ArchiveName=resource.name), "EventCount", "SizeBytes"),
        "replays": [each["ReplayName"] for each in replays if each["State"] in ("STARTING", "RUNNING", "CANCELLING")],
    }


def _api(stack: Stack, resource: Resource) -> Any:
    if "/restapis/" in resource.arn:
        client = stack.target.client("apigateway")
        stage = client.get_stage(restApiId=resource.name, stageName=resource.stage)
        return _settled({**stage, "methodSettings": stage.get("methodSettings") or {}}, "lastUpdatedDate")
    stage = stack.target.client("apigatewayv2").get_stage(ApiId=resource.name, StageName=resource.stage)
    return _settled(stage, "LastUpdatedDate")


def _table(stack: Stack, resource: Resource) -> Any:
    client = stack.target.client("dynamodb")
    table = client.describe_table(TableName=resource.name)["Table"]
    return {
        "table": _settled(table, "ItemCount", "TableSizeBytes"),
        "policy": _absent(lambda: client.get_resource_policy(ResourceArn=resource.arn)["Policy"]),
    }


def _bucket(stack: Stack, resource: Resource) -> Any:
    client = stack.target.client("s3")
    return {
        "policy": _absent(lambda: client.get_bucket_policy(Bucket=resource.name)["Policy"]),
        "notifications": _settled(client.get_bucket_notification_configuration(Bucket=resource.name)),
        "versioning": _settled(client.get_bucket_versioning(Bucket=resource.name)),
    }


def _role(stack: Stack, resource: Resource) -> Any:
    client, named = stack.target.client("iam"), {"RoleName": resource.name}
    inline = client.list_role_policies(**named)["PolicyNames"]
    return {
        "role": _settled(client.get_role(**named)["Role"], "RoleLastUsed"),
        "attached": client.list_attached_role_policies(**named)["AttachedPolicies"],
        "inline": {each: client.get_role_policy(**named, PolicyName=each)["PolicyDocument"] for each in inline},
    }


def _machine_of(stack: Stack, resource: Resource) -> Any:
    client, named = stack.target.client("stepfunctions"), {"stateMachineArn": resource.arn}
    executions = client.list_executions(**named)["executions"]
    return {
        "machine": _settled(client.describe_state_machine(**named)),
        "executions": {each["name"]: each["status"] for each in executions},
    }


_READERS: Mapping[str, Callable[[Stack, Resource], Any]] = MappingProxyType(
    {
        "api": _api,
        "archive": _archive,
        "bucket": _bucket,
        "function": _function,
        "queue": _queue,
        "role": _role,
        "rule": _rule_of,
        "state_machine": _machine_of,
        "table": _table,
        "topic": _topic,
    }
)
_ABSENT = frozenset({"NoSuchBucketPolicy", "PolicyNotFoundException", "ResourceNotFoundException"})


def _absent(read: Callable[[], Any]) -> Any:
    """What a read answers, None where there is nothing to read."""
    try:
        return read()
    except ClientError as error:
        if error_code(error) not in _ABSENT:
            raise
        return None


def differences(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two configurations differ, a line each."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            line
            for name in sorted({*before, *after})
            for line in differences(before.get(name), after.get(name), f"{path}/{name}")
        ]
    return [] if before == after else [f"{path} was {before!r} and is {after!r}"]
