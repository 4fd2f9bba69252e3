"""The ways in and out of a stack: commands, effects, statuses, dead letters."""

from holdfast.ports.answer import Answer
from holdfast.ports.context import PortContext
from holdfast.ports.dead_letters import DeadLetter
from holdfast.ports.ports import Ports

__all__ = ["Answer", "DeadLetter", "PortContext", "Ports"]
