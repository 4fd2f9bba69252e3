"""What commands ask of the services is counted once each, and not at all where the trace does not tell."""

from __future__ import annotations

from holdfast.costing import per_thousand
from holdfast.history.executions import Attempt, Execution, ExecutionStatus, Visit
from holdfast.targets.base import TracedCall, TracedInvocation


def invocation(request_id: str, keys: str, *, function: str = "worker", by_service: bool = False) -> TracedInvocation:
    return TracedInvocation(
        function=function,
        request_id=request_id,
        started_seconds=1.0,
        ended_seconds=2.0,
        failed=False,
        event=keys,
        by_service=by_service,
    )


def call(order: int, keys: str, operation: str = "PutItem", function: str = "worker") -> tuple[TracedCall, str]:
    return TracedCall(
        function=function, request_id="r", index=1, service="dynamodb", operation=operation, status=200, order=order
    ), keys


INVOCATIONS = (
    invocation("r1", "a b"),
    invocation("r2", "b"),
    invocation("r3", "a", function="api", by_service=True),
    invocation("r4", "a b", function="other"),
)
CALLS = (call(1, "a b"), call(2, "b"), call(3, "a", "Query", function=""), call(4, "b", "GetItem"))


def counted(keys: str, executions: tuple[Execution, ...] = ()) -> dict[str, float]:
    return per_thousand(
        keys.split(),
        invocations=lambda key: [one for one in INVOCATIONS if key in one.event],
        calls=lambda key: [one for one, told in CALLS if key in told],
        executions=executions,
    )


def test_a_batch_counts_once_and_the_client_not_at_all() -> None:
    """Two commands: three invocations, one of them a repetition, and the requests of functions alone."""
    assert counted("a b") == {
        "invocations_per_thousand": 1_500.0,
        "retries_per_thousand": 500.0,
        "requests_per_thousand:dynamodb:GetItem": 500.0,
        "requests_per_thousand:dynamodb:PutItem": 1_000.0,
    }


def test_a_command_that_the_trace_does_not_tell_leaves_nothing_counted() -> None:
    """Without a trace of every command, and without a command, there is no figure."""
    assert counted("a b c") == {}
    assert counted("") == {}


def test_every_visit_and_every_further_attempt_is_a_transition() -> None:
    """Three visits, one of them with three attempts; another command's execution does not count."""
    attempts = (Attempt(started_seconds=1.0),) * 3
    visits = (
        Visit(state="Charge", entered_seconds=1.0, attempts=attempts),
        Visit(state="Wait", entered_seconds=2.0),
        Visit(state="Done", entered_seconds=3.0),
    )
    ran, other = (
        Execution(key=key, arn="arn", status=ExecutionStatus.SUCCEEDED, started_seconds=1.0, visits=visits)
        for key in ("a", "z")
    )
    assert counted("a", (ran, other))["transitions_per_thousand"] == 5_000.0
