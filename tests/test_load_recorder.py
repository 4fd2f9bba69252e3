"""The record of a load run: rows for the checkers, nothing lost that was written, and no silence about the rest."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from holdfast import check
from holdfast.errors import HistoryError
from holdfast.history.merging import merge
from holdfast.history.model import ErrorClass, FaultWindow, Outcome
from holdfast.history.reading import read, read_header
from holdfast.history.writing import HistoryFile
from holdfast_load.latency import percentiles, read_timings
from holdfast_load.recorder import LOAD_COLUMNS, Command, Recorder, Reply

ROWS = """
import resource, signal, sys
from holdfast.history.model import Outcome
from holdfast_load.recorder import Command, Recorder, Reply
path, limit_bytes = sys.argv[1], int(sys.argv[2])
if limit_bytes:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
recorder = Recorder(path, recorder="w0")
for number in range(1_000_000):
    recorder.add(Command("submit", number, number), Reply(Outcome.OK, "200"), number, number, number + 1)
    if limit_bytes and number == 2_000:
        recorder.close()
        print(recorder.lost, recorder.problem.what, recorder.problem.cause, sep="|")
        break
    if not limit_bytes:
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


def test_checkers_read_what_load_recorded(tmp_path: Path) -> None:
    """The further columns are in the header; a checker judges the file as any other history."""
    recorder = Recorder(tmp_path / "w0.jsonl", recorder="w0")
    at = recorder.origin_ns
    recorder.add(Command("write", "k", 1, "a"), Reply(Outcome.OK, "200"), at, at + 1, at + 5)
    recorder.add(Command("write", "k", 2, "a"), Reply(Outcome.OK, "200"), at + 10, at + 11, at + 15)
    recorder.add(Command("read", "k", None, "b"), Reply(Outcome.OK, "200", value=1), at + 20, at + 21, at + 25)
    recorder.close()
    assert read_header(tmp_path / "w0.jsonl").columns == LOAD_COLUMNS
    result = check.register(tmp_path / "w0.jsonl")
    assert result.verdict == "violated"
    assert [operation.id for operation in result.findings[0].witness] == ["#1", "#2", "#3"]


def test_an_unanswered_operation_has_an_end_but_no_completion(tmp_path: Path) -> None:
    """A checker sees that no answer came; the latency still counts until the client gave up."""
    path = tmp_path / "w0.jsonl"
    recorder = Recorder(path, recorder="w0")
    at = recorder.origin_ns
    recorder.add(Command("submit", "k"), Reply(Outcome.UNKNOWN, "no answer", answered=False), at, at + 1, at + 7)
    recorder.close()
    row = json.loads(path.read_text(encoding="utf-8").splitlines()[1])
    assert row == ["submit", "k", None, 1, None, "unknown", None, None, 0, 7, "no answer"]
    assert read_timings(path).latency_ns.tolist() == [7]


def test_two_workers_are_merged_on_one_clock(tmp_path: Path) -> None:
    """Files of two machines are one history, with fault windows, wider by what the clocks may differ."""
    for number in range(2):
        recorder = Recorder(
            tmp_path / f"w{number}.jsonl",
            recorder=f"w{number}",
            uncertainty_ns=1_000,
            wall_clock_ns=lambda at=number: 1_000_000 * at,
        )
        at_ns = recorder.origin_ns
        recorder.add(Command("submit", number, number), Reply(Outcome.OK, "200"), at_ns, at_ns, at_ns + 5)
        if number:
            recorder.window(WINDOW)
        recorder.close()
    columns = merge([read(tmp_path / f"w{number}.jsonl") for number in range(2)])
    assert columns.invoked_ns.tolist() == [0, 1_000_000]
    assert (columns.uncertainty_ns, columns.complete) == (1_000, True)
    assert [(window.component, round(window.started_seconds, 6)) for window in columns.windows] == [("f", 1.001)]


def test_nothing_written_is_lost_when_a_worker_is_killed(tmp_path: Path) -> None:
    """After SIGKILL every operation whose recording had returned is in the file, and the file says that it was cut."""
    path = tmp_path / "w0.jsonl"
    child = subprocess.Popen([sys.executable, "-c", ROWS, path, "0"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        if int(line) >= 500:
            break
    child.send_signal(signal.SIGKILL)
    recorded = [int(line) for line in child.stdout.read().split("\n")[:-1]] or [500]
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL
    columns = read(path).columns
    keys = [int(key) for key in columns.key]
    assert keys == list(range(len(keys)))
    assert len(keys) > recorded[-1]
    assert not columns.complete
    assert "was ended before it closed the file" in columns.notes[0]


def test_a_full_disk_is_said_and_what_was_written_stays(tmp_path: Path) -> None:
    """The recorder goes on without a traceback, counts what it lost, and leaves a file that is read up to there."""
    path = tmp_path / "w0.jsonl"
    ended = subprocess.run(
        [sys.executable, "-c", ROWS, path, "20000"], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lost, what, cause = ended.stdout.strip().split("|")
    assert what == f"The history {path} cannot be written."
    assert "File too large" in cause
    columns = read(path).columns
    assert len(columns) + int(lost) == 2_001
    assert len(columns) > 100
    assert not columns.complete
    timings = read_timings(path)
    assert (len(timings.latency_ns), timings.damaged) == (len(columns), True)


def test_a_disk_full_from_the_start_is_an_error(tmp_path: Path) -> None:
    """A file that cannot even be created ends the start, with the reason."""
    with pytest.raises(HistoryError):
        Recorder(tmp_path / "no folder" / "w0.jsonl", recorder="w0")


def test_latencies_need_a_load_record(tmp_path: Path) -> None:
    """A history of another kind has no intended times, and that is said."""
    with HistoryFile(tmp_path / "w1.jsonl", recorder="w1") as file:
        file.add("write", "k", 1, 0, 1, "ok")
    with pytest.raises(HistoryError, match="does not say when operations were intended"):
        read_timings(tmp_path / "w1.jsonl")


def test_percentiles_are_exact() -> None:
    """The smallest value that so many per cent do not exceed, in milliseconds; nothing for nothing."""
    values = np.arange(1, 1_001) * 1_000_000
    assert percentiles(values, (50, 95, 99.9, 100)) == {50: 500.0, 95: 950.0, 99.9: 999.0, 100: 1_000.0}
    assert percentiles(np.empty(0, np.int64)) == {}


WINDOW = FaultWindow(
    lever="throttle",
    component="f",
    error_class=ErrorClass.THROTTLE,
    started_seconds=1.0,
    ended_seconds=2.0,
    proof="it bit",
)
