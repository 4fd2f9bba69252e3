"""Which rules act on which invocation or call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from holdfast.targets.base import Rule
from holdfast.targets.interceptor import tracing
from holdfast.targets.interceptor.errors import error_answer
from holdfast.targets.interceptor.recognition import Request, operation_of, service_of
from holdfast.targets.interceptor.rules import RuleBook
from holdfast.targets.interceptor.tracing import Tracer


def test_empty_text_matches_anything() -> None:
    """A rule without function and key acts on every invocation."""
    book = RuleBook()
    book.add(Rule(id="all", action="fail"))
    assert [rule.id for rule in book.claim_invocation("any", "{}")] == ["all"]


def test_function_and_key_must_both_match() -> None:
    """A rule acts only on its function and on events that contain its key."""
    book = RuleBook()
    book.add(Rule(id="one", action="fail", function="worker", key="k1"))
    assert book.claim_invocation("other", "k1") == ()
    assert book.claim_invocation("worker", "k2") == ()
    assert len(book.claim_invocation("worker", "has k1 inside")) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"function": "g"},
        {"event": "k2"},
        {"service": "sqs"},
        {"operation": "GetItem"},
        {"resources": ("stock",)},
        {"caller": "other"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_every_field_narrows_a_rule(other: dict[str, Any]) -> None:
    """A call that differs from the rule in any one field is not acted on; one that agrees in all of them is."""
    rule = Rule(
        id="r",
        action="refuse",
        point="call",
        function="f",
        key="k1",
        service="dynamodb",
        operation="PutItem",
        resource="orders",
    )
    call: dict[str, Any] = {
        "function": "f",
        "event": "has k1",
        "service": "dynamodb",
        "operation": "PutItem",
        "resources": ("orders",),
        "caller": "function",
    }
    book = RuleBook()
    book.add(rule)
    assert book.claim_call(**{**call, **other}) == ()
    assert book.claim_invocation("f", "has k1") == ()
    assert book.claim_call(**call) == (rule,)


def test_nth_counts_matches_only() -> None:
    """``nth`` is the place among the matching calls."""
    book = RuleBook()
    book.add(Rule(id="second", action="kill", point="call", operation="PutItem", key="k", nth=2))
    hits = [
        bool(book.claim_call("f", "k", "dynamodb", operation))
        for operation in ("PutItem", "GetItem", "PutItem", "PutItem")
    ]
    assert hits == [False, False, True, False]


def test_onwards_spares_only_what_came_before() -> None:
    """From the nth match on every one is acted on, ``times`` still bounds them, and the key stays alone until then."""
    book = RuleBook()
    book.add(Rule(id="r", action="fail", function="f", key="k", nth=2, onwards=True))
    assert [bool(book.claim_invocation("f", "k")) for _ in range(4)] == [False, True, True, True]
    assert book.aimed_keys("f") == ("k",)
    book.add(Rule(id="r", action="fail", function="f", key="k", nth=2, onwards=True, times=2))
    assert [bool(book.claim_invocation("f", "k")) for _ in range(4)] == [False, True, True, False]
    assert book.aimed_keys("f") == ()


def test_times_holds_under_concurrency() -> None:
    """A rule with ``times`` is claimed exactly so often, however many ask at once."""
    book = RuleBook()
    book.add(Rule(id="three", action="fail", times=3))
    with ThreadPoolExecutor(16) as pool:
        claims = list(pool.map(lambda _: len(book.claim_invocation("f", "event")), range(200)))
    assert sum(claims) == 3


def test_a_released_claim_can_be_taken_again() -> None:
    """A fault that was not done does not use up the rule."""
    book = RuleBook()
    rule = Rule(id="once", action="fail", times=1)
    book.add(rule)
    assert book.claim_invocation("f", "e") == (rule,)
    book.release(rule)
    assert book.claim_invocation("f", "e") == (rule,)


def test_hits_outlive_the_rule() -> None:
    """Hits are counted for ever, claims that were not done are not."""
    book = RuleBook()
    rule = Rule(id="r", action="fail")
    book.add(rule)
    book.claim_invocation("f", "e")
    book.hit(rule)
    book.remove("r")
    book.remove("unknown")
    assert (book.hits("r"), book.hits("unknown"), book.all()) == (1, 0, ())


def test_only_rules_that_may_still_act_isolate() -> None:
    """The key of a rule that is used up needs no delivery of its own."""
    book = RuleBook()
    book.add(Rule(id="r", action="fail", function="f", key="k", times=1))
    book.add(Rule(id="n", action="refuse", point="call", function="f", key="n", nth=1))
    assert book.aimed_keys("f") == ("k", "n")
    assert book.aimed_keys("g") == ()
    book.claim_invocation("f", "k")
    book.claim_call("f", "n", "s3", "PutObject")
    assert book.aimed_keys("f") == ()


def test_the_trace_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ring is bounded by invocations and by the size of their events."""
    monkeypatch.setattr(tracing, "MAX_INVOCATIONS", 3)
    monkeypatch.setattr(tracing, "MAX_EVENT_CHARACTERS", 100)
    tracer = Tracer()
    for number in range(5):
        tracer.begin("f", f"r{number}", f"event {number}")
    assert [one.request_id for one in tracer.select()] == ["r2", "r3", "r4"]
    tracer.begin("f", "big", "x" * 99)
    assert [one.request_id for one in tracer.select()] == ["big"]


CREDENTIAL = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/{}/aws4_request, SignedHeaders=host, Signature=0"


@pytest.mark.parametrize(
    ("service", "method", "path", "query", "headers", "body", "operation"),
    [
        ("dynamodb", "POST", "/", "", {"x-amz-target": "DynamoDB_20120810.PutItem"}, b"", "PutItem"),
        (
            "sqs",
            "POST",
            "/",
            "",
            {"content-type": "application/x-www-form-urlencoded"},
            b"Action=SendMessage",
            "SendMessage",
        ),
        (
            "monitoring",
            "POST",
            "/service/GraniteServiceVersion20100801/operation/PutMetricData",
            "",
            {},
            b"",
            "PutMetricData",
        ),
        ("s3", "PUT", "/bucket/a/b", "", {}, b"", "PutObject"),
        ("s3", "PUT", "/bucket/a", "", {"x-amz-copy-source": "/bucket/b"}, b"", "CopyObject"),
        ("s3", "PUT", "/bucket/a", "partNumber=1&uploadId=u", {}, b"", "UploadPart"),
        ("s3", "GET", "/bucket/a", "", {}, b"", "GetObject"),
        ("s3", "HEAD", "/bucket/a", "", {}, b"", "HeadObject"),
        ("s3", "DELETE", "/bucket/a", "", {}, b"", "DeleteObject"),
        ("s3", "GET", "/bucket", "list-type=2&prefix=a", {}, b"", "ListObjectsV2"),
        ("s3", "PUT", "/bucket", "", {}, b"", "CreateBucket"),
        ("s3", "GET", "/", "", {}, b"", "ListBuckets"),
        ("lambda", "POST", "/2015-03-31/functions/f/invocations", "", {}, b"", "Invoke"),
        ("lambda", "GET", "/2015-03-31/functions/f", "", {}, b"", "GetFunction"),
        ("nonsense", "GET", "/x", "", {}, b"", "GET /x"),
    ],
)
def test_operations_are_recognised(
    service: str, method: str, path: str, query: str, headers: dict[str, str], body: bytes, operation: str
) -> None:
    """A request of each protocol is known by the name of its operation."""
    signed = {"authorization": CREDENTIAL.format(service), **headers}
    request = Request(method, path, query, signed, body)
    assert (service_of(request), operation_of(service, request)) == (service, operation)


def test_a_presigned_request_names_its_service() -> None:
    """The credential scope is also found in the query of a presigned URL."""
    request = Request(
        "PUT", "/b/k", "X-Amz-Credential=AKIA%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Date=1", {}
    )
    assert service_of(request) == "s3"


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("dynamodb", "ProvisionedThroughputExceededException", 400),
        ("dynamodb", "InternalServerError", 500),
        ("s3", "SlowDown", 503),
        ("s3", "AccessDenied", 403),
        ("lambda", "TooManyRequestsException", 429),
        ("sqs", "AccessDenied", 403),
    ],
)
def test_errors_have_the_status_of_the_service(service: str, code: str, status: int) -> None:
    """An injected error has the status that the service gives it."""
    assert error_answer(service, Request("POST", "/", "", {}), code, "told").status == status
