"""Runs that are killed or interrupted in the middle of a window leave the stack as it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from holdfast.levers import heal_all, open_entries
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from lever_run import Plan, Shape
from lever_stack import Deployed, deploy
from signalled_run import Run


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    with EmbeddedTarget.start() as started:
        yield started


@pytest.fixture
def deployed(target: EmbeddedTarget) -> Deployed:
    return deploy(target, reserved=4)


@contextmanager
def run(deployed: Deployed, directory: Path, **how: Any) -> Iterator[Run]:
    """Start a run with three faults and have it gone at the end."""
    target = deployed.stack.target
    levers = ["mapping-disable", "role-deny"]
    plan = Plan(
        endpoint_url=str(target.endpoint_url),
        account=target.account,
        region=target.region,
        embedded=True,
        directory=str(directory),
        resources=[asdict(resource) for resource in deployed.stack.resources.values()],
        components={},
        levers=levers if how.get("stubborn") else ["function-throttle", *levers],
        **how,
    )
    started = Run()
    try:
        started.begin(plan)
        yield started
    finally:
        started.close()


def faulted(deployed: Deployed) -> bool:
    """Whether all three faults are in place."""
    now = deployed.configuration()
    return now["concurrency"] == 0 and not any(now["mappings"].values()) and len(now["policies"]) == 2


def test_heal_restores_what_a_killed_run_left(deployed: Deployed, tmp_path: Path) -> None:
    """After SIGKILL in the middle of a window, healing from the journal alone reads back equal; twice is harmless."""
    before = deployed.configuration()
    with run(deployed, tmp_path) as killed:
        killed.says("0 window")
        assert faulted(deployed)
        assert {result.outcome for result in heal_all(tmp_path)} == {"running"}
        killed.signal(signal.SIGKILL)
        killed.end()
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


@pytest.mark.parametrize("shape", ["together", "timeline"])
def test_the_watchdog_heals_when_its_run_is_killed(deployed: Deployed, tmp_path: Path, shape: Shape) -> None:
    """The watchdog of a killed run restores the stack by itself within seconds, and ends."""
    before = deployed.configuration()
    with run(deployed, tmp_path, watched=True, shape=shape) as killed:
        killed.says("0 window")
        assert faulted(deployed)
        killed.signal(signal.SIGKILL)
        killed.end()
        assert eventually(killed.family, lambda left: not left, deadline_seconds=20).met
    assert deployed.configuration() == before
    assert open_entries(tmp_path).entries == ()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("shape", ["together", "threads", "timeline"])
def test_a_signal_heals_at_once(deployed: Deployed, tmp_path: Path, number: signal.Signals, shape: Shape) -> None:
    """SIGINT and SIGTERM end the run healed, whichever thread has the window open, and take its watchdog along."""
    before = deployed.configuration()
    with run(deployed, tmp_path, watched=True, shape=shape) as interrupted:
        assert eventually(lambda: faulted(deployed), bool, deadline_seconds=20).met
        interrupted.signal(number)
        assert interrupted.end() == 128 + number
        assert interrupted.family() == []
    assert deployed.configuration() == before
    assert open_entries(tmp_path).entries == ()


def test_more_signals_do_not_interrupt_the_healing(deployed: Deployed, tmp_path: Path) -> None:
    """An impatient user who signals again while it heals gets the same: everything restored."""
    before = deployed.configuration()
    with run(deployed, tmp_path, stubborn=True) as interrupted:
        interrupted.says("0 window")
        interrupted.signal(signal.SIGINT)
        interrupted.says("slow")
        interrupted.signal(signal.SIGINT)
        interrupted.signal(signal.SIGTERM)
        interrupted.end()
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
        killed.signal(signal.SIGKILL)
        killed.end()
    assert reached.met
    assert {result.outcome for result in heal_all(tmp_path)} == {"healed"}
    assert deployed.configuration() == before


def test_a_run_killed_while_it_heals_can_be_healed(deployed: Deployed, tmp_path: Path) -> None:
    """Killed when it has healed two of three faults, a run is healed from its journal all the same."""
    before = deployed.configuration()
    with run(deployed, tmp_path, stubborn=True) as killed:
        killed.says("0 window")
        killed.signal(signal.SIGTERM)
        killed.says("slow")
        killed.signal(signal.SIGKILL)
        killed.end()
    now = deployed.configuration()
    assert (now["concurrency"], now["mappings"], now["policies"]) == (0, before["mappings"], before["policies"])
    assert [result.outcome for result in heal_all(tmp_path)] == ["healed", "healed", "healed"]
    assert deployed.configuration() == before
