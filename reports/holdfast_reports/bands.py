"""The faults of a run as bands of its time, and how soon after each the system had caught up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.history.columns import FAIL, NANOSECONDS, Columns
from holdfast.history.model import FaultWindow
from holdfast_reports.visibility import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The time in which one fault bit.

    Attributes:
        lever: what was done.
        component: to what.
        error_class: which code path it exercises.
        key: the key it was aimed at; empty for a fault on everything.
        start_seconds: when it was proven to bite.
        end_seconds: when it was proven to be gone.
        proof: why it is known to have bitten; empty where that is not known.
        hits: how often it did; 0 where nobody counts.
        recovered_seconds: how long after its end the last effect of what was submitted meanwhile was seen; None where
            nothing was submitted, or nobody looked in time.
        submitted: how many keys were submitted meanwhile, and not refused.
        seen: how many of these it is known of when they showed an effect.
    """

    lever: str
    component: str
    error_class: str
    key: str
    start_seconds: float
    end_seconds: float
    proof: str
    hits: int
    recovered_seconds: float | None
    submitted: int
    seen: int


def bands_of(windows: Sequence[FaultWindow], operations: Columns, seen: Mapping[str, Seen]) -> tuple[Band, ...]:
    """The faults by when they began, each with how soon after its end the system had caught up.

    Args:
        windows: the fault windows of a history.
        operations: its commands.
        seen: when effects were first seen, by port.
    """
    # one window is told once for each provocation that went on inside it
    unique = {
        (one.lever, one.component, one.key, one.started_seconds, one.ended_seconds): one
        for one in sorted(windows, key=lambda one: bool(one.provocation))
    }
    aimed = {one.key for one in windows if one.key}
    labels = operations.keys.labels or ()
    codes = {label: code for code, label in enumerate(labels) if label in aimed} if aimed else {}
    applied = operations.outcome != FAIL
    found = []
    for one in sorted(unique.values(), key=lambda one: (one.started_seconds, one.ended_seconds)):
        inside = applied & (operations.invoked_ns >= one.started_seconds * NANOSECONDS)
        inside &= operations.invoked_ns <= one.ended_seconds * NANOSECONDS
        if one.key:
            inside &= operations.key == codes.get(one.key, -1)
        keys = np.unique(operations.key[inside])
        known, last = np.zeros(len(keys), np.bool_), -np.inf
        for port in seen.values():
            sights = port.at(np.isin(port.key, keys, assume_unique=True))
            sights = sights.at(sights.timed(one.ended_seconds))
            if len(sights.key):
                known |= np.isin(keys, sights.key, assume_unique=True)
                last = max(last, float(sights.seconds.max()))
        found.append(
            Band(
                lever=one.lever,
                component=one.component,
                error_class=one.error_class.value,
                key=one.key,
                start_seconds=one.started_seconds,
                end_seconds=one.ended_seconds,
                proof=one.proof,
                hits=one.hits,
                recovered_seconds=max(0.0, last - one.ended_seconds) if known.any() else None,
                submitted=len(keys),
                seen=int(known.sum()),
            )
        )
    return tuple(found)
