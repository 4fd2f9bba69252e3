"""``holdfast sweep`` and ``holdfast replay`` as people run them: mistakes first, then a stack and its mutants."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.cli import main
from holdfast.errors import ExitCode
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Fault, Schedule
from holdfast.sweep.points import Caller, Point
from holdfast.sweep.replay import write
from sweep_examples import coverage, violation
from verify_runs import copy_of, holdfast, journals


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sweep", "nowhere.stack.toml"], "There is no file nowhere.stack.toml."),
        (["sweep", "orders.stack.toml::SG-14"], "holdfast sweep takes no clause"),
        (["sweep", "."], ". is a folder."),
        (["replay", "nowhere.replay.json"], "cannot be read"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_a_remedy(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong path ends with exit code 2 and without a traceback."""
    assert main(arguments) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert told in error
    assert "remedy:" in error


@pytest.mark.parametrize("wrong", [["--pairs", "-1"], ["--budget-seconds", "0"], ["--target", "moon"], []])
def test_wrong_options_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An option that means nothing is refused before anything begins."""
    with pytest.raises(SystemExit) as ended:
        main(["sweep", *(["x.stack.toml", *wrong] if wrong else [])])
    assert ended.value.code == ExitCode.USAGE
    assert "usage: holdfast sweep" in capsys.readouterr().err


def test_words_that_choose_no_point_are_told(tmp_path: Path) -> None:
    """A filter that nothing fits is a mistake of the person, and says which points there are."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = holdfast("sweep", descriptor, "-k", "no-such-thing", cwd=tmp_path)
    assert ended.code == ExitCode.USAGE, ended.text
    assert "worker dynamodb:TransactWriteItems #1" in ended.err


def test_a_correct_stack_is_covered(tmp_path: Path) -> None:
    """Every kind at every call of the worker is reached and holds, and every fault is healed."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    ended = holdfast("sweep", descriptor, "-k", "dynamodb", "--pairs", "4", "--strict", cwd=tmp_path)
    assert ended.code == ExitCode.HELD, ended.text
    (document,) = json.loads((tmp_path / ".holdfast/webhook-orders/sweep.json").read_text(encoding="utf-8"))["sweeps"]
    assert document["counts"] == {"violated": 0, "inconclusive": 0, "unreached": 0, "held": 8, "inapplicable": 1}
    assert {one["mark"] for one in document["pairs"]["ran"]} == {"held"}
    assert len(document["pairs"]["ran"]) == 4
    assert "nothing to heal" in holdfast("heal", cwd=tmp_path).out
    assert journals(tmp_path)


@pytest.mark.parametrize(
    ("stack", "mutant", "words", "title", "smallest"),
    [
        (
            "payroll",
            "paid-then-recorded",
            "PutItem killed-after",
            "repeated effect",
            "worker dynamodb:PutItem #1: caller killed after",
        ),
        (
            "webhooks",
            "no-idempotency-record",
            "invocation answer-lost",
            "repeated effect",
            "worker invocation #1: effect applied, answer lost",
        ),
        (
            "outbox",
            "two-writes",
            "writer PutItem killed-after",
            "acknowledged and lost",
            "writer dynamodb:PutItem #1: caller killed after",
        ),
    ],
)
def test_a_planted_bug_is_found_and_its_smallest_schedule_runs_again(
    stack: str, mutant: str, words: str, title: str, smallest: str, tmp_path: Path
) -> None:
    """The sweep names the fault that breaks a mutant, and the replay file of it breaks it again."""
    descriptor = copy_of(stack, tmp_path / "stack", mutant=mutant)
    ended = holdfast("sweep", descriptor, "-k", words, "--pairs", "0", cwd=tmp_path)
    assert ended.code == ExitCode.VIOLATED, ended.text
    (path,) = tmp_path.glob(".holdfast/*/sweep.json")
    (document,) = json.loads(path.read_text(encoding="utf-8"))["sweeps"]
    found = next(one for one in document["violations"] if one["smallest"] == smallest)
    assert found["title"] == title
    again = holdfast("replay", found["replay"], "--times", "3", cwd=tmp_path)
    assert again.code == ExitCode.VIOLATED, again.text
    assert "3 of 3 agree" in again.out, again.text


def test_a_replay_on_a_repaired_stack_disagrees(tmp_path: Path) -> None:
    """The schedule of a bug that is gone is reached and holds, and a point that is gone is unreached, never held."""
    descriptor = copy_of("webhooks", tmp_path / "stack")
    handler = Point(caller=Caller(component="worker"))
    for number, point in enumerate((handler, replace(handler, service="dynamodb", operation="PutItem")), start=1):
        schedule = Schedule(faults=(Fault(point, Kind.ANSWER_LOST),))
        write(
            coverage(descriptor),
            replace(violation(schedule), fields={}),
            number,
            folder=tmp_path,
            clean=lambda one: one,
        )
    mended = holdfast("replay", "storage-first-1.replay.json", cwd=tmp_path)
    assert mended.code == ExitCode.HELD, mended.text
    assert "disagrees: held" in mended.out
    assert "0 of 1 agree" in mended.out
    gone = holdfast("replay", "storage-first-2.replay.json", cwd=tmp_path)
    assert gone.code == ExitCode.INCONCLUSIVE, gone.text
    assert "disagrees: unreached: worker dynamodb:PutItem #1 was not passed" in gone.out
