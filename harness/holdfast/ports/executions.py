"""Executions of a state machine: found by the key they work for, read with their histories.

Only Standard workflows keep their executions; of an Express one nothing can be listed or described, so its outcome is
known from the answer to its synchronous start alone
(docs.aws.amazon.com/step-functions/latest/dg/choosing-workflow-type.html).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from holdfast.history.executions import Attempt, Execution, ExecutionStatus, Visit
from holdfast.stack.aws_errors import translated
from holdfast.stack.resolve import Stack

LISTED_AGAIN_SECONDS = {"embedded": 0.2, "localstack": 0.5, "aws": 2.0}
"""How long a list of executions is relied on, by kind of the target: ListExecutions has a small quota on AWS."""

SKEW_SECONDS = 120.0
"""Executions that began longer than this before the port was opened are somebody else's; clocks may differ so much."""

_ENDS = ("Succeeded", "Failed", "TimedOut", "ScheduleFailed", "StartFailed", "SubmitFailed")
_SUBJECTS = ("Task", "LambdaFunction", "Activity")


@dataclass(slots=True)
class Executions:
    """The executions of one state machine that began since this was made; for any number of threads.

    Args:
        stack: the stack.
        component: the state machine, by its name in the descriptor.
        clock: monotonic clock, seconds.
        now: wall clock, seconds since the epoch.
    """

    stack: Stack
    component: str
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    _since_seconds: float = field(init=False)
    _listed: dict[str, Mapping[str, Any]] = field(default_factory=dict, init=False)
    _listed_at: float | None = field(default=None, init=False)
    _inputs: dict[str, str] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._since_seconds = self.now() - SKEW_SECONDS

    def find(self, key: str) -> tuple[Execution, ...]:
        """The executions that work for a key, oldest first, without their histories.

        An execution is a key's when its name contains the key, or its input does.

        Raises:
            ResourceError: they may not be listed or described.
            TargetError: the target does not answer.
        """
        listed = self._list()
        mine = [each for each in listed if key in each["name"]]
        if not mine:
            mine = [each for each in listed if key in self._input(each["executionArn"])]
        return tuple(sorted((_execution(key, each) for each in mine), key=lambda one: one.started_seconds))

    def read(self, key: str) -> tuple[Execution, ...]:
        """The executions that work for a key, oldest first, each as it is now and with its history.

        Raises:
            ResourceError: they may not be listed, described or read.
            TargetError: the target does not answer.
        """
        with translated(self._subject, self.stack.target):
            return tuple(self._whole(key, one.arn) for one in self.find(key))

    @property
    def _client(self) -> Any:
        return self.stack.target.client("stepfunctions")

    @property
    def _subject(self) -> str:
        return f"The executions of component {self.component}"

    def _list(self) -> list[Mapping[str, Any]]:
        with self._lock:
            longest_seconds = LISTED_AGAIN_SECONDS[self.stack.target.kind]
            if self._listed_at is None or self.clock() - self._listed_at >= longest_seconds:
                asked_at = self.clock()
                with translated(self._subject, self.stack.target):
                    self._listed.update((each["executionArn"], each) for each in self._newest_first())
                self._listed_at = asked_at
            return list(self._listed.values())

    def _newest_first(self) -> Iterable[Mapping[str, Any]]:
        machine = self.stack.resource(self.component).arn
        for page in self._client.get_paginator("list_executions").paginate(stateMachineArn=machine):
            for each in page["executions"]:
                if _epoch(each["startDate"]) < self._since_seconds:
                    return
                yield each

    def _input(self, arn: str) -> str:
        if arn not in self._inputs:
            with translated(self._subject, self.stack.target):
                self._inputs[arn] = str(self._client.describe_execution(executionArn=arn).get("input") or "")
        return self._inputs[arn]

    def _whole(self, key: str, arn: str) -> Execution:
        found = self._client.describe_execution(executionArn=arn)
        pages = self._client.get_paginator("get_execution_history").paginate(
            executionArn=arn, includeExecutionData=False
        )
        visits = visits_of([event for page in pages for event in page["events"]])
        return _execution(key, found, visits)


def _execution(key: str, found: Mapping[str, Any], visits: tuple[Visit, ...] = ()) -> Execution:
    stopped = found.get("stopDate")
    return Execution(
        key=key,
        arn=str(found["executionArn"]),
        status=ExecutionStatus(found["status"]),
        started_seconds=_epoch(found["startDate"]),
        stopped_seconds=_epoch(stopped) if stopped else None,
        input=str(found.get("input") or ""),
        output=str(found.get("output") or ""),
        error=str(found.get("error") or ""),
        redrives=int(found.get("redriveCount") or 0),
        visits=visits,
    )


@dataclass(slots=True)
class _Stay:
    """A visit that is being put together."""

    state: str
    entered_seconds: float
    exited_seconds: float | None = None
    attempts: list[Attempt] = field(default_factory=list)
    redriven: bool = False
    clear: bool = True

    def visit(self) -> Visit:
        return Visit(
            state=self.state,
            entered_seconds=self.entered_seconds,
            exited_seconds=self.exited_seconds,
            attempts=tuple(self.attempts),
            redriven=self.redriven,
            clear=self.clear,
        )


def visits_of(events: Iterable[Mapping[str, Any]]) -> tuple[Visit, ...]:
    """The states an execution was in, from the events of its history in their order.

    Each event names the one before it in its own branch (``previousEventId``), which tells whose attempt it is; where
    a target gives no such links, an attempt belongs to the state that was entered last.
    docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html

    Args:
        events: as ``GetExecutionHistory`` gives them.
    """
    stays: list[_Stay] = []
    of_event: dict[int, _Stay] = {}
    for event in events:
        kind, at = str(event["type"]), _epoch(event["timestamp"])
        stay = of_event.get(int(event.get("previousEventId") or 0))
        if kind.endswith("StateEntered"):
            stay = _Stay(str(event["stateEnteredEventDetails"]["name"]), at)
            stays.append(stay)
        elif kind.endswith("StateExited"):
            stay = _leave(stays, str(event["stateExitedEventDetails"]["name"]), at)
        elif kind == "ExecutionRedriven":
            for one in stays:
                one.redriven = one.redriven or one.exited_seconds is None
        else:
            subject = next((one for one in _SUBJECTS if kind.startswith(one)), "")
            step = kind.removeprefix(subject)
            if subject and step in ("Scheduled", *_ENDS):
                stay = stay or _last_open(stays)
                if stay is not None:
                    _attempt(stay, step, at, event.get(f"{kind[0].lower()}{kind[1:]}EventDetails") or {})
        if stay is not None:
            of_event[int(event["id"])] = stay
    return tuple(stay.visit() for stay in stays)


def _leave(stays: list[_Stay], state: str, at: float) -> _Stay | None:
    stay = next((one for one in reversed(stays) if one.state == state and one.exited_seconds is None), None)
    if stay is not None:
        stay.exited_seconds = at
    return stay


def _last_open(stays: list[_Stay]) -> _Stay | None:
    """The state entered last that was not left; none of those that are open at once is clear."""
    opened = [one for one in stays if one.exited_seconds is None]
    if len(opened) > 1:
        for one in opened:
            one.clear = False
    return opened[-1] if opened else None


def _attempt(stay: _Stay, step: str, at: float, details: Mapping[str, Any]) -> None:
    if step == "Scheduled":
        stay.attempts.append(Attempt(started_seconds=at))
        return
    failed = step != "Succeeded"
    error = str(details.get("error") or ("States.Timeout" if step == "TimedOut" else "States.TaskFailed"))
    begun = stay.attempts.pop().started_seconds if stay.attempts else at
    stay.attempts.append(Attempt(started_seconds=begun, ended_seconds=at, error=error if failed else ""))


def _epoch(moment: datetime | float) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
