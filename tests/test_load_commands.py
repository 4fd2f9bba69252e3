"""A descriptor's commands through the cheap client and through the ports: the same bytes, signed; the same outcomes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from holdfast.ports.command import TRANSPORTS
from holdfast.redaction import cleaning
from holdfast_load.client.commands import costly, whole_url
from holdfast_load.plan import LoadPlan
from holdfast_load.submitting import Submitter
from load_rig import ACCOUNT, DESCRIPTOR, REGION, stack_at
from ports_rig import Received, Web, answers, cut, serving

COMMANDS = """
[[commands.put.calls]]
kind = "s3"
bucket = "bucket"
object_key = "orders/{key} é.json"
json = { id = "{key}" }
content_type = "application/json"

[[commands.filled.calls]]
kind = "sqs"
queue = "queue"
body = "{value} é"
attributes = { id = "{key}" }
group_id = "{key|prefix:3}"
deduplication_id = "{key}"

[commands.published]
calls = [{ kind = "sns", topic = "topic", json = { id = "{key}", note = "{value}" }, attributes = { id = "{key}" } }]

[commands.event]
calls = [{ kind = "eventbridge", bus = "bus", source = "orders", detail_type = "placed", detail = { id = "{key}" } }]

[commands.invoked]
calls = [{ kind = "lambda", function = "worker", payload = { id = "{key}", note = "{value}" } }]

[commands.started]
calls = [{ kind = "execution", state_machine = "flow", name = "{key}", input = { id = "{key}" } }]

[[commands.formed.calls]]
kind = "http"
api = "api"
method = "PUT"
path = "/a b/{key}"
query = { q = "é &=", n = "{key}" }
form = { id = "{key}", note = "é" }
headers = { X-Amz-Note = "{value}" }

[commands.signed]
calls = [{ kind = "http", api = "api", path = "/orders", body = "text {key} {value}", sigv4 = "execute-api" }]

[commands.asked]
calls = [
  { kind = "http", api = "api", method = "GET", path = "/token", save = { token = "json.token" } },
  { kind = "http", api = "api", path = "/orders", json = { id = "{key}", token = "{token}" } },
]
"""
NAMES = ("put", "filled", "published", "event", "invoked", "started", "formed", "signed", "asked", "queued", "posted")
NOT_COMPARED = {"user-agent", "authorization", "x-amz-date", "amz-sdk-invocation-id", "amz-sdk-request", "connection"}
NOT_COMPARED |= {"x-amz-user-agent", "expect", "accept-encoding", "accept"}


@pytest.fixture
def web() -> Any:
    """A server on loopback."""
    with serving() as one:
        yield one


def by_ports(url: str, folder: Path) -> list[list[Any]]:
    """Every command once, with boto3 and requests."""
    stack = stack_at(url, folder, descriptor=described())
    plan = LoadPlan(descriptor=stack.path, commands=NAMES, duration_seconds=1, prefix="hfabc")
    submitter = Submitter(stack, plan, transports=TRANSPORTS, clean=cleaning(stack.descriptor))
    replies = [submitter.send(submitter.command(number)) for number in range(len(NAMES))]
    submitter.close()
    stack.target.close()  # type: ignore[attr-defined]
    assert submitter.problem is None
    return [[str(reply.outcome), reply.status, reply.answered] for reply in replies]


@pytest.fixture(scope="module")
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that submits with the cheap client."""
    program = Path(__file__).with_name("load_submit.py")
    with subprocess.Popen([sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one:
        yield one
        assert one.stdin is not None
        one.stdin.close()


def cheaply(child: subprocess.Popen[str], url: str, folder: Path) -> list[list[Any]]:
    """Every command once, with the cheap client."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps({"url": url, "folder": str(folder), "commands": NAMES}) + "\n")
    child.stdin.flush()
    found = json.loads(child.stdout.readline())
    assert found["problem"] == ""
    return list(found["made"])


def described() -> str:
    """The descriptor with a command of each kind."""
    head, mark, tail = DESCRIPTOR.partition("[effects.entered]")
    return head + COMMANDS + mark + tail


def content(received: Received) -> tuple[Any, ...]:
    """What a request says, apart from who sent it and when."""
    body: Any = received.body
    if received.headers.get("content-type", "").startswith("application/x-amz-json"):
        body = json.loads(body)  # the order of parameters is boto3's in one and ours in the other
    headers = {name: value for name, value in received.headers.items() if name not in NOT_COMPARED}
    if isinstance(body, dict):
        headers.pop("content-length", None)
    # checksums that boto3 adds to a PUT of S3 by itself are no part of what is stored
    plain = {name: value for name, value in headers.items() if "checksum" not in name and "sdk" not in name}
    plain.pop("x-amz-content-sha256", None)
    if plain.get("content-length") == "0":  # requests leaves it out of a GET
        plain.pop("content-length")
    return received.method, received.path, body, plain


def is_signed(received: Received, url: str) -> bool | None:
    """Whether botocore signs what was received with the same signature; None for an unsigned request."""
    given = received.headers.get("authorization", "")
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(.+), Signature=(.+)", given
    )
    if found is None:
        return None
    region, service, names, signature = found.groups()
    headers = {name: received.headers[name] for name in names.split(";") if name != "host"}
    date = headers.pop("x-amz-date")
    request = AWSRequest(method=received.method, url=url + received.path, data=received.body, headers=headers)
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials(ACCOUNT, "test"), service, region)
    request.context["timestamp"] = date
    request.headers["X-Amz-Date"] = date
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return bool(region == REGION and signer.signature(text, request) == signature)


PUBLISHED = "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>"


def says(status: int, code: str = "", extra: str = "") -> Callable[[BaseHTTPRequestHandler], None]:
    """A behaviour: this status, with an AWS error code where there is one, as each service writes it."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        of_s3, of_sns = handler.path.startswith("/orders/orders/"), handler.path == "/" and is_form(handler)
        error = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        if of_s3 or of_sns:
            plain = "" if of_s3 else PUBLISHED
            text = plain if not code else error if of_s3 else f"<ErrorResponse>{error}</ErrorResponse>"
        else:
            document: dict[str, Any] = {"token": "t-1", "executionArn": "a", "startDate": 1}
            if code:
                document |= {"__type": f"com.amazonaws#{code}", "message": "no"}
            if extra:
                document |= {"FailedEntryCount": 1, "Entries": [{"ErrorCode": extra}]}
            text = json.dumps(document)
        handler.send_response(status)
        if extra:
            handler.send_header("X-Amz-Function-Error", "Unhandled")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return behave


def is_form(handler: BaseHTTPRequestHandler) -> bool:
    """Whether a request is of the query protocol."""
    return str(handler.headers.get("Content-Type", "")).startswith("application/x-www-form-urlencoded")


BEHAVIOURS = {
    "refused": says(400, "ValidationException"),
    "throttled": says(429, "ThrottlingException"),
    "gave up": says(408, "RequestTimeout"),
    "failed": says(500, "InternalFailure"),
    "failed within": says(200, extra="InternalFailure"),
    "no answer of a service": answers(200, b"<html><br>a proxy's page</html>", "text/html"),
    "cut": cut,
}


def test_both_clients_send_the_same_and_sign_what_they_send(
    web: Web, child: subprocess.Popen[str], tmp_path: Path
) -> None:
    """Method, path, payload and headers of every kind of command are equal, and botocore signs both the same way."""
    web.behaviour = says(200)
    reference = by_ports(web.url, tmp_path)
    by_boto3 = list(web.received)
    web.received.clear()
    assert cheaply(child, web.url, tmp_path) == reference
    assert [outcome for outcome, _, _ in reference] == ["ok"] * len(NAMES)
    ours = list(web.received)
    assert [content(one) for one in ours] == [content(one) for one in by_boto3]
    signed = [is_signed(one, web.url) for one in ours]
    assert signed == [is_signed(one, web.url) for one in by_boto3]
    assert False not in signed
    assert signed.count(True) == 8


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_both_clients_classify_alike(behaviour: str, web: Web, child: subprocess.Popen[str], tmp_path: Path) -> None:
    """Whatever a service does, both clients come to the same outcome and status, for every kind of command."""
    web.behaviour = BEHAVIOURS[behaviour]
    reference, ours = by_ports(web.url, tmp_path), cheaply(child, web.url, tmp_path)
    for name, expected, found in zip(NAMES, reference, ours, strict=True):
        # why no answer came is said in each library's own words, and boto3's S3 takes a page for an answer of its own
        compared = slice(3) if expected[2] and found[2] else slice(1)
        assert found[compared] == expected[compared], name
        assert found[2] == expected[2] or behaviour == "no answer of a service", name


def test_what_is_not_sent_cheaply_is_said(tmp_path: Path) -> None:
    """Python ports, presigned URLs and hosts of their own go through boto3 and requests, with the reason."""
    text = described().replace(
        "[effects.entered]",
        """[commands.coded]
calls = [{ kind = "python", callable = "ports:send" }]
[commands.presigned]
calls = [{ kind = "s3", bucket = "bucket", object_key = "{key}", body = "{value}", presigned = true }]
[commands.synchronous]
calls = [{ kind = "execution", state_machine = "flow", input = { id = "{key}" }, synchronous = true }]
[effects.entered]""",
    )
    (tmp_path / "ports.py").write_text("def send(context): ...\n")
    commands = stack_at("http://127.0.0.1:1", tmp_path, descriptor=text).descriptor.commands
    said = {name: costly(command, on_aws=True) for name, command in commands.items()}
    assert {name: reason for name, reason in said.items() if reason} == {
        "coded": "it is code of the descriptor's own",
        "presigned": "its URL is presigned by boto3",
        "synchronous": "StartSyncExecution has a host of its own",
    }
    assert costly(commands["synchronous"], on_aws=False) == ""


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("http://h:1/a b/é?x=ü", {}),
        ("http://h:1/a%20b/%7Eok/%zz", {"q": "é &="}),
        ("https://h/plain/path", {"a": "1", "b": "~-._"}),
        ("http://h/x?y=1", {"z": "/"}),
        ("http://h/[{}]|^", {}),
        ("http://h/it's", {}),
    ],
)
def test_urls_are_encoded_as_requests_encodes_them(url: str, query: dict[str, str]) -> None:
    """The cheap client's URL is the one that the ports send."""
    from holdfast.ports.transports.http import HttpRequest
    from holdfast.ports.transports.web import prepare

    asked = HttpRequest("GET", url, {}, query, None, None)
    assert whole_url(asked) == prepare("GET", url, headers={}, query=query).url
