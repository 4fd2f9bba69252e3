"""A retry waits as its retrier says: ``MaxDelaySeconds`` at most, and with full jitter where it asks for that.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html#error-handling-retrying-after-an-error.
MiniStack knows neither ``MaxDelaySeconds`` nor ``JitterStrategy``, and waits for a minute at most.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from ministack.services import stepfunctions

from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches.executions import RUN

Retrier = Mapping[str, Any]

LONGEST_SECONDS = 60.0
"""So long MiniStack waits by itself."""


def apply() -> None:
    """Replace the choice of a retrier by one that also says how long to wait."""
    require(stepfunctions._find_matching_retrier, "cb494ae8503c", "stepfunctions._find_matching_retrier")
    find = stepfunctions._find_matching_retrier

    def find_matching_retrier(
        retriers: Sequence[Retrier], error: str, counts: Mapping[int, int]
    ) -> tuple[Retrier | None, int]:
        retrier, index = find(retriers, error, counts)
        if retrier is None:
            return None, index
        found = waiting(retrier, counts.get(index, 0))
        if RUN.get() is not None:  # `TestState` asks for a retrier as well, and waits for nothing
            stepfunctions._scaled_sleep(max(0.0, found["IntervalSeconds"] - LONGEST_SECONDS))
        return found, index

    stepfunctions._find_matching_retrier = find_matching_retrier


def waiting(retrier: Retrier, retries: int) -> Retrier:
    """The retrier with the wait before its next retry for an interval, and no backoff on top of it."""
    seconds = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retries
    seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
    if retrier.get("JitterStrategy") == "FULL":
        seconds = random.uniform(0.0, seconds)  # noqa: S311 - no secret
    return {**retrier, "IntervalSeconds": seconds, "BackoffRate": 1.0}
