"""How far a worker's clock is from the master's, and how well that is known.

Four times of one exchange give an offset that is wrong by half of the round trip at most, whatever part of it each way
took. The exchange with the shortest round trip knows best (RFC 5905, Network Time Protocol Version 4, section 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXCHANGES = 8
"""So many exchanges find a short round trip also on a busy machine."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question to the master and its answer.

    Attributes:
        asked_ns: when the worker asked, on its clock.
        received_ns: when the master got the question, on its own.
        answered_ns: when the master answered, on its own.
        got_ns: when the worker had the answer, on its clock.
    """

    asked_ns: int
    received_ns: int
    answered_ns: int
    got_ns: int

    @property
    def round_trip_ns(self) -> int:
        """What the way there and back took together."""
        return (self.got_ns - self.asked_ns) - (self.answered_ns - self.received_ns)


@dataclass(frozen=True, slots=True)
class Offset:
    """A worker's clock against the master's.

    Attributes:
        ns: what has to be added to the worker's clock.
        uncertainty_ns: by how much that may be wrong, at most.
    """

    ns: int
    uncertainty_ns: int


def offset_of(exchanges: Sequence[Exchange]) -> Offset:
    """What the best exchange says.

    Args:
        exchanges: at least one.
    """
    best = min(exchanges, key=lambda one: one.round_trip_ns)
    ns = ((best.received_ns - best.asked_ns) + (best.answered_ns - best.got_ns)) // 2
    return Offset(ns, max(0, best.round_trip_ns) // 2 + 1)


def uncertainty_ns(at_start: Offset, at_end: Offset | None) -> int:
    """By how much a worker's times were wrong in a run that used the offset of its start.

    Args:
        at_start: measured before the first arrival.
        at_end: measured after the last answer; None when it could not be. What the clocks drifted apart counts.
    """
    if at_end is None:
        return at_start.uncertainty_ns
    return max(at_start.uncertainty_ns, abs(at_end.ns - at_start.ns) + at_end.uncertainty_ns)
