"""Which catcher or retrier an error meets, and which errors leave it open whether the effect took place.

Source: docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html. ``States.ALL`` matches every error
but ``States.Runtime``, which always fails the execution, and ``States.DataLimitExceeded``, which can be named only.
``States.TaskFailed`` matches every error but ``States.Timeout``, which also stands for a missed heartbeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from holdfast.definition.model import Catcher, Kind, Retrier, State

ALL = "States.ALL"
TASK_FAILED = "States.TaskFailed"
TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
BRANCH_FAILED = "States.BranchFailed"
RUNTIME = "States.Runtime"
DATA_LIMIT = "States.DataLimitExceeded"
NO_CHOICE_MATCHED = "States.NoChoiceMatched"
TOLERANCE_EXCEEDED = "States.ExceedToleratedFailureThreshold"
OTHER = "any other error"
"""Stands for every error that no catcher or retrier names."""

_Entry = TypeVar("_Entry", Catcher, Retrier)

WILDCARDS = frozenset({ALL, TASK_FAILED, BRANCH_FAILED})
_TERMINAL = frozenset({RUNTIME, DATA_LIMIT})
_OF_NO_TASK = frozenset({NO_CHOICE_MATCHED, TOLERANCE_EXCEEDED})

_DEFINITE = frozenset(
    {
        RUNTIME,  # which no catcher and no retrier takes
        NO_CHOICE_MATCHED,
        "States.Permissions",
        "States.ParameterPathFailure",
        "States.ItemReaderFailed",
        "Runtime.HandlerNotFound",
        "Runtime.ImportModuleError",
        "Runtime.UserCodeSyntaxError",
    }
)
"""Errors of the services that come before any effect."""
_REFUSED_OVER_HTTP = "States.Http.StatusCode.4"
_AMBIGUOUS_BEGINNINGS = ("States.", "Runtime.")
_AMBIGUOUS = frozenset(
    {
        OTHER,
        "Lambda.Unknown",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
        "Sandbox.Timedout",
    }
)
_AMBIGUOUS_ENDINGS = (
    "SdkClientException",
    "InternalServerError",
    "InternalServerErrorException",
    "InternalServerException",
    "InternalErrorException",
    "ServiceUnavailableException",
    "Timeout",
    "TimeoutError",
    "TimeoutException",
)


def is_ambiguous(error: str) -> bool:
    """Whether a task that ends with this error may have had its effect.

    An error of the stack's own, e.g. ``SeatTaken``, is taken for a definite refusal: only its code can say otherwise.
    Those that Step Functions and Lambda make themselves are open where they may come after the effect: the result
    could not be read, or the function was killed.
    """
    if error in _DEFINITE or error.startswith(_REFUSED_OVER_HTTP):
        return False
    return error in _AMBIGUOUS or error.startswith(_AMBIGUOUS_BEGINNINGS) or error.endswith(_AMBIGUOUS_ENDINGS)


def matches(pattern: str, error: str, *, composite: bool = False) -> bool:
    """Whether a name in ``ErrorEquals`` matches an error.

    Args:
        pattern: the name in ``ErrorEquals``.
        error: an error name, or ``OTHER``.
        composite: whether it is the ``ErrorEquals`` of a Parallel or Map, one of whose branches failed.
    """
    if pattern == ALL:
        return error not in _TERMINAL
    if pattern == TASK_FAILED:
        return error not in _TERMINAL and error != TIMEOUT
    if pattern == BRANCH_FAILED:
        return composite and error not in _TERMINAL
    if pattern == TIMEOUT:
        return error in (TIMEOUT, HEARTBEAT_TIMEOUT)
    return pattern == error and error != RUNTIME


def catcher_of(state: State, error: str) -> Catcher | None:
    """The first catcher that an error meets, as the interpreter looks for it."""
    return _first(state.catchers, error, composite=state.kind in (Kind.PARALLEL, Kind.MAP))


def retrier_of(state: State, error: str) -> Retrier | None:
    """The first retrier that an error meets; one with no attempts left is none."""
    found = _first(state.retriers, error, composite=state.kind in (Kind.PARALLEL, Kind.MAP))
    return found if found is not None and found.maximum_attempts > 0 else None


def _first(entries: Sequence[_Entry], error: str, *, composite: bool) -> _Entry | None:
    return next(
        (each for each in entries if any(matches(pattern, error, composite=composite) for pattern in each.errors)),
        None,
    )


def named_errors(state: State) -> tuple[str, ...]:
    """The errors of a task that the catchers of a state name, wildcards apart."""
    names = (error for catcher in state.catchers for error in catcher.errors)
    return tuple(dict.fromkeys(each for each in names if each not in WILDCARDS | _TERMINAL | _OF_NO_TASK))
