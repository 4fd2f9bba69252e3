"""Whole load runs whose processes are killed: faults are healed, what was recorded is judged, the rest is told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from holdfast.errors import ExitCode
from holdfast.history.opening import open_history
from holdfast.waiting import eventually
from holdfast_fixtures.catalogue import reference_stacks

(WEBHOOKS,) = (stack for stack in reference_stacks() if stack.name == "webhooks")
PLAN = '[[fault]]\nwindow = "compute-dead"\nat = 1\nfor = 60\n'
RUN_SECONDS = 61
"""Longer than the test: whatever is killed ends the run."""
DEADLINE_SECONDS = 60.0


@contextmanager
def loading(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A load run of two workers with a fault that would last to its end."""
    plan = folder / "plan.toml"
    plan.write_text(PLAN)
    command = [
        *(sys.executable, "-m", "holdfast.cli", "load", str(WEBHOOKS.descriptor)),
        *("--rate", "20", "-t", str(RUN_SECONDS), "--workers", "2"),
        *("--faults", str(plan), "--holdfast-folder", str(folder / "out"), "--drain-seconds", "2"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()


def locust(process: subprocess.Popen[str], option: str) -> psutil.Process:
    """A Locust process of the run that was started with an option."""
    return next(one for one in psutil.Process(process.pid).children(recursive=True) if option in one.cmdline())


def windows(folder: Path) -> list[dict[str, Any]]:
    """The windows that were told so far."""
    found = list((folder / "out").glob("*/runs/*/history/faults.jsonl"))
    lines = found[0].read_text().splitlines() if found else []
    return [told["window"] for told in map(json.loads, lines) if isinstance(told, dict) and "window" in told]


@pytest.mark.parametrize(("option", "lost"), [("--worker", "was lost"), ("--master", "master was lost")])
def test_a_killed_process_leaves_no_fault_and_a_verdict_that_says_so(option: str, lost: str, tmp_path: Path) -> None:
    """With a worker or the master gone in the middle of a fault, it is healed, and no clause holds on the rest."""
    with loading(tmp_path) as process:
        assert eventually(lambda: len(windows(tmp_path)), lambda told: told >= 2, deadline_seconds=DEADLINE_SECONDS).met
        time.sleep(1.0)  # so that something is sent while the fault is in place
        os.kill(locust(process, option).pid, signal.SIGKILL)
        if option == "--worker":
            time.sleep(2.0)  # the other one goes on
            process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=DEADLINE_SECONDS)
    (verdict,) = (tmp_path / "out").glob("*/runs/*/verdict.json")
    document = json.loads(verdict.read_text())
    assert process.returncode == (128 + signal.SIGINT if option == "--worker" else ExitCode.INCONCLUSIVE), told
    assert not document["complete"]
    clauses = {one["id"]: one for one in document["clauses"]}
    assert clauses["SF-1"]["verdict"] == "inconclusive"
    assert lost in clauses["SF-1"]["reason"], told
    columns = open_history(verdict.parent / "history")
    assert len(columns) > 0
    assert {window.lever for window in columns.windows} == {"function-throttle", "mapping-disable"}
    assert all(window.healed_proof for window in columns.windows)
    assert "invalid" not in clauses["SF-1"]["reason"]
