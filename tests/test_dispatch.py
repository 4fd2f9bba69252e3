"""Calls that the emulator makes itself meet the rules as calls over HTTP do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from holdfast.targets.base import Action, Rule
from holdfast.targets.emulator.dispatch import CallFailedError, about_of, aimed_keys, call, handling
from holdfast.targets.emulator.interception import RULES, TRACER
from holdfast.waiting import eventually

CALLER = "orders-rule"
RULE = Rule(id="the-rule", action="refuse", point="call", function=CALLER, key="k-1")


@pytest.fixture(autouse=True)
def book() -> Iterator[None]:
    """The rule is out again after each test."""
    yield
    RULES.remove(RULE.id)


def made(rule: Rule | None, event: str = '{"id": "k-1"}', payload: str = "") -> tuple[list[str], object]:
    """What a call performed, and what its caller saw of it."""
    done: list[str] = []
    if rule is not None:
        RULES.add(rule)

    def perform() -> str:
        done.append("done")
        return f"answer {len(done)}"

    with handling(CALLER, event) as handled:
        try:
            return done, call(handled, "sqs", "SendMessage", perform, payload=payload)
        except CallFailedError as failure:
            return done, (failure.code, failure.status)


@pytest.mark.parametrize(("about", "acts"), [("orders", True), ("stock", False)])
def test_a_rule_aimed_at_a_resource_meets_calls_that_services_make(about: str, *, acts: bool) -> None:
    """Whoever calls about a queue or table is broken by a rule on it, and the record says what the call was about."""
    RULES.add(replace(RULE, function="", resource="orders", caller="any"))
    arn = f"arn:aws:sqs:eu-west-1:123456789012:{about}"
    before = hits()
    with handling(CALLER, '{"id": "k-1"}') as handled, suppress(CallFailedError):
        call(handled, "sqs", "SendMessage", lambda: None, about=(arn,))
    assert hits() - before == acts
    assert [one.resource for one in handled.calls] == [about]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "about"),
    [
        ("dynamodb", "PutItem", {"TableName": "orders"}, ("orders",)),
        ("sqs", "SendMessage", {"QueueUrl": "http://127.0.0.1:4566/123456789012/orders"}, ("orders",)),
        (
            "states",
            "StartExecution",
            {"StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:orders"},
            ("orders",),
        ),
        ("s3", "PutObject", {"Bucket": "orders", "Key": "k"}, ("orders",)),
        ("events", "PutEvents", {"Entries": [{"EventBusName": "orders"}]}, ("orders",)),
        ("sqs", "SendMessage", "no object", ()),
        ("nonsense", "Nothing", {"Name": "orders"}, ()),
    ],
)
def test_a_task_says_what_its_call_is_about(
    service: str, operation: str, parameters: object, about: tuple[str, ...]
) -> None:
    """The parameters of a state machine's task name the resource, in the case in which Step Functions writes them."""
    assert about_of(service, operation, parameters) == about


def hits() -> int:
    """How often the rule has hit since it was put in force first."""
    return RULES.hits(RULE.id)


@pytest.mark.parametrize(
    ("action", "error", "performed", "seen"),
    [
        ("refuse", "AccessDenied", 0, ("AccessDenied", 403)),
        ("throttle", "", 0, ("ThrottlingException", 400)),
        ("fail", "", 0, ("InternalError", 500)),
        ("cut", "", 0, ("SdkClientException", 0)),
        ("drop", "", 1, ("SdkClientException", 0)),
        ("fail-after", "InternalFailure", 1, ("InternalFailure", 500)),
        ("duplicate", "", 2, "answer 1"),
    ],
)
def test_each_fault_is_done_and_counted(action: Action, error: str, performed: int, seen: object) -> None:
    """A fault performs the call as often as it says, shows its caller what it says, and counts one hit."""
    before = hits()
    done, found = made(replace(RULE, action=action, error=error))
    assert (len(done), found, hits() - before) == (performed, seen, 1)


def test_a_rule_for_a_state_is_for_the_calls_of_that_state() -> None:
    """Of two states that make the same call, the one that the rule names is hit, and the record tells them apart."""
    RULES.add(replace(RULE, state="Charge", nth=1))
    before, done = hits(), []
    with handling(CALLER, '{"id": "k-1"}') as handled:
        for state in ("Reserve", "Charge", "Charge"):
            with suppress(CallFailedError):
                call(handled, "lambda", "Invoke", lambda state=state: done.append(state), state=state)
        with suppress(CallFailedError):
            call(handled, "lambda", "Invoke", lambda: done.append("no state"))
    assert (done, hits() - before) == (["Reserve", "Charge", "no state"], 1)
    assert [(one.state, one.status) for one in handled.calls] == [
        ("Reserve", 200),
        ("Charge", 500),
        ("Charge", 200),
        ("", 200),
    ]


def test_a_delayed_call_counts_as_open_until_it_is_made() -> None:
    """What a rule holds back may come long after its caller gave up, so nothing is silent before."""
    RULES.add(replace(RULE, action="delay", delay_seconds=0.2))
    open_before = TRACER.open_count()
    seen: list[int] = []

    def look() -> None:
        with handling(CALLER, '{"id": "k-1"}') as handled:
            handled.ended_seconds = 1.0
            call(handled, "sqs", "SendMessage", lambda: None)

    thread = threading.Thread(target=look)
    thread.start()
    eventually(lambda: seen.append(TRACER.open_count()) or seen[-1] > open_before, bool, deadline_seconds=5)
    thread.join()
    assert max(seen) == open_before + 1
    assert TRACER.open_count() == open_before


def test_only_functions_that_are_not_held_are_at_work() -> None:
    """What a rule delays or leaves without an answer, what a service handles and what has ended needs no processor."""
    before = TRACER.working_count()
    function = TRACER.begin("f-worker", "request-2", "{}")
    with handling(CALLER, "{}"):
        assert TRACER.working_count() == before + 1
    with TRACER.holding(function):
        assert TRACER.working_count() == before
    for status, working in ((0, 0), (200, 1)):
        TRACER.call(function, "sqs", "SendMessage", status)
        assert TRACER.working_count() == before + working
    function.ended_seconds = 1.0
    assert TRACER.working_count() == before


def test_a_call_that_no_rule_is_for_is_performed_once() -> None:
    """Another key, another caller and another operation pass untouched."""
    for rule in (replace(RULE, key="k-2"), replace(RULE, function="other"), replace(RULE, operation="Publish")):
        assert made(rule) == (["done"], "answer 1")


def test_the_key_may_be_in_the_payload() -> None:
    """A key that is in the call's own payload, and not in the event, is found."""
    assert made(RULE, event="{}", payload='{"id": "k-1"}')[0] == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_delay_holds_the_call_or_its_answer(when: str) -> None:
    """A delayed call is performed after its delay, or answers after it."""
    started = time.monotonic()
    done, _ = made(replace(RULE, action="delay", when=when, delay_seconds=0.05))  # type: ignore[arg-type]
    assert done
    assert time.monotonic() - started >= 0.05


def test_what_cannot_be_killed_is_not_counted() -> None:
    """A rule that kills is not acted on where there is no process, and keeps its times."""
    before = hits()
    for _ in range(2):
        assert made(replace(RULE, action="kill", times=1))[0] == ["done"]
    assert hits() == before


def test_an_error_of_the_call_itself_passes_through() -> None:
    """What the service itself refuses is the caller's to see, and is in the record as refused."""

    def refuse() -> None:
        raise KeyError("no such queue")

    with handling(CALLER, "{}") as handled, pytest.raises(KeyError):
        call(handled, "sqs", "SendMessage", refuse)
    assert [one.status for one in handled.calls] == [400]


def test_a_handling_is_in_the_record_until_it_ends_and_after() -> None:
    """It counts as running, its calls are numbered, and a failure in it is told."""
    with handling(CALLER, "recorded", "request-1") as handled:
        running = TRACER.open_count()
        call(handled, "sqs", "SendMessage", lambda: None)
        call(handled, "sns", "Publish", lambda: None)
    assert TRACER.open_count() == running - 1
    told = [(one.function, one.request_id, one.index, one.operation, one.status) for one in handled.calls]
    assert told == [
        (CALLER, "request-1", 1, "SendMessage", 200),
        (CALLER, "request-1", 2, "Publish", 200),
    ]
    with pytest.raises(RuntimeError), handling(CALLER, "failing") as failing:
        raise RuntimeError
    assert failing.failed


def test_deliveries_that_any_caller_on_the_way_is_aimed_at_travel_alone() -> None:
    """The keys of rules for a mapping and for its function are both aimed at, each once."""
    RULES.add(replace(RULE, function="mapping"))
    assert aimed_keys("function", "mapping") == ("k-1",)
    assert aimed_keys("function") == ()
