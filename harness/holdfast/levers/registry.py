"""Every lever by its name, so that a journal entry is enough to heal."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from holdfast.errors import HealError
from holdfast.levers.base import Lever, Snapshot, Undo
from holdfast.levers.bucket_policy import BucketDeny
from holdfast.levers.channel_fault import ChannelFault
from holdfast.levers.component_pressure import ComponentPressure
from holdfast.levers.component_signal import ComponentEnd, ComponentKill, ComponentStop
from holdfast.levers.execution import ExecutionAbort
from holdfast.levers.experiment import FunctionExperiment
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.function_limits import FunctionMemory, FunctionTimeout
from holdfast.levers.function_variable import FunctionVariable
from holdfast.levers.http_api import HttpApiThrottle
from holdfast.levers.invocation import InvocationFault
from holdfast.levers.invoke_permission import PermissionCut
from holdfast.levers.launched import Launched
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.queue_attributes import QueueDelay, QueueRedrive, QueueVisibility
from holdfast.levers.queue_policy import QueueDeny
from holdfast.levers.replay import ArchiveReplay
from holdfast.levers.rest_api import RestApiThrottle
from holdfast.levers.role import RoleDeny
from holdfast.levers.rule import RuleDisable
from holdfast.levers.subscription import SubscriptionFilter
from holdfast.levers.table_policy import TableDeny
from holdfast.levers.table_throughput import TableCap, TableCapacity
from holdfast.targets.base import Target

_ALL: tuple[type[Lever], ...] = (
    ArchiveReplay,
    BucketDeny,
    ChannelFault,
    ComponentEnd,
    ComponentKill,
    ComponentPressure,
    ComponentStop,
    ExecutionAbort,
    FunctionExperiment,
    FunctionMemory,
    FunctionThrottle,
    FunctionTimeout,
    FunctionVariable,
    HttpApiThrottle,
    InvocationFault,
    MappingDisable,
    PermissionCut,
    QueueDelay,
    QueueDeny,
    QueueRedrive,
    QueueVisibility,
    RestApiThrottle,
    RoleDeny,
    RuleDisable,
    SubscriptionFilter,
    TableCap,
    TableCapacity,
    TableDeny,
)
LEVERS: Mapping[str, type[Lever]] = MappingProxyType({lever.name: lever for lever in _ALL})

UNDO: Mapping[str, type[Undo]] = MappingProxyType({**LEVERS, Launched.name: Launched})
"""All that a journal entry may be about: the levers, and what a run has started."""

OUTLIVE_TARGET = frozenset(
    each.name for each in (ChannelFault, ComponentEnd, ComponentKill, ComponentPressure, ComponentStop, Launched)
)
"""What is not on the target: it is not gone when an embedded target has ended."""


def restoring(target: Target, snapshot: Snapshot, undo: Mapping[str, type[Undo]] = UNDO) -> Undo:
    """What made a snapshot, able to heal it.

    Raises:
        HealError: no lever has that name, or it does not understand the snapshot.
    """
    try:
        return undo[snapshot.lever].restoring(target, snapshot)
    except (KeyError, TypeError, ValueError):
        raise HealError(
            f"no lever {snapshot.lever!r} of this version understands what the journal says",
            cause="the journal was written by another version of Holdfast, or changed by hand",
            remedy=f"heal with that version, or set {snapshot.resource} back to {snapshot.found} by hand",
        ) from None
