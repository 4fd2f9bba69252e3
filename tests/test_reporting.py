"""Reporters are found by their entry points, and one that fails keeps nothing else from its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from holdfast import reporting
from holdfast.errors import HistoryError


def test_a_reporter_of_runs_that_fails_is_told_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it raises is said in a line, and the others are given the run."""

    def broken(run: Path, *, write_line: Callable[[str], None]) -> None:
        raise HistoryError("run.json cannot be read.", remedy="run again")

    def working(run: Path, *, write_line: Callable[[str], None]) -> None:
        write_line(f"written: {run.name}")

    entries = [SimpleNamespace(name=one.__name__, load=lambda one=one: one) for one in (broken, working)]
    asked: list[str] = []
    monkeypatch.setattr(reporting, "entry_points", lambda group: asked.append(group) or entries)
    said: list[str] = []
    reporting.report_run(tmp_path / "a-run", write_line=said.append)
    assert asked == ["holdfast.run_reporters"]
    assert said == [
        "the report broken of this run was not made: run.json cannot be read.\n  remedy: run again",
        "written: a-run",
    ]
