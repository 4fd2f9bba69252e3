"""The reverse proxy: what passes is what was sent, faults act on it, and it stands and falls with its parent."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import psutil
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from holdfast.errors import TargetError
from holdfast.levers import InvocationFault
from holdfast.levers.healing import restore
from holdfast.stack.resolve import Resource
from holdfast.targets import capabilities
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Rule
from holdfast.targets.interceptor.process import ProxyProcess
from holdfast.waiting import eventually
from interceptor_rig import DYNAMODB, S3, Endpoint, endpoint
from lever_stack import stack_of

MEBIBYTE = 1024 * 1024
PATTERN = bytes(range(256)) * 4096  # 1 MiB in which every byte occurs


@pytest.fixture(scope="module")
def behind() -> Iterator[Endpoint]:
    """The endpoint behind the proxy."""
    with endpoint() as state:
        yield state


@pytest.fixture(scope="module")
def shared(behind: Endpoint) -> Iterator[ProxyProcess]:
    """One proxy for the tests of this module."""
    with ProxyProcess(behind.url) as process:
        yield process


@pytest.fixture
def proxy(shared: ProxyProcess, behind: Endpoint) -> Iterator[ProxyProcess]:
    """The proxy, with nothing in force and an endpoint that has got nothing."""
    behind.got.clear()
    behind.status, behind.answer, behind.chunked, behind.breaks, behind.silent = 200, b"{}", False, False, False
    yield shared
    for rule in shared.interceptor.rules():
        shared.interceptor.remove(rule.id)
    assert "Traceback" not in shared.log()


def _send(
    proxy: ProxyProcess, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    parts = urlsplit(proxy.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=20)
    try:
        chunked = body is not None and not isinstance(body, bytes)
        connection.request(method, path, body, headers or {}, encode_chunked=chunked)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def _client(proxy: ProxyProcess, service: str, signature: str | None = None) -> Any:
    config = Config(
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        read_timeout=20,
        signature_version=signature,
    )
    return boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=proxy.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=config,
    )


@pytest.mark.parametrize(
    ("what", "headers", "size_bytes"),
    [
        ("a DynamoDB item", DYNAMODB, 400 * 1024),
        ("an SQS message", {**DYNAMODB, "x-amz-target": "AmazonSQS.SendMessage"}, MEBIBYTE),
        ("a Lambda payload", DYNAMODB, 6 * MEBIBYTE),
        ("a part of an S3 upload", S3, 8 * MEBIBYTE),
        ("more than is ever read ahead", S3, 24 * MEBIBYTE),
        ("an empty body", S3, 0),
    ],
)
@pytest.mark.parametrize("searched", [False, True], ids=["streamed", "searched for a key"])
def test_bodies_pass_byte_equal(
    proxy: ProxyProcess, behind: Endpoint, *, what: str, headers: dict[str, str], size_bytes: int, searched: bool
) -> None:
    """Up to the services' limits and beyond them, the endpoint gets exactly the bytes that were sent."""
    if searched:
        proxy.interceptor.add(Rule(id="s", action="refuse", point="call", caller="any", key="no body has this"))
    body = (PATTERN * (size_bytes // MEBIBYTE + 1))[:size_bytes]
    assert _send(proxy, "PUT", "/bucket/key", body, headers)[0] == 200
    got = behind.got[-1]
    assert (got.size_bytes, got.digest) == (size_bytes, hashlib.sha256(body).hexdigest()), what
    assert dict(got.headers)["content-length"] == str(size_bytes)


def test_answers_pass_byte_equal(proxy: ProxyProcess, behind: Endpoint) -> None:
    """Large answers come back as they were given, with their length or in chunks, and with the endpoint's headers."""
    behind.answer = PATTERN * 8
    for behind.chunked in (False, True):
        status, headers, body = _send(proxy, "GET", "/bucket/key", headers=S3)
        assert (status, body == behind.answer) == (200, True)
        assert (headers["x-amzn-requestid"], headers["date"]) == ("upstream", "Thu, 01 Jan 2026 00:00:00 GMT")
        assert ("content-length" in headers) is not behind.chunked


def test_requests_arrive_as_they_were_sent(proxy: ProxyProcess, behind: Endpoint) -> None:
    """Path, query and end-to-end headers, the host too, are what a signature covers: none is changed or added."""
    path = "/bucket/a%2Fb%20c//d+e?X-Amz-Date=1&empty&q=%7E~%2B"
    headers = {"Host": "orders.example:1", "Accept-Encoding": "identity", "X-Amz-Meta-Note": "caf\xc3\xa9", **S3}
    assert _send(proxy, "GET", path, headers=headers)[0] == 200
    got = behind.got[-1]
    assert got.line == f"GET {path} HTTP/1.1"
    assert dict(got.headers) == {name.lower(): value for name, value in headers.items()}


def test_a_chunked_upload_arrives_chunked(proxy: ProxyProcess, behind: Endpoint) -> None:
    """An aws-chunked body with its trailing checksum, sent in HTTP chunks, arrives with every byte of its framing."""
    content = PATTERN * 9
    framed = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(content), content)
    headers = {
        **S3,
        "content-encoding": "aws-chunked",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(len(content)),
        "transfer-encoding": "chunked",
        "expect": "100-continue",
    }
    pieces = (framed[at : at + 100_000] for at in range(0, len(framed), 100_000))
    assert _send(proxy, "PUT", "/bucket/key", pieces, headers)[0] == 200
    got = behind.got[-1]
    assert (got.size_bytes, got.digest) == (len(framed), hashlib.sha256(framed).hexdigest())
    assert got.chunks > 1
    assert dict(got.headers)["content-encoding"] == "aws-chunked"


@pytest.mark.parametrize("signature", ["s3", "s3v4"])
def test_a_presigned_upload_passes(proxy: ProxyProcess, behind: Endpoint, signature: str) -> None:
    """A presigned URL made for the proxy arrives unchanged and is recognised by its query, in either signature."""
    client = _client(proxy, "s3", signature)
    url = client.generate_presigned_url("put_object", Params={"Bucket": "orders", "Key": f"a b/ü {signature}"})
    body = PATTERN * 8
    assert urllib3.request("PUT", url, body=body, retries=False, timeout=20).status == 200
    got = behind.got[-1]
    assert got.line == f"PUT {url.removeprefix(proxy.url)} HTTP/1.1"
    assert got.digest == hashlib.sha256(body).hexdigest()
    call = proxy.interceptor.calls(f"a b/ü {signature}")[-1]
    assert (call.service, call.operation, call.resource) == ("s3", "PutObject", "orders")


def test_a_call_of_no_function_is_aimed_at_by_its_own_body(proxy: ProxyProcess, behind: Endpoint) -> None:
    """For a caller that is no function the key is looked for in the call, and its resource says the component."""
    rule = Rule(
        id="r", action="refuse", point="call", caller="other", key="k-7", resource="orders", error="ThrottlingException"
    )
    proxy.interceptor.add(rule)
    table = _client(proxy, "dynamodb")
    table.put_item(TableName="orders", Item={"pk": {"S": "k-6"}})
    table.put_item(TableName="stock", Item={"pk": {"S": "k-7"}})
    assert (len(behind.got), proxy.interceptor.hits("r")) == (2, 0)
    with pytest.raises(ClientError, match="injected by rule r") as caught:
        table.put_item(TableName="orders", Item={"pk": {"S": "k-7"}})
    assert caught.value.response["Error"]["Code"] == "ThrottlingException"
    assert (len(behind.got), proxy.interceptor.hits("r")) == (2, 1)
    traced = [(call.function, call.operation, call.resource, call.status) for call in proxy.interceptor.calls("k-7")]
    assert traced[-2:] == [("", "PutItem", "stock", 200), ("", "PutItem", "orders", 400)]


@pytest.mark.parametrize(
    ("action", "arrives", "seen"),
    [
        ("cut", 0, "ConnectionClosedError"),
        ("drop", 1, "ConnectionClosedError"),
        ("fail-after", 1, "InternalError"),
        ("duplicate", 2, ""),
        ("refuse", 0, "InternalError"),
        ("throttle", 0, "ThrottlingException"),
        ("delay", 1, ""),
    ],
)
@pytest.mark.parametrize("size_bytes", [10, 9 * MEBIBYTE])
def test_each_fault_at_a_call(
    proxy: ProxyProcess, behind: Endpoint, *, action: Any, arrives: int, seen: str, size_bytes: int
) -> None:
    """Each fault does to small and large calls what its name says: how often they arrive, what the caller sees."""
    proxy.interceptor.add(
        Rule(id=action, action=action, point="call", caller="any", operation="PutObject", times=1, delay_seconds=0.05)
    )
    before = proxy.interceptor.hits(action)
    behind.answer = b""
    body = (PATTERN * (size_bytes // MEBIBYTE + 1))[:size_bytes]
    outcome = ""
    try:
        _client(proxy, "s3").put_object(Bucket="orders", Key="key", Body=body)
    except ClientError as error:
        outcome = error.response["Error"]["Code"]
    except BotoCoreError as error:
        outcome = type(error).__name__
    assert outcome == seen
    assert [got.digest for got in behind.got] == [hashlib.sha256(body).hexdigest()] * arrives
    assert proxy.interceptor.hits(action) == before + 1
    _client(proxy, "s3").put_object(Bucket="orders", Key="key", Body=b"after")
    assert behind.got[-1].size_bytes == len(b"after"), "the rule hit twice"


CALLER = """
import boto3
from botocore.config import Config
config = Config(retries={"total_max_attempts": 1})
table = boto3.client("dynamodb", config=config)
for key in ("configuration", "k-9", "k-9"):
    table.put_item(TableName="orders", Item={"pk": {"S": key}})
print("done")
"""


def _function(proxy: ProxyProcess, name: str, trace: str) -> subprocess.CompletedProcess[str]:
    """Run a process as a function's is run: with its name, its trace, and its endpoint in the environment."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.12",
        "_X_AMZN_TRACE_ID": f"Root=1-65f00000-{trace * 24};Parent=0123456789abcdef;Sampled=0",
        "AWS_ENDPOINT_URL": proxy.url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    return subprocess.run(
        [sys.executable, "-c", CALLER], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_function_is_known_by_its_process(proxy: ProxyProcess, behind: Endpoint) -> None:
    """The calls of a function's process are its own, in order, and a kill after the second one ends it there."""
    assert _function(proxy, "worker", "1").stdout == "done\n"
    traced = [(call.function, call.resource, call.index) for call in proxy.interceptor.calls("k-9")]
    assert traced == [("worker", "orders", 1), ("worker", "orders", 2), ("worker", "orders", 3)]
    behind.got.clear()
    kill = Rule(id="k", action="kill", point="call", when="after", function="worker", key="k-9", nth=1)
    proxy.interceptor.add(kill)
    assert _function(proxy, "other", "2").returncode == 0
    assert len(behind.got) == 3
    assert _function(proxy, "worker", "3").returncode == -signal.SIGKILL
    assert (len(behind.got), proxy.interceptor.hits("k")) == (5, 1)
    assert proxy.interceptor.running() == 0


def test_a_function_is_killed_just_before_its_call(proxy: ProxyProcess, behind: Endpoint) -> None:
    """A kill before a call ends the process that makes it, and the call never arrives."""
    proxy.interceptor.add(Rule(id="b", action="kill", point="call", function="early", key="k-9", nth=1))
    assert _function(proxy, "early", "4").returncode == -signal.SIGKILL
    assert (len(behind.got), proxy.interceptor.hits("b")) == (1, 1)


def test_the_harness_own_calls_pass_untouched(proxy: ProxyProcess, behind: Endpoint) -> None:
    """What the harness calls itself is neither broken nor recorded."""
    proxy.interceptor.add(Rule(id="all", action="cut", point="call", caller="any"))
    agent = {**DYNAMODB, "user-agent": "Boto3/1 holdfast"}
    assert _send(proxy, "POST", "/", b'{"TableName": "own-call"}', agent)[0] == 200
    assert proxy.interceptor.calls("own-call") == ()


def test_unsigned_requests_pass(proxy: ProxyProcess, behind: Endpoint) -> None:
    """A request that is no AWS call, such as one to an API, is not touched by rules about calls."""
    proxy.interceptor.add(Rule(id="all", action="cut", point="call", caller="any"))
    assert _send(proxy, "POST", "/_aws/execute-api/abc/live/orders", b"{}")[0] == 200
    assert len(behind.got) == 1


def test_an_endpoint_that_breaks_off_breaks_off(proxy: ProxyProcess, behind: Endpoint) -> None:
    """An answer that ends too soon ends too soon for the caller: it never looks complete."""
    behind.answer, behind.breaks = PATTERN * 4, True
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        _send(proxy, "GET", "/bucket/key", headers=S3)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_a_call_is_passed_on_once(proxy: ProxyProcess, behind: Endpoint, method: str) -> None:
    """When the endpoint breaks off without an answer the caller sees it, and nobody makes the call again for them."""
    assert _send(proxy, method, "/bucket/key", b"warm", S3)[0] == 200
    behind.silent = True
    with pytest.raises(ConnectionError):
        _send(proxy, method, "/bucket/key", b"once", S3)
    assert len(behind.got) == 2


def test_an_endpoint_that_is_not_there_is_told() -> None:
    """Without an endpoint the answer is 502 and says which one cannot be reached."""
    with ProxyProcess("http://127.0.0.1:9") as lonely:
        status, _, body = _send(lonely, "GET", "/bucket/key", headers=S3)
        assert status == 502
        assert b"http://127.0.0.1:9" in body
        assert "Traceback" not in lonely.log()


def test_a_wrong_rule_is_refused(proxy: ProxyProcess) -> None:
    """A rule that means nothing is refused with the reason, and is not in force."""
    with pytest.raises(TargetError, match="refused PUT rules") as caught:
        proxy.interceptor.add(Rule(id="r", action="cut", point="call", probability=2.0))
    assert "probability" in caught.value.cause
    assert proxy.interceptor.rules() == ()


def test_it_listens_on_loopback_only(proxy: ProxyProcess) -> None:
    """Unless told otherwise no address but 127.0.0.1 is listened on."""
    connections = psutil.Process(proxy.process_id).net_connections()
    assert {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


@pytest.mark.parametrize("wrong", ["localhost:4566", "ftp://host", "http://host/path", ""])
def test_what_is_no_endpoint_is_refused(wrong: str) -> None:
    """An endpoint that is no URL is refused with how to write it."""
    with pytest.raises(TargetError, match="is no endpoint") as caught:
        ProxyProcess(wrong)
    assert "http://127.0.0.1:4566" in caught.value.remedy


def test_it_dies_with_a_killed_parent() -> None:
    """When the process that started it is killed, the proxy ends."""
    script = textwrap.dedent(
        """
        import threading
        from holdfast.targets.interceptor.process import ProxyProcess

        print(ProxyProcess("http://127.0.0.1:9").process_id, flush=True)
        threading.Event().wait()
        """
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    assert eventually(lambda: psutil.pid_exists(pid), lambda there: not there, deadline_seconds=30).met


def test_its_control_interface_knows_what_it_answers(proxy: ProxyProcess) -> None:
    """Unknown control paths are 404 and tell so as JSON."""
    status, _, body = _send(proxy, "GET", "/_holdfast/nonsense")
    assert (status, json.loads(body)) == (404, {"error": "GET nonsense is unknown"})


def test_ctrl_c_at_the_harness_does_not_reach_its_proxy(proxy: ProxyProcess) -> None:
    """A terminal signals the process group in front; the proxy is in one of its own, or healing would not reach it."""
    assert os.getpgid(proxy.process_id) != os.getpgid(0)


def test_a_rule_ends_with_its_interceptor(behind: Endpoint) -> None:
    """A fault whose interceptor has ended is healed: nothing listens there that could act on the rule."""
    target = AttachedTarget(
        kind="localstack",
        endpoint_url=behind.url,
        account="000000000000",
        region="eu-west-1",
        supported=capabilities.LOCALSTACK_INTERCEPTED,
    )
    queue = Resource(component="queue", type="queue", name="orders", arn="arn:aws:sqs:eu-west-1:000000000000:orders")
    with ProxyProcess(behind.url) as ending:
        target.interceptor = ending.interceptor
        rule = Rule(id="ends", action="drop", point="call", key="order")
        lever = InvocationFault.on(stack_of(target, queue), "queue", rule)
        snapshot = lever.snapshot()
        lever.inject(snapshot)
        assert [each.id for each in ending.interceptor.rules()] == ["ends"]
        os.kill(ending.process_id, signal.SIGKILL)
        assert eventually(lambda: _refused(ending.url), bool, deadline_seconds=10).met
        (restored,) = restore([(lever, snapshot)])
    assert restored.proof == "rule ends ended with its interceptor"


def _refused(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as client:
        return client.connect_ex((str(parts.hostname), int(parts.port or 0))) == errno.ECONNREFUSED
