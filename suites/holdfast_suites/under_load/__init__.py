"""The checks of clauses on the evidence of a load run: the same promise, over every operation, in columns.

struck        the fault windows that provoke a clause
effects       each effect there, once, as clients and status were told
steadiness    latency, levelling and recovery
sagas, views  of those patterns
concluding    to a verdict
"""

from __future__ import annotations

from holdfast_suites.under_load.effects import exactly_once, none_lost, status_agrees, told_when_storage_refuses
from holdfast_suites.under_load.sagas import all_or_nothing, conserved
from holdfast_suites.under_load.steadiness import acknowledged_without_waiting, levelled, steady_again
from holdfast_suites.under_load.struck import compute_dead, processing_broken, repeated
from holdfast_suites.under_load.views import converged, in_the_log_once

__all__ = [
    "acknowledged_without_waiting",
    "all_or_nothing",
    "compute_dead",
    "conserved",
    "converged",
    "exactly_once",
    "in_the_log_once",
    "levelled",
    "none_lost",
    "processing_broken",
    "repeated",
    "status_agrees",
    "steady_again",
    "told_when_storage_refuses",
]
