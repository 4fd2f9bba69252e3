"""The driver of a component: from a stack, or from the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.drivers.base import Driver, Instance
from holdfast.drivers.container import ContainerDriver
from holdfast.drivers.ecs import PERMISSIONS, TaskDriver
from holdfast.drivers.kubernetes import PodDriver
from holdfast.drivers.process import ProcessDriver
from holdfast.errors import Inconclusive
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Target

__all__ = ["PERMISSIONS", "driver_of", "driver_restored"]


def driver_of(stack: Stack, component: str) -> Driver:
    """The driver of a component of a stack.

    Raises:
        ResourceError: the descriptor has no such component.
        Inconclusive: nothing of its type is killed, stopped or started.
    """
    match stack.resource(component).type:
        case "process":
            return ProcessDriver.of(stack, component)
        case "container":
            return ContainerDriver.of(stack, component)
        case "ecs_task":
            return TaskDriver.of(stack, component)
        case "pod":
            return PodDriver.of(stack, component)
        case "function":
            raise Inconclusive(
                f"{component} is a function: an extension of it shares its sandbox and cannot be killed or stopped "
                "alone; function-variable, function-memory and function-timeout reach it through the configuration"
            )
        case kind:
            raise Inconclusive(f"{component} is a {kind}, which cannot be killed, stopped or started")


def driver_restored(target: Target, component: str, instance: Instance, described: Mapping[str, Any]) -> Driver:
    """The driver again, from a journal entry.

    Raises:
        ValueError: the entry is of another version.
    """
    match instance.kind:
        case ProcessDriver.kind:
            return ProcessDriver.restored(component, described)
        case ContainerDriver.kind:
            return ContainerDriver.restored(component, described)
        case TaskDriver.kind:
            return TaskDriver.restored(target, component, described)
        case PodDriver.kind:
            return PodDriver.restored(component, described)
        case kind:
            raise ValueError(f"no driver {kind}")
