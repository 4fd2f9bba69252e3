"""Changing a function's configuration for a while, without overwriting what others change meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from holdfast.errors import HealError, Inconclusive
from holdfast.levers.calls import persistently
from holdfast.targets.base import Capability, Target

STALE = "PreconditionFailedException"
"""What Lambda answers when the ``RevisionId`` of a change is no longer the current one."""

PERMISSIONS = ("lambda:GetFunctionConfiguration", "lambda:UpdateFunctionConfiguration", "lambda:ListAliases")
SETTLE_SECONDS = 120.0
"""AWS gives no figure until ``LastUpdateStatus`` is ``Successful``; in a VPC it "can take a minute", so twice that."""


def function_name(arn: str) -> str:
    """The name in a function's ARN, without a version or alias."""
    return arn.split(":function:", 1)[-1].split(":", 1)[0]


def check_reachable(target: Target, component: str, function: str) -> None:
    """See that a change of the configuration is felt by callers.

    It changes ``$LATEST`` alone; a published version keeps the configuration that it was published with.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html

    Raises:
        Inconclusive: the target cannot do it, or callers go through an alias to a published version.
    """
    support = target.supports(Capability.FUNCTION_CONFIGURATION)
    if not support.supported:
        raise Inconclusive(f"the configuration of {component} cannot be changed here: {support.reason}")
    pages = target.client("lambda").get_paginator("list_aliases").paginate(FunctionName=function)
    published = sorted(
        f"{alias['Name']} (version {alias['FunctionVersion']})"
        for page in pages
        for alias in page.get("Aliases", [])
        if alias.get("FunctionVersion") != "$LATEST"
    )
    if published:
        raise Inconclusive(
            f"{function} is called through {', '.join(published)}; a published version keeps its configuration, "
            "so a change of it would not be felt"
        )


def change(target: Target, function: str, decide: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> None:
    """Change a configuration by compare-and-set: on what was just read, or, if somebody was faster, read again.

    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html (``RevisionId``)

    Args:
        target: where the function is.
        function: its name.
        decide: from the configuration read to the parameters that change it; None when there is nothing to do.
    """
    client = target.client("lambda")

    def attempt() -> None:
        found = client.get_function_configuration(FunctionName=function)
        wanted = decide(found)
        if wanted is not None:
            client.update_function_configuration(FunctionName=function, RevisionId=found["RevisionId"], **wanted)

    # ResourceConflictException while an earlier change is under way
    persistently(attempt, deadline_seconds=SETTLE_SECONDS, also=(STALE,))


def settled(configuration: Mapping[str, Any]) -> bool:
    """Whether the last change has reached the function.

    https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
    """
    return bool(configuration.get("LastUpdateStatus", "Successful") == "Successful")


def check_restored(configuration: Mapping[str, Any], function: str) -> None:
    """See that the change that restores was not refused after it had been accepted.

    Raises:
        HealError: Lambda could not apply it.
    """
    if configuration.get("LastUpdateStatus") == "Failed":
        raise HealError(
            f"Lambda could not apply the last change of {function}: "
            f"{configuration.get('LastUpdateStatusReason') or 'no reason given'}"
        )


def variables(configuration: Mapping[str, Any]) -> dict[str, str] | None:
    """The environment variables; None when Lambda could not decrypt them, so that they must not be written back.

    https://docs.aws.amazon.com/lambda/latest/api/API_EnvironmentResponse.html
    """
    environment = configuration.get("Environment") or {}
    return None if environment.get("Error") else dict(environment.get("Variables") or {})
