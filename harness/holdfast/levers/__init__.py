"""Faults that can be put on a component, are proven to bite, and are always taken away again."""

from holdfast.levers.base import Lever, Snapshot
from holdfast.levers.bucket_policy import BucketDeny
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.healing import HealResult, heal_all
from holdfast.levers.invocation import InvocationFault
from holdfast.levers.journal import Entry, Journal, Leftovers, Pin, open_entries
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.pull import Pull, pulled
from holdfast.levers.queue_attributes import QueueDelay, QueueRedrive, QueueVisibility
from holdfast.levers.queue_policy import QueueDeny
from holdfast.levers.registry import LEVERS
from holdfast.levers.replay import ArchiveReplay
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
    "QueueDelay",
    "QueueDeny",
    "QueueRedrive",
    "QueueVisibility",
    "RoleDeny",
    "RuleDisable",
    "Snapshot",
    "SubscriptionFilter",
    "TableCap",
    "TableCapacity",
    "TableDeny",
    "heal_all",
    "interruptible",
    "open_entries",
    "pulled",
    "watched",
]
