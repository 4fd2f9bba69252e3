"""Requests of the cheap client mean what boto3's mean, and its answers are read as boto3 reads them."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import urllib.parse
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ParamValidationError

from holdfast.errors import PortError
from holdfast.ports.transports.aws import client_error
from holdfast_load.client.operations import Service
from holdfast_load.client.signing import Keys

ENDPOINT = "http://127.0.0.1:9/base"
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    (
        "dynamodb",
        "PutItem",
        {"TableName": "t", "Item": {"pk": {"S": "k é"}, "n": {"N": "1"}, "l": {"L": [{"BOOL": True}]}}},
    ),
    ("dynamodb", "PutItem", {"TableName": "t", "Item": {"pk": {"B": b"\x00\xff"}, "s": {"BS": [b"a", b"b"]}}}),
    ("dynamodb", "GetItem", {"TableName": "t", "Key": {"pk": {"S": "k"}}, "ConsistentRead": True}),
    ("sqs", "SendMessage", {"QueueUrl": "http://h/1/q", "MessageBody": "body", "DelaySeconds": 3}),
    (
        "sqs",
        "SendMessage",
        {
            "QueueUrl": "http://h/1/q",
            "MessageBody": "b",
            "MessageAttributes": {"a": {"DataType": "Binary", "BinaryValue": b"\x01"}},
        },
    ),
    ("events", "PutEvents", {"Entries": [{"Source": "s", "DetailType": "d", "Detail": '{"a": 1}'}]}),
    ("events", "PutEvents", {"Entries": [{"Source": "s", "Detail": "{}", "Time": datetime(2026, 1, 5, tzinfo=UTC)}]}),
    ("stepfunctions", "StartExecution", {"stateMachineArn": "arn:aws:states:::m", "input": "{}", "name": "n"}),
    (
        "sns",
        "Publish",
        {
            "TopicArn": "arn:aws:sns:eu-west-1:1:t",
            "Message": "m & é",
            "MessageAttributes": {"a": {"DataType": "String", "StringValue": "v"}},
        },
    ),
    ("lambda", "Invoke", {"FunctionName": "f:live", "InvocationType": "Event", "Payload": b'{"a": 1}'}),
    ("lambda", "Invoke", {"FunctionName": "f", "Qualifier": "3", "Payload": "{}"}),
    ("s3", "PutObject", {"Bucket": "b", "Key": "a b/ü+.txt", "Body": b"bytes", "ContentType": "text/plain"}),
    ("s3", "GetObject", {"Bucket": "b", "Key": "k", "VersionId": "v 1"}),
]
ERRORS: list[tuple[str, str, int, dict[str, str], bytes]] = [
    (
        "dynamodb",
        "PutItem",
        400,
        {},
        b'{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no"}',
    ),
    ("dynamodb", "PutItem", 400, {"x-amzn-errortype": "ThrottlingException:http://x/"}, b"{}"),
    ("dynamodb", "PutItem", 503, {}, b"<html>Service Unavailable</html>"),
    (
        "sqs",
        "SendMessage",
        400,
        {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"},
        b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no"}',
    ),
    (
        "sns",
        "Publish",
        404,
        {},
        b"<ErrorResponse><Error><Code>NotFound</Code><Message>no</Message></Error></ErrorResponse>",
    ),
    ("s3", "PutObject", 404, {}, b"<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>"),
    ("lambda", "Invoke", 429, {"x-amzn-errortype": "TooManyRequestsException"}, b'{"message":"slow down"}'),
]


class Seen(Exception):  # noqa: N818 - what boto3 would have sent
    """Ends a boto3 call before it is sent."""

    def __init__(self, request: Any) -> None:
        super().__init__("seen")
        self.request = request


def boto3_client(service: str) -> Any:
    """A boto3 client of nowhere."""
    return boto3.Session("AKIDEXAMPLE", "secret", region_name="eu-west-1").client(
        service,
        endpoint_url=ENDPOINT,
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            inject_host_prefix=False,
        ),
    )


def sent_by_boto3(service: str, operation: str, parameters: dict[str, Any]) -> tuple[str, str, dict[str, str], bytes]:
    """Method, path with query, headers and body of what boto3 sends."""
    client = boto3_client(service)

    def see(request: Any, **_: Any) -> None:
        raise Seen(request)

    client.meta.events.register("before-send", see)
    with pytest.raises(Seen) as raised:
        getattr(client, xform_name(operation))(**parameters)
    request = raised.value.request
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
    }
    body = request.body or b""
    body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
    return request.method, request.url.removeprefix("http://127.0.0.1:9"), headers, body


def sent_by_us(service: Service, operation: str, parameters: dict[str, Any]) -> tuple[str, str, dict[str, str], bytes]:
    """The same of what the cheap client sends."""
    head, _, body = service.request(operation, parameters).partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    method, path, _ = line.split(" ")
    return method, path, dict(field.split(": ", 1) for field in fields), body


def meaning(headers: dict[str, str], body: bytes) -> object:
    """A body without the choice of spaces and the order of names."""
    if "json" in headers.get("content-type", ""):
        return json.loads(body)
    if "form" in headers.get("content-type", ""):
        return sorted(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    return body


@cache
def service_of(name: str) -> Service:
    """Our side of a service."""
    return Service(boto3_client(name), Keys(Credentials("AKIDEXAMPLE", "secret"), "eu-west-1"))


@pytest.mark.parametrize(("service", "operation", "parameters"), CALLS)
def test_a_request_means_what_boto3s_means(service: str, operation: str, parameters: dict[str, Any]) -> None:
    """Method, path, query, body and every header that a service reads are the same."""
    method, path, headers, body = sent_by_boto3(service, operation, parameters)
    ours = sent_by_us(service_of(service), operation, parameters)
    assert ours[:2] == (method, path)
    assert meaning(ours[2], ours[3]) == meaning(headers, body)
    read = {"content-type", "x-amz-target", "x-amz-invocation-type", "x-amzn-query-mode"}
    assert {name: ours[2].get(name) for name in read} == {name: headers.get(name) for name in read}


def test_an_operation_may_be_called_again() -> None:
    """A second call of an operation has its own parameters, though its route is kept."""
    service = service_of("sqs")
    bodies = [json.loads(sent_by_us(service, "SendMessage", {"MessageBody": str(number)})[3]) for number in range(3)]
    assert bodies == [{"MessageBody": "0"}, {"MessageBody": "1"}, {"MessageBody": "2"}]


def test_the_model_of_a_used_s3_client_serves() -> None:
    """boto3 takes the bucket out of its model at the first call; the path has it all the same."""
    client = boto3_client("s3")
    client.generate_presigned_url("put_object", Params={"Bucket": "b", "Key": "k"})
    service = Service(client, Keys(Credentials("AKIDEXAMPLE", "secret"), "eu-west-1"))
    assert sent_by_us(service, "PutObject", {"Bucket": "b", "Key": "k", "Body": b""})[1] == "/base/b/k"


def test_an_operation_with_a_host_of_its_own_is_refused() -> None:
    """On AWS a synchronous execution is asked for at sync-states; an emulator has one place for all."""
    keys = Keys(Credentials("AKIDEXAMPLE", "secret"), "eu-west-1")
    session = boto3.Session("AKIDEXAMPLE", "secret", region_name="eu-west-1")
    with pytest.raises(PortError, match="it has a host of its own on AWS"):
        Service(session.client("stepfunctions"), keys).request("StartSyncExecution", {"stateMachineArn": "m"})
    assert service_of("stepfunctions").request("StartSyncExecution", {"stateMachineArn": "m"})


def test_parameters_that_no_model_knows_are_refused() -> None:
    """Where botocore's serializer writes the request, it also checks the parameters."""
    with pytest.raises(ParamValidationError):
        service_of("sns").request("Publish", {"Massage": "m"})


@pytest.mark.parametrize(("service", "operation", "status", "headers", "body"), ERRORS)
def test_an_error_is_read_as_boto3_reads_it(
    service: str, operation: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    """Code, message and status are those of boto3's ClientError."""

    class Raw:
        """An answer without a socket."""

        def stream(self, **_: Any) -> list[bytes]:
            return [body]

    client = boto3_client(service)
    client.meta.events.register("before-send", lambda **_: AWSResponse("http://h", status, headers, Raw()))
    parameters = next(known[2] for known in CALLS if known[:2] == (service, operation))
    with pytest.raises(ClientError) as raised:
        getattr(client, xform_name(operation))(**parameters)
    expected = client_error(raised.value)
    ours = service_of(service).answer(operation, status, headers, body)
    assert (ours.status, ours.code, ours.text) == (expected.status, expected.code, expected.text)
    assert ours.code


def test_a_function_error_is_not_an_acknowledgement() -> None:
    """A function that failed answers 200; the header says that it did."""
    answer = service_of("lambda").answer(
        "Invoke", 200, {"x-amz-function-error": "Unhandled"}, b'{"errorMessage": "no"}'
    )
    assert (answer.status, answer.code, answer.json) == (200, "FunctionError", {"errorMessage": "no"})


def test_binary_values_are_base64() -> None:
    """What orjson cannot write, botocore does: bytes reach DynamoDB as base64."""
    body = sent_by_us(service_of("dynamodb"), "PutItem", {"TableName": "t", "Item": {"pk": {"B": b"\x00\xff"}}})[3]
    assert json.loads(body)["Item"]["pk"]["B"] == base64.b64encode(b"\x00\xff").decode()


def test_locust_leaves_pytest_alone(pytestconfig: pytest.Config) -> None:
    """Its own pytest plugin is off here, and nothing has patched this process for gevent."""
    assert not pytestconfig.pluginmanager.hasplugin("locust")
    assert not {"locust", "gevent.monkey"} & set(sys.modules)


def test_what_pytest_may_import_brings_no_gevent() -> None:
    """Only the connection, the cheap client and a running dispatcher need gevent, and nothing needs Locust."""
    program = (
        "import sys, holdfast_load.schedule, holdfast_load.dispatcher, holdfast_load.recorder, holdfast_load.latency,"
        " holdfast_load.client.signing, holdfast_load.client.operations, holdfast_load.client.calls\n"
        "print(sorted({'gevent', 'locust', 'geventhttpclient'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "[]\n"
