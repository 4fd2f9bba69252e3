"""What an AWS error means to a lever: try again, give up, and how to say it."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Callable, Collection
from typing import TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from holdfast.levers.signals import interrupts
from holdfast.stack.aws_errors import error_code
from holdfast.targets.base import Target

T = TypeVar("T")

CallError = (ClientError, BotoCoreError)

TRANSIENT_CODES = frozenset(
    {
        "ConcurrentModification",
        "ConcurrentModificationException",
        "InternalError",
        "InternalFailure",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ResourceConflictException",
        "ResourceInUseException",
        "ServiceException",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes after which the same call may succeed: throttles, outages, and a resource that is just being changed."""


def transient(error: BaseException) -> bool:
    """Whether the same call may succeed a little later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(error) in TRANSIENT_CODES or status >= 500
    return isinstance(error, HTTPClientError)


def persistently(
    call: Callable[[], T],
    *,
    deadline_seconds: float,
    passing: Collection[str] = (),
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Make a call again while it fails for a passing reason; the target's clients never retry on their own.

    A signal waits until the call has been answered: a change that is still on its way would take effect after it had
    been looked for, and undone, in vain.

    Args:
        call: the call; must be harmless when repeated.
        deadline_seconds: after this long the next error is final.
        passing: further error codes after which this call may succeed.
        pause: sleeps for so many seconds.
        clock: monotonic clock, seconds.
    """
    end = clock() + deadline_seconds
    wait_seconds = 0.2
    while True:
        try:
            with interrupts.shielded():
                return call()
        except CallError as error:
            again = transient(error) or (isinstance(error, ClientError) and error_code(error) in passing)
            if not again or clock() >= end:
                raise
        interrupts.deliver()
        pause(wait_seconds)
        wait_seconds = min(wait_seconds * 1.5, 5.0)


def answers(endpoint_url: str) -> bool:
    """Whether anything listens at an endpoint."""
    parts = urlsplit(endpoint_url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=2.0):
            return True
    except OSError:
        return False


def denied(error: BaseException) -> bool:
    """Whether the caller lacks a permission."""
    return isinstance(error, ClientError) and error_code(error) in {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "UnauthorizedOperation",
    }


def because(error: Exception) -> str:
    """One line that says why a call did not do what it should."""
    if isinstance(error, ClientError):
        said = str(error.response.get("Error", {}).get("Message", "")).strip()
        return f"{error.operation_name} answered {error_code(error)}" + (f": {said}" if said else "")
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def cli(target: Target, *words: str) -> str:
    """An AWS CLI command line against this target, ready to paste."""
    command = ["aws", *words, "--region", target.region]
    if target.endpoint_url:
        command += ["--endpoint-url", target.endpoint_url]
    profile = getattr(target, "profile", None)
    if profile:
        command += ["--profile", profile]
    return shlex.join(command)
