"""No call of levers and ports that changes something reaches beyond the resolved stack, and some are never made."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from holdfast.errors import GuardRailError
from holdfast.stack.allowed_calls import CALLS, READS, is_read
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.guarded import GuardRail, Scope, guarded
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.embedded import EmbeddedTarget
from lever_stack import Deployed, deploy, stack_of

PLACE = "eu-west-1:123456789012"
BUS = f"arn:aws:events:{PLACE}:event-bus/shop"
TABLE = f"arn:aws:dynamodb:{PLACE}:table/ledger"
THROTTLE = {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "1"}
FORBIDDEN = [
    ("sqs", "PurgeQueue", {"QueueUrl": "http://127.0.0.1/123456789012/orders"}),
    ("sqs", "DeleteQueue", {"QueueUrl": "http://127.0.0.1/123456789012/orders"}),
    ("lambda", "DeleteEventSourceMapping", {"UUID": "any"}),
    ("lambda", "DeleteFunction", {"FunctionName": "worker"}),
    ("lambda", "UpdateFunctionCode", {"FunctionName": "worker", "ZipFile": b""}),
    ("dynamodb", "UpdateTimeToLive", {"TableName": "ledger"}),
    ("dynamodb", "DeleteTable", {"TableName": "ledger"}),
    ("s3", "DeleteBucket", {"Bucket": "files"}),
    ("s3", "PutBucketLifecycleConfiguration", {"Bucket": "files"}),
    ("kms", "DisableKey", {"KeyId": "1234"}),
    ("kms", "ScheduleKeyDeletion", {"KeyId": "1234"}),
    ("stepfunctions", "UpdateStateMachine", {"stateMachineArn": f"arn:aws:states:{PLACE}:stateMachine:saga"}),
    ("iam", "PutRolePermissionsBoundary", {"RoleName": "worker-role"}),
    ("logs", "PutRetentionPolicy", {"logGroupName": "/aws/lambda/worker", "retentionInDays": 1}),
    ("events", "UpdateArchive", {"ArchiveName": "kept", "RetentionDays": 1}),
]
"""Calls that are never made, not even on the stack's own resources."""

BEYOND = [
    (
        "sqs",
        "SetQueueAttributes",
        {"QueueUrl": "http://x/123456789012/orders", "Attributes": {"MessageRetentionPeriod": "60"}},
    ),
    (
        "sqs",
        "SetQueueAttributes",
        {"QueueUrl": "http://x/123456789012/orders", "Attributes": {"Policy": "", "KmsMasterKeyId": "k"}},
    ),
    ("dynamodb", "UpdateTable", {"TableName": "ledger", "BillingMode": "PAY_PER_REQUEST"}),
    ("dynamodb", "UpdateTable", {"TableName": "ledger", "SSESpecification": {"Enabled": False}}),
    (
        "dynamodb",
        "UpdateTable",
        {"TableName": "ledger", "GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "by-id"}}]},
    ),
    ("lambda", "UpdateFunctionConfiguration", {"FunctionName": "worker", "KMSKeyArn": "arn:aws:kms:x"}),
    ("lambda", "UpdateFunctionConfiguration", {"FunctionName": "worker", "Handler": "other.handler"}),
    (
        "sns",
        "SetSubscriptionAttributes",
        {"SubscriptionArn": f"arn:aws:sns:{PLACE}:news:1", "AttributeName": "Endpoint"},
    ),
    (
        "apigateway",
        "UpdateStage",
        {
            "restApiId": "abc123",
            "stageName": "live",
            "patchOperations": [THROTTLE, {"op": "replace", "path": "/deploymentId", "value": "d"}],
        },
    ),
    (
        "apigateway",
        "UpdateStage",
        {
            "restApiId": "abc123",
            "stageName": "live",
            "patchOperations": [{"op": "remove", "path": "/variables/TABLE"}],
        },
    ),
    ("apigatewayv2", "UpdateStage", {"ApiId": "abc123", "StageName": "live", "StageVariables": {"table": "x"}}),
    ("lambda", "UpdateFunctionConfiguration", {"FunctionName": "worker", "Layers": []}),
    ("iam", "PutRolePolicy", {"RoleName": "worker-role", "PolicyName": "own"}),
    ("iam", "DeleteRolePolicy", {"RoleName": "worker-role", "PolicyName": "own"}),
]
"""Calls on the stack's own resources with a parameter that faults have no need of."""

OWN = [
    ("lambda", "PutFunctionConcurrency", {"FunctionName": "worker"}),
    ("lambda", "Invoke", {"FunctionName": f"arn:aws:lambda:{PLACE}:function:worker:live"}),
    ("lambda", "AddPermission", {"FunctionName": "123456789012:function:worker"}),
    ("iam", "PutRolePolicy", {"RoleName": "worker-role", "PolicyName": "holdfast-1"}),
    ("iam", "DeleteRolePolicy", {"RoleName": "ingest-role", "PolicyName": "holdfast-1"}),
    ("sqs", "SendMessage", {"QueueUrl": "http://127.0.0.1:4566/123456789012/orders"}),
    ("sqs", "SendMessage", {"QueueUrl": "http://sqs.eu-west-1.localhost:4566/orders"}),
    ("sqs", "StartMessageMoveTask", {"SourceArn": f"arn:aws:sqs:{PLACE}:orders"}),
    ("sqs", "SetQueueAttributes", {"QueueUrl": "http://x/123456789012/orders", "Attributes": {"Policy": ""}}),
    ("sns", "Publish", {"TopicArn": f"arn:aws:sns:{PLACE}:news"}),
    (
        "sns",
        "SetSubscriptionAttributes",
        {"SubscriptionArn": f"arn:aws:sns:{PLACE}:news:6f", "AttributeName": "FilterPolicy"},
    ),
    (
        "events",
        "PutEvents",
        {"Entries": [{"EventBusName": "shop"}, {"EventBusName": f"arn:aws:events:{PLACE}:event-bus/shop"}]},
    ),
    ("events", "DisableRule", {"Name": "nightly", "EventBusName": "shop"}),
    ("events", "EnableRule", {"Name": "hourly"}),
    (
        "events",
        "StartReplay",
        {
            "EventSourceArn": f"arn:aws:events:{PLACE}:archive/kept",
            "Destination": {"Arn": BUS, "FilterArns": [f"arn:aws:events:{PLACE}:rule/shop/nightly"]},
        },
    ),
    ("stepfunctions", "StartExecution", {"stateMachineArn": f"arn:aws:states:{PLACE}:stateMachine:saga"}),
    ("stepfunctions", "StopExecution", {"executionArn": f"arn:aws:states:{PLACE}:execution:saga:hf-1"}),
    ("dynamodb", "PutItem", {"TableName": "ledger"}),
    (
        "dynamodb",
        "UpdateTable",
        {"TableName": f"arn:aws:dynamodb:{PLACE}:table/ledger", "OnDemandThroughput": {"MaxWriteRequestUnits": 1}},
    ),
    ("dynamodb", "BatchWriteItem", {"RequestItems": {"ledger": []}}),
    ("dynamodb", "TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "ledger"}}]}),
    ("dynamodb", "PutResourcePolicy", {"ResourceArn": TABLE}),
    ("s3", "PutObject", {"Bucket": "files", "Key": "a"}),
    (
        "apigateway",
        "UpdateStage",
        {
            "restApiId": "abc123",
            "stageName": "live",
            "patchOperations": [THROTTLE, {"op": "remove", "path": "/*/*"}],
        },
    ),
    (
        "apigatewayv2",
        "UpdateStage",
        {"ApiId": "abc123", "StageName": "live", "DefaultRouteSettings": {"ThrottlingRateLimit": 0.0}},
    ),
]
"""Calls on the stack's own resources that faults and ports need."""


NAMES = (
    *("worker", "ingest-role", "orders", "news", "shop", "nightly"),
    *("hourly", "kept", "saga", "ledger", "files", "abc123"),
)
KEPT = ("AttributeName", "Attributes", "Key", "patchOperations")


def _other(params: Any) -> Any:
    """The same parameters with every resource's name changed a little."""
    if isinstance(params, dict):
        return {
            _renamed(name): value
            if name in ("AttributeName", "Attributes", "Key", "patchOperations")
            else _other(value)
            for name, value in params.items()
        }
    if isinstance(params, list):
        return [_other(value) for value in params]
    return _renamed(params) if isinstance(params, str) else params


def _renamed(text: str) -> str:
    for name in NAMES:
        text = text.replace(name, f"{name}-2")
    return text


@pytest.fixture
def stack() -> Stack:
    """One component of every type, on a target that is never asked."""

    class Nowhere:
        kind, account, region = "aws", "123456789012", "eu-west-1"
        endpoint_url = interceptor = interceptor_url = None

    def resource(kind: str, name: str, arn: str, **rest: str) -> Resource:
        return Resource(component=name, type=kind, name=name, arn=arn, **rest)

    role = "arn:aws:iam::123456789012:role/path/worker-role"
    return stack_of(
        Nowhere(),  # type: ignore[arg-type]
        resource("function", "worker", f"arn:aws:lambda:{PLACE}:function:worker", role=role),
        resource("role", "ingest-role", "arn:aws:iam::123456789012:role/ingest-role"),
        resource("queue", "orders", f"arn:aws:sqs:{PLACE}:orders"),
        resource("topic", "news", f"arn:aws:sns:{PLACE}:news"),
        resource("bus", "shop", f"arn:aws:events:{PLACE}:event-bus/shop"),
        resource("rule", "nightly", f"arn:aws:events:{PLACE}:rule/shop/nightly"),
        resource("rule", "hourly", f"arn:aws:events:{PLACE}:rule/hourly"),
        resource("archive", "kept", f"arn:aws:events:{PLACE}:archive/kept"),
        resource("state_machine", "saga", f"arn:aws:states:{PLACE}:stateMachine:saga"),
        resource("table", "ledger", f"arn:aws:dynamodb:{PLACE}:table/ledger"),
        resource("bucket", "files", "arn:aws:s3:::files"),
        resource("api", "abc123", "arn:aws:apigateway:eu-west-1::/restapis/abc123", stage="live"),
    )


def _id(call: tuple[str, str, Any]) -> str:
    return f"{call[0]}:{call[1]}"


@pytest.mark.parametrize("call", FORBIDDEN, ids=_id)
def test_some_calls_are_never_made(call: tuple[str, str, Any], stack: Stack) -> None:
    """What deletes, purges, shortens retention or touches TTL, keys and code is refused even on the stack itself."""
    with pytest.raises(GuardRailError, match="was refused; nothing was sent"):
        GuardRail(stack).check(*call)


@pytest.mark.parametrize("call", BEYOND, ids=_id)
def test_some_parameters_are_never_given(call: tuple[str, str, Any], stack: Stack) -> None:
    """A call that faults need is refused with a parameter that none of them needs."""
    with pytest.raises(GuardRailError, match=r"with .* was refused; nothing was sent"):
        GuardRail(stack).check(*call)


@pytest.mark.parametrize("call", OWN, ids=_id)
def test_calls_on_the_stack_pass_and_the_same_on_others_do_not(call: tuple[str, str, Any], stack: Stack) -> None:
    """However a resource is named, it is known as one of the stack; with another name the same call is refused."""
    service, operation, params = call
    GuardRail(stack).check(service, operation, params)
    with pytest.raises(GuardRailError, match=r"nothing outside the descriptor is ever changed"):
        GuardRail(stack).check(service, operation, _other(params))


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("lambda", "Invoke", {"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:worker"}),
        ("lambda", "Invoke", {"FunctionName": "arn:aws:lambda:eu-west-1:999999999999:function:worker"}),
        ("lambda", "Invoke", {"FunctionName": "999999999999:function:worker"}),
        ("sqs", "SendMessage", {"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/999999999999/orders"}),
        ("stepfunctions", "StopExecution", {"executionArn": "arn:aws:states:us-east-1:123456789012:execution:saga:x"}),
        ("sns", "Publish", {"PhoneNumber": "+100000000"}),
        ("events", "PutEvents", {"Entries": [{"EventBusName": "shop"}, {"Source": "on the default bus"}]}),
        (
            "dynamodb",
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "ledger"}}, {"Delete": {"TableName": "x"}}]},
        ),
        ("dynamodb", "BatchWriteItem", {"RequestItems": {}}),
        (
            "events",
            "StartReplay",
            {"EventSourceArn": f"arn:aws:events:{PLACE}:archive/kept", "Destination": {"Arn": BUS}},
        ),
        ("fis", "CreateExperimentTemplate", {"targets": {"all": {"resourceTags": {"env": "prod"}}}}),
        (
            "fis",
            "CreateExperimentTemplate",
            {"targets": {"one": {"resourceArns": [f"arn:aws:lambda:{PLACE}:function:worker", "arn:aws:lambda:x"]}}},
        ),
    ],
)
def test_another_place_is_not_the_stack(service: str, operation: str, params: Any, stack: Stack) -> None:
    """The same name in another account or region, one stranger among others, or no name at all is refused."""
    with pytest.raises(GuardRailError):
        GuardRail(stack).check(service, operation, params)


def test_the_default_bus_needs_a_command_that_sends_to_it(stack: Stack) -> None:
    """An event on the default bus is admitted where the descriptor has a command that sends one, and only there."""
    call = ("events", "PutEvents", {"Entries": [{"Source": "shop"}]})
    with pytest.raises(GuardRailError):
        GuardRail(stack).check(*call)
    sends = {"calls": [{"kind": "eventbridge", "source": "s", "detail_type": "t", "detail": {"id": "{key}"}}]}
    sending = Descriptor.model_validate(
        {**stack.descriptor.model_dump(exclude_unset=True, by_alias=True), "commands": {"say": sends}}
    )
    GuardRail(Stack(sending, stack.path, stack.target, stack.resources)).check(*call)


def test_every_admitted_call_exists_and_its_kinds_are_known() -> None:
    """Each call of the table is an operation of botocore's model with these parameters, and no read."""
    session = botocore.session.get_session()
    for service, calls in CALLS.items():
        model = session.get_service_model(service)
        for operation, call in calls.items():
            if operation == "InvokeAsync":
                continue  # deprecated, and still made by old code
            members = set(model.operation_model(operation).input_shape.members)
            assert (call.only or set()) <= members, operation
            assert not is_read(operation), operation
            assert all(hasattr(Scope, f"has_{kind}") for kind in call.names.values()), operation


def test_reads_change_nothing_by_their_names() -> None:
    """No operation is taken for a read although its name says that it changes something."""
    assert not [read for read in READS if read.startswith(("Put", "Set", "Update", "Delete", "Receive", "Send"))]
    assert not is_read("ReceiveMessage")


@pytest.fixture(scope="module")
def deployed(embedded: EmbeddedTarget) -> Deployed:
    """A small stack."""
    return deploy(embedded)


def test_clients_refuse_before_anything_is_sent(embedded: EmbeddedTarget, deployed: Deployed) -> None:
    """A refused call raises in the caller and does not arrive; presigned URLs are refused too; reads go through."""
    other = deploy(embedded)
    target = guarded(deployed.stack).target
    try:
        with pytest.raises(GuardRailError):
            target.client("lambda").put_function_concurrency(
                FunctionName=other.function, ReservedConcurrentExecutions=0
            )
        assert other.concurrency() is None
        target.client("lambda").put_function_concurrency(FunctionName=deployed.function, ReservedConcurrentExecutions=3)
        assert deployed.concurrency() == 3
        with pytest.raises(GuardRailError):
            target.client("sqs").purge_queue(QueueUrl=deployed.inbox)
        with pytest.raises(GuardRailError):
            target.client("s3").generate_presigned_url("put_object", Params={"Bucket": "another", "Key": "k"})
        assert target.client("lambda").get_function_concurrency(FunctionName=other.function) is not None
    finally:
        target.close()


def test_mappings_belong_to_their_functions(embedded: EmbeddedTarget, deployed: Deployed) -> None:
    """A mapping is known by its UUID alone: those of the stack's functions may be switched, others and more may not."""
    (own,) = deployed.stack.mappings("worker")
    (foreign,) = deploy(embedded).stack.mappings("worker")
    target = guarded(deployed.stack).target
    try:
        client = target.client("lambda")
        client.update_event_source_mapping(UUID=own.uuid, Enabled=True)
        with pytest.raises(GuardRailError):
            client.update_event_source_mapping(UUID=foreign.uuid, Enabled=False)
        with pytest.raises(GuardRailError):
            client.update_event_source_mapping(UUID=own.uuid, BatchSize=7)
    finally:
        target.close()
