"""A generated plan that broke a promise: its replay file, what a run of it shows, and a stack that it breaks again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.errors import ExitCode
from holdfast.provocations.saga_plans import BrokenPlan, Plan, PlannedFault, PlannedSaga, PlanRun
from holdfast.sweep.judging import Mark
from holdfast.sweep.replay import Found, PlanReplay, read, write_plan
from holdfast.sweep.replaying import judged
from holdfast.verdict.model import Finding
from verify_runs import copy_of, holdfast

LOST = PlannedFault("reserve", undo=True, kind="answer lost")
FAILS = PlannedFault("charge", undo=False, kind="fail")
HALF = Finding(title="half done", sentence="k-1 is half done", key="k-1")
SOLD_OUT = {"sku": "sold-out"}
DECLINED = {"card": "declined"}


def found(descriptor: Path) -> Found:
    """Where a promise of orders was broken."""
    return Found(
        descriptor=descriptor,
        stack="order-saga",
        pattern="saga",
        target="embedded",
        seed=7,
        title=HALF.title,
        sentence=HALF.sentence,
        reproduced="3 of 3",
    )


def broken(*sagas: PlannedSaga) -> BrokenPlan:
    """A plan that broke a promise in every run."""
    return BrokenPlan(plan=Plan(sagas), inputs=({}, SOLD_OUT, DECLINED), finding=HALF, violated=3, runs=3)


def test_a_plan_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Sagas, waves, faults and inputs survive, and inputs that no saga has are left out."""
    plan = broken(PlannedSaga(), PlannedSaga(2, 1, (LOST, FAILS)), PlannedSaga(2, 0, (FAILS,)))
    path = write_plan(found(tmp_path / "x.toml"), plan, folder=tmp_path / "out", clean=lambda text: text)
    assert path == tmp_path / "out" / "plan-saga.replay.json"
    assert read(path) == PlanReplay(
        found=found((tmp_path / "x.toml").resolve()),
        plan=Plan((PlannedSaga(), PlannedSaga(1, 1, (LOST, FAILS)), PlannedSaga(1, 0, (FAILS,)))),
        inputs=({}, DECLINED),
    )


def test_secrets_stay_out_of_a_plan_file(tmp_path: Path) -> None:
    """The fields of its sagas are cleaned as all texts are."""
    path = write_plan(
        found(tmp_path),
        broken(PlannedSaga(1)),
        folder=tmp_path,
        clean=lambda text: text.replace("sold-out", "[redacted]"),
    )
    assert json.loads(path.read_text(encoding="utf-8"))["sagas"][0]["fields"] == {"sku": "[redacted]"}


@pytest.mark.parametrize(
    ("run", "mark"),
    [
        (PlanRun(findings=(HALF,), missed=("k-2",), late=("k-3",)), Mark.VIOLATED),
        (PlanRun(missed=("k-2",), late=("k-3",)), Mark.UNREACHED),
        (PlanRun(late=("k-3",)), Mark.INCONCLUSIVE),
        (PlanRun(), Mark.HELD),
    ],
)
def test_what_a_run_of_a_plan_shows(run: PlanRun, mark: Mark) -> None:
    """A half-done saga is a proof whatever was hit; a run holds only where every fault hit and every saga ended."""
    assert judged(run).mark is mark


def test_a_planted_bug_that_takes_a_plan_is_written_down_and_runs_again(tmp_path: Path) -> None:
    """Verifying names the replay file of the smallest plan, which breaks the same promise each time."""
    descriptor = copy_of("orders", tmp_path / "stack", mutant="withdrawal-released-again")
    ended = holdfast("verify", f"{descriptor}::SG-1", cwd=tmp_path)
    assert ended.code == ExitCode.VIOLATED, ended.text
    path = tmp_path / ".holdfast" / "order-saga" / "replays" / "plan-saga.replay.json"
    assert "again: holdfast replay" in ended.out, ended.text
    again = holdfast("replay", path, "--times", "3", cwd=tmp_path)
    assert again.code == ExitCode.VIOLATED, again.text
    assert "3 of 3 agree" in again.out, again.text


def test_a_fault_that_can_no_longer_be_placed_is_not_reached(tmp_path: Path) -> None:
    """A step that has lost its compensation cannot have it fail, so nothing is held to be well."""
    descriptor = copy_of("orders", tmp_path / "stack")
    plan = broken(PlannedSaga(faults=(PlannedFault("ship", undo=True, kind="fail"),)))
    path = write_plan(found(descriptor), plan, folder=tmp_path, clean=lambda text: text)
    ended = holdfast("replay", path, cwd=tmp_path)
    assert ended.code == ExitCode.INCONCLUSIVE, ended.text
    assert "unreached: not every fault hit" in ended.out


def test_a_plan_keeps_its_promises_on_a_correct_stack_and_a_step_that_is_gone_is_told(tmp_path: Path) -> None:
    """What was mended disagrees with the file, and a plan for another saga is a mistake with a remedy."""
    descriptor = copy_of("orders", tmp_path / "stack")
    mended = write_plan(found(descriptor), broken(PlannedSaga(1, 0, (LOST,))), folder=tmp_path, clean=lambda text: text)
    ended = holdfast("replay", mended, cwd=tmp_path)
    assert ended.code == ExitCode.HELD, ended.text
    assert "disagrees: held: every saga was done or undone as a whole" in ended.out
    other = broken(PlannedSaga(faults=(PlannedFault("fly", undo=False, kind="fail"),)))
    path = write_plan(found(descriptor), other, folder=tmp_path, clean=lambda text: text)
    told = holdfast("replay", path, cwd=tmp_path)
    assert told.code == ExitCode.USAGE, told.text
    assert "The saga of order-saga has no step fly, and the plan has." in told.err
