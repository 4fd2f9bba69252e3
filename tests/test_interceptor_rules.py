"""Rules: what they aim at, how they draw, when they end, and which are refused."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.targets.base import CallerKind, Rule
from holdfast.targets.interceptor.control import rule_of
from holdfast.targets.interceptor.names import name_of
from holdfast.targets.interceptor.rules import RuleBook, problems
from holdfast.targets.interceptor.tracing import Tracer

CALL = Rule(id="r", action="refuse", point="call")


def _acts(book: RuleBook, *resources: str, caller: CallerKind = "function", function: str = "f") -> bool:
    return bool(book.claim_call(function, "event", "sqs", "SendMessage", resources=resources, caller=caller))


@pytest.mark.parametrize(
    ("named", "name"),
    [
        ("orders", "orders"),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/orders", "orders"),
        ("arn:aws:dynamodb:eu-west-1:123456789012:table/orders/index/by-day", "orders"),
        ("arn:aws:sqs:eu-west-1:123456789012:orders", "orders"),
        ("http://127.0.0.1:4566/123456789012/orders", "orders"),
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/orders.fifo", "orders.fifo"),
        ("arn:aws:sns:eu-west-1:123456789012:orders:5be8bc53-0000", "orders"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:orders:live", "orders"),
        ("123456789012:function:orders", "orders"),
        ("orders:live", "orders"),
        ("arn:aws:states:eu-west-1:123456789012:execution:orders:run-1", "orders"),
        ("arn:aws:s3:::orders", "orders"),
        ("arn:aws:events:eu-west-1:123456789012:event-bus/orders", "orders"),
        ("arn:aws", "arn:aws"),
        ("", ""),
    ],
)
def test_a_resource_has_one_name(named: str, name: str) -> None:
    """A resource is the same whether it is named plainly, by ARN or by URL."""
    assert name_of(named) == name


@given(st.text())
def test_any_text_has_a_name(named: str) -> None:
    """No text makes naming fail."""
    name_of(named)


def test_a_rule_acts_on_its_resource_alone() -> None:
    """A rule with a resource acts on calls about it, also about it among others, and on no other."""
    book = RuleBook()
    book.add(replace(CALL, resource="arn:aws:sqs:eu-west-1:123456789012:orders"))
    assert not _acts(book)
    assert not _acts(book, "orders-dead")
    assert _acts(book, "orders")
    assert _acts(book, "payments", "orders")


def test_a_rule_acts_on_its_kind_of_caller() -> None:
    """Without being told otherwise a rule acts on the calls of functions, and on no other client's."""
    for caller, acts in (("function", [True, False]), ("other", [False, True]), ("any", [True, True])):
        book = RuleBook()
        book.add(Rule(id="r", action="refuse", point="call", caller=caller))  # type: ignore[arg-type]
        assert [_acts(book), _acts(book, caller="other", function="")] == acts, caller


def test_chance_is_settled_by_the_seed() -> None:
    """The same seed hits the same matches, another seed others, and about as many as the probability says."""

    def hits(seed: int, id_: str) -> list[bool]:
        book = RuleBook()
        book.add(replace(CALL, id=id_, probability=0.3, seed=seed))
        return [_acts(book) for _ in range(2000)]

    first = hits(1, "a")
    assert hits(1, "b") == first
    assert hits(2, "a") != first
    assert 500 < sum(first) < 700
    book = RuleBook()
    book.add(replace(CALL, probability=0.3, seed=1))
    acted = sum(_acts(book) for _ in range(2000))
    assert (book.matched("r"), acted) == (2000, sum(first))


@pytest.mark.parametrize(("probability", "acts"), [(0.0, 0), (1.0, 50)])
def test_certainty_needs_no_chance(probability: float, acts: int) -> None:
    """Probability 0 never acts and 1 always does."""
    book = RuleBook()
    book.add(replace(CALL, probability=probability))
    assert sum(_acts(book) for _ in range(50)) == acts


def test_times_counts_what_chance_let_through() -> None:
    """``times`` counts the hits, not the matches that chance passed over."""
    book = RuleBook()
    book.add(replace(CALL, probability=0.5, seed=7, times=3))
    assert sum(_acts(book) for _ in range(100)) == 3


def test_an_expired_rule_is_void() -> None:
    """From its time on a rule neither acts, nor isolates deliveries, nor counts as in force."""
    now = 1000.0
    book = RuleBook(clock=lambda: now)
    book.add(replace(CALL, expires_seconds=1010.0, key="event", function="f"))
    assert _acts(book)
    assert book.aimed_keys("f") == ("event",)
    assert book.reads_calls("function")
    now = 1010.0
    assert not _acts(book)
    assert book.aimed_keys("f") == ()
    assert book.all() == ()
    assert not book.reads_calls("function")
    assert not book.wants_calls()
    assert book.matched("r") == 1


def test_rules_for_other_callers_isolate_nothing() -> None:
    """A rule that no function's call can meet needs no delivery of its own."""
    book = RuleBook()
    book.add(replace(CALL, key="k", caller="other"))
    assert book.aimed_keys("f") == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"id": ""}, "id"),
        ({"point": "invocation"}, 'set point to "call"'),
        ({"nth": -1}, "nth"),
        ({"times": -1}, "times"),
        ({"delay_seconds": -0.1}, "delay_seconds"),
        ({"delay_seconds": 901.0}, "delay_seconds"),
        ({"delay_seconds": float("nan")}, "delay_seconds"),
        ({"probability": 1.1}, "probability"),
        ({"probability": float("nan")}, "probability"),
        ({"expires_seconds": float("inf")}, "expires_seconds"),
    ],
)
def test_rules_that_mean_nothing_are_refused(wrong: dict[str, object], said: str) -> None:
    """A rule with a figure out of bounds is told what is wrong with it."""
    rule = replace(CALL, **wrong)  # type: ignore[arg-type]
    assert said in " ".join(problems(rule))
    assert said in rule_of(json.dumps(asdict(rule)).encode())[1]
    assert problems(CALL) == ()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (b'{"id": "r"}', "action"),
        (b'{"id": "r", "action": "explode"}', "action"),
        (b'{"id": "r", "action": "fail", "colour": 1}', "colour"),
        (b'{"id": 5, "action": "fail"}', "id"),
        (b'{"id": "r", "action": "fail", "times": "3"}', "times"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_documents_that_are_no_rule_are_refused(document: bytes, said: str) -> None:
    """What is no rule is refused with the name of the field that is wrong."""
    rule, wrong = rule_of(document)
    assert rule is None
    assert said in wrong


def test_a_rule_survives_its_document() -> None:
    """A rule read back from its JSON is the same rule."""
    rule = replace(CALL, action="duplicate", probability=0.25, seed=-3, expires_seconds=1.5, resource="orders")
    assert rule_of(json.dumps(asdict(rule)).encode()) == (rule, "")


def test_calls_are_remembered_in_their_order() -> None:
    """Calls of functions are found by their event and those of others by what they carried, in one order."""
    tracer = Tracer()
    first, second = tracer.begin("f", "r1", "key-1"), tracer.begin("g", "r2", "key-1 and more")
    tracer.call(second, "s3", "PutObject", 200, resources=("bucket",))
    tracer.call(None, "sqs", "SendMessage", 200, resources=("queue",), text="key-1")
    tracer.call(first, "dynamodb", "BatchWriteItem", 200, resources=("a", "b"))
    tracer.call(None, "sqs", "SendMessage", 200, resources=("queue",), text="key-2")
    found = [(call.function, call.operation, call.resource, call.index, call.order) for call in tracer.calls("key-1")]
    assert found == [
        ("g", "PutObject", "bucket", 1, 1),
        ("", "SendMessage", "queue", 0, 2),
        ("f", "BatchWriteItem", "a,b", 1, 3),
    ]


def test_an_unknown_event_is_what_its_calls_carried() -> None:
    """An invocation whose event is not known is found by the content of its calls, and all its calls with it."""
    tracer = Tracer()
    seen = tracer.begin("f", "r", "")
    seen.event_known = False
    tracer.call(seen, "dynamodb", "GetItem", 200, text="configuration")
    tracer.call(seen, "dynamodb", "PutItem", 200, text="key-1")
    assert [call.operation for call in tracer.calls("key-1")] == ["GetItem", "PutItem"]


def test_the_calls_of_others_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest calls of others are forgotten first, by count and by size."""
    monkeypatch.setattr("holdfast.targets.interceptor.tracing.MAX_CALLS_OF_OTHERS", 3)
    monkeypatch.setattr("holdfast.targets.interceptor.tracing.MAX_EVENT_CHARACTERS", 100)
    tracer = Tracer()
    for _ in range(5):
        tracer.call(None, "sqs", "SendMessage", 200, text="k")
    assert [call.order for call in tracer.calls("k")] == [3, 4, 5]
    tracer.call(None, "sqs", "SendMessage", 200, text="k" * 99)
    assert [call.order for call in tracer.calls("k")] == [5, 6]
