"""What AWS' refusals mean to the person who wrote the descriptor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError, ParamValidationError

from holdfast.errors import ResourceError, TargetError
from holdfast.targets.base import Target

_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "Forbidden", "403"}
)
_UNKNOWN_CALLER = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        "IncompleteSignature",
    }
)
_MISSING = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NoSuchEntity",
        "NotFound",
        "NotFoundException",
        "ResourceNotFoundException",
        "StateMachineDoesNotExist",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "AWS.SimpleQueueService.QueueDoesNotExist",
    }
)
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded"}
)


def error_code(error: ClientError) -> str:
    """The AWS error code, e.g. ``AccessDenied``; HEAD requests give the HTTP status only."""
    return str(error.response.get("Error", {}).get("Code", "")) or "no code"


def is_missing(error: ClientError) -> bool:
    """Whether AWS says that the resource does not exist."""
    return error_code(error) in _MISSING


@contextmanager
def translated(subject: str, target: Target, *, missing_remedy: str = "") -> Iterator[None]:
    """Turn the SDK's exceptions into errors that name the subject, the cause and the remedy.

    Args:
        subject: what is asked about, e.g. ``component queue (queue orders)``.
        target: where it is asked.
        missing_remedy: what to do when it does not exist.

    Raises:
        ResourceError: it is missing, denied, or refused for another reason.
        TargetError: the target cannot be reached, answers garbage or does not know the caller.
    """
    try:
        yield
    except ClientError as error:
        raise _refused(subject, target, error, missing_remedy) from error
    except ParamValidationError as error:
        raise ResourceError(
            f"{subject} cannot be asked for: its name is not a valid one.",
            cause=_one_line(error),
            remedy="correct its name in the descriptor",
        ) from error
    except NoCredentialsError as error:
        raise TargetError(
            f"There are no credentials for the {target.kind} target.",
            cause=_one_line(error),
            remedy="name a profile in the descriptor ([target.aws] profile) or set AWS_PROFILE",
        ) from error
    except (BotoCoreError, HTTPClientError) as error:
        raise TargetError(
            f"The {target.kind} target does not answer at {target.endpoint_url or target.region}.",
            cause=_one_line(error),
            remedy="check the endpoint and the network, and that the target is running",
        ) from error
    except (KeyError, IndexError, TypeError) as error:
        # an emulator, a proxy or a wrong endpoint: well-formed, but not what AWS' model promises
        raise TargetError(
            f"The {target.kind} target at {target.endpoint_url or target.region} answers what AWS would not.",
            cause=f"{subject}: {type(error).__name__}: {_one_line(error)} in the answer",
            remedy="check that the endpoint is an AWS endpoint, or an emulator of it",
        ) from error


def _refused(subject: str, target: Target, error: ClientError, missing_remedy: str) -> ResourceError | TargetError:
    code = error_code(error)
    said = str(error.response.get("Error", {}).get("Message", "")).strip()
    cause = f"{error.operation_name} answered {code}" + (f": {said}" if said and said != code else "")
    if code in _UNKNOWN_CALLER:
        return TargetError(
            f"The {target.kind} target does not accept the credentials.", cause=cause, remedy="renew the credentials"
        )
    if code in _DENIED:
        return ResourceError(
            f"{subject} may not be read.",
            cause=cause,
            remedy=f"allow {error.operation_name} for the identity that runs Holdfast, and check the account",
        )
    if code in _MISSING:
        return ResourceError(
            f"{subject} does not exist in account {target.account}, region {target.region}.",
            cause=cause,
            remedy=missing_remedy or "deploy the stack (--deploy), or correct its name in the descriptor",
        )
    if code in _THROTTLED:
        return ResourceError(f"{subject} cannot be read now.", cause=cause, remedy="try again in a minute")
    return ResourceError(f"{subject} cannot be read.", cause=cause, remedy="see the AWS error above")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
