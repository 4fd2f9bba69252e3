"""Faults that can be put on a component, are proven to bite, and are always taken away again."""

from holdfast.levers.base import Lever, Snapshot
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.healing import HealResult, heal_all
from holdfast.levers.invocation import InvocationFault
from holdfast.levers.journal import Entry, Journal, Leftovers, Pin, open_entries
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.pull import Pull, pulled
from holdfast.levers.registry import LEVERS
from holdfast.levers.role import RoleDeny
from holdfast.levers.signals import Interrupted, interruptible
from holdfast.levers.watchdog import watched

__all__ = [
    "LEVERS",
    "Entry",
    "FunctionThrottle",
    "HealResult",
    "Interrupted",
    "InvocationFault",
    "Journal",
    "Leftovers",
    "Lever",
    "MappingDisable",
    "Pin",
    "Pull",
    "RoleDeny",
    "Snapshot",
    "heal_all",
    "interruptible",
    "open_entries",
    "pulled",
    "watched",
]
