"""How long a retry waits on the embedded target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ministack.services import stepfunctions

from holdfast.targets.emulator.patches import task_retries

SLOW = {"ErrorEquals": ["Busy"], "IntervalSeconds": 30, "BackoffRate": 2.0, "MaxAttempts": 5}


@pytest.fixture
def finding(monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[..., Any], list[float]]:
    """The choice of a retrier, and what it waited for beyond what MiniStack does."""
    slept: list[float] = []
    monkeypatch.setattr(stepfunctions, "_find_matching_retrier", stepfunctions._find_matching_retrier)
    monkeypatch.setattr(stepfunctions, "_scaled_sleep", slept.append)
    task_retries.apply()
    return stepfunctions._find_matching_retrier, slept


def test_a_retry_waits_longer_than_a_minute_where_its_policy_says_so(
    finding: tuple[Callable[..., Any], list[float]],
) -> None:
    """MiniStack cuts a wait at a minute, so the rest of it is waited before."""
    find, slept = finding
    token = task_retries.RUN.set(object())  # type: ignore[arg-type]
    try:
        retrier, index = find([SLOW], "Busy", {0: 2})
    finally:
        task_retries.RUN.reset(token)
    assert (index, retrier["IntervalSeconds"], retrier["BackoffRate"]) == (0, 120.0, 1.0)
    assert slept == [60.0]


def test_a_state_that_is_only_tested_waits_for_nothing(finding: tuple[Callable[..., Any], list[float]]) -> None:
    """Outside of an execution the retrier is told, and nobody is kept waiting."""
    find, slept = finding
    assert find([SLOW], "Busy", {0: 2})[0]["IntervalSeconds"] == 120.0
    assert slept == []
