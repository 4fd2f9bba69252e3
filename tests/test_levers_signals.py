"""SIGINT and SIGTERM while faults are in place."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from botocore.exceptions import ClientError

from holdfast.levers.calls import persistently
from holdfast.levers.signals import SIGNALS, Interrupted, Interrupts, interruptible


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


def test_a_signal_waits_until_a_call_has_been_answered() -> None:
    """A change that was asked for is made before the signal is told, so that whoever heals finds it."""
    steps: list[str] = []

    def call() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("answered")

    with pytest.raises(Interrupted), interruptible():
        persistently(call, deadline_seconds=10)
    assert steps == ["answered"]


def test_a_signal_ends_the_wait_for_a_call_that_fails() -> None:
    """A call that is refused for now is not made again once a signal has come."""
    calls: list[str] = []

    def call() -> None:
        calls.append("refused")
        os.kill(os.getpid(), signal.SIGTERM)
        raise ClientError({"Error": {"Code": "Throttling"}}, "PutRule")

    with pytest.raises(Interrupted, match="SIGTERM"), interruptible():
        persistently(call, deadline_seconds=10)
    assert calls == ["refused"]


def test_no_thread_opens_a_window_once_the_run_is_being_ended() -> None:
    """A thread that is about to inject when the windows have been released would leave a fault in place."""
    interrupts = Interrupts()
    refused: list[str] = []

    def work() -> None:
        try:
            interrupts.register(lambda: None)
        except Interrupted as interrupted:
            refused.append(str(interrupted))

    with pytest.raises(Interrupted), interrupts.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert refused == ["SIGTERM"]
    with interrupts.interruptible():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert refused == ["SIGTERM"]


def test_a_fault_that_stays_is_told_even_when_a_signal_comes_meanwhile() -> None:
    """A signal while windows are released does not hide that one of them could not be healed."""
    interrupts = Interrupts()

    def failing() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError("still in place")

    interrupts.register(failing)
    with pytest.raises(ValueError, match="still in place"), interrupts.interruptible():
        pass


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
