"""SIGINT and SIGTERM while faults are in place."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from holdfast.levers.signals import SIGNALS, Interrupted, Interrupts


def test_the_first_signal_raises_and_the_next_ones_do_not() -> None:
    """A second signal must not cut short the healing that the first one has begun."""
    steps: list[str] = []

    def signalled_twice() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("healed")

    with pytest.raises(Interrupted, match="SIGTERM"), Interrupts().interruptible():
        signalled_twice()
    assert steps == ["healed"]


def test_a_signal_that_comes_while_shielded_is_delivered_afterwards() -> None:
    """Healing is not interrupted, and the signal is not lost either."""
    steps: list[str] = []
    interrupts = Interrupts()

    def signalled_while_healing() -> None:
        with interrupts.shielded():
            os.kill(os.getpid(), signal.SIGINT)
            steps.append("healed")
        steps.append("went on")

    with pytest.raises(Interrupted, match="SIGINT"), interrupts.interruptible():
        signalled_while_healing()
    assert steps == ["healed"]


def test_the_handlers_of_before_are_back_afterwards() -> None:
    """Outside a run, signals do what they did before; a nested use changes nothing."""
    before = [signal.getsignal(number) for number in SIGNALS]
    interrupts = Interrupts()
    with interrupts.interruptible():
        during = [signal.getsignal(number) for number in SIGNALS]
        with interrupts.interruptible():
            pass
        assert [signal.getsignal(number) for number in SIGNALS] == during
    assert during != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_every_open_window_is_released_even_when_one_of_them_fails() -> None:
    """On the way out the windows of all threads are released, the last one first, and a failure is told at the end."""
    steps: list[str] = []
    interrupts = Interrupts()

    def failing() -> None:
        raise ValueError("mine")

    interrupts.register(lambda: steps.append("first"))
    interrupts.register(failing)
    interrupts.register(lambda: steps.append("last"))
    with pytest.raises(ValueError, match="mine"), interrupts.interruptible():
        pass
    assert steps == ["last", "first"]


def test_a_waiting_thread_learns_of_the_signal_at_once() -> None:
    """A worker that waits for a proof stops waiting and is told to end, although signals reach the main thread only."""
    ended: list[str] = []
    interrupts = Interrupts()
    waiting = threading.Event()

    def work() -> None:
        waiting.set()
        interrupts.pause(60)
        try:
            interrupts.check()
        except Interrupted as interrupted:
            ended.append(str(interrupted))

    thread = threading.Thread(target=work)
    interrupts.register(thread.join)
    thread.start()
    assert waiting.wait(10)
    with pytest.raises(Interrupted), interrupts.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended == ["SIGTERM"]
