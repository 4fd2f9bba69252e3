"""Faults that can be put on a component, are proven to bite, and are always taken away again."""

from holdfast.levers.base import Lever, Snapshot
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
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.process_signal import ProcessKill, ProcessStop
from holdfast.levers.pull import Pull, pulled
from holdfast.levers.registry import LEVERS
from holdfast.levers.rest_api import RestApiThrottle
from holdfast.levers.role import RoleDeny
from holdfast.levers.signals import Interrupted, interruptible
from holdfast.levers.watchdog import watched

__all__ = [
    "LEVERS",
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
    "ProcessKill",
    "ProcessStop",
    "Pull",
    "RestApiThrottle",
    "RoleDeny",
    "Snapshot",
    "heal_all",
    "interruptible",
    "open_entries",
    "pulled",
    "task_deny",
    "watched",
]
