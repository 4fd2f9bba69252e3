"""The cheap client over sockets: the same outcomes as boto3 on an emulator, and no surprise when a connection fails."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from boto3_reference import Boto3Client
from holdfast.targets.embedded import ACCOUNT, EmbeddedTarget
from holdfast_load.client.calls import reply
from ports_rig import Received, Web, answer, answers, certificate, cut, free_port, garbage, half, serving

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
HANDLER = """
import json

def handler(event, context):
    body = json.loads(event["body"]) if "body" in event else event
    if body.get("fail"):
        raise RuntimeError("planted")
    return {"statusCode": 200, "body": json.dumps(body)} if "body" in event else {"got": body}
"""


def cheaply(**asked: Any) -> dict[str, Any]:
    """Make calls with the cheap client in a process of its own."""
    environment = os.environ | asked.pop("environment", {})
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("load_calls.py")],
        input=json.dumps({"region": "eu-west-1"} | asked),
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def requests_to(web: Web, *calls: dict[str, Any], **asked: Any) -> dict[str, Any]:
    """Make HTTP requests to a server; a call without an address goes to ``/``."""
    return cheaply(endpoint=web.url, calls=[{"url": f"{web.url}/", **call} for call in calls], **asked)


# -- the same outcomes as boto3 ------------------------------------------------------------------------------------


def resources(target: EmbeddedTarget, tag: str) -> dict[str, str]:
    """What the calls are made to."""
    target.client("dynamodb").create_table(
        TableName=f"t-{tag}",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    role = target.client("iam").create_role(RoleName=f"r-{tag}", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", HANDLER)
    function = target.client("lambda").create_function(
        FunctionName=f"f-{tag}",
        Runtime="python3.12",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": packed.getvalue()},
        Timeout=20,
    )["FunctionArn"]
    machine = target.client("stepfunctions").create_state_machine(
        name=f"m-{tag}",
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}}),
        roleArn=role,
    )["stateMachineArn"]
    target.client("s3").create_bucket(
        Bucket=f"b-{tag}", CreateBucketConfiguration={"LocationConstraint": target.region}
    )
    gateway = target.client("apigatewayv2")
    api = gateway.create_api(Name=f"a-{tag}", ProtocolType="HTTP")["ApiId"]
    integration = gateway.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
    )["IntegrationId"]
    gateway.create_route(ApiId=api, RouteKey="POST /orders", Target=f"integrations/{integration}")
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    target.client("lambda").add_permission(
        FunctionName=f"f-{tag}", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )
    return {
        "queue": target.client("sqs").create_queue(QueueName=f"q-{tag}")["QueueUrl"],
        "topic": target.client("sns").create_topic(Name=f"n-{tag}")["TopicArn"],
        "machine": machine,
        "api": target.api_url(api, "$default"),
    }


def calls_to(made: dict[str, str], tag: str) -> list[dict[str, Any]]:
    """Calls of every kind: acknowledged, refused, and failed within."""
    table, item = f"t-{tag}", {"pk": {"S": "k"}, "note": {"S": "é"}}
    rows: list[tuple[str, str, dict[str, Any]]] = [
        ("dynamodb", "PutItem", {"TableName": table, "Item": item}),
        ("dynamodb", "GetItem", {"TableName": table, "Key": {"pk": {"S": "k"}}}),
        (
            "dynamodb",
            "PutItem",
            {"TableName": table, "Item": item, "ConditionExpression": "attribute_not_exists(pk)"},
        ),
        ("dynamodb", "PutItem", {"TableName": f"none-{tag}", "Item": item}),
        ("dynamodb", "PutItem", {"TableName": table, "Item": {"other": {"S": "k"}}}),
        ("sqs", "SendMessage", {"QueueUrl": made["queue"], "MessageBody": "m"}),
        ("sqs", "SendMessage", {"QueueUrl": f"{made['queue']}-none", "MessageBody": "m"}),
        ("sns", "Publish", {"TopicArn": made["topic"], "Message": "m & é"}),
        ("sns", "Publish", {"TopicArn": f"{made['topic']}-none", "Message": "m"}),
        ("events", "PutEvents", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": "{}"}]}),
        ("stepfunctions", "StartExecution", {"stateMachineArn": made["machine"], "input": "{}"}),
        ("stepfunctions", "StartExecution", {"stateMachineArn": f"{made['machine']}-none", "input": "{}"}),
        ("lambda", "Invoke", {"FunctionName": f"f-{tag}", "Payload": '{"a": 1}'}),
        ("lambda", "Invoke", {"FunctionName": f"f-{tag}", "Payload": '{"fail": true}'}),
        ("lambda", "Invoke", {"FunctionName": f"f-{tag}", "InvocationType": "Event", "Payload": '{"a": 1}'}),
        ("lambda", "Invoke", {"FunctionName": f"none-{tag}", "Payload": "{}"}),
        ("s3", "PutObject", {"Bucket": f"b-{tag}", "Key": "a b/ü+.txt", "Body": "body", "ContentType": "text/plain"}),
        ("s3", "PutObject", {"Bucket": f"none-{tag}", "Key": "k", "Body": "body"}),
    ]
    calls = [dict(zip(("service", "operation", "parameters"), row, strict=True)) for row in rows]
    headers = {"Content-Type": "application/json"}
    return [
        *calls,
        {"url": f"{made['api']}/orders", "headers": headers, "body": '{"a": 1}'},
        {"url": f"{made['api']}/orders", "headers": headers, "body": '{"a": 2}', "sign_for": "execute-api"},
        {"url": f"{made['api']}/orders", "headers": headers, "body": '{"fail": true}'},
        {"url": f"{made['api']}/nowhere", "headers": headers},
    ]


def by_reference(client: Boto3Client, call: dict[str, Any]) -> Any:
    """The same call with boto3."""
    if "url" in call:
        return client.http(
            "POST",
            call["url"],
            headers=call["headers"],
            body=call.get("body", "").encode(),
            sign_for=call.get("sign_for", ""),
        )
    return client.call(call["service"], call["operation"], call["parameters"])


def test_outcomes_equal_boto3s(embedded: EmbeddedTarget) -> None:
    """On the emulator 22 calls have the same outcome, status and error code, and each took effect once."""
    tag = uuid.uuid4().hex[:8]
    made = resources(embedded, tag)
    calls = calls_to(made, tag)
    reference = Boto3Client(embedded)
    expected = [by_reference(reference, call) for call in calls]
    reference.close()
    found = cheaply(endpoint=embedded.endpoint_url, access_key=ACCOUNT, calls=calls)["made"]
    for call, answered, cheap in zip(calls, expected, found, strict=True):
        told = reply(answered)
        assert (cheap["outcome"], cheap["status"], cheap["code"]) == (told.outcome, answered.status, answered.code), (
            call
        )
    assert {cheap["outcome"] for cheap in found} == {"ok", "fail", "unknown"}
    read = next(cheap for call, cheap in zip(calls, found, strict=True) if call.get("operation") == "GetItem")
    assert json.loads(read["text"])["Item"] == {"pk": {"S": "k"}, "note": {"S": "é"}}
    attributes = embedded.client("sqs").get_queue_attributes(
        QueueUrl=made["queue"], AttributeNames=["ApproximateNumberOfMessages"]
    )
    assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "2"
    body = embedded.client("s3").get_object(Bucket=f"b-{tag}", Key="a b/ü+.txt")["Body"].read()
    assert body == b"body"


def test_signed_http_requests_arrive_as_signed() -> None:
    """What a server receives has the signature that botocore makes of it."""
    with serving() as web:
        call = {
            "url": f"{web.url}/prod/orders?b=2&a=%20",
            "headers": {"Content-Type": "application/json", "X-Amz-Meta": "m", "X-Own": "o"},
            "body": '{"a": 1}',
            "sign_for": "execute-api",
        }
        assert requests_to(web, call)["made"][0]["outcome"] == "ok"
        (received,) = web.received
    assert received.headers["x-own"] == "o"
    assert received.headers["authorization"] == botocores_signature(received, web.url)


def botocores_signature(received: Received, url: str) -> str:
    """The authorization that botocore makes of what was received."""
    signed = received.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    headers = {name: received.headers[name] for name in signed if name not in {"host", "x-amz-date"}}
    request = AWSRequest(method=received.method, url=f"{url}{received.path}", data=received.body, headers=headers)
    request.context["timestamp"] = received.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "test"), "execute-api", "eu-west-1")
    request.headers["X-Amz-Date"] = received.headers["x-amz-date"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    names = ";".join(sorted(signed))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names},"
        f" Signature={signer.signature(text, request)}"
    )


# -- one attempt, whatever happens ---------------------------------------------------------------------------------


def never(handler: BaseHTTPRequestHandler) -> None:
    """A behaviour: no answer while the client waits."""
    handler.connection.settimeout(10)
    handler.connection.recv(1)
    handler.close_connection = True


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (cut, "connection failed: "),
        (half, "connection failed: HTTPParseError: Incomplete response"),
        (garbage, "connection failed: HTTPParseError"),
        (never, "no answer within 0.4 s"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
def test_a_broken_answer_is_unknown_and_sent_once(
    behaviour: Callable[[BaseHTTPRequestHandler], None], why: str, method: str
) -> None:
    """Whatever the method, a request whose answer fails is not repeated, and nobody claims to know what it did."""
    with serving() as web:
        web.behaviour = behaviour
        (made,) = requests_to(web, {"method": method}, timeouts={"read_seconds": 0.4})["made"]
        assert (made["outcome"], made["answered"]) == ("unknown", False)
        assert made["error"].startswith(why), made
        assert len(web.received) == 1


def test_a_slow_drip_ends_at_the_timeout() -> None:
    """The timeout is for the whole answer: bytes that keep coming do not extend it."""
    done = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        while not done.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    with serving() as web:
        web.behaviour = drip
        (made,) = requests_to(web, {}, timeouts={"read_seconds": 0.5})["made"]
        done.set()
    assert (made["outcome"], made["error"]) == ("unknown", "no answer within 0.5 s")


def test_connections_are_kept_alive_and_one_per_call_under_way() -> None:
    """Calls in a row share a connection; calls at once have one each."""
    with serving() as web:
        assert requests_to(web, *[{}] * 5)["opened"] == 1
        together = threading.Barrier(3, timeout=10)

        def meet(handler: BaseHTTPRequestHandler) -> None:
            together.wait()
            answer(handler, 200, b"{}")

        web.behaviour = meet
        found = requests_to(web, *[{}] * 3, at_once=True)
    assert found["opened"] == 3
    assert [made["outcome"] for made in found["made"]] == ["ok"] * 3


def test_a_connection_that_the_server_closed_is_not_used_again() -> None:
    """An idle connection that ended meanwhile is replaced before anything is sent on it: the call is acknowledged."""

    def answer_and_leave(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, 200, b"{}")
        handler.close_connection = True  # without saying so

    with serving() as web:
        web.behaviour = answer_and_leave
        found = requests_to(web, {}, {"pause_seconds": 0.5})
    assert [made["outcome"] for made in found["made"]] == ["ok", "ok"]
    assert found["opened"] == 2


def test_a_redirect_is_an_answer() -> None:
    """It is not followed."""
    with serving() as web:
        web.behaviour = answers(307)
        (made,) = requests_to(web, {})["made"]
        assert (made["status"], len(web.received)) == (307, 1)


def test_what_nobody_listens_to_was_not_sent() -> None:
    """A refused connection is a failure for certain: no byte left."""
    address = f"http://127.0.0.1:{free_port()}"
    put = {"service": "dynamodb", "operation": "PutItem", "parameters": {"TableName": "t", "Item": {}}}
    for made in cheaply(endpoint=address, calls=[{"url": f"{address}/"}, put])["made"]:
        assert (made["outcome"], made["answered"]) == ("fail", False)
        assert made["error"].startswith("connection failed: ConnectionRefusedError")


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_verified(trusted: bool, tmp_path: Path) -> None:
    """A certificate of an authority that is named is accepted; any other gets no request."""
    public, context = certificate(tmp_path)
    environment = {"AWS_CA_BUNDLE": str(public)} if trusted else {"AWS_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""}
    with serving(context) as web:
        found = requests_to(web, {}, {}, environment=environment)
        if trusted:
            assert [made["outcome"] for made in found["made"]] == ["ok", "ok"]
            assert found["opened"] == 1
        else:
            assert {made["outcome"] for made in found["made"]} == {"unknown"}
            assert "certificate verify failed" in found["made"][0]["error"]
            assert web.received == []


# -- the clock -----------------------------------------------------------------------------------------------------


def test_a_wrong_clock_costs_one_refusal_and_no_retry() -> None:
    """A client an hour late is refused once, says so, and takes the server's time; nothing is repeated."""

    def strict(handler: BaseHTTPRequestHandler) -> None:
        sent = datetime.strptime(handler.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - sent) < timedelta(minutes=5):
            answer(handler, 200, b"{}")
        else:
            body = b'{"__type":"com.amazon.coral.service#InvalidSignatureException","message":"Signature expired"}'
            answer(handler, 400, body, "application/x-amz-json-1.0")

    put = {"service": "dynamodb", "operation": "PutItem", "parameters": {"TableName": "t", "Item": {}}}
    with serving() as web:
        web.behaviour = strict
        found = cheaply(endpoint=web.url, calls=[put, put, put], late_seconds=3_600.0)
        assert len(web.received) == 3
    assert [(made["outcome"], made["code"]) for made in found["made"]] == [
        ("fail", "InvalidSignatureException"),
        ("ok", ""),
        ("ok", ""),
    ]
    assert found["skew_corrections"] == 1
