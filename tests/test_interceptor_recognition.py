"""What a call is about, and AWS errors as botocore's own parsers read them."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch
from urllib.parse import urlencode

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given
from hypothesis import strategies as st

from holdfast.targets.interceptor.errors import error_answer
from holdfast.targets.interceptor.middleware import content_of
from holdfast.targets.interceptor.model import service_model
from holdfast.targets.interceptor.recognition import Request, recognise, service_of
from holdfast.targets.interceptor.resources import in_path, resources_of

ARN = "arn:aws:{}:eu-west-1:123456789012:{}"
URL = "http://127.0.0.1:4566/123456789012/orders"
KEY = {"pk": {"S": "1"}}


class _Seen(Exception):  # noqa: N818 - carries a request out of botocore
    def __init__(self, request: Any) -> None:
        super().__init__("seen")
        self.request = request


def _client(service: str) -> Any:
    return boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def _request(service: str, operation: str, arguments: dict[str, Any]) -> Request:
    """The request that boto3 makes of a call."""

    def stop(self: Any, request: Any) -> None:
        raise _Seen(request)

    with patch("botocore.httpsession.URLLib3Session.send", stop), pytest.raises(_Seen) as caught:
        getattr(_client(service), operation)(**arguments)
    sent = caught.value.request
    path, _, query = sent.url.removeprefix("http://127.0.0.1:1").partition("?")
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value) for name, value in sent.headers.items()
    }
    body = sent.body or b""
    body = body if isinstance(body, bytes | bytearray | str) else body.read()
    return Request(sent.method, path or "/", query, headers, body.encode() if isinstance(body, str) else bytes(body))


CALLS: list[tuple[str, str, dict[str, Any], str, tuple[str, ...]]] = [
    ("dynamodb", "put_item", {"TableName": "orders", "Item": KEY}, "PutItem", ("orders",)),
    ("dynamodb", "get_item", {"TableName": ARN.format("dynamodb", "table/orders"), "Key": KEY}, "GetItem", ("orders",)),
    (
        "dynamodb",
        "transact_write_items",
        {
            "TransactItems": [
                {"Put": {"TableName": "orders", "Item": KEY}},
                {"ConditionCheck": {"TableName": "stock", "Key": KEY, "ConditionExpression": "a = b"}},
                {"Delete": {"TableName": "orders", "Key": KEY}},
            ]
        },
        "TransactWriteItems",
        ("orders", "stock"),
    ),
    (
        "dynamodb",
        "batch_write_item",
        {"RequestItems": {"orders": [{"PutRequest": {"Item": KEY}}]}},
        "BatchWriteItem",
        ("orders",),
    ),
    ("sqs", "send_message", {"QueueUrl": URL, "MessageBody": "x"}, "SendMessage", ("orders",)),
    ("sns", "publish", {"TopicArn": ARN.format("sns", "orders"), "Message": "x"}, "Publish", ("orders",)),
    (
        "events",
        "put_events",
        {"Entries": [{"EventBusName": "orders", "Source": "a", "DetailType": "b", "Detail": "{}"}]},
        "PutEvents",
        ("orders",),
    ),
    ("events", "put_events", {"Entries": [{"Source": "a", "DetailType": "b"}]}, "PutEvents", ("default",)),
    (
        "stepfunctions",
        "start_execution",
        {"stateMachineArn": ARN.format("states", "stateMachine:orders")},
        "StartExecution",
        ("orders",),
    ),
    ("stepfunctions", "send_task_success", {"taskToken": "t", "output": "{}"}, "SendTaskSuccess", ()),
    ("lambda", "invoke", {"FunctionName": "orders:live", "Payload": b"{}"}, "Invoke", ("orders",)),
    (
        "lambda",
        "invoke",
        {"FunctionName": ARN.format("lambda", "function:orders"), "Payload": b"{}"},
        "Invoke",
        ("orders",),
    ),
    ("s3", "put_object", {"Bucket": "orders", "Key": "a/b c", "Body": b"x"}, "PutObject", ("orders",)),
    ("s3", "list_objects_v2", {"Bucket": "orders"}, "ListObjectsV2", ("orders",)),
    ("kinesis", "put_record", {"StreamName": "orders", "Data": b"x", "PartitionKey": "p"}, "PutRecord", ("orders",)),
    ("secretsmanager", "get_secret_value", {"SecretId": "orders"}, "GetSecretValue", ("orders",)),
    ("cloudwatch", "describe_alarms_for_metric", {"MetricName": "orders", "Namespace": "n"}, "", ("orders",)),
]


@pytest.mark.parametrize(("service", "method", "arguments", "operation", "resources"), CALLS)
def test_boto3s_calls_are_recognised(
    service: str, method: str, arguments: dict[str, Any], operation: str, resources: tuple[str, ...]
) -> None:
    """A call that boto3 makes is known by its operation and by what it is about, in each protocol."""
    request = _request(service, method, arguments)
    call = recognise(service_of(request), request)
    assert call.operation == (operation or "DescribeAlarmsForMetric")
    assert resources_of(call, request) == resources


def test_a_buckets_own_host_names_it() -> None:
    """A bucket in the host is what an upload is about, and it is an upload."""
    headers = {"host": "orders.s3.localhost.localstack.cloud:4566"}
    call = recognise("s3", Request("PUT", "/a/b", "", headers))
    assert (call.operation, resources_of(call, Request("PUT", "/a/b", "", headers))) == ("PutObject", ("orders",))


def test_paths_need_no_body() -> None:
    """What a REST path tells is known before the body is read; a JSON call must be read."""
    upload = recognise("s3", Request("PUT", "/orders/a", "", {}))
    put = recognise("dynamodb", Request("POST", "/", "", {"x-amz-target": "DynamoDB_20120810.PutItem"}))
    assert in_path(upload)
    assert not in_path(put)


ERRORS = [
    ("dynamodb", "put_item", {"TableName": "t", "Item": KEY}, "ProvisionedThroughputExceededException", 400),
    ("dynamodb", "put_item", {"TableName": "t", "Item": KEY}, "InternalServerError", 500),
    ("sqs", "send_message", {"QueueUrl": URL, "MessageBody": "x"}, "AWS.SimpleQueueService.NonExistentQueue", 400),
    ("sqs", "send_message", {"QueueUrl": URL, "MessageBody": "x"}, "RequestThrottled", 400),
    ("sns", "publish", {"TopicArn": ARN.format("sns", "t"), "Message": "x"}, "AuthorizationError", 403),
    ("s3", "put_object", {"Bucket": "b", "Key": "k", "Body": b"x"}, "SlowDown", 503),
    ("s3", "get_object", {"Bucket": "b", "Key": "k"}, "AccessDenied", 403),
    ("lambda", "invoke", {"FunctionName": "f", "Payload": b"{}"}, "TooManyRequestsException", 429),
    ("cloudwatch", "list_metrics", {}, "InternalServiceError", 500),
    ("stepfunctions", "send_task_success", {"taskToken": "t", "output": "{}"}, "TaskTimedOut", 400),
    ("ec2", "describe_instances", {}, "RequestLimitExceeded", 400),
]


@pytest.mark.parametrize(("service", "method", "arguments", "code", "status"), ERRORS)
def test_boto3_reads_an_injected_error(
    service: str, method: str, arguments: dict[str, Any], code: str, status: int
) -> None:
    """boto3 understands an injected error, in each protocol, as the code that was asked for, with its message."""

    def answered(self: Any, sent: Any) -> AWSResponse:
        path, _, query = sent.url.removeprefix("http://127.0.0.1:1").partition("?")
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else str(value)
            for name, value in sent.headers.items()
        }
        body = sent.body if isinstance(sent.body, bytes) else str(sent.body or "").encode()
        request = Request(sent.method, path or "/", query, headers, body)
        answer = error_answer(service_of(request), request, code, "told <why> & how")
        raw = _Raw(answer.body)
        return AWSResponse(sent.url, answer.status, dict(answer.headers), raw)

    with patch("botocore.httpsession.URLLib3Session.send", answered), pytest.raises(ClientError) as caught:
        getattr(_client(service), method)(**arguments)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["Error"]["Message"] == "told <why> & how"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def _spoken(protocol: str, service: str, operation: str, arguments: dict[str, Any]) -> Request:
    """The request that botocore makes of a call in a protocol which its clients do not prefer."""
    model = service_model(service).operation_model(operation)
    sent = create_serializer(protocol).serialize_to_request(arguments, model)
    headers = {"authorization": f"AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/{service}/aws4_request"}
    headers |= {name.lower(): str(value) for name, value in sent["headers"].items()}
    return Request(sent["method"], sent["url_path"], "", headers, _written(sent["body"], headers))


def _written(body: Any, headers: dict[str, str]) -> bytes:
    if isinstance(body, dict):  # a form, which botocore encodes when it sends it
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
        return urlencode(body).encode()
    return body if isinstance(body, bytes) else str(body).encode()


@pytest.mark.parametrize("protocol", ["json", "query", "smithy-rpc-v2-cbor"])
@pytest.mark.parametrize("code", ["LimitExceeded", "ThrottlingException"])
def test_one_call_in_each_protocol_that_its_service_speaks(protocol: str, code: str) -> None:
    """CloudWatch's three protocols: the call, what it is about, its key, and the error as botocore reads it back."""
    arguments = {"AlarmName": "orders-late", "StateValue": "ALARM", "StateReason": "a key"}
    request = _spoken(protocol, "monitoring", "SetAlarmState", arguments)
    call = recognise(service_of(request), request)
    assert (call.operation, resources_of(call, request)) == ("SetAlarmState", ("orders-late",))
    assert "a key" in content_of(request)
    answer = error_answer("monitoring", request, code, "told <why>")
    response = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
    operation = service_model("monitoring").operation_model("SetAlarmState")
    parsed = create_parser(protocol).parse(response, operation.output_shape)
    read = (parsed["Error"]["Code"], parsed["Error"]["Message"], parsed["ResponseMetadata"]["HTTPStatusCode"])
    assert read == (code, "told <why>", 400)


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, *_: object, **__: object) -> list[bytes]:
        return [self._body]


def test_an_error_to_head_has_no_body() -> None:
    """HEAD is answered with the status alone, as HTTP demands."""
    answer = error_answer("s3", Request("HEAD", "/b/k", "", {}), "SlowDown", "told")
    assert (answer.status, answer.body) == (503, b"")


def test_a_key_is_found_however_it_is_written() -> None:
    """A key is found in the path, the query, a form and escaped JSON."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert "a key" in content_of(Request("POST", "/", "", form, b"Message=a+key"))
    assert "a/ü" in content_of(Request("GET", "/b/a%2F%C3%BC", "", {}))
    assert "a ü" in content_of(Request("GET", "/", "prefix=a+%C3%BC", {}))
    assert "größe" in content_of(Request("POST", "/", "", {}, json.dumps({"key": "größe"}).encode()))
    assert "key" in content_of(Request("PUT", "/", "", {}, b"\xff\x00key\xfe"))


@given(
    service=st.sampled_from(["s3", "sqs", "dynamodb", "monitoring", "lambda", "sns", "events", "../../etc", "", "é"]),
    method=st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "BREW"]),
    path=st.one_of(st.text(), st.sampled_from(["/", "/service/x/operation/PutMetricData", "/b/k", "//", "/%"])),
    query=st.text(),
    headers=st.dictionaries(
        st.sampled_from(
            ["x-amz-target", "content-type", "authorization", "smithy-protocol", "host", "x-amz-copy-source"]
        ),
        st.one_of(
            st.text(),
            st.sampled_from(
                [
                    "DynamoDB_20120810.BatchWriteItem",
                    "application/x-www-form-urlencoded",
                    "application/cbor",
                    "rpc-v2-cbor",
                ]
            ),
        ),
    ),
    body=st.one_of(
        st.binary(), st.sampled_from([b"[" * 100_000, b'{"TableName": {}}', b"Action=", b"\xbf\xff", b"\x9f"])
    ),
)
def test_anything_can_be_looked_at(
    service: str, method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    """No request, however malformed, makes recognition or an error fail."""
    request = Request(method, path, query, headers, body)
    service_of(request)
    call = recognise(service, request)
    in_path(call)
    resources_of(call, request)
    content_of(request)
    error_answer(service, request, "SlowDown", "told")
