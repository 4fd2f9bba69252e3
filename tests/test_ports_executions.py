"""Executions are found by the key they work for, and their histories become visits and attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.history.executions import Attempt, Execution, ExecutionStatus, Visit, standing
from holdfast.ports.executions import Executions, visits_of
from holdfast.stack.resolve import Stack

BEGAN = 1_700_000_000.0


def event(number: int, kind: str, after: int | None = None, **details: Any) -> dict[str, Any]:
    """One event of a history, so many seconds after the first; with the event before it in its branch, if told."""
    told: dict[str, Any] = {"id": number, "type": kind, "timestamp": datetime.fromtimestamp(BEGAN + number, UTC)}
    if after is not None:
        told["previousEventId"] = after
    if "State" in kind:
        told["state" + kind.rpartition("State")[2] + "EventDetails"] = details
    elif details:
        told[f"{kind[0].lower()}{kind[1:]}EventDetails"] = details
    return told


def attempt(began: int, ended: int | None, error: str = "") -> Attempt:
    """An attempt between two events."""
    return Attempt(started_seconds=BEGAN + began, ended_seconds=None if ended is None else BEGAN + ended, error=error)


def test_a_history_becomes_visits_with_their_attempts() -> None:
    """Failures, timeouts and retries are attempts of the state that was entered; a caught failure leaves the state."""
    events = [
        event(1, "ExecutionStarted"),
        event(2, "TaskStateEntered", name="Pay"),
        event(3, "LambdaFunctionScheduled"),
        event(4, "LambdaFunctionStarted"),
        event(5, "LambdaFunctionFailed", error="Oops"),
        event(6, "LambdaFunctionScheduled"),
        event(7, "LambdaFunctionTimedOut"),
        event(8, "TaskStateExited", name="Pay"),
        event(9, "TaskStateEntered", name="Refund"),
        event(10, "TaskScheduled"),
        event(11, "TaskSucceeded"),
        event(12, "TaskStateExited", name="Refund"),
        event(13, "FailStateEntered", name="Failed"),
        event(14, "ExecutionFailed"),
    ]
    pay, refund, failed = visits_of(events)
    assert pay == Visit(
        state="Pay",
        entered_seconds=BEGAN + 2,
        exited_seconds=BEGAN + 8,
        attempts=(attempt(3, 5, "Oops"), attempt(6, 7, "States.Timeout")),
    )
    assert not pay.succeeded
    assert refund.succeeded
    assert refund.attempts == (attempt(10, 11),)
    assert failed == Visit(state="Failed", entered_seconds=BEGAN + 13)


def branches(*, linked: bool) -> list[dict[str, Any]]:
    """Two tasks side by side, of which the first fails once."""
    told = [
        event(1, "TaskStateEntered", 0, name="A"),
        event(2, "TaskStateEntered", 0, name="B"),
        event(3, "TaskScheduled", 1),
        event(4, "TaskScheduled", 2),
        event(5, "TaskFailed", 3, error="Oops"),
        event(6, "TaskScheduled", 5),
        event(7, "TaskSucceeded", 4),
        event(8, "TaskSucceeded", 6),
        event(9, "TaskStateExited", 7, name="B"),
        event(10, "TaskStateExited", 8, name="A"),
    ]
    return told if linked else [{name: one[name] for name in one if name != "previousEventId"} for one in told]


def test_links_between_events_tell_attempts_side_by_side_apart() -> None:
    """With the service's links each attempt has its state; without them none of those states is clear."""
    first, second = visits_of(branches(linked=True))
    assert first.attempts == (attempt(3, 5, "Oops"), attempt(6, 8))
    assert second.attempts == (attempt(4, 7),)
    assert first.clear
    assert second.clear
    assert not any(visit.clear for visit in visits_of(branches(linked=False)))


def test_a_redriven_state_is_told() -> None:
    """What was open when the execution was redriven was tried anew."""
    events = [
        event(1, "TaskStateEntered", name="A"),
        event(2, "TaskScheduled"),
        event(3, "ExecutionAborted"),
        event(4, "ExecutionRedriven"),
        event(5, "TaskStateEntered", name="A"),
        event(6, "TaskStateExited", name="A"),
    ]
    assert [visit.redriven for visit in visits_of(events)] == [True, False]


class Service:
    """Step Functions with these executions, newest first; counts what it is asked."""

    def __init__(self, executions: list[dict[str, Any]]) -> None:
        self.executions = executions
        self.asked: list[str] = []

    def get_paginator(self, operation: str) -> Any:
        """Pages of two."""

        def paginate(**_: Any) -> Iterator[Mapping[str, Any]]:
            if operation == "get_execution_history":
                yield {"events": [event(1, "TaskStateEntered", name="A")]}
                return
            for at in range(0, len(self.executions), 2):
                self.asked.append(operation)
                yield {"executions": self.executions[at : at + 2]}

        return SimpleNamespace(paginate=paginate)

    def describe_execution(self, executionArn: str) -> dict[str, Any]:  # noqa: N803 - boto3's own name
        """One execution with its input."""
        self.asked.append("describe_execution")
        (found,) = (one for one in self.executions if one["executionArn"] == executionArn)
        return found


def told(name: str, began: float, status: str = "SUCCEEDED", given: str = "{}") -> dict[str, Any]:
    """An execution as the service lists and describes it."""
    return {
        "executionArn": f"arn:aws:states:eu-west-1:123456789012:execution:saga:{name}",
        "name": name,
        "status": status,
        "startDate": datetime.fromtimestamp(BEGAN + began, UTC),
        "input": given,
    }


def port(service: Service, clock: list[float]) -> Executions:
    """The port on a service, opened 1000 s after the first moment."""
    target = SimpleNamespace(kind="aws", client=lambda _: service, endpoint_url=None, region="eu-west-1")
    stack = SimpleNamespace(target=target, resource=lambda _: SimpleNamespace(arn="arn:machine"))
    return Executions(cast("Stack", stack), "saga", clock=lambda: clock[0], now=lambda: BEGAN + 1_000.0)


def test_an_execution_is_a_keys_by_its_name_or_else_by_its_input() -> None:
    """Names come first, and inputs are asked for once; what began long before is not looked at."""
    service = Service(
        [
            told("k-2", 1_030, "RUNNING"),
            told("k-1-again", 1_020),
            told("f81d", 1_010, given='{"order": "k-3"}'),
            told("k-1", 1_005, "FAILED"),
            told("k-1-ancient", 10),
            told("k-2-ancient", 5),
        ]
    )
    found = port(service, [0.0])
    assert [(one.name, one.status) for one in found.find("k-1")] == [("k-1", "FAILED"), ("k-1-again", "SUCCEEDED")]
    assert "describe_execution" not in service.asked
    assert [one.name for one in found.find("k-3")] == ["f81d"]
    assert [one.name for one in found.find("k-3")] == ["f81d"]
    assert service.asked.count("describe_execution") == 4
    assert found.find("k-9") == ()


def test_the_list_is_asked_for_again_when_it_is_old() -> None:
    """Many keys share one list; a new execution is found when the list is renewed."""
    service, clock = Service([told("k-1", 1_005)]), [0.0]
    found = port(service, clock)
    assert len(found.find("k-1")) == 1
    service.executions.insert(0, told("k-2", 1_010))
    service.executions[1]["status"] = "FAILED"
    assert found.find("k-2") == ()
    clock[0] = 2.5
    assert [one.name for one in found.find("k-2")] == ["k-2"]
    assert found.find("k-1")[0].status is ExecutionStatus.FAILED


def test_an_execution_is_read_with_its_history() -> None:
    """As it is now, and with the states it was in."""
    (read,) = port(Service([told("k-1", 1_005)]), [0.0]).read("k-1")
    assert read == Execution(
        key="k-1",
        arn="arn:aws:states:eu-west-1:123456789012:execution:saga:k-1",
        status=ExecutionStatus.SUCCEEDED,
        started_seconds=BEGAN + 1_005,
        input="{}",
        visits=(Visit(state="A", entered_seconds=BEGAN + 1),),
    )
    assert read.ended


@pytest.mark.parametrize(
    ("statuses", "stands"),
    [
        ((), ""),
        (("FAILED",), "FAILED"),
        (("SUCCEEDED", "FAILED"), "SUCCEEDED"),
        (("SUCCEEDED", "RUNNING"), "RUNNING"),
        (("FAILED", "ABORTED"), "ABORTED"),
    ],
    ids=["none", "one", "a repeated start that fails", "one goes on", "two failed"],
)
def test_executions_of_one_key_stand_together(statuses: tuple[str, ...], stands: str) -> None:
    """A repeated start that fails, for the first has done it all, takes nothing from what that one says."""
    found = [
        Execution(key="k", arn=f"arn:{at}", status=ExecutionStatus(status), started_seconds=float(at))
        for at, status in enumerate(statuses)
    ]
    assert standing(found) == stands
