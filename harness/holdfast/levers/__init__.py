"""Faults that can be put on a component, are proven to bite, and are always taken away again."""

from holdfast.levers.base import Lever, Snapshot
from holdfast.levers.bucket_policy import BucketDeny
from holdfast.levers.channel_fault import ChannelFault
from holdfast.levers.component_pressure import ComponentPressure
from holdfast.levers.component_signal import ComponentEnd, ComponentKill, ComponentStop
from holdfast.levers.execution import ExecutionAbort, task_deny
from holdfast.levers.experiment import FunctionExperiment, InvocationAction
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.function_limits import FunctionMemory, FunctionTimeout
from holdfast.levers.function_variable import FunctionVariable
from holdfast.levers.healing import HealResult, heal_all
from holdfast.levers.http_api import HttpApiThrottle
from holdfast.levers.invocation import InvocationFault
from holdfast.levers.invoke_permission import PermissionCut
from holdfast.levers.journal import Entry, Journal, Leftovers, Pin, open_entries
from holdfast.levers.launched import launched
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.pull import Pull, pulled
from holdfast.levers.queue_attributes import QueueDelay, QueueRedrive, QueueVisibility
from holdfast.levers.queue_policy import QueueDeny
from holdfast.levers.registry import LEVERS
from holdfast.levers.replay import ArchiveReplay
from holdfast.levers.rest_api import RestApiThrottle
from holdfast.levers.role import RoleDeny
from holdfast.levers.rule import RuleDisable
from holdfast.levers.signals import Interrupted, interruptible
from holdfast.levers.subscription import SubscriptionFilter
from holdfast.levers.table_policy import TableDeny
from holdfast.levers.table_throughput import TableCap, TableCapacity
from holdfast.levers.watchdog import watched

__all__ = [
    "LEVERS",
    "ArchiveReplay",
    "BucketDeny",
    "ChannelFault",
    "ComponentEnd",
    "ComponentKill",
    "ComponentPressure",
    "ComponentStop",
    "Entry",
    "ExecutionAbort",
    "FunctionExperiment",
    "FunctionMemory",
    "FunctionThrottle",
    "FunctionTimeout",
    "FunctionVariable",
    "HealResult",
    "HttpApiThrottle",
    "Interrupted",
    "InvocationAction",
    "InvocationFault",
    "Journal",
    "Leftovers",
    "Lever",
    "MappingDisable",
    "PermissionCut",
    "Pin",
    "Pull",
    "QueueDelay",
    "QueueDeny",
    "QueueRedrive",
    "QueueVisibility",
    "RestApiThrottle",
    "RoleDeny",
    "RuleDisable",
    "Snapshot",
    "SubscriptionFilter",
    "TableCap",
    "TableCapacity",
    "TableDeny",
    "heal_all",
    "interruptible",
    "launched",
    "open_entries",
    "pulled",
    "task_deny",
    "watched",
]
