"""What Allure shows of a clause is the story that the other reports tell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from holdfast.verdict import Verdict
from holdfast_reports.allure_story import attach
from run_examples import report, written
from verify_runs import environment

TEST = """\
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from holdfast_reports.allure_story import attach
from run_examples import report, written

def test_clause(tmp_path):
    attach(report().clauses[1], run=written(tmp_path))
"""


def test_a_violated_clause_is_told_in_steps_with_its_picture(tmp_path: Path) -> None:
    """The promise, the proof, three of seven counterexamples event by event, the verdict, and the marked timeline."""
    (tmp_path / "test_one.py").write_text(TEST.format(tests=str(Path(__file__).parent)), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:locust", "-p", "no:cacheprovider", "--alluredir", "out", "-q"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (result,) = (json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "out").glob("*-result.json"))
    assert result["description"] == "Nothing is acknowledged that was not stored."
    assert result["name"] == "SF-2: Nothing is acknowledged that was not stored"
    labels = {(one["name"], one["value"]) for one in result["labels"]}
    assert {("epic", "Holdfast"), ("feature", "orders"), ("tag", "violated")} <= labels
    proof, *witnesses, more, verdict, again = result["steps"]
    assert [step["name"] for step in proof["steps"]] == ["role-deny on gateway: denied"]
    assert [len(step["steps"]) for step in witnesses] == [3, 3, 3]
    assert witnesses[0]["name"].startswith("acknowledged and lost: k-7 was acknowledged")
    assert [one["status"] for one in (proof, *witnesses, verdict)] == ["passed", *["failed"] * 4]
    assert more["name"] == "4 further counterexamples, in verdict.json"
    assert verdict["name"] == "✕ violated: k-7 was acknowledged and is gone"
    assert again["name"].startswith("try it again: holdfast verify ")
    (picture,) = result["attachments"]
    assert picture["type"] == "image/svg+xml"
    assert "the witness" in (tmp_path / "out" / picture["source"]).read_text(encoding="utf-8")


def test_without_allure_nothing_is_told(tmp_path: Path) -> None:
    """Where nothing records, a verdict is passed over, whatever has become of its run."""
    verdict = report().clauses[1]
    assert verdict.verdict is Verdict.VIOLATED
    attach(verdict, run=tmp_path / "gone")
    attach(verdict, run=written(tmp_path))
