"""What the timeline of a run did: the fault windows that provoke a clause."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.history import FaultWindow
from holdfast.history.model import ErrorClass
from holdfast.provocations.model import Window
from holdfast.under_load import LoadEvidence

Faults = Callable[[LoadEvidence], tuple[FaultWindow, ...]]
"""The windows of a run in which a clause was provoked."""


def compute_dead(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows in which every worker was throttled to zero at one time."""
    workers = set(evidence.pattern.workers)
    mine = [one for one in evidence.windows if one.component in workers]
    asked = [one for one in mine if one.provocation == Window.COMPUTE_DEAD.name]
    throttled = [one for one in mine if one.lever == "function-throttle"]
    together = [
        one
        for one in throttled
        if workers <= {other.component for other in throttled if _overlap(one, other) or other is one}
    ]
    return tuple(dict.fromkeys([*asked, *together]))


def storage_denied(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows in which storing was refused or throttled: on the store, on who stores, or on the function that does."""
    pattern = evidence.pattern
    places = {pattern.store, *pattern.storage_roles, *pattern.ingest}
    return tuple(
        one
        for one in evidence.windows
        if one.provocation == Window.STORAGE_DENIED.name
        or (one.component in places and one.error_class in (ErrorClass.DENIED, ErrorClass.THROTTLE))
    )


def processing_broken(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows in which workers failed, crashed, timed out, were throttled, or what feeds them stood still."""
    return struck_on(evidence, {*evidence.pattern.workers, evidence.pattern.store})


def repeated(evidence: LoadEvidence) -> tuple[FaultWindow, ...]:
    """Windows after which something is delivered again: answers lost, crashes, timeouts, failures, duplicates."""
    again = (
        ErrorClass.DUPLICATE,
        ErrorClass.LOST_ANSWER,
        ErrorClass.CRASH,
        ErrorClass.FAILURE,
        ErrorClass.TIMEOUT,
    )
    places = {*evidence.pattern.workers, *evidence.pattern.ingest, evidence.pattern.store}
    return tuple(one for one in struck_on(evidence, places) if one.error_class in again)


def struck_on(evidence: LoadEvidence, places: set[str | None]) -> tuple[FaultWindow, ...]:
    """The windows on any of these components."""
    return tuple(one for one in evidence.windows if one.component in places)


def _overlap(one: FaultWindow, other: FaultWindow) -> bool:
    return one.started_seconds < other.ended_seconds and other.started_seconds < one.ended_seconds
