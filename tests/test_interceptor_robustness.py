"""A thousand generated rule sets and malformed requests: no traceback, no hang, and what lies behind still answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.interceptor.process import ProxyProcess
from interceptor_rig import endpoint, raw

EXAMPLES = 1_000
ANSWER_SECONDS = 30.0
"""What takes longer is a hang; the emulator may take seconds for the first call of a service, whose code it loads."""
LONGEST_DELAY_SECONDS = 0.1

ACTIONS = ["fail", "throttle", "kill", "delay", "refuse", "drop", "cut", "fail-after", "duplicate"]
SERVICES = ["dynamodb", "s3", "sqs", "sns", "lambda", "events", "states", "monitoring", "nonsense", ""]
TARGETS = ["DynamoDB_20120810.PutItem", "DynamoDB_20120810.BatchWriteItem", "AmazonSQS.SendMessage", "nonsense", "."]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=3,
)
sound_rules = st.fixed_dictionaries(
    {"id": st.sampled_from(["a", "b", "c"]), "action": st.sampled_from(ACTIONS), "point": st.just("call")},
    optional={
        "when": st.sampled_from(["before", "after"]),
        "caller": st.sampled_from(["function", "other", "any"]),
        "key": st.sampled_from(["", "key", "\x00", "ü"]),
        "service": st.sampled_from(SERVICES),
        "operation": st.sampled_from(["", "PutItem", "PutObject", "SendMessage"]),
        "resource": st.sampled_from(["", "orders", "arn:aws:sqs", "http://[", "a:b"]),
        "nth": st.integers(0, 3),
        "times": st.integers(0, 3),
        "probability": st.sampled_from([0.0, 0.5, 1.0]),
        "seed": st.integers(-5, 5),
        "expires_seconds": st.sampled_from([0.0, 1.0, 1e12]),
        "error": st.sampled_from(["", "SlowDown", "InternalError", "<&>", "ü"]),
        "delay_seconds": st.floats(0, LONGEST_DELAY_SECONDS),
    },
)
FIELDS = ["id", "action", "point", "when", "key", "nth", "times", "probability", "seed", "delay_seconds", "colour"]
wrong_rules = st.dictionaries(st.sampled_from(FIELDS), anything, max_size=6)
documents = st.one_of(
    sound_rules.map(lambda rule: json.dumps(rule).encode()),
    wrong_rules.map(lambda rule: json.dumps(rule).encode()),
    st.binary(max_size=20),
)

latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=20)
bodies = st.one_of(
    st.binary(max_size=200),
    anything.map(lambda told: json.dumps(told).encode()),
    st.sampled_from(
        [
            b'{"TableName": "orders", "Item": {"pk": {"S": "key"}}}',
            b'{"RequestItems": []}',
            b"[" * 2_000,
            b"Action=SendMessage&QueueUrl=http%3A%2F%2F&key=%zz",
            b"\xbf\xff\x9f",
            b'{"QueueUrl": {"a": 1}, "key": "\\ud800"}',
        ]
    ),
)
credentials = st.sampled_from(SERVICES).map(
    lambda service: f"AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/{service}/aws4_request, Signature=0"
)
headers = st.dictionaries(
    st.sampled_from(
        ["authorization", "content-type", "x-amz-target", "x-amzn-trace-id", "smithy-protocol", "expect", "user-agent"]
    ),
    st.one_of(
        latin,
        credentials,
        st.sampled_from(
            [*TARGETS, "application/x-www-form-urlencoded", "application/cbor", "rpc-v2-cbor", "100-continue"]
        ),
    ),
    max_size=5,
)
paths = st.one_of(
    st.sampled_from(
        [
            "/",
            "/orders/key",
            "/service/x/operation/PutMetricData",
            "/2015-03-31/functions/f/invocations",
            "/?X-Amz-Credential=a%2F1%2Fr%2Fs3%2Faws4_request",
            "/_holdfast/rules",
            "/_holdfast/hits/%ff",
            "/%zz?%zz=%",
            "*",
        ]
    ),
    st.text("abc/%?&=.:ü{}", max_size=20).map(lambda text: "/" + text),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bool]:
    """One HTTP request that is well-formed, or nearly, or cut short, or no HTTP at all; and whether it is whole."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=100)), False
    body = draw(bodies)
    told = draw(headers)
    if draw(st.booleans()):
        told.setdefault("authorization", draw(credentials))
    framing = draw(
        st.sampled_from(
            [
                f"content-length: {len(body)}",
                f"content-length: {len(body)}",
                f"content-length: {len(body) + 5}",
                "content-length: -1",
                "transfer-encoding: chunked",
                "",
            ]
        )
    )
    method = draw(st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "BREW"]))
    lines = [f"{method} {draw(paths)} HTTP/1.1", "host: 127.0.0.1", "connection: close", framing]
    lines += [f"{name}: {value}" for name, value in told.items()]
    whole = "\r\n".join(line for line in lines if line).encode("utf-8") + b"\r\n\r\n" + body
    if draw(st.booleans()):
        return whole, framing == f"content-length: {len(body)}"
    return whole[: draw(st.integers(0, len(whole)))], False


bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _assault(url: str, http: urllib3.PoolManager, rules: list[bytes], sent: list[tuple[bytes, bool]]) -> None:
    for document in rules:
        answer = http.request("PUT", f"{url}/_holdfast/rules", body=document)
        assert answer.status in (200, 400), answer.data
        assert answer.status == 200 or answer.json()["error"]
    try:
        for content, whole in sent:
            raw(url, content, wait=whole, timeout_seconds=ANSWER_SECONDS)  # a hang is a timeout
    finally:
        for rule in http.request("GET", f"{url}/_holdfast/rules").json():
            http.request("DELETE", f"{url}/_holdfast/rules/{rule['id']}")


def _faults(log: str) -> list[str]:
    """The lines of a log that show our own code in a traceback, or as the place where something failed.

    MiniStack writes tracebacks of its own about malformed bodies, which it answers; those end above our code.
    """
    return [line for line in log.splitlines() if "holdfast/targets" in line]


@pytest.fixture(scope="module")
def pool() -> Iterator[urllib3.PoolManager]:
    """Connections to the control interfaces."""
    with urllib3.PoolManager(timeout=ANSWER_SECONDS, retries=False) as connections:
        yield connections


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmbeddedTarget]:
    """An emulator whose log is its own."""
    with EmbeddedTarget.start() as target:
        yield target


@pytest.fixture(scope="module")
def proxy() -> Iterator[ProxyProcess]:
    """A proxy whose log is its own."""
    with endpoint() as behind, ProxyProcess(behind.url) as process:
        yield process


@bounded
@given(rules=st.lists(documents, max_size=4), sent=st.lists(requests(), min_size=1, max_size=2))
def test_the_emulator_survives(
    emulator: EmbeddedTarget, pool: urllib3.PoolManager, *, rules: list[bytes], sent: list[tuple[bytes, bool]]
) -> None:
    """Whatever rules and requests come, the emulator's interceptor neither fails nor hangs."""
    assert emulator.endpoint_url is not None
    _assault(emulator.endpoint_url, pool, rules, sent)
    log = (emulator.directory / "emulator.log").read_text(errors="replace")
    assert not _faults(log)


@pytest.mark.parametrize("operation", ["StartExecution", "DescribeExecution", "RedriveExecution", "Nonsense", ""])
@pytest.mark.parametrize("body", [b"\xfe|E", b"[]", b"7", b"{", b"[" * 5_000, b"{}", b""])
def test_the_emulator_survives_calls_that_patches_handle(emulator: EmbeddedTarget, operation: str, body: bytes) -> None:
    """A body that is no object is refused, in a request that a patch looks at before MiniStack does."""
    answer = urllib3.request(
        "POST",
        f"{emulator.endpoint_url}/",
        body=body,
        headers={
            "authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/states/aws4_request, Signature=0",
            "content-type": "application/x-amz-json-1.0",
            "x-amz-target": f"AWSStepFunctions.{operation}",
        },
        retries=False,
    )
    assert answer.status in (400, 500), answer.data  # MiniStack itself fails on some before the patch is asked
    assert not _faults((emulator.directory / "emulator.log").read_text(errors="replace"))


def test_the_emulator_still_answers(emulator: EmbeddedTarget) -> None:
    """After all that, calls are answered, functions run and rules act."""
    sqs = emulator.client("sqs")
    url = sqs.create_queue(QueueName="after")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="still here")
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "still here"


@bounded
@given(rules=st.lists(documents, max_size=4), sent=st.lists(requests(), min_size=1, max_size=2))
def test_the_proxy_survives(
    proxy: ProxyProcess, pool: urllib3.PoolManager, *, rules: list[bytes], sent: list[tuple[bytes, bool]]
) -> None:
    """Whatever rules and requests come, the reverse proxy neither fails nor hangs."""
    _assault(proxy.url, pool, rules, sent)
    assert not _faults(proxy.log())
    assert "Traceback" not in proxy.log()


def test_the_proxy_still_answers(proxy: ProxyProcess, pool: urllib3.PoolManager) -> None:
    """After all that, requests pass."""
    answer: Any = pool.request("PUT", f"{proxy.url}/bucket/key", body=b"still here")
    assert (answer.status, answer.data) == (200, b"{}")
