"""Stop conditions: bounds that the descriptor sets, which end a run before it does more harm than was agreed on.

Whoever works for the run asks `Stopping.check` between two steps; the error it raises leaves every fault window, and so
heals it, like any other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from holdfast.errors import BudgetError, ResourceError, StoppedError, TargetError
from holdfast.history.model import Operation, Outcome
from holdfast.stack.aws_errors import translated
from holdfast.stack.descriptor import Stop
from holdfast.stack.resolve import Stack

ALARM_SECONDS = 5.0
"""How long an alarm's state is relied on before it is asked for again; CloudWatch evaluates every ten seconds at most
(docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html)."""


PRICED_SECONDS = 1.0
"""How often what a run has cost is worked out anew."""


class Stopping:
    """The stop conditions of one run, shared by all its threads.

    Args:
        conditions: what ends the run.
        alarm_state: asks for the alarm's state, e.g. ``OK``; not called without an alarm.
        deadline_seconds: when the run's budget of time is used up, on the clock; None for no budget.
        over_budget: from how many commands were sent to why the budget of money is used up; empty while it is not.
        clock: monotonic clock, seconds.
    """

    def __init__(
        self,
        conditions: Stop,
        alarm_state: Callable[[], str],
        *,
        deadline_seconds: float | None = None,
        over_budget: Callable[[int], str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._conditions = conditions
        self._alarm_state = alarm_state
        self._deadline_seconds = deadline_seconds
        self._over_budget = over_budget
        self._priced_seconds = clock()
        self._clock = clock
        self._lock = threading.Lock()
        self._sent = 0
        self._answers: deque[bool] = deque(maxlen=conditions.over_commands)
        self._asked_seconds: float | None = None
        self._reason = ""

    @classmethod
    def of(
        cls,
        stack: Stack,
        *,
        deadline_seconds: float | None = None,
        over_budget: Callable[[int], str] | None = None,
    ) -> Stopping:
        """The conditions of a stack's descriptor, and the run's own budgets of time and money."""
        alarm = stack.descriptor.stop.alarm
        return cls(
            stack.descriptor.stop,
            lambda: alarm_state(stack, alarm or ""),
            deadline_seconds=deadline_seconds,
            over_budget=over_budget,
        )

    def check(self) -> None:
        """Go on, unless a condition is met.

        Raises:
            StoppedError: the run has to end.
            BudgetError: its time or its money is used up.
            ResourceError: the alarm does not exist or may not be read; at the first check only.
            TargetError: the target does not answer; at the first check only.
        """
        if self._deadline_seconds is not None and self._clock() >= self._deadline_seconds:
            raise BudgetError(
                "The run was stopped: its budget of time is used up.",
                cause="--minutes; every fault that was in place is healed, and what was decided stays decided",
                remedy="allow more minutes, or judge fewer clauses at a time with -k",
            )
        with self._lock:
            if self._over_budget is not None and self._clock() - self._priced_seconds >= PRICED_SECONDS:
                self._priced_seconds = self._clock()
                spent = self._over_budget(self._sent)
                if spent:
                    raise BudgetError(
                        f"The run was stopped: {spent}.",
                        cause="--dollars; every fault that was in place is healed, and what was decided stays decided",
                        remedy="allow more dollars, or judge fewer clauses at a time with -k",
                    )
            if not self._reason and self._alarm_due():
                self._look_at_alarm()
            if self._reason:
                raise _stopped(self._reason)

    def command(self) -> None:
        """Count a command that is about to be sent.

        Raises:
            StoppedError: the run has to end, or has sent as many commands as it may.
        """
        self.check()
        with self._lock:
            if self._conditions.commands is not None and self._sent >= self._conditions.commands:
                self._reason = f"it has sent the {self._sent} commands that stop.commands allows"
                raise _stopped(self._reason)
            self._sent += 1

    def answered(self, operation: Operation) -> None:
        """Note how a command ended; what comes of it is told at the next check."""
        rate = self._conditions.error_rate
        if rate is None:
            return
        with self._lock:
            self._answers.append(operation.outcome is Outcome.UNKNOWN)
            wrong, seen = sum(self._answers), len(self._answers)
            if seen == self._conditions.over_commands and wrong / seen > rate and not self._reason:
                self._reason = (
                    f"{wrong} of the last {seen} commands got no answer or a server error, more than stop.error_rate "
                    f"({rate:g}) allows"
                )

    def _alarm_due(self) -> bool:
        if self._conditions.alarm is None:
            return False
        return self._asked_seconds is None or self._clock() - self._asked_seconds >= ALARM_SECONDS

    def _look_at_alarm(self) -> None:
        first = self._asked_seconds is None
        self._asked_seconds = self._clock()
        try:
            state = self._alarm_state()
        except (ResourceError, TargetError):
            if first:
                raise
            # an alarm that nobody can see must not pass for one that is quiet
            self._reason = f"the alarm {self._conditions.alarm} can no longer be asked for"
            return
        if state == "ALARM":
            self._reason = f"the alarm {self._conditions.alarm} is in state ALARM"


def alarm_state(stack: Stack, alarm: str) -> str:
    """The state of a CloudWatch alarm, metric or composite: ``OK``, ``ALARM`` or ``INSUFFICIENT_DATA``.

    docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html

    Raises:
        ResourceError: it does not exist or may not be read.
        TargetError: the target does not answer.
    """
    with translated(f"The alarm {alarm}", stack.target):
        answer = stack.target.client("cloudwatch").describe_alarms(
            AlarmNames=[alarm], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        found = [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
        if found:
            return str(found[0]["StateValue"])
    raise ResourceError(
        f"The alarm {alarm} does not exist in account {stack.target.account}, region {stack.target.region}.",
        cause="stop.alarm names it, and nothing is broken without its guard",
        remedy="create it, or correct stop.alarm in the descriptor",
    )


def _stopped(reason: str) -> StoppedError:
    return StoppedError(
        f"The run was stopped: {reason}.",
        cause="a stop condition of the descriptor; every fault that was in place is healed",
        remedy="find out what went wrong, or widen [stop]",
    )
