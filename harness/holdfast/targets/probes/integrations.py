"""Probes of a REST API's direct integrations with services other than SQS: what is stored, and what is refused."""

from __future__ import annotations

import json

import urllib3

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, bench, check, wait_for
from holdfast.targets.probes.machines import machine

_STAGE = "live"
_HTTP = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=30), retries=False)
_ORDER = '{"id": "o-1", "note": "é & + % \\" \\\\ "}'


class DirectApi:
    """A REST API whose POST /in is one action of a service, answered 202 when it is done and 500 when it is not.

    Args:
        on: the bench.
        action: the end of the integration's URI, e.g. ``dynamodb:action/PutItem``.
        permission: the IAM action that it takes.
        template: of the service's request.
        content_type: of the service's request.

    Attributes:
        id: id of the API.
        role: name of the role that it acts as.
    """

    def __init__(self, on: Bench, action: str, permission: str, template: str, content_type: str) -> None:
        target = on.target
        api = target.client("apigateway")
        self.role, role_arn = on.role([permission])
        api_id = api.create_rest_api(name=on.name())["id"]
        on.later(api.delete_rest_api, restApiId=api_id)
        root = api.get_resources(restApiId=api_id)["items"][0]["id"]
        resource = api.create_resource(restApiId=api_id, parentId=root, pathPart="in")["id"]
        place = {"restApiId": api_id, "resourceId": resource, "httpMethod": "POST"}
        api.put_method(**place, authorizationType="NONE", apiKeyRequired=False)
        api.put_integration(
            **place,
            type="AWS",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:{target.region}:{action}",
            credentials=role_arn,
            passthroughBehavior="NEVER",
            requestParameters={"integration.request.header.Content-Type": f"'{content_type}'"},
            requestTemplates={"application/json": template},
        )
        for status, pattern in (("202", ""), ("500", "[45]\\d\\d")):
            api.put_method_response(**place, statusCode=status)
            api.put_integration_response(**place, statusCode=status, selectionPattern=pattern)
        api.create_deployment(restApiId=api_id, stageName=_STAGE)
        self.id = api_id
        self._on = on
        self._url = f"{target.api_url(api_id, _STAGE)}/in"

    def post(self, body: str = _ORDER) -> int:
        """Send a request; the status it is answered with."""
        return _HTTP.request("POST", self._url, body=body, headers={"content-type": "application/json"}).status

    def denied(self) -> int:
        """Take the role's right away and send a request; the status it is answered with."""
        self._on.target.client("iam").delete_role_policy(RoleName=self.role, PolicyName="probe")
        return self.post()


def to_table(target: Target) -> None:
    """An API stores a request as an item of DynamoDB, whole; a request that the table refuses is not acknowledged."""
    with bench(target) as on:
        table, _ = on.table()
        item = {
            "pk": {"S": "$input.path('$.id')"},
            "sk": {"S": "0"},
            "body": {"S": "$util.escapeJavaScript($input.body)"},
        }
        template = json.dumps({"TableName": table, "Item": item})
        api = DirectApi(on, "dynamodb:action/PutItem", "dynamodb:PutItem", template, "application/x-amz-json-1.0")
        check(api.post() == 202, "the request was refused")
        key = {"pk": {"S": "o-1"}, "sk": {"S": "0"}}
        stored = target.client("dynamodb").get_item(TableName=table, Key=key, ConsistentRead=True).get("Item", {})
        check(stored.get("body", {}).get("S") == _ORDER, f"stored {stored}")
        check(api.post('{"id": ""}') == 500, "an item without a key was acknowledged")


def to_topic(target: Target) -> None:
    """An API publishes a request to a topic, byte for byte."""
    with bench(target) as on:
        queue, topic = on.queue(), on.topic()
        on.allow(queue, "sns.amazonaws.com")
        on.subscribe(topic, "sqs", queue.arn, RawMessageDelivery="true")
        template = f"Action=Publish&TopicArn=$util.urlEncode('{topic}')&Message=$util.urlEncode($input.body)"
        api = DirectApi(on, "sns:path//", "sns:Publish", template, "application/x-www-form-urlencoded")
        check(api.post() == 202, "the request was refused")
        stored = wait_for(lambda: on.bodies(queue), "the message did not arrive")
        check(stored == [_ORDER], f"the topic delivered {stored}")


def to_bus(target: Target) -> None:
    """An API puts a request as an event on a bus."""
    with bench(target) as on:
        queue, source = on.queue(), on.name()
        on.allow(queue, "events.amazonaws.com")
        on.rule(source, queue.arn)
        entry = f'{{"Source": "{source}", "DetailType": "placed", "Detail": "$util.escapeJavaScript($input.body)"}}'
        template = f'{{"Entries": [{entry}]}}'
        api = DirectApi(on, "events:action/PutEvents", "events:PutEvents", template, "application/x-amz-json-1.1")
        check(api.post('{"id": "o-1"}') == 202, "the request was refused")
        event = json.loads(wait_for(lambda: on.bodies(queue), "the event did not arrive")[0])
        check((event["detail-type"], event["detail"]) == ("placed", {"id": "o-1"}), f"the event is {event}")


def to_machine(target: Target) -> None:
    """An API starts an execution with the request as its input."""
    with bench(target) as on:
        started = machine(on, {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
        template = f'{{"stateMachineArn": "{started.arn}", "input": "$util.escapeJavaScript($input.body)"}}'
        action, permission = "states:action/StartExecution", "states:StartExecution"
        api = DirectApi(on, action, permission, template, "application/x-amz-json-1.0")
        check(api.post('{"id": "o-1"}') == 202, "the request was refused")
        listed = target.client("stepfunctions").list_executions(stateMachineArn=started.arn)["executions"]
        check(len(listed) == 1, f"{len(listed)} executions were started")
        done = started.finished(listed[0]["executionArn"])
        check(json.loads(done["output"]) == {"id": "o-1"}, f"the output is {done.get('output')}")


def denied(target: Target) -> None:
    """An API whose role may not do it answers with the service's error and does nothing, whatever the service."""
    with bench(target) as on:
        table, _ = on.table()
        started = machine(on, {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
        item = {"pk": {"S": "k"}, "sk": {"S": "0"}}
        put = json.dumps({"TableName": table, "Item": item})
        json_10 = "application/x-amz-json-1.0"
        begin = json.dumps({"stateMachineArn": started.arn, "input": "{}"})
        for action, permission, template in (
            ("dynamodb:action/PutItem", "dynamodb:PutItem", put),
            ("states:action/StartExecution", "states:StartExecution", begin),
        ):
            status = DirectApi(on, action, permission, template, json_10).denied()
            check(status == 500, f"{permission}: answered {status}")
        found = target.client("dynamodb").get_item(TableName=table, Key=item, ConsistentRead=True)
        check("Item" not in found, "the item was stored")
        listed = target.client("stepfunctions").list_executions(stateMachineArn=started.arn)["executions"]
        check(not listed, "the execution was started")
