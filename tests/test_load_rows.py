"""The workers' files as columns on the run's clock, with what only a load run records."""

from __future__ import annotations

from pathlib import Path

from holdfast.history.columns import FAIL, NEVER_NS, OK, UNKNOWN
from holdfast.history.model import Outcome
from holdfast.history.writing import HistoryFile
from holdfast_load.judging.rows import read
from holdfast_load.recorder import LOAD_COLUMNS, REFUSED

ORIGIN_NS = 1_700_000_000_000_000_000


def write(path: Path, origin_ns: int, rows: list[tuple[object, ...]]) -> Path:
    """A worker's file."""
    with HistoryFile(path, recorder=path.stem, origin_unix_ns=origin_ns, columns=LOAD_COLUMNS) as file:
        for row in rows:
            file.add_row(row)
    return path


def test_two_workers_are_on_one_clock(tmp_path: Path) -> None:
    """Times count from the run's origin whenever a worker began; what was refused was not sent."""
    early = write(
        tmp_path / "w0.jsonl",
        ORIGIN_NS - 100,
        [
            ("c", "k0", "v0", 112, 130, Outcome.OK, None, None, 110, 130, "200"),
            ("c", "k1", "v1", 125, 125, Outcome.FAIL, None, None, 120, 125, REFUSED),
        ],
    )
    late = write(
        tmp_path / "w1.jsonl",
        ORIGIN_NS + 50,
        [("c", "k2", "v2", 5, None, Outcome.UNKNOWN, None, None, 1, 90, "timeout")],
    )
    rows = read([early, late], origin_unix_ns=ORIGIN_NS)
    assert rows is not None
    assert rows.operations.outcome.tolist() == [OK, FAIL, UNKNOWN]
    assert rows.operations.invoked_ns.tolist() == [12, 25, 55]
    assert rows.operations.completed_ns.tolist() == [30, 25, NEVER_NS]
    assert rows.intended_ns.tolist() == [10, 20, 51]
    assert rows.done_ns.tolist() == [30, 25, 140]
    assert rows.sent.tolist() == [True, False, True]
    assert rows.latency_ns.tolist() == [20, 5, 89]
    assert rows.missing == ()
    assert [rows.operations.keys.label(code) for code in rows.operations.key] == ["k0", "k1", "k2"]


def test_what_a_killed_worker_left_is_read_up_to_its_end(tmp_path: Path) -> None:
    """A line cut in two ends the file, and is told; the times belong to the rows before it."""
    row = ("c", "k0", "v0", 2, 9, Outcome.OK, None, None, 1, 9, "200")
    path = write(
        tmp_path / "w0.jsonl", ORIGIN_NS, [row, ("c", "k1", "v1", 12, 19, Outcome.OK, None, None, 11, 19, "200")]
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.rindex(b'["c"') + 20])
    rows = read([path], origin_unix_ns=ORIGIN_NS)
    assert rows is not None
    assert rows.intended_ns.tolist() == [1]
    assert len(rows.operations) == 1
    (told,) = rows.missing
    assert "w0.jsonl is damaged in line 3" in told


def test_a_file_that_is_none_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    """One worker's file is no history: it is missing; with no file at all there is nothing."""
    bad = tmp_path / "w1.jsonl"
    bad.write_text("nonsense\n")
    good = write(tmp_path / "w0.jsonl", ORIGIN_NS, [("c", "k0", "v0", 2, 9, Outcome.OK, None, None, 1, 9, "200")])
    rows = read([good, bad], origin_unix_ns=ORIGIN_NS)
    assert rows is not None
    assert len(rows) == 1
    assert [one.partition(":")[0] for one in rows.missing] == ["w1.jsonl cannot be read"]
    assert read([bad], origin_unix_ns=ORIGIN_NS) is None
