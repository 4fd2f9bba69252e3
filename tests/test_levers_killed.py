"""Runs that are killed or interrupted in the middle of a window leave the stack as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from holdfast.levers import heal_all, open_entries
from holdfast.levers.processes import start_mark
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from lever_stack import Deployed, deploy

RUN = Path(__file__).with_name("lever_run.py")


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    with EmbeddedTarget.start() as started:
        yield started


@pytest.fixture
def deployed(target: EmbeddedTarget) -> Deployed:
    return deploy(target, reserved=4)


class Run:
    """A run in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.watchdog = json.loads(self._line())

    def says(self, line: str) -> None:
        """Wait for a line."""
        assert self._line() == line, self.process.communicate()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)


@contextmanager
def run(deployed: Deployed, directory: Path, *options: str) -> Iterator[Run]:
    """Start a run and have it gone at the end."""
    arguments = [str(deployed.stack.target.endpoint_url), str(directory), deployed.resources(), *options]
    process = subprocess.Popen(
        [sys.executable, str(RUN), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watchdog = None
    try:
        started = Run(process)
        watchdog = started.watchdog
        yield started
    finally:
        process.kill()
        process.communicate()
        if watchdog is not None:
            with suppress(ProcessLookupError):
                os.kill(watchdog, signal.SIGKILL)


def faulted(deployed: Deployed) -> bool:
    """Whether all three faults are in place."""
    now = deployed.configuration()
    return now["concurrency"] == 0 and not any(now["mappings"].values()) and len(now["policies"]) == 2


def test_heal_restores_what_a_killed_run_left(deployed: Deployed, tmp_path: Path) -> None:
    """After SIGKILL in the middle of a window, healing from the journal alone reads back equal; twice is harmless."""
    before = deployed.configuration()
    with run(deployed, tmp_path) as killed:
        killed.says("pulled")
        assert faulted(deployed)
        assert {result.outcome for result in heal_all(tmp_path)} == {"running"}
        killed.process.kill()
        killed.process.wait()
    assert faulted(deployed)
    results = heal_all(tmp_path)
    assert [(r.entry.snapshot.lever, r.outcome) for r in results] == [
        ("role-deny", "healed"),
        ("mapping-disable", "healed"),
        ("function-throttle", "healed"),
    ]
    assert all(result.proof for result in results)
    assert deployed.configuration() == before
    assert open_entries(tmp_path).entries == ()
    assert heal_all(tmp_path) == ()


def test_the_watchdog_heals_when_its_run_is_killed(deployed: Deployed, tmp_path: Path) -> None:
    """The watchdog of a killed run restores the stack by itself within seconds, and ends."""
    before = deployed.configuration()
    with run(deployed, tmp_path, "watched") as killed:
        killed.says("pulled")
        assert faulted(deployed)
        killed.process.kill()
        killed.process.wait()
        assert eventually(deployed.configuration, lambda now: now == before, deadline_seconds=20).met
        assert eventually(lambda: start_mark(killed.watchdog), lambda mark: not mark, deadline_seconds=10).met
    assert open_entries(tmp_path).entries == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["main", "thread"])
def test_a_signal_heals_at_once(deployed: Deployed, tmp_path: Path, number: signal.Signals, where: str) -> None:
    """SIGINT and SIGTERM end the run healed, whichever thread has the window open, and take its watchdog along."""
    before = deployed.configuration()
    with run(deployed, tmp_path, "watched", where) as interrupted:
        interrupted.says("pulled")
        assert faulted(deployed)
        interrupted.signal(number)
        _, errors = interrupted.process.communicate(timeout=30)
        assert f"Interrupted: {number.name}" in errors
        assert start_mark(interrupted.watchdog) == ""
    assert deployed.configuration() == before
    assert open_entries(tmp_path).entries == ()


def test_more_signals_do_not_interrupt_the_healing(deployed: Deployed, tmp_path: Path) -> None:
    """An impatient user who signals again while it heals gets the same: everything restored."""
    before = deployed.configuration()
    with run(deployed, tmp_path, "stubborn") as interrupted:
        interrupted.says("pulled")
        interrupted.signal(signal.SIGINT)
        interrupted.says("healing")
        interrupted.signal(signal.SIGINT)
        interrupted.signal(signal.SIGTERM)
        interrupted.process.wait(timeout=30)
    assert deployed.configuration() == before
    assert open_entries(tmp_path).entries == ()


@pytest.mark.parametrize("moment", ["journaled", "first", "second", "third"])
def test_a_run_killed_while_it_injects_can_be_healed(deployed: Deployed, tmp_path: Path, moment: str) -> None:
    """Killed right after the journal is written or after any of its injections, a run heals to what was there."""
    before = deployed.configuration()
    looks = {
        "journaled": lambda: any(path.stat().st_size for path in tmp_path.glob("*.jsonl")),
        "first": lambda: deployed.concurrency() == 0,
        "second": lambda: not any(mapping.enabled for mapping in deployed.stack.mappings("worker")),
        "third": lambda: len(deployed.iam.list_role_policies(RoleName=deployed.role)["PolicyNames"]) == 2,
    }
    with run(deployed, tmp_path) as killed:
        reached = eventually(
            looks[moment], bool, deadline_seconds=20, interval_seconds=0.001, longest_interval_seconds=0.001
        )
        killed.process.kill()
        killed.process.wait()
    assert reached.met
    assert {result.outcome for result in heal_all(tmp_path)} == {"healed"}
    assert deployed.configuration() == before


def test_a_run_killed_while_it_heals_can_be_healed(deployed: Deployed, tmp_path: Path) -> None:
    """Killed when it has healed two of three faults, a run is healed from its journal all the same."""
    before = deployed.configuration()
    with run(deployed, tmp_path, "stubborn") as killed:
        killed.says("pulled")
        killed.signal(signal.SIGTERM)
        killed.says("healing")
        killed.process.kill()
        killed.process.wait()
    now = deployed.configuration()
    assert (now["concurrency"], now["mappings"], now["policies"]) == (0, before["mappings"], before["policies"])
    assert [result.outcome for result in heal_all(tmp_path)] == ["healed", "healed", "healed"]
    assert deployed.configuration() == before
