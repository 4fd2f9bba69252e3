"""Payloads up to the services' limits pass the interceptor of the embedded target byte-equal."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from holdfast.targets.base import Rule
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.probes.bench import bench

KIBIBYTE, MEBIBYTE = 1024, 1024 * 1024
PATTERN = bytes(range(256)) * 4096

ECHO = '''"""Says what it got, and gives back as much."""
import hashlib

def handler(event, context):
    text = event["text"]
    return {"digest": hashlib.sha256(text.encode()).hexdigest(), "text": text}
'''


@pytest.fixture
def outsider(embedded: EmbeddedTarget) -> Iterator[EmbeddedTarget]:
    """The target, while every call of a caller that is no function is read through for a key that none has."""
    assert embedded.interceptor is not None
    rule = Rule(id="search", action="refuse", point="call", caller="any", key="no call has this key")
    embedded.interceptor.add(rule)
    yield embedded
    embedded.interceptor.remove(rule.id)
    assert embedded.interceptor.hits(rule.id) == 0


def _client(target: EmbeddedTarget, service: str) -> Any:
    """A client that is not the harness' own, so that the interceptor does not let its calls pass unread."""
    access_key, secret_key, _ = target.credentials()
    return boto3.client(
        service,
        region_name=target.region,
        endpoint_url=target.endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def test_an_item_of_400_kb(outsider: EmbeddedTarget) -> None:
    """DynamoDB's largest item is read back as it was put."""
    with bench(outsider) as on:
        table, _ = on.table()
        content = PATTERN[: 400 * KIBIBYTE - 100]
        dynamodb = _client(outsider, "dynamodb")
        key = {"pk": {"S": "k"}, "sk": {"S": "0"}}
        dynamodb.put_item(TableName=table, Item={**key, "content": {"B": content}})
        item = dynamodb.get_item(TableName=table, Key=key)["Item"]
        assert item["content"]["B"] == content


@pytest.mark.parametrize("size_bytes", [256 * KIBIBYTE, MEBIBYTE])
def test_a_message_of_the_largest_size(outsider: EmbeddedTarget, size_bytes: int) -> None:
    """An SQS message of the old and of the new limit is received as it was sent."""
    with bench(outsider) as on:
        queue = on.queue(MaximumMessageSize=str(size_bytes))
        body = ("0123456789abcdé\n" * (size_bytes // 17 + 1)).encode()[:size_bytes].decode(errors="ignore")
        sqs = _client(outsider, "sqs")
        sqs.send_message(QueueUrl=queue.url, MessageBody=body)
        received = sqs.receive_message(QueueUrl=queue.url)["Messages"][0]["Body"]
        assert received == body


def test_an_invocation_of_6_mb(outsider: EmbeddedTarget) -> None:
    """Lambda's largest event reaches the function and its largest answer comes back."""
    with bench(outsider) as on:
        function = on.function(code=ECHO)
        text = "0123456789abcdef" * (6 * MEBIBYTE // 16 - 8)
        functions = _client(outsider, "lambda")
        answer = functions.invoke(FunctionName=function, Payload=json.dumps({"text": text}))
        told = json.loads(answer["Payload"].read())
        assert (told["digest"], told["text"] == text) == (hashlib.sha256(text.encode()).hexdigest(), True)


def test_a_multipart_upload_of_8_mib_parts(outsider: EmbeddedTarget) -> None:
    """The parts of an upload arrive whole and in order."""
    s3 = outsider.client("s3")
    s3.create_bucket(Bucket="parts", CreateBucketConfiguration={"LocationConstraint": outsider.region})
    caller = _client(outsider, "s3")
    parts = [PATTERN * 8, PATTERN[::-1] * 8, b"last"]
    upload = caller.create_multipart_upload(Bucket="parts", Key="k")["UploadId"]
    tags = [
        {
            "PartNumber": at,
            "ETag": caller.upload_part(Bucket="parts", Key="k", UploadId=upload, PartNumber=at, Body=part)["ETag"],
        }
        for at, part in enumerate(parts, start=1)
    ]
    caller.complete_multipart_upload(Bucket="parts", Key="k", UploadId=upload, MultipartUpload={"Parts": tags})
    content = caller.get_object(Bucket="parts", Key="k")["Body"].read()
    assert content == b"".join(parts)


def test_a_presigned_upload_of_8_mib(outsider: EmbeddedTarget) -> None:
    """A presigned upload and a presigned download pass unchanged."""
    s3 = outsider.client("s3")
    s3.create_bucket(Bucket="presigned", CreateBucketConfiguration={"LocationConstraint": outsider.region})
    params = {"Bucket": "presigned", "Key": "a/b c"}
    body = PATTERN * 8
    put = urllib3.request("PUT", s3.generate_presigned_url("put_object", Params=params), body=body, retries=False)
    assert put.status == 200, put.data
    got = urllib3.request("GET", s3.generate_presigned_url("get_object", Params=params), retries=False)
    assert got.data == body


def test_a_chunked_upload_of_8_mib(outsider: EmbeddedTarget) -> None:
    """An aws-chunked upload with a trailing checksum, in HTTP chunks, is stored without its framing."""
    s3 = outsider.client("s3")
    s3.create_bucket(Bucket="chunked", CreateBucketConfiguration={"LocationConstraint": outsider.region})
    content = PATTERN * 8
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
    url = f"{outsider.endpoint_url}/chunked/key"
    request = AWSRequest(
        "PUT",
        url,
        headers={
            "content-encoding": "aws-chunked",
            "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            "x-amz-decoded-content-length": str(len(content)),
        },
    )
    access_key, secret_key, _ = outsider.credentials()
    S3SigV4Auth(Credentials(access_key, secret_key), "s3", outsider.region).add_auth(request)
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=30)
    pieces = (framed[at : at + 100_000] for at in range(0, len(framed), 100_000))
    headers = {**dict(request.headers.items()), "transfer-encoding": "chunked"}
    connection.request("PUT", parts.path, pieces, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()
    assert s3.get_object(Bucket="chunked", Key="key")["Body"].read() == content
