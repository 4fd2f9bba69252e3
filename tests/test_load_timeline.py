"""The timeline on the embedded target: faults come and go on the clock, with proof, whatever ends the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import InjectionError
from holdfast.history.model import FaultWindow
from holdfast.levers import FunctionThrottle, Journal, MappingDisable, Pin
from holdfast.levers.base import Lever
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from holdfast_load.plan import RunClock
from holdfast_load.timeline.plan import FaultPart
from holdfast_load.timeline.running import Entry, Timeline
from lever_stack import Deployed, deploy

DEADLINE_SECONDS = 30.0


class Clock:
    """A run's clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 0

    def at(self, seconds: float) -> None:
        """Move it."""
        self.now_ns = round(seconds * 1e9)

    def run(self) -> RunClock:
        """As the run has it."""
        return RunClock(origin_unix_ns=time.time_ns(), origin_monotonic_ns=0, clock_ns=lambda: self.now_ns)


@pytest.fixture(scope="module")
def deployed(embedded: EmbeddedTarget) -> Deployed:
    """A function behind a queue."""
    return deploy(embedded)


@pytest.fixture
def journal(tmp_path: Path, deployed: Deployed) -> Iterator[Journal]:
    """A journal."""
    with Journal(tmp_path / "journal", Pin.of(deployed.stack)) as opened:
        yield opened


def entry(levers: Callable[[], Sequence[Lever]], number: int = 1, **fault: Any) -> Entry:
    """An entry of a plan."""
    part = FaultPart.model_validate({"lever": "function-throttle", "component": "worker", **fault})
    return Entry(number=number, fault=part, levers=levers)


def timeline(deployed: Deployed, journal: Journal, told: list[FaultWindow], *entries: Entry) -> Timeline:
    """A timeline of a run of a hundred seconds."""
    return Timeline(entries=entries, stack=deployed.stack, journal=journal, run_seconds=100.0, told=told.append)


def met(condition: Callable[[], object]) -> None:
    """Wait until something has come."""
    waited = eventually(
        condition, bool, deadline_seconds=DEADLINE_SECONDS, interval_seconds=0.02, longest_interval_seconds=0.05
    )
    assert waited.met


def test_a_fault_comes_and_goes_and_comes_again(deployed: Deployed, journal: Journal) -> None:
    """It is on from its time for as long as it is to last, and once more after the interval; each window has proof."""
    told: list[FaultWindow] = []
    clock = Clock()
    throttle = entry(lambda: [FunctionThrottle.on(deployed.stack, "worker")], at=10, **{"for": 5}, every=20)
    line = timeline(deployed, journal, told, throttle)
    line.start(clock.run())
    for begin in (10.0, 30.0):
        assert deployed.concurrency() is None
        clock.at(begin)
        met(lambda: line.active)
        assert line.active == ("function-throttle on worker",)
        assert deployed.concurrency() == 0
        clock.at(begin + 5.0)
        met(lambda: not line.active and deployed.concurrency() is None)
    line.end()
    begun, ended = told[::2], told[1::2]
    assert [(one.started_seconds, one.ended_seconds) for one in ended] == [
        (pytest.approx(10.0, abs=5.0), pytest.approx(15.0, abs=5.0)),
        (pytest.approx(30.0, abs=5.0), pytest.approx(35.0, abs=5.0)),
    ]
    assert [one.started_seconds for one in begun] == [one.started_seconds for one in ended]
    assert all(one.bit and one.healed_proof for one in ended)
    assert all(one.bit and not one.healed_proof for one in begun)
    assert not line.problems


def test_a_fault_is_on_while_its_condition_holds(deployed: Deployed, journal: Journal) -> None:
    """It is put on when the rate is high enough, and taken off when it no longer is."""
    told: list[FaultWindow] = []
    clock = Clock()
    busy = entry(lambda: [FunctionThrottle.on(deployed.stack, "worker")], at=0, **{"while": "rate >= 200"})
    line = timeline(deployed, journal, told, busy)
    clock.at(1)
    line.rate(199.0)
    line.start(clock.run())
    for _ in range(2):
        line.rate(200.0)
        met(lambda: line.active)
        line.rate(100.0)
        met(lambda: not line.active)
    line.end()
    assert len(told) == 4
    assert deployed.concurrency() is None


def test_the_end_of_the_run_heals_everything(deployed: Deployed, journal: Journal) -> None:
    """Two faults without an end are gone when the run is over, and each is one window."""
    told: list[FaultWindow] = []
    clock = Clock()
    entries = [
        entry(lambda: [FunctionThrottle.on(deployed.stack, "worker")], at=0),
        entry(lambda: MappingDisable.on(deployed.stack, "worker"), number=2, at=0),
    ]
    before = deployed.configuration()
    line = timeline(deployed, journal, told, *entries)
    line.start(clock.run())
    met(lambda: len(line.active) == 2)
    line.end()
    assert deployed.configuration() == before
    assert sorted(one.lever for one in told if one.healed_proof) == ["function-throttle", "mapping-disable"]
    assert len(line.disturbances) == 2


def test_a_fault_that_cannot_be_put_on_is_told(deployed: Deployed, journal: Journal) -> None:
    """The others go on; the run learns which one was not."""

    def never() -> Sequence[Lever]:
        raise InjectionError("it has no queue", cause="nobody made one")

    told: list[FaultWindow] = []
    clock = Clock()
    good = entry(lambda: [FunctionThrottle.on(deployed.stack, "worker")], number=2, at=0)
    line = timeline(deployed, journal, told, entry(never, at=0), good)
    line.start(clock.run())
    met(lambda: line.active and line.problems)
    line.end()
    assert line.problems == [
        "fault 1 (function-throttle on worker) was not put on to its end: it has no queue: nobody made one"
    ]
    assert deployed.concurrency() is None
