"""Pure checkers: what a history proves about a clause. No AWS, no clock, no randomness.

Each takes a `History` already narrowed to what concerns the clause and returns findings, smallest witness first.
`undecided` beside them names the keys that the history cannot decide; a caller says inconclusive for those.
"""

from holdfast.checkers import idempotency, ordering, outbox, persistence, reads, recovery, status
from holdfast.checkers.durations import Distribution
from holdfast.checkers.idempotency import Conflict
from holdfast.checkers.records import Compare
from holdfast.checkers.recovery import Sample

__all__ = [
    "Compare",
    "Conflict",
    "Distribution",
    "Sample",
    "idempotency",
    "ordering",
    "outbox",
    "persistence",
    "reads",
    "recovery",
    "status",
]
