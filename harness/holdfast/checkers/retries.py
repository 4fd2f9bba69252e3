"""Retries of a state machine's tasks, against the policy that its definition declares.

A retrier names errors; the first that names the error of a failed attempt decides. It allows ``MaxAttempts`` retries,
each after ``IntervalSeconds`` times ``BackoffRate`` to the power of the retries it has had, or ``MaxDelaySeconds`` at
most; with ``JitterStrategy`` ``FULL`` the wait is drawn between 0 and that.
A missed heartbeat is a timeout as well, and a history may call it by either name; a state is told to break its policy
only where it does by both.
docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from holdfast.checkers.records import finding, ranked
from holdfast.definition.error_names import HEARTBEAT_TIMEOUT, TIMEOUT, matches
from holdfast.history.executions import Attempt, Execution, ExecutionStatus, Visit
from holdfast.history.model import History, Operation
from holdfast.stack.definitions import Task, tasks_of
from holdfast.verdict.describe import times
from holdfast.verdict.model import Finding

EARLY_SECONDS = 0.1
"""So much before its time a retry may be logged: the times in a history have milliseconds, and are taken apart."""

LATE_SECONDS = 5.0
"""So much after its time a retry may begin, and as much again as the wait itself: a busy service is no wrong policy."""

OTHERWISE, LATE = "retried otherwise", "retried late"
"""Titles of findings; what is only late may be a busy machine's doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    """One retrier of a state; the defaults are those of the language.

    Attributes:
        errors: the names it retries.
        interval_seconds: before the first retry.
        most_retries: how many there may be.
        backoff_rate: what each wait is multiplied by for the next.
        longest_seconds: the longest wait; None for no limit.
        full_jitter: whether the wait is drawn between 0 and its full length.
    """

    errors: tuple[str, ...]
    interval_seconds: float = 1.0
    most_retries: int = 3
    backoff_rate: float = 2.0
    longest_seconds: float | None = None
    full_jitter: bool = False

    def names(self, error: str) -> bool:
        """Whether it retries an error."""
        return any(matches(name, error) for name in self.errors)

    def wait_seconds(self, retries: int) -> float:
        """The full wait before the next retry, after so many of them."""
        nominal: float = self.interval_seconds * self.backoff_rate**retries
        return nominal if self.longest_seconds is None else min(nominal, self.longest_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The retriers of one state.

    Attributes:
        retriers: in their order.
        top: whether the state is in no Parallel or Map state, whose retries would visit it again.
    """

    retriers: tuple[Retrier, ...]
    top: bool

    def retrier(self, error: str) -> int | None:
        """Which retrier decides about an error; None where none names it."""
        return next((at for at, retrier in enumerate(self.retriers) if retrier.names(error)), None)

    def possible_retriers(self, error: str) -> tuple[int | None, ...]:
        """Which retriers may decide about an error as a history tells it: of a timeout, that of a heartbeat as well."""
        meant = (error, HEARTBEAT_TIMEOUT) if error == TIMEOUT else (error,)
        return tuple(dict.fromkeys(self.retrier(one) for one in meant))

    def retries(self, error: str) -> bool:
        """Whether an error is surely retried, once at least."""
        found = self.possible_retriers(error)
        return all(which is not None and self.retriers[which].most_retries > 0 for which in found)


def policies_of(definition: str) -> Mapping[str, Policy]:
    """The retry policy of every task of a definition, by the state's name; empty where it is no definition.

    Args:
        definition: in Amazon States Language, JSON.
    """
    return {task.name: policy_of_task(task) for task in tasks_of(definition)}


def policy_of_task(task: Task) -> Policy:
    """The retry policy of one task."""
    return Policy(retriers=tuple(_retrier(one) for one in task.state.get("Retry") or ()), top=task.top)


def _retrier(told: Mapping[str, Any]) -> Retrier:
    longest = told.get("MaxDelaySeconds")
    return Retrier(
        errors=tuple(told.get("ErrorEquals") or ()),
        interval_seconds=float(told.get("IntervalSeconds", 1)),
        most_retries=int(told.get("MaxAttempts", 3)),
        backoff_rate=float(told.get("BackoffRate", 2.0)),
        longest_seconds=None if longest is None else float(longest),
        full_jitter=told.get("JitterStrategy") == "FULL",
    )


def as_declared(
    executions: Iterable[Execution], history: History, policies: Mapping[str, Policy]
) -> tuple[Finding, ...]:
    """Every failed attempt of a task is retried when, and as often as, the definition declares; and no other way.

    Args:
        executions: with their histories; redriven ones are left out, their attempts are counted anew.
        history: what concerns the clause.
        policies: the declared policy, by the state's name.
    """
    started: dict[str, Operation] = {}
    for operation in history.operations:
        started.setdefault(operation.key, operation)
    found = []
    for execution in executions:
        if execution.key not in started or execution.redrives:
            continue
        for problem in _problems(execution, policies):
            words = f"Key {execution.key}: {problem.words}"
            title = LATE if problem.late else OTHERWISE
            found.append(finding(title, words, execution.key, (started[execution.key],)))
    return ranked(found)


def retried(executions: Iterable[Execution]) -> int:
    """How many attempts were retries."""
    return sum(max(len(visit.attempts) - 1, 0) for one in executions for visit in one.visits)


@dataclass(frozen=True, slots=True)
class _Problem:
    """What a policy does not allow, and whether it is only that a retry came late."""

    words: str
    late: bool = False


def _problems(execution: Execution, policies: Mapping[str, Policy]) -> Iterator[_Problem]:
    cut_off = execution.status in (ExecutionStatus.ABORTED, ExecutionStatus.TIMED_OUT, ExecutionStatus.RUNNING)
    for visit in execution.visits:
        policy = policies.get(visit.state)
        if policy is not None and visit.clear and not visit.redriven:
            yield from _of_visit(visit, policy, cut_off=cut_off and visit.exited_seconds is None)
    yield from _visited_again(execution.visits, policies)


def _of_visit(visit: Visit, policy: Policy, *, cut_off: bool) -> Iterator[_Problem]:
    readings = [(0,) * len(policy.retriers)]  # how many retries each retrier has had, as its errors may be read
    for at, attempt in enumerate(visit.attempts):
        if not attempt.error or attempt.ended_seconds is None:
            return
        following = visit.attempts[at + 1] if at + 1 < len(visit.attempts) else None
        problems: list[_Problem] = []
        explained = []
        for had in readings:
            for which in policy.possible_retriers(attempt.error):
                problem = _against(attempt, following, policy, which, had, cut_off=cut_off)
                if problem:
                    problems.append(problem)
                else:
                    explained.append(tuple(count + (which == index) for index, count in enumerate(had)))
        if not explained:
            likeliest = next((problem for problem in problems if problem.late), problems[-1])
            words = f"state {visit.state} failed with {attempt.error} at attempt {at + 1} and {likeliest.words}."
            yield replace(likeliest, words=words)
            return
        readings = list(dict.fromkeys(explained))


def _against(
    attempt: Attempt, following: Attempt | None, policy: Policy, which: int | None, had: Sequence[int], *, cut_off: bool
) -> _Problem | None:
    """What is wrong with what followed a failed attempt, if this retrier decides about it."""
    allowed = 0 if which is None else policy.retriers[which].most_retries
    retries = 0 if which is None else had[which]
    if following is None:
        if retries < allowed and not cut_off:
            return _Problem(f"was not tried again after {times(retries)}, expected up to {times(allowed)}")
        return None
    if which is None or retries >= allowed:
        return _Problem(f"was tried again, expected at most {times(allowed)}")
    return _wait(attempt, following, policy.retriers[which], retries)


def _wait(attempt: Attempt, following: Attempt, retrier: Retrier, retries: int) -> _Problem | None:
    assert attempt.ended_seconds is not None
    waited = following.started_seconds - attempt.ended_seconds
    full = retrier.wait_seconds(retries)
    least = 0.0 if retrier.full_jitter else full
    if waited < least - EARLY_SECONDS:
        return _Problem(f"was tried again after {waited:.2f} s, expected {least:g} s or more")
    if waited > 2 * full + LATE_SECONDS:
        return _Problem(f"was tried again after {waited:.2f} s, expected {full:g} s", late=True)
    return None


def _visited_again(visits: Sequence[Visit], policies: Mapping[str, Policy]) -> Iterator[_Problem]:
    """States of the first level that a catcher leads back to: retries that no policy counts.

    What is never retried may lead back as well: the next attempt is about something else, such as another seat.
    """
    for state, policy in policies.items():
        mine = [visit for visit in visits if visit.state == state]
        failed = [
            visit
            for visit in mine
            if visit.exited_seconds is not None and not visit.succeeded and policy.retries(visit.attempts[-1].error)
        ]
        if policy.top and failed and mine.index(failed[0]) < len(mine) - 1:
            attempts = sum(len(visit.attempts) for visit in mine)
            yield _Problem(
                f"state {state} was entered {times(len(mine))} with {attempts} attempts after its retries had been used"
                " up, expected no other retries than those of its policy."
            )
