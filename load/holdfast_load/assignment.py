"""What a worker is told before it begins: enough to send a stack's commands without asking the target anything.

The descriptor itself is read on each machine, with that machine's environment, so that no secret travels; its digest
says that it is the same one. Credentials are each machine's own too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from holdfast.errors import DescriptorError
from holdfast.stack.guarded import guarded
from holdfast.stack.loading import load_descriptor
from holdfast.stack.resolve import Stack
from holdfast.stack.resources import Resource
from holdfast.targets.attached import AttachedTarget
from holdfast_load.plan import LoadPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A run as its workers see it.

    Attributes:
        plan: what the run is to do.
        digest: of the descriptor's file.
        kind: of the target.
        endpoint_url: of all services; None on AWS.
        account: 12-digit account id.
        region: region name.
        profile: AWS profile; None for the default one.
        cloudformation: the CloudFormation stack in which components were found.
        resources: the components by name.
    """

    plan: LoadPlan
    digest: str
    kind: str
    endpoint_url: str | None
    account: str
    region: str
    profile: str | None
    cloudformation: str | None
    resources: dict[str, Resource]

    def to_json(self) -> bytes:
        """As JSON."""
        return _ADAPTER.dump_json(self)

    @classmethod
    def from_json(cls, text: bytes | str) -> Assignment:
        """From JSON."""
        return _ADAPTER.validate_json(text)


_ADAPTER: TypeAdapter[Assignment] = TypeAdapter(Assignment)


def assignment_of(stack: Stack, plan: LoadPlan) -> Assignment:
    """What the workers of a run are told."""
    target, pin = stack.target, stack.descriptor.target.aws
    return Assignment(
        plan=plan,
        digest=digest(stack.path),
        kind=target.kind,
        endpoint_url=target.endpoint_url,
        account=target.account,
        region=target.region,
        profile=pin.profile if pin is not None and target.endpoint_url is None else None,
        cloudformation=stack.cloudformation,
        resources=dict(stack.resources),
    )


def stack_of(assignment: Assignment, path: Path, environ: Mapping[str, str]) -> Stack:
    """The stack as a worker uses it; close its target afterwards.

    Args:
        assignment: what the worker was told.
        path: the descriptor on this machine.
        environ: for ``${ENV}`` in it.

    Raises:
        DescriptorError: the descriptor is another one than the master's, or cannot be used here.
    """
    if digest(path) != assignment.digest:
        raise DescriptorError(
            f"{path} is not the descriptor that the master uses.",
            cause="the two files differ",
            remedy="copy the master's descriptor to this machine",
        )
    target: Any = AttachedTarget(
        kind=assignment.kind,
        endpoint_url=assignment.endpoint_url,
        account=assignment.account,
        region=assignment.region,
        profile=assignment.profile,
    )
    return guarded(
        Stack(
            load_descriptor(path, environ),
            path,
            target,
            MappingProxyType(assignment.resources),
            assignment.cloudformation,
        )
    )


def digest(path: Path) -> str:
    """Of a file's bytes.

    Raises:
        DescriptorError: it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DescriptorError(
            f"The descriptor {path} cannot be read.", cause=str(error.strerror), remedy="correct the path"
        ) from error
