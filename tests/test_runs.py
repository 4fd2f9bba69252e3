"""A run's folder holds what reports are made from: whole or not at all, without secrets, and not for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.errors import HistoryError
from holdfast.history.events import INCOMPLETE, EventFile
from holdfast.history.model import ErrorClass, FaultWindow, Observation, Operation, Outcome
from holdfast.runs import Run, Series, begin, read_history, read_run, read_series, read_verdicts, runs_of
from holdfast.verdict import ClauseVerdict, Family, StackReport, Verdict

SECRET = "planted-secret-4f0c"
STARTED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
REPORT = StackReport(
    stack="orders",
    descriptor="orders.stack.toml",
    target="embedded",
    clauses=(ClauseVerdict(id="SF-1", family=Family.PERSISTENCE, verdict=Verdict.HOLDS, reason=f"no {SECRET} lost"),),
    seed=7,
    seconds=1.5,
    measures={"acknowledgement_p50_seconds": 0.01},
)


def clean(text: str) -> str:
    return text.replace(SECRET, "[redacted]")


def run_of(started: datetime = STARTED) -> Run:
    return Run(
        kind="verify",
        stack="orders",
        descriptor="orders.stack.toml",
        target="embedded",
        seed=7,
        versions={"holdfast": "1"},
        command=("holdfast", "verify", SECRET),
        started=started,
    )


def test_what_is_written_is_read_back_without_secrets(tmp_path: Path) -> None:
    """Run, verdicts, series and history come back as they were, secrets apart, and no file holds a secret."""
    folder = begin(tmp_path, run_of(), clean=clean)
    assert folder.path == tmp_path / "orders" / "runs" / "20260304T050607Z-verify"
    assert read_run(folder.path).seconds is None
    series = Series(name="queue depth", component=SECRET, unit="messages", seconds=(0.0, 0.5), values=(0, 3))
    window = FaultWindow(
        lever="denial",
        component="queue",
        error_class=ErrorClass.DENIED,
        started_seconds=0.5,
        ended_seconds=1.25,
        proof=f"refused {SECRET}",
        healed_proof=SECRET,
    )
    file = EventFile(folder.history / "run.jsonl", recorder="run", clean=clean, origin_unix_ns=5)
    file.add_all(
        (
            Operation(
                id="op-1",
                key="k1",
                command="place",
                provocation="steady",
                invoked_seconds=0.25,
                completed_seconds=0.5,
                outcome=Outcome.OK,
                value=SECRET,
                body=SECRET,
                answer=SECRET,
                status=SECRET,
            ),
            Operation(
                id="op-2",
                key="k2",
                command="place",
                provocation="steady",
                invoked_seconds=0.5,
                completed_seconds=None,
                outcome=Outcome.UNKNOWN,
            ),
            Observation(
                port="fulfilled",
                key="k1",
                count=2,
                started_seconds=0.75,
                completed_seconds=1.0,
                values=(SECRET,),
                bodies=(SECRET,),
                state=SECRET,
                complete=False,
            ),
            window,
        )
    )
    file.close()
    folder.series([series])
    folder.verdicts(REPORT)
    folder.end(2.5, figures={"commands": 2}, notes=(f"nothing but {SECRET}",))

    run = read_run(folder.path)
    assert (run.seconds, run.figures, run.notes) == (2.5, {"commands": 2.0}, ("nothing but [redacted]",))
    assert run.command == ("holdfast", "verify", "[redacted]")
    assert run.started == STARTED
    assert read_series(folder.path) == (series.model_copy(update={"component": "[redacted]"}),)
    report = read_verdicts(folder.path)
    assert report is not None
    assert [clause.reason for clause in report.clauses] == ["no [redacted] lost"]
    history = read_history(folder.path)
    assert history is not None
    assert history.complete
    assert [history.operation(row) for row in range(3)] == [
        Operation(
            id="#1",
            key="k1",
            command="place",
            provocation="",
            invoked_seconds=0.25,
            completed_seconds=0.5,
            outcome=Outcome.OK,
            value="[redacted]",
        ),
        Operation(
            id="#2",
            key="k2",
            command="place",
            provocation="",
            invoked_seconds=0.5,
            completed_seconds=None,
            outcome=Outcome.UNKNOWN,
        ),
        Operation(
            id="#3",
            key="k1",
            command="observe:fulfilled",
            provocation="",
            invoked_seconds=0.75,
            completed_seconds=1.0,
            outcome=Outcome.OK,
            value="2",
        ),
    ]
    assert [(one.proof, one.healed_proof, one.ended_seconds) for one in history.windows] == [
        ("refused [redacted]", "[redacted]", 1.25)
    ]
    written = [path.read_text(encoding="utf-8") for path in folder.path.rglob("*") if path.is_file()]
    assert len(written) == 4
    assert not [text for text in written if SECRET in text]
    assert INCOMPLETE in (folder.history / "run.jsonl").read_text(encoding="utf-8")


def test_old_runs_are_removed_and_runs_of_one_second_stay_apart(tmp_path: Path) -> None:
    """Of twelve runs, eleven of them in one second, the newest ten are kept, oldest first."""
    begin(tmp_path, run_of(datetime(2026, 3, 4, 5, 6, 6, tzinfo=UTC)), clean=clean, kept=10)
    begun = [begin(tmp_path, run_of(), clean=clean, kept=10).path for _ in range(11)]
    assert runs_of(tmp_path, "orders") == begun[1:]
    assert begun[0].name == "20260304T050607Z-verify"
    assert begun[-1].name == "20260304T050607Z-verify-11"


def test_a_killed_run_is_read_as_far_as_it_came(tmp_path: Path) -> None:
    """No verdict, no series, no duration: each is absent, and a history without its last line is incomplete."""
    folder = begin(tmp_path, run_of(), clean=clean)
    assert read_verdicts(folder.path) is None
    assert read_series(folder.path) == ()
    assert read_history(folder.path) is None
    EventFile(folder.history / "run.jsonl", recorder="run", clean=clean)
    history = read_history(folder.path)
    assert history is not None
    assert not history.complete


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "run.json").unlink(), "is no run's folder"),
        (lambda path: (path / "run.json").write_text("{", encoding="utf-8"), "run.json cannot be read"),
        (lambda path: (path / "verdict.json").write_text("{}", encoding="utf-8"), "verdict.json cannot be read"),
        (lambda path: (path / "series.json").write_text("[1]", encoding="utf-8"), "series.json cannot be read"),
    ],
    ids=["no run", "damaged run", "damaged verdicts", "damaged series"],
)
def test_damage_ends_in_a_message(tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    """A folder that is none, or a damaged file in it, is told with a cause and a remedy."""
    path = begin(tmp_path, run_of(), clean=clean).path
    damage(path)
    with pytest.raises(HistoryError, match=said) as raised:
        (read_run(path), read_verdicts(path), read_series(path))
    assert raised.value.cause
    assert raised.value.remedy


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Where a file lies in the way, the message names the folder and what to do."""
    (tmp_path / "orders").write_text("in the way", encoding="utf-8")
    with pytest.raises(HistoryError, match="cannot be written") as raised:
        begin(tmp_path, run_of(), clean=clean)
    assert "--holdfast-folder" in raised.value.remedy
