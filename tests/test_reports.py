"""Verdicts survive their file, and scorecards say what is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from holdfast.history import Operation, Outcome
from holdfast.verdict import ClauseVerdict, Family, Finding, StackReport, Verdict
from holdfast.verdict.document import read, report_to_json, verdict_path, write
from holdfast.verdict.explain import explain
from holdfast_reports.picture import draw, main
from holdfast_reports.terminal import show

LOST = Operation(
    id="op-1",
    key="k-1",
    command="place_order",
    provocation="compute-dead",
    invoked_seconds=1.0,
    completed_seconds=1.25,
    outcome=Outcome.OK,
    status="202",
)


def report() -> StackReport:
    return StackReport(
        stack="orders",
        descriptor="orders.stack.toml",
        target="embedded",
        clauses=(
            ClauseVerdict(id="SF-1", family=Family.PERSISTENCE, verdict=Verdict.HOLDS, reason="all 8 survived"),
            ClauseVerdict(
                id="SF-2",
                family=Family.PERSISTENCE,
                verdict=Verdict.VIOLATED,
                reason="k-1 was acknowledged and is gone",
                evidence=("role-deny on gateway: denied",),
                findings=tuple(
                    Finding(title="lost", sentence=f"k-{n} is gone", key=f"k-{n}", witness=(LOST,)) for n in range(1, 6)
                ),
            ),
            ClauseVerdict(id="SF-7", family=Family.EVENTUAL, verdict=Verdict.WAIVED, reason="no order promised"),
            ClauseVerdict(id="SF-8", family=Family.RECOVERY, verdict=Verdict.INCONCLUSIVE, reason="no limit declared"),
        ),
        seed=7,
        seconds=12.5,
        measures={
            "acknowledgement_p50_seconds": 0.012,
            "drain_seconds": 2.5,
            "sidecar_rss_bytes": 50_000_000,
            "degraded_answer_rate": 0.25,
        },
    )


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    """What is written to verdict.json reads back, the events of witnesses apart: they stay in the file as text."""
    written = write(report(), tmp_path)
    assert written == verdict_path(tmp_path, "orders")
    back = read(written)
    assert report_to_json(back)["counts"] == {"holds": 1, "violated": 1, "inconclusive": 1, "waived": 1}
    assert [clause.reason for clause in back.clauses] == [clause.reason for clause in report().clauses]
    assert back.measures == report().measures
    assert not list(tmp_path.rglob("*.new"))


def test_the_file_has_the_documented_keys() -> None:
    """docs/verdict.md names every key of verdict.json."""
    document = report_to_json(report())
    text = (Path(__file__).parent.parent / "docs" / "verdict.md").read_text(encoding="utf-8")
    keys = {*document, *document["clauses"][1], *document["clauses"][1]["findings"][0]}
    assert not {key for key in keys if f"`{key}`" not in text}


def test_a_violation_is_explained_smallest_first_and_not_at_any_length() -> None:
    """Three counterexamples are shown whole, with the events that prove them; how many more there are is said."""
    text = explain(report().clauses[1], "Nothing is acknowledged that was not stored.")
    assert text.startswith("SF-2 violated: Nothing is acknowledged that was not stored.\n")
    assert text.count("submitted place_order key=k-1") == 3
    assert "and 2 more of this kind" in text
    assert "role-deny on gateway: denied" in text


def test_the_scorecard_names_every_clause_with_its_verdict_and_reason() -> None:
    """The terminal scorecard holds each clause's id, verdict and reason, and the figures with their units."""
    lines: list[str] = []
    show([report()], write_line=lines.append, width=100, color=False)
    text = "\n".join(lines)
    for clause in report().clauses:
        assert f" {clause.id} " in text
        assert clause.reason in text
    assert "1 holds, 1 violated, 1 inconclusive, 1 waived" in text
    assert "ack p50 12 ms" in text
    assert "burst drained in 2.5 s" in text
    assert "sidecar holds 48 MiB" in text
    assert "degraded answers 25%" in text


def test_the_picture_shows_the_scorecard(tmp_path: Path) -> None:
    """The SVG is drawn from verdict files alone and holds their clauses."""
    out = tmp_path / "scorecard.svg"
    assert main([str(out), str(write(report(), tmp_path))]) == 0
    assert out.read_text(encoding="utf-8").startswith("<svg")
    assert "SF-2" in draw([report()])
    assert "url(" not in draw([report()]).replace("url(#", "")
    assert main([]) == 2


def test_a_line_of_kilobytes_is_cut_on_the_screen_only() -> None:
    """A payload to replay that fills screens is shown cut, and says where it is whole."""
    long, short = "replay: " + "x" * 5000, "replay: small"
    text = explain(replace(report().clauses[1], evidence=(long, short)), "nothing is lost")
    assert long not in text
    assert "(5008 characters, whole in verdict.json)" in text
    assert short in text


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    """The scorecard and the file of an interrupted run do not look like those of a finished one."""
    lines: list[str] = []
    show([replace(report(), complete=False)], write_line=lines.append, width=120, color=False)
    assert "not finished" in "\n".join(lines)
    assert not read(write(replace(report(), complete=False), tmp_path)).complete
