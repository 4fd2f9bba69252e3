"""What the service that runs a state machine tells of one execution, immutable.

Times are the service's own wall clock, seconds since the epoch: only differences between them mean anything beside the
times of a `History`, which are on another clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

EXECUTION = "execution"
"""The port under which an observation of a key's executions is recorded: how many there are, and how they stand."""


class ExecutionStatus(StrEnum):
    """How an execution stands (docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html)."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    ABORTED = "ABORTED"
    PENDING_REDRIVE = "PENDING_REDRIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a state's work.

    Attributes:
        started_seconds: when it was scheduled, seconds since the epoch.
        ended_seconds: when it succeeded or failed; None while it runs, or where it was cut off.
        error: the error's name; empty where it did not fail.
    """

    started_seconds: float
    ended_seconds: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One stay of an execution in a state.

    Attributes:
        state: the state's name.
        entered_seconds: when it was entered, seconds since the epoch.
        exited_seconds: when it was left; None while it is in it, or where it failed for good.
        attempts: of a task, in their order; empty for other states.
        redriven: whether the execution was redriven while it was in it, so that attempts were counted anew.
        clear: whether all attempts are known to be its own: without the service's links between events, those of
            states that ran side by side cannot be told apart.
    """

    state: str
    entered_seconds: float
    exited_seconds: float | None = None
    attempts: tuple[Attempt, ...] = ()
    redriven: bool = False
    clear: bool = True

    @property
    def succeeded(self) -> bool:
        """Whether it was left, and its last attempt did not fail: what is caught is left as well."""
        return self.exited_seconds is not None and not (self.attempts and self.attempts[-1].error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution of a state machine.

    Attributes:
        key: the key that it works for.
        arn: its ARN.
        status: how it stands.
        started_seconds: when it began, seconds since the epoch.
        stopped_seconds: when it ended; None while it runs.
        input: what it was given, JSON.
        output: what it came to, JSON; empty where it came to nothing.
        error: the error's name, where it failed.
        redrives: how often it was redriven.
        visits: the states that it was in, in the order they were entered; empty where its history was not read.
    """

    key: str
    arn: str
    status: ExecutionStatus
    started_seconds: float
    stopped_seconds: float | None = None
    input: str = ""
    output: str = ""
    error: str = ""
    redrives: int = 0
    visits: tuple[Visit, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rsplit(":", 1)[-1]

    @property
    def ended(self) -> bool:
        """Whether it does no more by itself."""
        return self.status is not ExecutionStatus.RUNNING


def standing(executions: Sequence[Execution]) -> str:
    """How the executions of one key stand together: a status, empty where there are none.

    It runs while one of them does, and has succeeded where one has: a repeated start may well fail because the first
    one has done it all.

    Args:
        executions: of one key, oldest first.
    """
    told = [one.status for one in executions]
    best = next((one for one in (ExecutionStatus.RUNNING, ExecutionStatus.SUCCEEDED) if one in told), None)
    return str(best or told[-1]) if told else ""
