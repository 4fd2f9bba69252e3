"""Both suites against a real LocalStack: correct stacks are not accused there, and what can be decided holds.

``HOLDFAST_TEST_LOCALSTACK`` names its endpoint; without it these tests are skipped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import verify_runs
from holdfast.errors import ExitCode
from verify_runs import copy_of, holdfast, substituted, verify

ENDPOINT = os.environ.get("HOLDFAST_TEST_LOCALSTACK", "")
DEPLOYED = ("--target", "localstack", "--deploy")

pytestmark = [
    pytest.mark.skipif(not ENDPOINT, reason="HOLDFAST_TEST_LOCALSTACK names no endpoint"),
    pytest.mark.timeout(900),
]

HELD = {
    "webhooks": {"SF-1", "SF-3", "SF-9", "XX-1"},
    "notifications": {"ES-1", "ES-7", "ES-10", "ES-12", "ES-14", "ES-16", "XX-1"},
}
"""What needs neither an aimed fault nor IAM, and so has to be decided there."""

HELD_INTERCEPTED = {
    "webhooks": HELD["webhooks"] | {"SF-10"},
    "notifications": HELD["notifications"] | {"ES-2", "ES-3", "ES-5", "ES-9", "ES-15"},
}
"""What has to be decided there with the interceptor in front, whose faults strike the calls of functions."""


def patient(text: str) -> str:
    """The descriptor with longer times: functions start as processes there, and nothing makes up for a busy machine."""
    slower = substituted('WorkerTimeoutSeconds = "1"', 'WorkerTimeoutSeconds = "5"')(text)
    slower = substituted('VisibilitySeconds = "6"', 'VisibilitySeconds = "30"')(slower)
    return substituted("in_progress_expiry_seconds = .*", "in_progress_expiry_seconds = 90")(slower)


@pytest.fixture(autouse=True)
def long_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run takes minutes there."""
    monkeypatch.setattr(verify_runs, "LIMIT_SECONDS", 840)


def verdicts_of(folder: Path) -> dict[str, str]:
    """The verdict of each clause, as written."""
    (path,) = (folder / ".holdfast").glob("*/verdict.json")
    return {one["id"]: one["verdict"] for one in json.loads(path.read_text(encoding="utf-8"))["clauses"]}


@pytest.mark.parametrize(
    ("option", "held"), [("--intercept", HELD_INTERCEPTED), ("--no-intercept", HELD)], ids=["intercepted", "plain"]
)
@pytest.mark.parametrize("name", sorted(HELD))
def test_a_correct_stack_is_not_accused(name: str, option: str, held: Mapping[str, set[str]], tmp_path: Path) -> None:
    """A whole verification on LocalStack finds no violation, and the clauses that it can decide hold."""
    descriptor = copy_of(name, tmp_path / "stack", edit=patient)
    ended = verify(descriptor, *DEPLOYED, option, cwd=tmp_path, LOCALSTACK_ENDPOINT=ENDPOINT)
    assert ended.code == ExitCode.HELD, ended.text
    verdicts = verdicts_of(tmp_path)
    assert "violated" not in verdicts.values()
    assert {id_ for id_ in held[name] if verdicts[id_] != "holds"} == set(), ended.text


def test_a_mutant_is_caught_by_a_fault_that_is_aimed_there(tmp_path: Path) -> None:
    """A worker that drops redeliveries loses the request whose first call was refused; nothing else shows that bug."""
    fewer = substituted('MaxReceives = "3"', 'MaxReceives = "2"')
    descriptor = copy_of(
        "notifications", tmp_path / "stack", mutant="redeliveries-skipped", edit=lambda text: fewer(patient(text))
    )
    ended = verify(descriptor, *DEPLOYED, "--intercept", "-k", "ES-3", cwd=tmp_path, LOCALSTACK_ENDPOINT=ENDPOINT)
    assert ended.code == ExitCode.VIOLATED, ended.text
    assert verdicts_of(tmp_path) == {"ES-3": "violated"}
    assert "acknowledged and lost" in ended.out
    assert re.search("the interceptor refused an AWS call of notifications-.*WorkerFunction.* once", ended.out)


@pytest.mark.parametrize(
    ("option", "held"), [("--intercept", HELD_INTERCEPTED), ("--no-intercept", HELD)], ids=["intercepted", "plain"]
)
def test_doctor_agrees_with_what_is_decided_there(option: str, held: Mapping[str, set[str]], tmp_path: Path) -> None:
    """On LocalStack `doctor` announces the clauses that hold in the verification above, and why the others cannot."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = holdfast("doctor", descriptor, *DEPLOYED, option, cwd=tmp_path, LOCALSTACK_ENDPOINT=ENDPOINT)
    assert ended.code == ExitCode.HELD, ended.text
    decidable = {line.split()[0] for line in ended.out.splitlines() if " decidable " in line}
    assert held["webhooks"] <= decidable
    assert ("SF-10" in decidable) == (option == "--intercept")
