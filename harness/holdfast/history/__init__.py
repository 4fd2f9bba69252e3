"""What happened: operations, observations and fault windows, recorded on one clock."""

from holdfast.history.model import DeadLetterSeen, ErrorClass, FaultWindow, History, Observation, Operation, Outcome

__all__ = ["DeadLetterSeen", "ErrorClass", "FaultWindow", "History", "Observation", "Operation", "Outcome"]
