"""What IAM asks of whoever makes an AWS call: the action, and the resource as far as the parameters name it.

Where an action is not called as its operation is: the Service Authorization Reference
(docs.aws.amazon.com/service-authorization/latest/reference).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import pytest

from holdfast.permissions import Grant
from holdfast.stack.guarded import GuardRail

Params = Mapping[str, Any]

PREFIXES = {"stepfunctions": "states", "apigatewayv2": "apigateway", "dynamodbstreams": "dynamodb"}
"""Of actions, where it is not the name of the client."""
ACTIONS = {
    ("lambda", "Invoke"): ("InvokeFunction",),
    ("s3", "HeadBucket"): ("ListBucket",),
    ("s3", "HeadObject"): ("GetObject",),
    ("s3", "ListObjectsV2"): ("ListBucket",),
    ("sqs", "SendMessageBatch"): ("SendMessage",),
    ("sqs", "DeleteMessageBatch"): ("DeleteMessage",),
    ("sqs", "ChangeMessageVisibilityBatch"): ("ChangeMessageVisibility",),
    ("sts", "GetCallerIdentity"): (),
}
UNSCOPED = {"lambda:ListEventSourceMappings", "sns:GetSubscriptionAttributes", "ecs:ListTasks"}
"""Actions that admit no resource."""


@dataclass(frozen=True, slots=True)
class Need:
    """One action on one resource.

    Attributes:
        action: IAM action.
        resource: how its ARN ends, behind the account; empty where the parameters do not tell.
        call: the call, for messages.
    """

    action: str
    resource: str
    call: str

    def met_by(self, grant: Grant) -> bool:
        """Whether a grant allows it."""
        if grant.action != self.action:
            return False
        if self.action in UNSCOPED:
            return grant.resource == "*"
        return not self.resource or fnmatchcase(self.resource, grant.resource.split(":", 5)[-1])


def needs_of(service: str, operation: str, params: Params) -> Iterator[Need]:
    """What a call needs."""
    prefix = PREFIXES.get(service, service)
    call = f"{service}:{operation} {dict(params)}"
    if prefix == "apigateway":
        yield Need("apigateway:PATCH" if operation.startswith("Update") else "apigateway:GET", "", call)
        return
    for action in ACTIONS.get((service, operation), (operation,)):
        yield Need(f"{prefix}:{action}", _resource(service, params), call)


def _resource(service: str, params: Params) -> str:
    """What stands behind the account in the ARN of the resource."""
    named = {name: str(value) for name, value in params.items() if isinstance(value, str)}
    match service:
        case "lambda" if "FunctionName" in named:
            return f"function:{named['FunctionName'].rpartition('function:')[2]}"
        case "lambda" if "UUID" in named:
            return f"event-source-mapping:{named['UUID']}"
        case "sqs" if "QueueUrl" in named:
            return named["QueueUrl"].rpartition("/")[2]
        case "sqs" if "QueueName" in named:
            return named["QueueName"]
        case "sqs" if "SourceArn" in named:
            return named["SourceArn"].rpartition(":")[2]
        case "dynamodb" if "TableName" in named:
            table = f"table/{named['TableName'].rpartition('table/')[2]}"
            return f"{table}/index/{named['IndexName']}" if "IndexName" in named else table
        case "dynamodbstreams" if "StreamArn" in named:
            return named["StreamArn"].split(":", 5)[-1]
        case "s3" if "Bucket" in named:
            return f"{named['Bucket']}/{named['Key']}" if "Key" in named else named["Bucket"]
        case "sns" if "TopicArn" in named:
            return named["TopicArn"].rpartition(":")[2]
        case "stepfunctions":
            arn = named.get("stateMachineArn") or named.get("executionArn", "")
            return arn.split(":", 5)[-1]
        case "iam" if "RoleName" in named:
            return f"role/{named['RoleName']}"
        case "cloudformation" if "StackName" in named:
            return f"stack/{named['StackName']}/id"
    return ""


@dataclass(slots=True)
class Made:
    """The calls that the clients of ports, levers and drivers made.

    Attributes:
        needs: what they need of IAM.
    """

    needs: set[Need] = field(default_factory=set)

    def beyond(self, grants: frozenset[Grant]) -> list[Need]:
        """What is not granted."""
        unmet = [need for need in self.needs if not any(need.met_by(grant) for grant in grants)]
        return sorted(unmet, key=lambda need: (need.action, need.resource))


def watched(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Note what every call of a guarded client needs from now on."""
    made, check = Made(), GuardRail.check

    def noted(rail: GuardRail, service: str, operation: str, params: Params) -> None:
        check(rail, service, operation, params)
        made.needs.update(needs_of(service, operation, params))

    monkeypatch.setattr(GuardRail, "check", noted)
    return made
