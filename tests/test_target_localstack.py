"""LocalStack is found, checked and peeked into; a small server on loopback stands in for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from holdfast.errors import GuardRailError, TargetError
from holdfast.targets.base import Capability
from holdfast.targets.localstack import LocalStackTarget, endpoint_of
from holdfast.targets.open import open_target

MESSAGE = {
    "MessageId": "id-1",
    "Body": '{"order": 1}',
    "Attribute": [
        {"Name": "ApproximateReceiveCount", "Value": "2"},
        {"Name": "IsVisible", "Value": "false"},
    ],
    "MessageAttribute": {"Name": "kind", "Value": {"DataType": "String", "StringValue": "order"}},
}


class _Fake(BaseHTTPRequestHandler):
    answers: dict[str, tuple[int, str]] = {}  # noqa: RUF012 - set per test
    asked: list[str] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, body = self.answers.get(urlsplit(self.path).path, (404, "{}"))
        self.send_response(status)
        self.send_header("content-length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """A LocalStack that knows its health and the messages of a queue."""
    _Fake.asked = []
    _Fake.answers = {"/_localstack/health": (200, '{"services": {"sqs": "running"}}')}
    with ThreadingHTTPServer(("127.0.0.1", 0), _Fake) as fake:
        thread = threading.Thread(target=fake.serve_forever, args=(0.01,))
        thread.start()
        yield fake
        fake.shutdown()
        thread.join()


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def test_it_is_reached_at_the_configured_endpoint(server: ThreadingHTTPServer) -> None:
    """A healthy LocalStack is a target whose clients and addresses lead to its endpoint."""
    target = LocalStackTarget.connect(_url(server), environ={"AWS_REGION": "eu-central-1"})
    try:
        assert (target.kind, target.region, target.account) == ("localstack", "eu-central-1", "000000000000")
        assert target.client("sqs").meta.endpoint_url == _url(server)
        assert target.api_url("abc", "live") == f"{_url(server)}/_aws/execute-api/abc/live"
        address, headers = target.function_url("http://xyz.lambda-url.us-east-1.localhost.localstack.cloud:4566/a?b=c")
        assert address == f"{_url(server)}/a?b=c"
        assert headers == {"Host": "xyz.lambda-url.us-east-1.localhost.localstack.cloud:4566"}
        assert not target.supports(Capability.IAM_ENFORCED).supported
        assert target.interceptor is None
    finally:
        target.close()


def test_an_interceptor_is_put_in_front_when_asked(server: ThreadingHTTPServer) -> None:
    """With the option there is an interceptor, which ends with the target; without it there is none."""
    target = LocalStackTarget.connect(_url(server), environ={}, intercept=True)
    try:
        assert target.interceptor is not None
        assert target.interceptor_url not in (None, target.endpoint_url)
        assert target.interceptor.rules() == ()
        assert target.supports(Capability.CALL_FAULTS).supported
        assert not target.supports(Capability.INVOCATION_FAULTS).supported
        assert urllib3.request("GET", f"{target.interceptor_url}/_localstack/health", retries=False).status == 200
    finally:
        target.close()
    with pytest.raises(TargetError, match="does not answer"):
        target.interceptor.rules()


@pytest.mark.parametrize(
    ("environ", "configured", "endpoint"),
    [
        ({"LOCALSTACK_ENDPOINT": "http://a:1", "AWS_ENDPOINT_URL": "http://b:2"}, "http://c:3", "http://a:1"),
        ({"AWS_ENDPOINT_URL": "http://b:2/"}, "http://c:3", "http://b:2"),
        ({}, "http://c:3", "http://c:3"),
        ({}, None, "http://localhost:4566"),
    ],
)
def test_where_the_endpoint_comes_from(environ: dict[str, str], configured: str | None, endpoint: str) -> None:
    """LOCALSTACK_ENDPOINT comes first, then AWS_ENDPOINT_URL, the descriptor, and localstack-client's default."""
    assert endpoint_of(configured, environ) == endpoint


def test_text_that_is_no_endpoint_is_refused() -> None:
    """An endpoint without scheme is a clear error."""
    with pytest.raises(TargetError, match="is no endpoint"):
        endpoint_of("localhost:4566", {})


def test_an_endpoint_of_aws_is_refused() -> None:
    """No AWS host name is ever taken for LocalStack."""
    with pytest.raises(GuardRailError, match="endpoint of AWS"):
        LocalStackTarget.connect("https://sqs.eu-west-1.amazonaws.com", environ={})


def test_nothing_listening_is_explained(server: ThreadingHTTPServer) -> None:
    """An endpoint that nobody serves is a TargetError with a remedy."""
    gone = _url(server)
    server.server_close()
    with pytest.raises(TargetError, match="does not answer") as caught:
        LocalStackTarget.connect(gone, environ={})
    assert "LOCALSTACK_ENDPOINT" in caught.value.remedy


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, '{"status": "fine"}'), "is not LocalStack"),
        ((200, "[]"), "is not LocalStack"),
        ((200, "<html>"), "did not answer with JSON"),
        ((503, "busy"), "answered 503"),
    ],
)
def test_something_else_is_not_taken_for_localstack(
    server: ThreadingHTTPServer, answer: tuple[int, str], message: str
) -> None:
    """A server that is not a healthy LocalStack is a TargetError."""
    _Fake.answers["/_localstack/health"] = answer
    with pytest.raises(TargetError, match=message):
        LocalStackTarget.connect(_url(server), environ={})


@pytest.mark.parametrize(
    ("told", "count"), [(None, 0), ({"Message": MESSAGE}, 1), ({"Message": [MESSAGE, MESSAGE]}, 2)]
)
def test_messages_are_peeked(server: ThreadingHTTPServer, told: object, count: int) -> None:
    """None, one and several messages are read with their state, without a receive."""
    body = json.dumps({"ReceiveMessageResponse": {"ReceiveMessageResult": told}})
    _Fake.answers["/_aws/sqs/messages"] = (200, body)
    target = LocalStackTarget.connect(_url(server), environ={})
    try:
        messages = target.peek_messages("http://queue")
    finally:
        target.close()
    assert len(messages) == count
    for message in messages:
        assert (message.id, message.body, message.visible, message.receive_count) == ("id-1", '{"order": 1}', False, 2)
        assert dict(message.attributes) == {"kind": "order"}
    asked = parse_qs(urlsplit(_Fake.asked[-1]).query)
    assert asked == {"QueueUrl": ["http://queue"], "ShowInvisible": ["true"], "ShowDelayed": ["true"]}


def test_an_answer_that_is_not_understood_is_an_error(server: ThreadingHTTPServer) -> None:
    """A peek that answers something else is a TargetError, not an empty queue."""
    _Fake.answers["/_aws/sqs/messages"] = (200, '{"Error": {}}')
    target = LocalStackTarget.connect(_url(server), environ={})
    try:
        with pytest.raises(TargetError, match="not understood"):
            target.peek_messages("http://queue")
    finally:
        target.close()


def test_open_target_uses_the_given_endpoint(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """``open_target`` connects to the endpoint it is given."""
    monkeypatch.delenv("LOCALSTACK_ENDPOINT", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    target = open_target("localstack", localstack_endpoint=_url(server))
    assert target.endpoint_url == _url(server)
    target.close()
