"""Probes of the first-class integrations of HTTP APIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, bench, check, wait_for
from holdfast.targets.probes.machines import machine

_HTTP = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=30), retries=False)


@dataclass(frozen=True, slots=True)
class HttpApi:
    """An HTTP API with one route, POST /in/{place}."""

    id: str
    url: str
    role: str

    def post(self, body: str, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Send a request."""
        told = {"content-type": "application/json", **(headers or {})}
        return _HTTP.request("POST", f"{self.url}/in/here", body=body.encode(), headers=told)


def http_api(
    on: Bench,
    subtype: str,
    parameters: Mapping[str, str],
    responses: Mapping[str, Mapping[str, str]] | None = None,
) -> HttpApi:
    """An HTTP API whose route is a first-class integration."""
    api = on.target.client("apigatewayv2")
    role, role_arn = on.role()
    api_id = api.create_api(Name=on.name(), ProtocolType="HTTP")["ApiId"]
    on.later(api.delete_api, ApiId=api_id)
    made = api.create_integration(
        ApiId=api_id,
        IntegrationType="AWS_PROXY",
        IntegrationSubtype=subtype,
        CredentialsArn=role_arn,
        PayloadFormatVersion="1.0",
        RequestParameters=dict(parameters),
        **({"ResponseParameters": {status: dict(told) for status, told in responses.items()}} if responses else {}),
    )
    api.create_route(ApiId=api_id, RouteKey="POST /in/{place}", Target=f"integrations/{made['IntegrationId']}")
    api.create_stage(ApiId=api_id, StageName="live", AutoDeploy=True)
    return HttpApi(api_id, on.target.api_url(api_id, "live"), role)


def to_queue(target: Target) -> None:
    """SQS-SendMessage stores the body as it is, or what the mappings take from the request, and answers the id."""
    with bench(target) as on:
        queue = on.queue()
        accepted = {"200": {"overwrite:statuscode": "202", "append:header.x-place": "$request.path.place"}}
        api = http_api(on, "SQS-SendMessage", {"QueueUrl": queue.url, "MessageBody": "$request.body"}, accepted)
        body = '{"a": 1.10, "text": "é & + % \\" \\\\ "}'
        answer = api.post(body)
        check(answer.status == 202, f"the status is {answer.status}: {answer.data!r}")
        check(answer.headers.get("x-place") == "here", f"the headers are {dict(answer.headers)}")
        check(on.bodies(queue) == [body], f"stored {on.bodies(queue)}")
        sent = target.peek_messages(queue.url)[0].id
        check(sent in answer.data.decode(), f"message {sent} was answered {answer.data!r}")
        mapped = http_api(
            on,
            "SQS-SendMessage",
            {
                "QueueUrl": queue.url,
                "MessageBody": "${request.body.order.id} ${request.header.x-name} $request.path.place ${context.stage}",
            },
        )
        mapped.post('{"order": {"id": "o-1"}}', {"x-name": "n"})
        check(on.bodies(queue)[-1] == "o-1 n $request.path.place live", f"stored {on.bodies(queue)[-1]!r}")


def to_queue_denied(target: Target) -> None:
    """The integration acts as its role: without permission nothing is stored, and the client sees the error."""
    with bench(target) as on:
        queue = on.queue()
        api = http_api(on, "SQS-SendMessage", {"QueueUrl": queue.url, "MessageBody": "$request.body"})
        target.client("iam").delete_role_policy(RoleName=api.role, PolicyName="probe")
        answer = api.post("{}")
        check(answer.status == 403, f"the status is {answer.status}: {answer.data!r}")
        check(not on.bodies(queue), "the message was stored")


def to_bus(target: Target) -> None:
    """EventBridge-PutEvents puts the request as an event on the default bus."""
    with bench(target) as on:
        queue = on.queue()
        source = on.name()
        on.allow(queue, "events.amazonaws.com")
        on.rule(source, queue.arn)
        api = http_api(
            on,
            "EventBridge-PutEvents",
            {"Source": source, "DetailType": "$request.header.x-kind", "Detail": "$request.body"},
        )
        answer = api.post('{"id": "o-1"}', {"x-kind": "placed"})
        check(answer.status == 200, f"the status is {answer.status}: {answer.data!r}")
        found = json.loads(wait_for(lambda: on.bodies(queue), "the event did not arrive")[0])
        check(found["detail"] == {"id": "o-1"}, f"the detail is {found['detail']}")
        check(found["detail-type"] == "placed", f"the type is {found['detail-type']}")


def to_machine(target: Target) -> None:
    """StepFunctions-StartExecution starts an execution with the request as its input."""
    with bench(target) as on:
        started = machine(on, {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
        api = http_api(on, "StepFunctions-StartExecution", {"StateMachineArn": started.arn, "Input": "$request.body"})
        answer = api.post('{"id": "o-1"}')
        check(answer.status == 200, f"the status is {answer.status}: {answer.data!r}")
        done = started.finished(json.loads(answer.data)["executionArn"])
        check(json.loads(done["output"]) == {"id": "o-1"}, f"the output is {done.get('output')}")


def stage_throttled(target: Target) -> None:
    """Limits of 0 on an HTTP API's stage refuse every request with 429 before it is stored."""
    with bench(target) as on:
        queue = on.queue()
        api = http_api(on, "SQS-SendMessage", {"QueueUrl": queue.url, "MessageBody": "$request.body"})
        target.client("apigatewayv2").update_stage(
            ApiId=api.id,
            StageName="live",
            DefaultRouteSettings={"ThrottlingRateLimit": 0, "ThrottlingBurstLimit": 0},
        )
        wait_for(lambda: api.post("refused").status == 429, "a throttled stage did not answer 429", seconds=10)
