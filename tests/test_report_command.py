"""``holdfast report``: every report is rebuilt from a run's folder, two runs are compared, many make a trend."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from holdfast.cli import main
from holdfast.errors import ExitCode, HistoryError
from holdfast.pricing.prices import read_prices
from holdfast.runs import begin
from holdfast.verdict import StackReport
from holdfast_reports.comparing import Change, Course, compare
from holdfast_reports.documents import ReportRead
from holdfast_reports.figures import figures
from holdfast_reports.junit import junit
from holdfast_reports.markdown import append_step_summary, markdown
from holdfast_reports.prices import thousand_commands
from holdfast_reports.story import Story, read_story
from holdfast_reports.svg import svg
from holdfast_reports.trend import trend_of
from run_examples import MARKUP, coverage, report, run, written

Printed = Callable[[], tuple[str, str]]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    def read() -> tuple[str, str]:
        out, err = capsys.readouterr()
        return out, err

    return read


def story(folder: Path, told: StackReport) -> Story:
    """A run with only these verdicts."""
    made = begin(folder, run(), clean=str)
    made.verdicts(told)
    return read_story(made.path)


def test_all_reports_are_rebuilt_from_a_folder(tmp_path: Path, printed: Printed) -> None:
    """One command writes the page, JUnit XML, Markdown and the picture, and shows how to try a violation again."""
    path = written(tmp_path)
    files = {name: tmp_path / f"run.{name}" for name in ("html", "junit", "markdown", "svg")}
    options = [part for name, file in files.items() for part in (f"--{name}", str(file))]
    assert main(["report", str(path), *options]) == ExitCode.HELD
    out, err = printed()
    assert err == ""
    assert "again: holdfast verify orders.stack.toml::SF-2 --target embedded --holdfast-seed 7" in out.splitlines()
    assert [line for line in out.splitlines() if line.startswith("written: ")] == [
        f"written: {file}" for file in files.values()
    ]
    assert files["html"].read_text(encoding="utf-8").startswith("<!doctype html>")
    assert ElementTree.parse(files["svg"]).getroot().tag.endswith("svg")


def test_a_stack_stands_for_its_newest_run(tmp_path: Path, printed: Printed) -> None:
    """Given a stack's folder, the page is written beside its newest run, and the trend shows all runs."""
    written(tmp_path, violated=False)
    newest = written(tmp_path, kind="sweep", number=1)
    assert main(["report", str(tmp_path / "orders"), "--trend"]) == ExitCode.HELD
    out, _ = printed()
    assert f"written: {newest / 'scorecard.html'}" in out
    (row,) = [line.split() for line in out.splitlines() if "dynamodb:PutItem #1" in line and "held" in line]
    assert row == ["worker", "dynamodb:PutItem", "#1", "held", "broken"]
    assert "orders, sweep on embedded: 2 fault points swept, 1 way to break a promise" in out
    assert "again: holdfast replay .holdfast/orders/replays/storage-first-1.replay.json" in out
    assert [line.split()[2] for line in out.splitlines() if line.strip().startswith("2026-")] == ["verify", "sweep"]


def test_a_regression_ends_the_comparison_with_1(tmp_path: Path, printed: Printed) -> None:
    """A clause that held and is violated is a regression, and its page tells; the other way round is none."""
    good, bad = written(tmp_path, violated=False), written(tmp_path, number=1)
    assert main(["report", str(bad), "--compare"]) == ExitCode.VIOLATED
    assert "regression" in printed()[0]
    assert "What changed" in (bad / "scorecard.html").read_text(encoding="utf-8")
    assert main(["report", str(bad), str(good), "--compare"]) == ExitCode.HELD
    assert "fixed" in printed()[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{stack}/runs"], "no run's folder"),
        (["{run}", "--compare"], "no verify of orders before this one"),
        (["{run}", "{run}", "{run}", "--compare"], "takes two runs, and 3 are named"),
        (["{run}", "{run}", "--html", "x.html"], "--html takes one run"),
        (["{run}", "--junit", "{stack}"], "cannot be written"),
    ],
    ids=["no run", "nothing before", "three", "two pages", "unwritable"],
)
def test_mistakes_end_in_a_message(tmp_path: Path, printed: Printed, arguments: list[str], said: str) -> None:
    """What a person can get wrong is told with a remedy, and exits 2."""
    path = written(tmp_path)
    given = [part.format(stack=tmp_path / "orders", run=path) for part in arguments]
    assert main(["report", *given]) == ExitCode.USAGE
    _, err = printed()
    assert said in err
    assert "remedy" in err


def test_changes_are_told_regressions_first(tmp_path: Path) -> None:
    """Verdicts, fault points and durations are compared; what is worse comes first, what hardly changed is not told."""
    slow = {**report().measures, "acknowledgement_p99_seconds": 0.5, "acknowledgement_p50_seconds": 0.0121}
    before, after = story(tmp_path, report(violated=False)), story(tmp_path, report(measures=slow))
    assert compare(before, before) == ()
    assert compare(before, after) == (
        Change(
            course=Course.REGRESSION,
            what="SF-2",
            before="holds",
            after="violated",
            why="k-7 was acknowledged and is gone",
        ),
        Change(course=Course.SLOWER, what="acknowledgement p99", before="105 ms", after="500 ms"),
    )
    fewer = story(tmp_path, report(clauses=report().clauses[:1]))
    assert [(one.course, one.what) for one in compare(after, fewer)] == [
        *((Course.GONE, name) for name in ("SF-2", "SF-8", "SF-7")),
        (Course.FASTER, "acknowledgement p99"),
    ]


def test_fault_points_are_compared(tmp_path: Path) -> None:
    """A fault that was survived and is not any more is a regression."""
    stories = []
    for violated in (False, True):
        made = begin(tmp_path, run("sweep"), clean=str)
        made.coverage(coverage(violated))
        stories.append(read_story(made.path))
    (change,) = compare(*stories)
    assert (change.course, change.what) == (
        Course.REGRESSION,
        "storage-first: worker dynamodb:PutItem #1, answer-lost",
    )
    assert [one.course for one in compare(*reversed(stories))] == [Course.FIXED]


def test_junit_counts_clauses_and_faults(tmp_path: Path) -> None:
    """A violated clause fails with its witness, what is not decided is skipped; what XML cannot hold is replaced."""
    verdicts = read_story(written(tmp_path))
    made = begin(tmp_path, run("sweep"), clean=str)
    broken = coverage()
    broken["sweeps"][0]["cells"][1]["why"] = "bell \x07 and\ufffe"
    made.coverage(broken)
    root = ElementTree.fromstring(junit([verdicts, read_story(made.path)]).encode())
    clauses, faults = root.findall("testsuite")
    assert [clauses.get(name) for name in ("name", "tests", "failures", "skipped")] == ["orders", "4", "1", "2"]
    failure = clauses.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == "k-7 was acknowledged and is gone"
    assert "t=+11.000s  submitted place_order key=k-7" in (failure.text or "")
    assert [faults.get(name) for name in ("tests", "failures", "skipped")] == ["3", "1", "1"]
    assert faults.find("testcase/failure[@message='bell \ufffd and\ufffd']") is not None


def test_markdown_shows_what_a_stack_answers_as_text(tmp_path: Path) -> None:
    """The smallest counterexample is fenced, and markup in a table is escaped."""
    text = markdown(read_story(written(tmp_path)))
    assert text.startswith("## orders: 1 violated, 1 inconclusive, 1 holds, 1 waived\n")
    assert "| SF-2 | ✕ violated | k-7 was acknowledged and is gone |" in text
    fenced = text.split("```")[1]
    assert MARKUP in fenced
    assert "submitted place_order key=k-7" in fenced
    reason = replace(report().clauses[0], reason="a|b <i> `c`")
    assert "| a\\|b &lt;i&gt; \\`c\\` |" in markdown(story(tmp_path, report(clauses=(reason,))))


def test_a_pipeline_gets_a_summary_of_the_step(tmp_path: Path) -> None:
    """It is appended where the environment names a file, and nowhere else; a file that cannot be written is told."""
    path, summary, said = written(tmp_path), tmp_path / "summary.md", []
    append_step_summary(path, write_line=said.append, environ={})
    summary.write_text("before\n", encoding="utf-8")
    append_step_summary(path, write_line=said.append, environ={"GITHUB_STEP_SUMMARY": str(summary)})
    assert summary.read_text(encoding="utf-8").startswith("before\n## orders: ")
    assert said == []
    append_step_summary(path, write_line=said.append, environ={"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert len(said) == 1


def test_a_picture_is_small_and_marks_the_witness(tmp_path: Path) -> None:
    """The timeline of a run is well-formed SVG of some kilobytes that names its faults and where the witness is."""
    line = read_story(written(tmp_path)).timeline
    assert line is not None
    text = svg(line, title="orders & <others>", span_seconds=(10.0, 20.1))
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == "orders & <others>"
    assert len(text) < 40_000
    shown = [element.text for element in root.iter() if element.text]
    assert "role-deny on worker: lambda:Invoke was denied 3 times" in shown
    assert "the witness" in shown
    assert "the witness" not in svg(line, title="orders")


def test_the_trend_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    """Runs come oldest first, with their counts; a damaged one is missed without a word."""
    first, second = written(tmp_path, violated=False), written(tmp_path, number=1)
    damaged = written(tmp_path, number=2)
    (damaged / "verdict.json").write_text("{", encoding="utf-8")
    trend = trend_of(second)
    assert [(one.name, one.holds, one.violated, one.inconclusive) for one in trend] == [
        (first.name, 2, 0, 1),
        (second.name, 1, 1, 1),
    ]
    with pytest.raises(HistoryError, match=r"verdict\.json cannot be read"):
        read_story(damaged)


def test_the_figures_of_a_pattern_name_how_they_were_measured(tmp_path: Path) -> None:
    """Promises, recovery after the slowest fault, latencies, and what a thousand commands cost."""
    found = {(one.group, one.name): one.value for one in figures(read_story(written(tmp_path)))}
    assert found["Fault tolerance", "promises kept"] == "1 of 3"
    assert found["Fault tolerance", "faults that bit"] == "2 of 2"
    assert found["Performance", "acknowledgement p99"] == "105 ms"
    assert found["Cost per 1,000 commands", "sqs SendMessage"] == "1,000"
    # 1,100 invocations at $0.20 and 1,000 requests at $0.40 a million
    assert found["Cost per 1,000 commands", "price"] == "$0.0006"


def test_a_price_says_what_it_leaves_out() -> None:
    """A service whose price is not known is named, and counts nothing."""
    measures = {"transitions_per_thousand": 4_000.0, "requests_per_thousand:kinesis:PutRecord": 1_000.0}
    found = thousand_commands(measures, read_prices(), "us-east-1")
    assert found.dollars == pytest.approx(0.1)
    assert found.unpriced == {"kinesis:PutRecord": 1_000.0}


def test_verdicts_are_read_as_they_are_documented(tmp_path: Path) -> None:
    """What verdict.json gains later is passed over, and a finding keeps its witness in words and its time."""
    path = written(tmp_path) / "verdict.json"
    document = {**json.loads(path.read_text(encoding="utf-8")), "later": True}
    read = ReportRead.model_validate(document)
    finding = read.clauses[1].findings[0]
    assert finding.span_seconds == (10.0, 20.1)
    assert len(finding.explanation) == 4
