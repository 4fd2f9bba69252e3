"""What somebody who waits is told: what is waited for, since when, until when, and nothing twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from holdfast.progress import LOOK_SECONDS, NOTE, PATIENCE_SECONDS, REPEAT_SECONDS, Progress, Waits, listening

ORDERS, PAYROLL = Path("orders.stack.toml"), Path("payroll.stack.toml")


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = time.mktime((2026, 11, 23, 14, 3, 0, 0, 0, -1))

    def __call__(self) -> float:
        """The time, in seconds since the epoch."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits(clock: Clock) -> Waits:
    return Waits(clock)


def test_a_line_says_what_since_when_and_until_when(waits: Waits, clock: Clock) -> None:
    """Each stack has one line: of its waits the one that may take longest, or its phase when it waits for nothing."""
    waits.heard(ORDERS, Progress("orders", "9 provocations side by side"))
    clock.now += 2
    waits.heard(ORDERS, Progress("orders", "poison: 3 dead letters", 45, beside=True))
    waits.heard(ORDERS, Progress("orders", "burst: 40 effects", 20, beside=True))
    waits.heard(PAYROLL, Progress("payroll", "deploying"))
    clock.now += PATIENCE_SECONDS
    assert waits.news() == (
        "  orders: waiting for poison: 3 dead letters (since 14:03:02, until 14:03:47 at the latest), and 1 more",
        "  payroll: deploying, since 14:03:02",
    )


def test_nothing_is_told_twice_until_it_lasts(waits: Waits, clock: Clock) -> None:
    """A line comes once it has lasted a second, again when it changes, or as a sign of life after half a minute."""
    waits.heard(ORDERS, Progress("orders", "deploying"))
    waits.heard(PAYROLL, Progress("payroll", "deploying"))
    assert waits.news() == ()
    clock.now += PATIENCE_SECONDS
    assert len(waits.news()) == 2
    clock.now += 10 - PATIENCE_SECONDS
    assert waits.news() == ()
    waits.heard(PAYROLL, Progress("payroll", "checking the ports"))
    clock.now += PATIENCE_SECONDS
    assert waits.news() == ("  payroll: checking the ports, since 14:03:10",)
    clock.now += REPEAT_SECONDS - 10
    assert waits.news() == ("  orders: deploying, since 14:03:00",)


def test_a_wait_that_is_over_is_not_told(waits: Waits, clock: Clock) -> None:
    """Of equal waits one ends at a time; the next phase ends them all, and a stack that is done is silent."""
    waits.heard(ORDERS, Progress("orders", "side by side"))
    for _ in range(2):
        waits.heard(ORDERS, Progress("orders", "race: a delivery", 30, beside=True))
    waits.heard(ORDERS, Progress("orders", "race: a delivery", over=True))
    clock.now += PATIENCE_SECONDS
    assert waits.news()[0].endswith("waiting for race: a delivery (since 14:03:00, until 14:03:30 at the latest)")
    waits.heard(ORDERS, Progress("orders", "race: a delivery", over=True))
    assert waits.news() == ("  orders: side by side, since 14:03:00",)
    waits.heard(ORDERS, Progress("orders", "race: a delivery", 30, beside=True))
    waits.heard(ORDERS, Progress("orders", "a last look at 9 keys"))
    waits.heard(ORDERS, Progress("orders", "race: a delivery", over=True))
    clock.now += PATIENCE_SECONDS
    assert waits.news() == ("  orders: a last look at 9 keys, since 14:03:01",)
    waits.forget(ORDERS)
    assert waits.news() == ()


def test_a_phase_that_is_over_within_a_second_is_not_told(waits: Waits, clock: Clock) -> None:
    """Only what somebody has to wait for is worth a line."""
    waits.heard(ORDERS, Progress("orders", "deploying"))
    clock.now += PATIENCE_SECONDS / 2
    waits.heard(ORDERS, Progress("orders", "checking the ports"))
    clock.now += PATIENCE_SECONDS / 2
    assert waits.news() == ()


def test_a_note_is_told_at_once_and_once(waits: Waits) -> None:
    """What is no wait but worth knowing is not lost when something else begins within a second."""
    waits.heard(ORDERS, Progress("orders", "the run is not kept", NOTE))
    waits.heard(ORDERS, Progress("orders", "deploying"))
    assert waits.news() == ("  orders: the run is not kept",)
    assert waits.news() == ()


class Looks(threading.Event):
    """The pause between two looks: each lets the clock run on, and the last one lets the block end."""

    def __init__(self, clock: Clock, *, looks: int) -> None:
        super().__init__()
        self.clock = clock
        self.left = looks
        self.begun = threading.Event()
        self.done = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Let the time of a look pass at once."""
        self.begun.wait()
        if not self.left:
            self.done.set()
            return super().wait()
        self.left -= 1
        self.clock.now += timeout or 0.0
        return False


def test_a_listener_tells_from_a_thread_of_its_own(clock: Clock) -> None:
    """Whoever computes and says nothing is told of all the same, once, with the moment at which it began."""
    lines: list[str] = []
    looks = Looks(clock, looks=round(PATIENCE_SECONDS / LOOK_SECONDS) * 3)
    with listening(lines.append, clock=clock, ended=looks) as heard:
        heard(Progress("", "judging 9 rows as a register"))
        looks.begun.set()
        assert looks.done.wait(30)
    assert lines == ["  judging 9 rows as a register, since 14:03:00"]
