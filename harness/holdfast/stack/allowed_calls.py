"""The AWS calls that may change something, and where their parameters say what they change.

Whatever is not listed here and is no read cannot be made: deleting, purging, retention, TTL, billing mode, encryption
and the code under test are beyond reach by construction. Faults need few calls; ports need those of the data planes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jmespath

READS = (
    "BatchGet",
    "Describe",
    "Filter",
    "Get",
    "Head",
    "List",
    "Lookup",
    "Query",
    "Scan",
    "Search",
    "Select",
    "Simulate",
    "TransactGet",
)
"""Operations whose names begin so change nothing. Receiving a message does: it hides it and is counted."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may change something.

    Attributes:
        names: kind of resource by the JMESPath at which the parameters name it; each of them has to name one at least.
        only: the parameters that may be given beside those; None for any.
        limited: JMESPath to values, each of which has to match the regular expression.
    """

    names: Mapping[str, str]
    only: frozenset[str] | None = None
    limited: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Named:
    """A resource that the parameters of a call name.

    Attributes:
        kind: kind of the resource.
        text: name, URL, ARN or id as it was given; empty where it is missing.
    """

    kind: str
    text: str


def is_read(operation: str) -> bool:
    """Whether an operation only reads."""
    return operation.startswith(READS)


def call_of(service: str, operation: str) -> Call | None:
    """The call, where it may be made.

    Args:
        service: service as boto3 names its client.
        operation: e.g. ``PutFunctionConcurrency``.
    """
    return CALLS.get(service, {}).get(operation)


def named(call: Call, params: Mapping[str, Any]) -> Iterator[Named]:
    """All resources that the parameters name; an empty text where nothing is named."""
    for expression, kind in call.names.items():
        found = jmespath.search(expression, params)
        texts = found if isinstance(found, list) else [found]
        yield from (Named(kind, str(text or "")) for text in texts or [""])


def beyond(call: Call, params: Mapping[str, Any]) -> str:
    """The first parameter or value that is not admitted; empty when all are."""
    if call.only is not None:
        own = {re.split(r"[^A-Za-z]", expression, maxsplit=1)[0] for expression in call.names}
        for name in params:
            if name not in call.only | own:
                return name
    for expression, pattern in call.limited.items():
        found = jmespath.search(expression, params)
        for value in found if isinstance(found, list) else [found]:
            if value is not None and not re.fullmatch(pattern, str(value)):
                return f"{value} ({expression})"
    return ""


def _calls(operations: str, kinds: Mapping[str, str], **rest: Any) -> dict[str, Call]:
    return {operation: Call(kinds, **rest) for operation in operations.split()}


_FUNCTION = {"FunctionName": "function"}
_QUEUE = {"QueueUrl": "queue"}
_TABLE = {"TableName": "table"}
_BUCKET = {"Bucket": "bucket"}
_RULE_PARAMETERS = ("Name", "EventBusName", "ScheduleExpression", "EventPattern", "Description", "RoleArn", "State")
_RULE = {"[EventBusName || 'default', Name] | join('/', @)": "rule"}

CALLS: Mapping[str, Mapping[str, Call]] = {
    "lambda": {
        **_calls("Invoke InvokeAsync InvokeWithResponseStream", _FUNCTION),
        **_calls("PutFunctionConcurrency DeleteFunctionConcurrency AddPermission RemovePermission", _FUNCTION),
        "UpdateFunctionConfiguration": Call(
            _FUNCTION, only=frozenset({"Timeout", "MemorySize", "Environment", "RevisionId"})
        ),
        "UpdateEventSourceMapping": Call({"UUID": "mapping"}, only=frozenset({"Enabled"})),
    },
    # the inline policies of the stack's own could not be put back
    "iam": _calls("PutRolePolicy DeleteRolePolicy", {"RoleName": "role"}, limited={"PolicyName": "holdfast-.+"}),
    "sqs": {
        **_calls("SendMessage SendMessageBatch ReceiveMessage DeleteMessage DeleteMessageBatch", _QUEUE),
        **_calls("ChangeMessageVisibility ChangeMessageVisibilityBatch", _QUEUE),
        "StartMessageMoveTask": Call({"[SourceArn, DestinationArn || SourceArn]": "queue"}),
        "SetQueueAttributes": Call(
            _QUEUE, limited={"keys(Attributes)": "Policy|VisibilityTimeout|DelaySeconds|RedrivePolicy"}
        ),
    },
    "sns": {
        **_calls("Publish PublishBatch", {"TopicArn": "topic"}),
        "SetSubscriptionAttributes": Call(
            {"SubscriptionArn": "subscription"}, limited={"AttributeName": "FilterPolicy|FilterPolicyScope"}
        ),
    },
    "events": {
        **_calls("EnableRule DisableRule", _RULE),
        "PutRule": Call(_RULE, only=frozenset(_RULE_PARAMETERS)),
        "PutEvents": Call({"Entries[].[EventBusName || 'default'][]": "bus"}),
        # the bus is the archive's own; without a filter, rules of others on it would get the events too
        "StartReplay": Call({"EventSourceArn": "archive", "Destination.FilterArns": "any"}),
        "CancelReplay": Call({"ReplayName": "replay"}),
    },
    "stepfunctions": {
        **_calls("StartExecution StartSyncExecution", {"stateMachineArn": "state_machine"}),
        **_calls("StopExecution RedriveExecution", {"executionArn": "execution"}),
    },
    "dynamodb": {
        **_calls("PutItem UpdateItem DeleteItem", _TABLE),
        "BatchWriteItem": Call({"keys(RequestItems)": "table"}),
        "TransactWriteItems": Call({"TransactItems[].values(@)[].TableName": "table"}),
        **_calls("PutResourcePolicy DeleteResourcePolicy", {"ResourceArn": "table"}),
        "UpdateTable": Call(
            _TABLE,
            only=frozenset({"ProvisionedThroughput", "OnDemandThroughput", "GlobalSecondaryIndexUpdates"}),
            limited={"GlobalSecondaryIndexUpdates[].keys(@)[]": "Update"},
        ),
    },
    "rds-data": {"ExecuteStatement": Call({"resourceArn": "any"}, limited={"sql": r"(?is)\s*(select|with)\b.*"})},
    "s3": {
        **_calls("PutObject DeleteObject DeleteObjects CopyObject", _BUCKET),
        **_calls("CreateMultipartUpload UploadPart CompleteMultipartUpload AbortMultipartUpload", _BUCKET),
        **_calls("PutBucketPolicy DeleteBucketPolicy", _BUCKET),
    },
    "apigateway": {
        "UpdateStage": Call(
            {"[restApiId, stageName] | join('/', @)": "stage"},
            limited={
                "patchOperations[].op": "replace|remove",
                "patchOperations[?op=='replace'].path": r"/.*/throttling/(rateLimit|burstLimit)",
                # the settings that a throttle of all methods has made
                "patchOperations[?op=='remove'].path": r"/\*/\*",
            },
        ),
    },
    "apigatewayv2": {
        "UpdateStage": Call(
            {"[ApiId, StageName] | join('/', @)": "stage"},
            only=frozenset({"ApiId", "StageName", "DefaultRouteSettings"}),
        ),
    },
    "ecs": _calls("StopTask ExecuteCommand", {"task": "task"}),
    "fis": {
        "CreateExperimentTemplate": Call(
            {"values(targets)[].[resourceArns || ['']][][]": "any"},
            limited={"values(targets)[].[resourceTags, filters][]": "nothing"},
        ),
        "StartExperiment": Call({"experimentTemplateId": "experiment_template"}),
        "StopExperiment": Call({"id": "experiment"}),
        "DeleteExperimentTemplate": Call({"id": "experiment_template"}),
    },
}
"""By service as boto3 names its client, and operation."""
