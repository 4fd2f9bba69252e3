"""The driver of a component: from a stack, or from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.drivers.base import Driver, Instance
from holdfast.drivers.process import ProcessDriver
from holdfast.errors import Inconclusive
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Target

PERMISSIONS: tuple[str, ...] = ()
"""IAM actions that the drivers of AWS need."""


def driver_of(stack: Stack, component: str) -> Driver:
    """The driver of a component of a stack.

    Raises:
        ResourceError: the descriptor has no such component.
        Inconclusive: nothing of its type is killed, stopped or started.
    """
    kind = stack.resource(component).type
    if kind == "process":
        return ProcessDriver.of(stack, component)
    raise Inconclusive(f"{component} is a {kind}, which cannot be killed, stopped or started")


def driver_restored(target: Target, component: str, instance: Instance, described: Mapping[str, Any]) -> Driver:  # noqa: ARG001 - of drivers on AWS
    """The driver again, from a journal entry.

    Raises:
        ValueError: the entry is of another version.
    """
    if instance.kind == ProcessDriver.kind:
        return ProcessDriver.restored(component, described)
    raise ValueError(f"no driver {instance.kind}")
