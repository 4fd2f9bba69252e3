"""A sweep that is interrupted shows what it decided until then, and claims nothing of what was under way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from holdfast.provocations.tracing import Trace
from holdfast.stack.generate import Submission
from holdfast.sweep import command
from holdfast.sweep.coverage import Coverage
from holdfast.sweep.judging import Judgement, Mark
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Visited
from holdfast.sweep.running import Ran, Runner
from holdfast.sweep.sweeping import Budget, Sweep, Swept
from holdfast.verdict.model import Finding
from sweep_examples import PUT, case, single
from sweep_examples import coverage as covered

SINGLES = [single(PUT, Kind.REFUSED), single(PUT, Kind.ANSWER_LOST)]
TWICE = Finding(title="duplicate effect", sentence="k took effect 2 times", key="k")


def ran(schedule: Schedule, mark: Mark) -> Ran:
    """A run of a schedule that showed this."""
    return Ran(
        schedule=schedule,
        case=case(schedule=schedule),
        judgement=Judgement(mark=mark, why="so", findings=(TWICE,) * (mark is Mark.VIOLATED)),
        trace=Trace(),
        submission=Submission("k", "v"),
    )


def interrupted(judged: list[Ran]) -> Coverage:
    """The coverage of a sweep that a signal ended in its pairs, or in its singles where none is judged."""
    runner = SimpleNamespace(
        stack=SimpleNamespace(
            descriptor=SimpleNamespace(name="orders"),
            path=Path("o.stack.toml"),
            target=SimpleNamespace(kind="embedded"),
        ),
        name="storage-first",
        seed=0,
    )
    sweep = Sweep(runner=cast("Runner", runner), budget=Budget(), clock=lambda: 0.0)
    sweep._seen = Visited(points=(PUT,), strangers=())
    sweep._singles = list(SINGLES)
    sweep._alone = judged
    undisturbed = ran(Schedule(), Mark.HELD)
    sweep._remember([undisturbed, *judged])
    sweep._interrupt("SIGINT")
    return sweep._coverage(undisturbed)


def test_singles_that_are_judged_stay_decided() -> None:
    """A violation found until then is told with its schedule, and the rest of the sweep as not done."""
    found = interrupted([ran(SINGLES[0], Mark.HELD), ran(SINGLES[1], Mark.VIOLATED)])
    assert [cell.mark for cell in found.cells] == [Mark.HELD, Mark.VIOLATED]
    assert [(one.schedule, one.violated, one.runs) for one in found.violations] == [(SINGLES[1], 1, 1)]
    assert found.interrupted == "SIGINT"
    assert found.notes == ("interrupted by SIGINT while it ran pairs: what was under way is not judged",)


def test_a_wave_that_was_under_way_has_decided_nothing() -> None:
    """Without a last look no single is held, and the coverage is not decided."""
    found = interrupted([])
    assert {cell.mark for cell in found.cells} == {Mark.UNREACHED}
    assert {cell.why for cell in found.cells} == {"the sweep was interrupted"}
    assert not found.decided


def test_the_command_says_what_was_decided_and_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The coverage is shown and written all the same; the exit code is the signal's."""
    stack = tmp_path / "orders.stack.toml"
    stack.touch()
    monkeypatch.chdir(tmp_path)
    swept = Swept(coverages=(replace(covered(stack), interrupted="SIGINT"),), clean=str, run=None)
    monkeypatch.setattr(command, "sweep", lambda *_, **__: swept)
    assert command.sweep_command([str(stack), "--seed", "3"]) == 130
    told = capsys.readouterr().out
    assert "interrupted by SIGINT; every fault that was in place is healed; " in told
    assert f"holdfast sweep {stack} --seed 3" in told
    assert (tmp_path / ".holdfast").is_dir()
