"""Timeouts on a busy machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from holdfast.targets.emulator import starvation


@pytest.fixture
def pressure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "cpu"
    monkeypatch.setattr(starvation, "_PRESSURE", file)
    return file


def told(stalled_seconds: float) -> str:
    return f"some avg10=1.00 avg60=1.00 avg300=1.00 total={int(stalled_seconds * 1_000_000)}\nfull avg10=0.00 total=0\n"


def owed(monkeypatch: pytest.MonkeyPatch, pressure: Path, *, stalled_seconds: float, passed_seconds: float) -> float:
    now = iter([100.0, 100.0 + passed_seconds])
    monkeypatch.setattr(starvation.time, "monotonic", lambda: next(now))
    pressure.write_text(told(50.0))
    meter = starvation.Meter()
    pressure.write_text(told(50.0 + stalled_seconds))
    return meter.owed_seconds(1.0)


def test_an_idle_machine_owes_nothing(monkeypatch: pytest.MonkeyPatch, pressure: Path) -> None:
    """Without pressure a timeout is exact."""
    assert owed(monkeypatch, pressure, stalled_seconds=0.0, passed_seconds=1.0) == 0.0


def test_a_busy_machine_owes_in_proportion(monkeypatch: pytest.MonkeyPatch, pressure: Path) -> None:
    """Half the time under pressure gives half of the longest extension."""
    half = starvation.LONGEST_EXTENSION / 2
    assert owed(monkeypatch, pressure, stalled_seconds=0.5, passed_seconds=1.0) == pytest.approx(half)


def test_no_machine_owes_for_ever(monkeypatch: pytest.MonkeyPatch, pressure: Path) -> None:
    """After its timeout and the longest extension an invocation ends, however busy the machine was."""
    longest = 1 + starvation.LONGEST_EXTENSION
    assert owed(monkeypatch, pressure, stalled_seconds=9.0, passed_seconds=longest) == 0.0


@pytest.mark.parametrize(
    ("stalled_seconds", "passed_seconds", "late"), [(1.9, 1.9, False), (2.0, 2.0, True), (0.9, 2.0, False)]
)
def test_what_took_long_says_nothing_on_a_busy_machine(
    stalled_seconds: float, passed_seconds: float, late: bool, pressure: Path
) -> None:
    """Only what took as long as it may, and that on a machine under pressure for most of it, was late by its fault."""
    now = 100.0
    pressure.write_text(told(50.0))
    meter = starvation.Meter(lambda: now)
    pressure.write_text(told(50.0 + stalled_seconds))
    now += passed_seconds
    assert meter.late(2.0) is late


def test_the_load_average_stands_in(monkeypatch: pytest.MonkeyPatch, pressure: Path) -> None:
    """Where the system tells no pressure, a load of twice the processors counts as busy all the time."""
    monkeypatch.setattr(starvation.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(starvation.os, "getloadavg", lambda: (4.0, 0.0, 0.0))
    now = iter([0.0, 1.0])
    monkeypatch.setattr(starvation.time, "monotonic", lambda: next(now))
    assert starvation.Meter().owed_seconds(1.0) == pytest.approx(starvation.LONGEST_EXTENSION)


def test_what_was_pressed_for_a_time_is_remembered_for_that_time(
    monkeypatch: pytest.MonkeyPatch, pressure: Path
) -> None:
    """A busy stretch of a run excuses what falls into it, and not what came before or after it."""
    now = iter([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0])
    stalled = iter([5.0, 5.0, 14.0, 15.0, 15.0, 15.0, 15.0, 15.0])
    monkeypatch.setattr(starvation, "_stalled_seconds", lambda: next(stalled))
    memory = starvation.Pressure(lambda: next(now))
    for _ in range(3):
        memory.note()
    assert memory.busy(11.0, 19.0)
    assert not memory.busy(1.0, 9.0)
    assert not memory.busy(21.0, 29.0)
    assert not memory.busy(1.0, 39.0)
