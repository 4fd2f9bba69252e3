"""What is known about each clause, and how it is written down."""

from holdfast.verdict.model import ClauseVerdict, Family, Finding, StackReport, Verdict, merge, smallest

__all__ = ["ClauseVerdict", "Family", "Finding", "StackReport", "Verdict", "merge", "smallest"]
