"""Both suites against a real LocalStack: correct stacks are not accused there, and what can be decided holds.

``HOLDFAST_TEST_LOCALSTACK`` names its endpoint; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import verify_runs
from holdfast.errors import ExitCode
from verify_runs import copy_of, holdfast, substituted, verify

ENDPOINT = os.environ.get("HOLDFAST_TEST_LOCALSTACK", "")

pytestmark = [
    pytest.mark.skipif(not ENDPOINT, reason="HOLDFAST_TEST_LOCALSTACK names no endpoint"),
    pytest.mark.timeout(900),
]

HELD = {
    "webhooks": {"SF-1", "SF-3", "SF-9", "XX-1"},
    "notifications": {"ES-1", "ES-7", "ES-10", "ES-12", "ES-14", "ES-16", "XX-1"},
}
"""What needs neither an aimed fault nor IAM, and so has to be decided there."""


def patient(text: str) -> str:
    """The descriptor with longer times: functions start as processes there, and nothing makes up for a busy machine."""
    slower = substituted('WorkerTimeoutSeconds = "1"', 'WorkerTimeoutSeconds = "5"')(text)
    slower = substituted('VisibilitySeconds = "6"', 'VisibilitySeconds = "30"')(slower)
    return substituted("in_progress_expiry_seconds = .*", "in_progress_expiry_seconds = 90")(slower)


@pytest.fixture(autouse=True)
def long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run takes minutes there."""
    monkeypatch.setattr(verify_runs, "LIMIT_SECONDS", 840)


@pytest.mark.parametrize("name", sorted(HELD))
def test_a_correct_stack_is_not_accused(name: str, tmp_path: Path) -> None:
    """A whole verification on LocalStack finds no violation, and the clauses that it can decide hold."""
    descriptor = copy_of(name, tmp_path / "stack", edit=patient)
    ended = verify(descriptor, "--target", "localstack", "--deploy", cwd=tmp_path, LOCALSTACK_ENDPOINT=ENDPOINT)
    assert ended.code == ExitCode.HELD, ended.text
    (path,) = (tmp_path / ".holdfast").glob("*/verdict.json")
    verdicts = {one["id"]: one["verdict"] for one in json.loads(path.read_text(encoding="utf-8"))["clauses"]}
    assert "violated" not in verdicts.values()
    assert {id_ for id_ in HELD[name] if verdicts[id_] != "holds"} == set(), ended.text


def test_doctor_agrees_with_what_is_decided_there(tmp_path: Path) -> None:
    """On LocalStack `doctor` announces the clauses that hold in the verification above, and why the others cannot."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = holdfast(
        "doctor", descriptor, "--target", "localstack", "--deploy", cwd=tmp_path, LOCALSTACK_ENDPOINT=ENDPOINT
    )
    assert ended.code == ExitCode.HELD, ended.text
    decidable = {line.split()[0] for line in ended.out.splitlines() if " decidable " in line}
    assert HELD["webhooks"] <= decidable
