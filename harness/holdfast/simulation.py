"""Asks IAM what the caller may not do, without doing it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from holdfast.permissions import Grant
from holdfast.stack.aws_errors import error_code
from holdfast.targets.base import Target

ACTIONS_AT_ONCE = 50
"""A request must stay small; IAM names no figure."""

_ASSUMED = re.compile(r"arn:(?P<partition>[^:]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+")


@dataclass(frozen=True, slots=True)
class Permitted:
    """What IAM says about the caller.

    Attributes:
        denied: what it may not do.
        unknown: why that is not known; empty when it is.
        caller: who asked.
    """

    denied: frozenset[Grant] = frozenset()
    unknown: str = ""
    caller: str = ""


def permitted(target: Target, grants: Iterable[Grant]) -> Permitted:
    """Ask IAM's simulator whether the caller has these permissions; nothing is done.

    Written to the documentation: policies of organizations and of resources are not simulated, so what it allows may
    be denied yet (docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html). On an emulator the
    caller is the account's root user and may do everything.

    Args:
        target: where.
        grants: the permissions.
    """
    if target.kind != "aws":
        return Permitted(caller="the emulator's root user")
    caller = ""
    try:
        caller = str(target.client("sts").get_caller_identity()["Arn"])
        if caller.endswith(":root"):
            return Permitted(caller=caller)
        source = _principal(target, caller)
        denied = [
            grant for resource, actions in _by_resource(grants) for grant in _denied(target, source, resource, actions)
        ]
    except (ClientError, BotoCoreError) as error:
        why = error_code(error) if isinstance(error, ClientError) else type(error).__name__
        return Permitted(unknown=f"IAM did not say what {caller or 'the caller'} may do: {why}", caller=caller)
    return Permitted(frozenset(denied), caller=caller)


def _principal(target: Target, caller: str) -> str:
    """The ARN whose policies count: of a session, that of its role, with the role's path."""
    assumed = _ASSUMED.fullmatch(caller)
    if assumed is None:
        return caller
    return str(target.client("iam").get_role(RoleName=assumed["role"])["Role"]["Arn"])


def _by_resource(grants: Iterable[Grant]) -> Iterator[tuple[str, list[str]]]:
    actions: dict[str, list[str]] = {}
    for grant in sorted(grants, key=lambda one: (one.resource, one.action)):
        actions.setdefault(grant.resource, []).append(grant.action)
    for resource, wanted in actions.items():
        rest = iter(wanted)
        while batch := list(islice(rest, ACTIONS_AT_ONCE)):
            yield resource, batch


def _denied(target: Target, source: str, resource: str, actions: list[str]) -> Iterator[Grant]:
    pages: Iterable[Any] = (
        target.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(PolicySourceArn=source, ActionNames=actions, ResourceArns=[resource])
    )
    for page in pages:
        for result in page["EvaluationResults"]:
            if result["EvalDecision"] != "allowed":
                yield Grant(str(result["EvalActionName"]), resource)
