"""A burst of cold starts leaves the emulator its share of the machine."""

from __future__ import annotations

import threading

from holdfast.targets.emulator.cold_starts import cold_start
from holdfast.waiting import eventually


def test_few_start_at_once() -> None:
    """Beyond as many as may, a start waits until one before it has ended."""
    starting, order = threading.Semaphore(2), list[str]()
    with cold_start(starting), cold_start(starting):
        third = threading.Thread(target=lambda: _start(starting, order))
        third.start()
        assert not eventually(lambda: order, bool, deadline_seconds=0.2).met
        order.append("one ended")
    third.join()
    assert order == ["one ended", "started"]


def _start(starting: threading.Semaphore, order: list[str]) -> None:
    with cold_start(starting):
        order.append("started")


def test_a_start_that_waits_for_itself_goes_on() -> None:
    """A function that calls another one while it starts would wait for ever if starts waited for ever."""
    starting = threading.Semaphore(1)
    with cold_start(starting), cold_start(starting, longest_wait_seconds=0.01):
        pass
    assert starting.acquire(blocking=False)
    assert not starting.acquire(blocking=False)
