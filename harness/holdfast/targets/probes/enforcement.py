"""Probes of what a target has to refuse: callers without permission, denied roles, writes beyond a table's capacity."""

from __future__ import annotations

import json
import time

from botocore.exceptions import ClientError

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import bench, check, wait_for
from holdfast.targets.probes.machines import machine, states

_DENIED = ("AccessDenied", "AccessDeniedException")
_STAYS_SECONDS = 3.0
_WRITER = """
import os
import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    try:
        item = {"pk": {"S": "key"}, "sk": {"S": "0"}}
        boto3.client("dynamodb").put_item(TableName=os.environ["TABLE"], Item=item)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "accepted"
"""
_ITEM_CHARACTERS = 4_000
_WRITES = 400
"""Of four units each: more than the unused capacity of five minutes that a table of one unit may have saved up
(docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html)."""


def invoke_permission(target: Target) -> None:
    """A rule invokes its function only from when the function's policy lets it; what came before is not sent later."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table)
        source = on.name()
        rule = on.rule(source, on.function_arn(function))
        on.put_event(source, {"put": "unpermitted"})
        end = time.monotonic() + _STAYS_SECONDS
        wait_for(
            lambda: time.monotonic() > end or on.puts(table, "unpermitted"), "unreachable", seconds=2 * _STAYS_SECONDS
        )
        check(not on.puts(table, "unpermitted"), "a rule without permission invoked the function")
        target.client("lambda").add_permission(
            FunctionName=function,
            StatementId="probe",
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=f"arn:aws:events:{target.region}:{target.account}:rule/{rule}",
        )

        def sent() -> int:
            on.put_event(source, {"put": "permitted"})
            return on.puts(table, "permitted")

        wait_for(sent, "a rule with permission did not invoke the function")
        check(not on.puts(table, "unpermitted"), "what was refused was sent later")


def task_role(target: Target) -> None:
    """A task fails when the state machine's role may not invoke its function."""
    with bench(target) as on:
        invoke = {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": {"FunctionName": on.function(), "Payload": {}},
        }
        execution = machine(on, states(("Invoke", invoke)), actions=("logs:PutLogEvents",)).run({})
        check(execution["status"] == "FAILED", f"without the right to invoke the execution is {execution['status']}")


def table_policy(target: Target) -> None:
    """A Deny in a table's policy refuses the role that it names, and without the policy it may write again."""
    with bench(target) as on:
        table, _ = on.table()
        function = on.function(table=table, code=_WRITER)
        role = target.client("lambda").get_function_configuration(FunctionName=function)["Role"]
        dynamodb = target.client("dynamodb")
        arn = dynamodb.describe_table(TableName=table)["Table"]["TableArn"]
        statement = {
            "Effect": "Deny",
            "Principal": {"AWS": role},
            "Action": "dynamodb:PutItem",
            "Resource": arn,
        }
        dynamodb.put_resource_policy(
            ResourceArn=arn, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
        answer = on.invoke(function, {})[1]
        check(answer in _DENIED, f"the denied role was answered {answer}")
        dynamodb.delete_resource_policy(ResourceArn=arn)
        wait_for(lambda: on.invoke(function, {})[1] == "accepted", "without the policy the role is still refused")


def table_throttled(target: Target) -> None:
    """A provisioned table refuses what is beyond its capacity and what it has saved up of that."""
    with bench(target) as on:
        dynamodb = target.client("dynamodb")
        table = on.name()
        dynamodb.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        )
        on.later(dynamodb.delete_table, TableName=table)
        wait_for(
            lambda: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"] == "ACTIVE",
            f"table {table} did not become active",
        )
        item = {"pk": {"S": "key"}, "filling": {"S": "x" * _ITEM_CHARACTERS}}
        for _ in range(_WRITES):
            try:
                dynamodb.put_item(TableName=table, Item=item)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                check(code == "ProvisionedThroughputExceededException", f"a write was answered {code}")
                return
        check(holds=False, otherwise=f"{_WRITES} writes of 4 units each passed a table of one unit")


def fault_injection_service(target: Target) -> None:
    """AWS Fault Injection Service knows the action that makes invocations of a function err."""
    action = "aws:lambda:invocation-error"
    try:
        found = target.client("fis").get_action(id=action)["action"]["id"]
    except ClientError as error:
        found = error.response["Error"]["Code"]
    check(found == action, f"the service answered {found}")
