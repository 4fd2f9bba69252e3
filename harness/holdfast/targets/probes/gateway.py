"""Probes of API Gateway: direct integrations, mapping templates, authorisation, addresses."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote_plus

import urllib3

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import Bench, Queue, bench, check, wait_for

_STAGE = "live"
_HTTP = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=30), retries=False)
SEND_BODY = "Action=SendMessage&MessageBody=$util.urlEncode($input.body)"
NASTY = (
    "& + % = \" ' \\ / ; ? # $ { }",
    "line\nfeed\ttab\r\nreturn",
    "ünïcödé \U0001f9ea \u2028 \ud7ff \ue000 \ufffd",
    '{"a": 1.10, "b": [1, 2, 3], "a": "%41+%20", "n": 12345678901234567890}',
    "%00 %zz &MessageGroupId=x &Action=DeleteQueue",
    " leading and trailing ",
    "$input.body $context.requestId #set($a = 1) ## no comment",
    "x" * 1_000_000,
)


@dataclass(frozen=True, slots=True)
class RestApi:
    """A REST API whose POST /in is stored in a queue."""

    id: str
    on: Bench
    url: str
    queue: Queue
    role: str

    def post(self, body: str | bytes, headers: Mapping[str, str] | None = None) -> urllib3.BaseHTTPResponse:
        """Send a request."""
        content = body.encode() if isinstance(body, str) else body
        return _HTTP.request(
            "POST", self.url, body=content, headers={"content-type": "application/json", **(headers or {})}
        )


def rest_api(
    on: Bench, template: str | None, parameters: Mapping[str, str] | None = None, *, passthrough: str = "NEVER"
) -> RestApi:
    """A REST API with a direct integration, an answer 202 for 200 and 500 for everything else."""
    target = on.target
    api = target.client("apigateway")
    queue = on.queue()
    role, role_arn = on.role(["sqs:SendMessage"])
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
        uri=f"arn:aws:apigateway:{target.region}:sqs:path/{target.account}/{queue.name}",
        credentials=role_arn,
        passthroughBehavior=passthrough,
        requestParameters={
            "integration.request.header.Content-Type": "'application/x-www-form-urlencoded'",
            **(parameters or {}),
        },
        requestTemplates={"application/json": template} if template else {},
    )
    for status, pattern, answer in (
        ("202", "", '{"request": "$context.requestId"}'),
        ("500", "[45]\\d\\d", '{"refused": true}'),
    ):
        api.put_method_response(**place, statusCode=status)
        api.put_integration_response(
            **place, statusCode=status, selectionPattern=pattern, responseTemplates={"application/json": answer}
        )
    api.create_deployment(restApiId=api_id, stageName=_STAGE)
    return RestApi(api_id, on, f"{target.api_url(api_id, _STAGE)}/in", queue, role)


def body_unchanged(target: Target) -> None:
    """What a client sends is what the consumer reads, byte for byte."""
    with bench(target) as on:
        api = rest_api(on, SEND_BODY)
        for body in NASTY:
            answer = api.post(body)
            check(answer.status == 202, f"{body[:40]!r} was answered {answer.status} {answer.data!r}")
            stored = on.bodies(api.queue)[-1]
            check(stored == body, f"{body[:60]!r} was stored as {stored[:60]!r}")


def refused_by_queue(target: Target) -> None:
    """What SQS refuses is refused by the API: forbidden characters, too much, an empty body."""
    with bench(target) as on:
        api = rest_api(on, SEND_BODY)
        for body in ("a\x01b", "a\x00b", "\ufffe", "x" * 1_048_577, ""):
            answer = api.post(body)
            check(answer.status == 500, f"{body[:10]!r} was answered {answer.status}")
        check(not on.bodies(api.queue), "something was stored")


def too_large(target: Target) -> None:
    """A body over 10 MB is refused with 413."""
    with bench(target) as on:
        api = rest_api(on, SEND_BODY)
        answer = api.post(b"x" * (10 * 1024 * 1024 + 1))
        check(answer.status == 413, f"the status is {answer.status}")


def request_id(target: Target) -> None:
    """``$context.requestId`` is one id in the stored message, the answer and the answer's header."""
    with bench(target) as on:
        api = rest_api(on, "Action=SendMessage&MessageBody=$context.requestId%20$context.stage%20$context.httpMethod")
        answer = api.post("{}")
        told = answer.json()["request"]
        check(on.bodies(api.queue) == [f"{told} live POST"], f"stored {on.bodies(api.queue)}, answered {told}")
        check(
            answer.headers.get("x-amzn-requestid") == told, f"the header says {answer.headers.get('x-amzn-requestid')}"
        )


def template_functions(target: Target) -> None:
    """``$input.json``, ``$input.path``, ``$input.params`` and ``$util`` work as documented."""
    with bench(target) as on:
        template = (
            "Action=SendMessage&MessageBody="
            "$util.urlEncode($input.json('$.a'))|$util.urlEncode($input.path('$.a'))|$util.urlEncode($input.json('$')).|"
            "$util.urlEncode($util.escapeJavaScript($input.path('$.q')))|$util.urlEncode($util.base64Encode($input.body))|"
            "$input.params('X-Name')|$input.params('where')|"
            """$util.urlEncode($util.escapeJavaScript($input.path('$.q')).replaceAll("\\\\'", "'"))"""
        )
        api = rest_api(on, template)
        body = b'{"a": "x y", "q": "it\'s \\"so\\" \\u00e9/"}'
        answer = _HTTP.request(
            "POST",
            f"{api.url}?where=here",
            body=body,
            headers={"content-type": "application/json", "x-name": "me"},
        )
        check(answer.status == 202, f"answered {answer.status} {answer.data!r}")
        parts = on.bodies(api.queue)[0].split("|")
        expected = [
            '"x y"',
            "x y",
            '{"a":"x y","q":"it\'s \\"so\\" é/"}.',
            'it\\\'s \\"so\\" \\u00E9\\/',
            base64.b64encode(body).decode(),
            "me",
            "here",
            'it\'s \\"so\\" \\u00E9\\/',
        ]
        check(parts == expected, f"rendered {parts}, expected {expected}")
        check(api.post("no json").status == 400, "a body that is no JSON was not refused with 400")


def request_parameters(target: Target) -> None:
    """An integration without a template takes its request from the request parameters."""
    with bench(target) as on:
        api = rest_api(
            on,
            None,
            {
                "integration.request.querystring.Action": "'SendMessage'",
                "integration.request.querystring.MessageBody": "method.request.body",
            },
            passthrough="WHEN_NO_MATCH",
        )
        body = '{"text": "a & b + c % \\u00e9"}'
        answer = api.post(body)
        check(answer.status == 202, f"answered {answer.status} {answer.data!r}")
        check(on.bodies(api.queue) == [body], f"stored {on.bodies(api.queue)}")


def imported(target: Target) -> None:
    """An API with an OpenAPI body stores what it gets, with the template and the responses of the definition."""
    with bench(target) as on:
        queue = on.queue()
        _, role = on.role(["sqs:SendMessage"])
        integration = {
            "type": "aws",
            "httpMethod": "POST",
            "uri": f"arn:aws:apigateway:{target.region}:sqs:path/{target.account}/{queue.name}",
            "credentials": role,
            "passthroughBehavior": "never",
            "requestParameters": {"integration.request.header.Content-Type": "'application/x-www-form-urlencoded'"},
            "requestTemplates": {"application/json": SEND_BODY},
            "responses": {
                "default": {"statusCode": "202", "responseTemplates": {"application/json": '{"stored": true}'}},
                "[45]\\d\\d": {"statusCode": "500", "responseTemplates": {"application/json": '{"stored": false}'}},
            },
        }
        responses = {status: {"description": "-"} for status in ("202", "500")}
        operation = {"responses": responses, "x-amazon-apigateway-integration": integration}
        definition = {
            "openapi": "3.0.1",
            "info": {"title": on.name(), "version": "1"},
            "paths": {"/in": {"post": operation}},
        }
        template = {"Resources": {"Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": definition}}}}
        formation, stack = target.client("cloudformation"), on.name()
        formation.create_stack(StackName=stack, TemplateBody=json.dumps(template))
        on.later(formation.delete_stack, StackName=stack)
        wait_for(
            lambda: formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE",
            "the stack was not created",
        )
        resource = formation.describe_stack_resource(StackName=stack, LogicalResourceId="Api")
        api_id = resource["StackResourceDetail"]["PhysicalResourceId"]
        api = target.client("apigateway")
        api.create_deployment(restApiId=api_id, stageName=_STAGE)
        told = RestApi(api_id, on, f"{target.api_url(api_id, _STAGE)}/in", queue, role)
        stored = told.post("a & b")
        check((stored.status, stored.json()) == (202, {"stored": True}), f"answered {stored.status} {stored.data!r}")
        refused = told.post("a\x01b")
        check(
            (refused.status, refused.json()) == (500, {"stored": False}), f"answered {refused.status} {refused.data!r}"
        )
        check(on.bodies(queue) == ["a & b"], f"stored {on.bodies(queue)}")


def passthrough(target: Target) -> None:
    """A media type that no template is for is refused with 415 where nothing may pass through."""
    with bench(target) as on:
        for behavior, template in (("NEVER", None), ("NEVER", SEND_BODY), ("WHEN_NO_TEMPLATES", SEND_BODY)):
            api = rest_api(on, template, passthrough=behavior)
            answer = api.post("x", {"content-type": "text/plain"})
            check(answer.status == 415, f"{behavior}: answered {answer.status} {answer.data!r}")
            check(not on.bodies(api.queue), f"{behavior}: something was stored")


def to_bucket(target: Target) -> None:
    """An API stores a body as an object of S3, byte for byte, under a key from the path."""
    with bench(target) as on:
        url, bucket, _ = _bucket_api(on)
        body = NASTY[2]
        answer = _HTTP.request("PUT", url, body=body.encode(), headers={"content-type": "text/plain"})
        check(answer.status == 200, f"answered {answer.status} {answer.data!r}")
        stored = target.client("s3").get_object(Bucket=bucket, Key="a b")["Body"].read().decode()
        check(stored == body, f"stored {stored!r}")


def to_bucket_denied(target: Target) -> None:
    """An API whose role may not put objects answers 403."""
    with bench(target) as on:
        url, _, role = _bucket_api(on)
        target.client("iam").delete_role_policy(RoleName=role, PolicyName="probe")
        answer = _HTTP.request("PUT", url, body=b"other", headers={"content-type": "text/plain"})
        check(answer.status == 403, f"answered {answer.status} {answer.data!r}")


def _bucket_api(on: Bench) -> tuple[str, str, str]:
    """A REST API that puts objects: where to put one, the bucket, and the role."""
    target = on.target
    s3, api = target.client("s3"), target.client("apigateway")
    bucket = on.name()
    place = {"CreateBucketConfiguration": {"LocationConstraint": target.region}}
    s3.create_bucket(Bucket=bucket, **({} if target.region == "us-east-1" else place))
    on.later(s3.delete_bucket, Bucket=bucket)
    on.later(s3.delete_object, Bucket=bucket, Key="a b")
    role, role_arn = on.role(["s3:PutObject"])
    api_id = api.create_rest_api(name=on.name())["id"]
    on.later(api.delete_rest_api, restApiId=api_id)
    root = api.get_resources(restApiId=api_id)["items"][0]["id"]
    resource = api.create_resource(restApiId=api_id, parentId=root, pathPart="{item}")["id"]
    method = {"restApiId": api_id, "resourceId": resource, "httpMethod": "PUT"}
    api.put_method(**method, authorizationType="NONE", requestParameters={"method.request.path.item": True})
    api.put_integration(
        **method,
        type="AWS",
        integrationHttpMethod="PUT",
        uri=f"arn:aws:apigateway:{target.region}:s3:path/{bucket}/{{key}}",
        credentials=role_arn,
        requestParameters={"integration.request.path.key": "method.request.path.item"},
    )
    for status, pattern in (("200", ""), ("403", "403")):
        api.put_method_response(**method, statusCode=status)
        api.put_integration_response(**method, statusCode=status, selectionPattern=pattern)
    api.create_deployment(restApiId=api_id, stageName=_STAGE)
    return f"{target.api_url(api_id, _STAGE)}/a%20b", bucket, role


def role_denied(target: Target) -> None:
    """A Deny on the integration's role, or in the queue's policy, refuses the request; without it, it is accepted."""
    with bench(target) as on:
        api = rest_api(on, SEND_BODY)
        check(api.post("one").status == 202, "the allowed request was refused")
        iam, sqs = target.client("iam"), target.client("sqs")
        deny = {"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": "*"}
        iam.put_role_policy(
            RoleName=api.role,
            PolicyName="deny",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]}),
        )
        try:
            wait_for(lambda: api.post("two").status == 500, "the role's Deny has no effect")
        finally:
            iam.delete_role_policy(RoleName=api.role, PolicyName="deny")
        wait_for(lambda: api.post("three").status == 202, "the request is still refused")
        policy = {**deny, "Principal": "*", "Resource": api.queue.arn, "Sid": "deny"}
        sqs.set_queue_attributes(
            QueueUrl=api.queue.url,
            Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [policy]})},
        )
        check(api.post("four").status == 500, "the queue policy's Deny has no effect")
        check(on.bodies(api.queue) == ["one", "three"], f"stored {on.bodies(api.queue)}")


def denial_expires(target: Target) -> None:
    """A Deny with an end time ends by itself."""
    with bench(target) as on:
        api = rest_api(on, SEND_BODY)
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
        deny = {
            "Effect": "Deny",
            "Action": "sqs:SendMessage",
            "Resource": "*",
            "Condition": {"DateLessThan": {"aws:CurrentTime": end}},
        }
        target.client("iam").put_role_policy(
            RoleName=api.role,
            PolicyName="deny",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]}),
        )
        on.later(target.client("iam").delete_role_policy, RoleName=api.role, PolicyName="deny")
        check(api.post("one").status == 500, "the Deny has no effect")
        wait_for(lambda: api.post("two").status == 202, "the Deny did not end")


def http_api(target: Target) -> None:
    """An HTTP API reaches its function through the endpoint, at its default stage and at a named one."""
    with bench(target) as on:
        function = on.function()
        gateway = target.client("apigatewayv2")
        arn = target.client("lambda").get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        api = gateway.create_api(Name=on.name(), ProtocolType="HTTP")["ApiId"]
        on.later(gateway.delete_api, ApiId=api)
        integration = gateway.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        gateway.create_route(ApiId=api, RouteKey="GET /there", Target=f"integrations/{integration}")
        for stage in ("$default", "live"):
            gateway.create_stage(ApiId=api, StageName=stage, AutoDeploy=True)
            answer = _HTTP.request("GET", f"{target.api_url(api, stage)}/there")
            check(answer.status == 200, f"stage {stage} answered {answer.status} {answer.data!r}")


def failures_hidden(target: Target) -> None:
    """A function that fails gives 502, one that is throttled 500; the answer tells no more."""
    with bench(target) as on:
        function = on.function(code="def handler(event, context):\n    raise ValueError('secret')\n")
        functions = target.client("lambda")
        arn = functions.get_function(FunctionName=function)["Configuration"]["FunctionArn"]
        gateway = target.client("apigatewayv2")
        api = gateway.create_api(Name=on.name(), ProtocolType="HTTP")["ApiId"]
        on.later(gateway.delete_api, ApiId=api)
        integration = gateway.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        gateway.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{integration}")
        gateway.create_stage(ApiId=api, StageName=_STAGE, AutoDeploy=True)
        failed = _HTTP.request("GET", target.api_url(api, _STAGE))
        check(failed.status == 502, f"a failing function gave {failed.status}")
        check(b"secret" not in failed.data, f"the answer is {failed.data!r}")
        functions.put_function_concurrency(FunctionName=function, ReservedConcurrentExecutions=0)
        throttled = _HTTP.request("GET", target.api_url(api, _STAGE))
        check(throttled.status == 500, f"a throttled function gave {throttled.status}")


def function_url(target: Target) -> None:
    """A function URL reaches its function through the endpoint."""
    with bench(target) as on:
        function = on.function()
        functions = target.client("lambda")
        url = functions.create_function_url_config(FunctionName=function, AuthType="NONE")["FunctionUrl"]
        functions.add_permission(
            FunctionName=function,
            StatementId="all",
            Action="lambda:InvokeFunctionUrl",
            Principal="*",
            FunctionUrlAuthType="NONE",
        )
        address, headers = target.function_url(f"{url}there?q={quote_plus('a b')}")
        answer = _HTTP.request("GET", address, headers=dict(headers))
        check(answer.status == 200, f"answered {answer.status} {answer.data!r}")


def stage_throttled(target: Target) -> None:
    """Limits of 0 refuse every request with 429 before it is stored, and without the limits it is stored again."""
    with bench(target) as on:
        api = rest_api(on, SEND_BODY)
        client = target.client("apigateway")
        place = {"restApiId": api.id, "stageName": _STAGE}
        limits = [
            {"op": "replace", "path": f"/*/*/throttling/{name}", "value": "0"} for name in ("rateLimit", "burstLimit")
        ]
        client.update_stage(**place, patchOperations=limits)
        wait_for(lambda: api.post("refused").status == 429, "a throttled stage did not answer 429", seconds=60)
        client.update_stage(**place, patchOperations=[{"op": "remove", "path": "/*/*"}])
        wait_for(lambda: api.post("stored").status == 202, "a stage without limits still refuses", seconds=60)
        check("*/*" not in (client.get_stage(**place).get("methodSettings") or {}), "the settings were not removed")
