"""Recorded files: what is flushed survives SIGKILL, damage is read up to and told, and clocks are merged."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from holdfast.checkers.columnar import register
from holdfast.errors import HistoryError
from holdfast.history import coding, reading
from holdfast.history.columns import NEVER_NS, Columns
from holdfast.history.edn import Damage, read_all
from holdfast.history.model import ErrorClass, FaultWindow
from holdfast.history.opening import open_history
from holdfast.history.writing import HistoryFile

WINDOW = FaultWindow(
    lever="disable",
    component="projector",
    error_class=ErrorClass.STALLED,
    started_seconds=1.0,
    ended_seconds=2.0,
    proof="no record was read",
)

WRITER = """
import itertools, sys
from holdfast.history.writing import HistoryFile
file = HistoryFile(sys.argv[1], recorder="w1", origin_unix_ns=0, lines_per_flush=int(sys.argv[2]))
for number in itertools.count():
    file.add("write", "k", number, number, number + 1, "ok", 1)
    if number % 1000 == 999:
        file.flush()
        print(number + 1, flush=True)
"""


def record(path: Path, *, operations: int = 3, recorder: str = "w1", close: bool = True, **clock: int) -> Path:
    """A file of some writes and a fault window."""
    file = HistoryFile(path, recorder=recorder, **{"origin_unix_ns": 0, **clock})
    for number in range(operations):
        file.add("write", f"k{number % 2}", number, 10 * number, 10 * number + 5, "ok", number % 2)
    file.window(WINDOW)
    if close:
        file.close()
    return path


def as_rows(columns: Columns) -> list[tuple[object, ...]]:
    """Every row with what its codes stand for."""
    return [
        (
            columns.kinds[columns.kind[row]],
            columns.keys.label(columns.key[row]),
            columns.value_of(row),
            int(columns.invoked_ns[row]),
            None if columns.completed_ns[row] == NEVER_NS else int(columns.completed_ns[row]),
            int(columns.outcome[row]),
            columns.sessions.label(columns.session[row]),
            None if columns.position is None else int(columns.position[row]),
        )
        for row in range(len(columns))
    ]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    """Values of every type, missing ends, sessions, positions and fault windows come back as they were."""
    values: list[object] = [0, 7, None, "text", "\n[1,2]\n", 1.5, True, -3, 2**63, [1, [2, None]], {"a": 1}, "", 2**62]
    path = tmp_path / "a.jsonl"
    with HistoryFile(path, recorder="w1", origin_unix_ns=5) as file:
        for number, value in enumerate(values):
            ended = None if number % 3 == 0 else number + 1
            file.add("read", number if number % 2 else f"key {number}", value, number, ended, "unknown", "s", number)
        file.window(WINDOW)
    columns = reading.read(path).columns
    assert as_rows(columns) == [
        *(
            ("read", number if number % 2 else f"key {number}", value, number, ended, 2, "s", number)
            for number, value in enumerate(values)
            for ended in [None if number % 3 == 0 else number + 1]
        )
    ]
    assert (columns.windows, columns.complete, columns.notes) == ((WINDOW,), True, ())


def test_a_number_too_large_for_json_is_refused_where_it_is_written(tmp_path: Path) -> None:
    """Nothing is written that could not be read back."""
    with HistoryFile(tmp_path / "a.jsonl", recorder="w1") as file, pytest.raises(TypeError):
        file.add("write", "k", object(), 0, 1, "ok")


def test_a_killed_recorder_loses_nothing_that_was_flushed(tmp_path: Path) -> None:
    """After SIGKILL every line that was handed to the system is read, and the file says that its recorder was ended."""
    for lines_per_flush in (1, 100):
        path = tmp_path / f"{lines_per_flush}.jsonl"
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(lines_per_flush)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        flushed = int(child.stdout.readline())
        flushed = int(child.stdout.readline() or flushed)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        columns = reading.read(path).columns
        assert len(columns) >= flushed
        assert columns.value.tolist() == list(range(len(columns)))
        assert not columns.complete
        assert any("w1 was ended before it closed" in note or "is damaged" in note for note in columns.notes)


def test_a_file_cut_off_anywhere_is_read_up_to_there(tmp_path: Path) -> None:
    """At whatever byte a file ends, exactly the whole rows before it are read, and what is missing is told."""
    whole = record(tmp_path / "whole.jsonl").read_bytes()
    header = whole.index(b"\n") + 1
    cut = tmp_path / "cut.jsonl"
    for size in range(header, len(whole) - 1):
        cut.write_bytes(whole[:size])
        columns = reading.read(cut).columns
        complete_lines = [line for line in whole[header:size].split(b"\n") if line.endswith(b"]")]
        assert len(columns) == len(complete_lines)
        if whole[:size].endswith((b"}", b"}\n")) and b"closed" in whole[header:size]:
            assert columns.complete
        else:
            assert not columns.complete
            assert columns.notes
    for size in range(header - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(HistoryError, match="is no recorded history"):
            reading.read(cut)


def test_damage_is_named_with_its_line_and_byte(tmp_path: Path) -> None:
    """What comes before a corrupt line is read, what follows is not, and both are counted."""
    path = record(tmp_path / "a.jsonl", operations=5)
    lines = path.read_bytes().split(b"\n")
    lines[3] = b'["write","k0",2,20,'
    path.write_bytes(b"\n".join(lines))
    columns = reading.read(path).columns
    byte = len(b"\n".join(lines[:3])) + 1
    left = len(b"\n".join(lines)) - byte
    assert len(columns) == 2
    assert columns.notes[0].startswith(f"a.jsonl is damaged in line 4 (byte {byte}): ")
    assert columns.notes[0].endswith(f"the 2 operations before it were read, the {left} bytes from there on were not")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('["write","k",1]', "it has 3 entries instead of 8"),
        ('["write","k",1,5,3,"ok",null,null]', "An operation ended before it began."),
        ('["write","k",1,5,6,"maybe",null,null]', "'maybe' is no outcome."),
        ('["write","k",1,null,6,"ok",null,null]', "An operation has no time of invocation."),
        ('["write","k",1,"5",6,"ok",null,null]', "'5' in the column invoked_ns is not a whole number of 64 bits."),
        ('[5,"k",1,5,6,"ok",null,null]', "A kind is not a text."),
        ("17", "it is neither an operation nor a fault window"),
        ("\x00\x00\x00", "unexpected character"),
    ],
)
def test_every_kind_of_damage_is_told(tmp_path: Path, line: str, told: str) -> None:
    """A row that is JSON and still no operation is damage as well."""
    path = record(tmp_path / "a.jsonl", operations=2, close=False)
    with path.open("a") as file:
        file.write(line + "\n")
    columns = reading.read(path).columns
    assert (len(columns), columns.complete) == (2, False)
    assert told in columns.notes[0]


def test_corruption_never_adds_or_changes_an_operation_unnoticed(tmp_path: Path) -> None:
    """With random bytes overwritten reading never fails; what was read before the damage is what was written."""
    chance = random.Random(1)
    whole = record(tmp_path / "whole.jsonl", operations=40).read_bytes()
    header = whole.index(b"\n") + 1
    expected = as_rows(reading.read(tmp_path / "whole.jsonl").columns)
    for _ in range(300):
        at = chance.randrange(header, len(whole))
        (tmp_path / "bad.jsonl").write_bytes(whole[:at] + b"\x00\xff" + whole[at + 2 :])
        columns = reading.read(tmp_path / "bad.jsonl").columns
        assert as_rows(columns) == expected[: len(columns)]
        assert len(columns) == 40 or not columns.complete or at > len(whole) - 400


def test_a_file_shared_between_processes_reads_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many processes read a file, and wherever it is damaged, the rows and notes are the same."""
    path = tmp_path / "a.jsonl"
    with HistoryFile(path, recorder="w1") as file:
        for number in range(3_000):
            value = number if number < 1_000 else f"v{number}" if number < 2_000 else [number]
            file.add("write", f"k{number % 7}", value, number, number + 1, "ok", number % 5)
    monkeypatch.setattr(reading, "SHARED_BYTES", 1)
    monkeypatch.setattr(reading, "PIECE_BYTES", 1_000)
    alone, shared = reading.read(path, processes=1).columns, reading.read(path, processes=3).columns
    assert as_rows(alone) == as_rows(shared)
    assert (shared.complete, shared.notes) == (True, ())
    damaged = bytearray(path.read_bytes())
    for at in (len(damaged) // 2, len(damaged) // 2 + 9_000):
        damaged[at : at + 3] = b"\n\n\n"
    path.write_bytes(damaged)
    alone, shared = reading.read(path, processes=1).columns, reading.read(path, processes=3).columns
    assert as_rows(alone) == as_rows(shared)
    assert alone.notes == shared.notes
    assert len(alone.notes) == 1


def test_many_keys_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are the same ones whether they are looked up one by one or by their hashes, also where slots are few."""
    path = tmp_path / "a.jsonl"
    keys = [f"key {number * number % 211}" for number in range(3_000)]
    with HistoryFile(path, recorder="w1") as file:
        for number, key in enumerate(keys):
            file.add("write", key, number, number, number + 1, "ok")
    monkeypatch.setattr(coding, "FEW_TEXTS", 10)
    monkeypatch.setattr(reading, "PIECE_BYTES", 1_000)
    for slots, tried in ((4, 10**9), (64, 10**9), (64, 100), (1 << 20, 100)):
        monkeypatch.setattr(coding._SeenBefore, "SLOTS", slots)
        monkeypatch.setattr(coding._SeenBefore, "TRIED", tried)
        columns = reading.read(path).columns
        assert [columns.keys.label(code) for code in columns.key] == keys


def test_recorders_are_merged_on_one_clock(tmp_path: Path) -> None:
    """Times count from the earliest origin, sessions are told apart, intervals widen by the largest uncertainty."""
    record(tmp_path / "a.jsonl", recorder="a", origin_unix_ns=1_000, uncertainty_ns=3)
    record(tmp_path / "b.jsonl", recorder="b", origin_unix_ns=1_500, uncertainty_ns=7)
    merged = open_history(tmp_path)
    assert sorted(merged.invoked_ns.tolist()) == [0, 10, 20, 500, 510, 520]
    assert {merged.sessions.label(code) for code in merged.session} == {"a/0", "a/1", "b/0", "b/1"}
    assert merged.earliest_ns.min() == -7
    assert merged.latest_ns.max() == 525 + 7
    assert [window.started_seconds for window in merged.windows] == [1.0, 1.0000005]
    assert open_history(tmp_path, uncertainty_ns=0).uncertainty_ns == 0
    assert open_history(tmp_path / "b.jsonl").uncertainty_ns == 0  # one clock agrees with itself


def test_a_difference_of_clocks_convicts_nobody(tmp_path: Path) -> None:
    """A reader whose clock is behind seems to read too early; within the uncertainty that is no anomaly."""
    with HistoryFile(tmp_path / "w.jsonl", recorder="w", origin_unix_ns=0, uncertainty_ns=50) as file:
        file.add("write", "k", 1, 100, 110, "ok")
        file.add("write", "k", 2, 120, 130, "ok")
    with HistoryFile(tmp_path / "r.jsonl", recorder="r", origin_unix_ns=0, uncertainty_ns=50) as file:
        file.add("read", "k", 1, 60, 70, "ok")
        file.add("read", "k", 1, 140, 150, "ok")
    history = open_history(tmp_path)
    assert register.check(history).verdict == "holds"
    exact = register.check(replace(history, uncertainty_ns=0))
    assert {finding.title for finding in exact.findings} == {"read before its write", "not linearizable"}


def test_a_merge_with_a_damaged_file_is_incomplete(tmp_path: Path) -> None:
    """One killed recorder makes the whole history incomplete, and its name is told."""
    record(tmp_path / "a.jsonl", recorder="a")
    record(tmp_path / "b.jsonl", recorder="b", close=False)
    merged = open_history([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert (len(merged), merged.complete) == (6, False)
    assert "recorder b was ended before it closed the file" in merged.notes[0]


def test_a_closed_file_that_lost_rows_says_so(tmp_path: Path) -> None:
    """A line that vanished without a trace shows in the count of the last line."""
    path = record(tmp_path / "a.jsonl")
    lines = path.read_bytes().split(b"\n")
    del lines[2]
    path.write_bytes(b"\n".join(lines))
    assert reading.read(path).columns.notes == ("a.jsonl holds 2 operations, but its recorder counted 3",)


def test_errors_name_the_remedy(tmp_path: Path) -> None:
    """What a person can cause ends in a clear error."""
    record(tmp_path / "a.jsonl")
    with pytest.raises(HistoryError, match=r"There is a history .* already"):
        HistoryFile(tmp_path / "a.jsonl", recorder="w1")
    with pytest.raises(HistoryError, match="cannot be written"):
        HistoryFile(tmp_path / "no folder" / "a.jsonl", recorder="w1")
    with pytest.raises(HistoryError, match="cannot be read"):
        open_history(tmp_path / "nothing.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(HistoryError, match="No history was named"):
        open_history(tmp_path / "empty")
    newer = json.loads((tmp_path / "a.jsonl").read_text().split("\n")[0]) | {"version": 99}
    (tmp_path / "new.jsonl").write_text(json.dumps(newer) + "\n")
    with pytest.raises(HistoryError, match="version 99"):
        open_history(tmp_path / "new.jsonl")


def test_a_full_disk_is_told_and_what_was_written_stays() -> None:
    """Where the system takes no more, recording ends with an error that says so."""
    file = HistoryFile.__new__(HistoryFile)
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full to write to")
    file.path = full
    file._file = os.open(full, os.O_WRONLY)
    try:
        with pytest.raises(HistoryError, match="cannot be written") as caught:
            file._write(b"x")
    finally:
        os.close(file._file)
    assert "No space left" in caught.value.cause


def test_a_reader_that_follows_sees_whole_rows(tmp_path: Path) -> None:
    """A file can be read while it is written; what is flushed is there."""
    file = HistoryFile(tmp_path / "a.jsonl", recorder="w1", lines_per_flush=1_000)
    file.add("write", "k", 1, 0, 1, "ok")
    assert len(reading.read(file.path).columns) == 0
    file.flush()
    assert len(reading.read(file.path).columns) == 1
    file.close()
    file.close()


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1 -2 +3 4N 5.5 1e3 1/2 6M", [1, -2, 3, 4, 5.5, 1000.0, 0.5, 6.0]),
        (r':a b/c "x\"\n\u00e9" \a \newline nil true false', ["a", "b/c", 'x"\né', "a", "\n", None, True, False]),
        ("[1 (2 3), {:a [4]} #{5}]", [[1, [2, 3], {"a": [4]}, frozenset({5})]]),
        ('#inst "2020-01-01" #jepsen.history.Op{:f :read} ; comment', ["2020-01-01", {"f": "read"}]),
        ("#_ ignored [1 #_[2 3] 4] {[1 2] :v}", [[1, 4], {(1, 2): "v"}]),
    ],
)
def test_edn_is_read(text: str, values: list[object]) -> None:
    """Every form that histories use has its value."""
    assert list(read_all(text)) == values


@pytest.mark.parametrize("text", ["[1 2", "{:a}", ")", "{:a 1]", '"open', "1/0"])
def test_what_is_no_edn_is_damage(text: str) -> None:
    """The values before the damage are given, and where it begins."""
    found = read_all("[0] " + text)
    assert next(found) == [0]
    with pytest.raises(Damage) as caught:
        list(found)
    assert caught.value.at >= 4


def test_a_jepsen_history_is_read(tmp_path: Path) -> None:
    """Invocations meet their completions; the nemesis is left out; what never ended is unknown."""
    path = tmp_path / "history.edn"
    path.write_text(
        "{:process 0 :type :invoke :f :write :value 1 :time 10}\n"
        "{:process :nemesis :type :info :f :kill :value nil :time 11}\n"
        "{:process 1 :type :invoke :f :read :value nil :time 12}\n"
        "{:process 0 :type :ok :f :write :value 1 :time 13}\n"
        "{:process 1 :type :ok :f :read :value 1 :time 14}\n"
        "{:process 0 :type :invoke :f :cas :value [1 2] :time 15}\n"
        "{:process 0 :type :info :f :cas :value [1 2] :time 16 :error :timeout}\n"
        "{:process 1 :type :invoke :f :write :value 5 :time 17}\n"
        "{:process 1 :type :fail :f :write :value 5 :time 18}\n"
        "{:process 2 :type :invoke :f :read :value nil :time 19}\n"
    )
    assert as_rows(open_history(path)) == [
        ("write", None, 1, 10, 13, 0, 0, None),
        ("read", None, 1, 12, 14, 0, 1, None),
        ("cas", None, [1, 2], 15, None, 2, 0, None),
        ("write", None, 5, 17, 18, 1, 1, None),
        ("read", None, None, 19, None, 2, 2, None),
    ]
    text = path.read_text()
    path.write_text(text + "{:process 3 :type")
    damaged = open_history(path)
    assert (len(damaged), damaged.complete) == (5, False)
    assert "damaged in line 11" in damaged.notes[0]
    path.write_text("[" + text.replace(":value 1 ", ":value [:k 1] ").replace(":value nil", ":value [:k nil]") + "]")
    keyed = open_history(path, keyed=True)
    assert as_rows(keyed)[:2] == [("write", "k", 1, 10, 13, 0, 0, None), ("read", "k", 1, 12, 14, 0, 1, None)]


def test_a_history_for_porcupine_is_read(tmp_path: Path) -> None:
    """Operations and events in JSON lines, words and numbers for what was done, and damage that is told."""
    path = tmp_path / "history.jsonl"
    path.write_text(
        '{"ClientId":0,"Input":{"Op":"put","Key":"x","Value":"1"},"Call":1,"Output":{},"Return":4}\n'
        '{"ClientId":1,"Input":{"op":0,"key":"x"},"Call":2,"Output":{"Value":"1"},"Return":5}\n'
        '{"ClientId":1,"Input":{"op":2,"key":"x","value":"2"},"Call":6,"Output":{"unknown":true},"Return":9}\n'
        '{"ClientId":1,"Input":{"op":"get","key":"y"},"Call":10,"Output":"","Return":11}\n'
    )
    assert as_rows(open_history(path)) == [
        ("write", "x", "1", 1, 4, 0, 0, None),
        ("read", "x", "1", 2, 5, 0, 1, None),
        ("append", "x", "2", 6, 9, 2, 1, None),
        ("read", "y", None, 10, 11, 0, 1, None),
    ]
    with path.open("a") as file:
        file.write('{"ClientId":')
    damaged = open_history(path)
    assert (len(damaged), damaged.complete) == (4, False)
    path.write_text(
        '{"ClientId":0,"Kind":"call","Id":1,"Value":{"op":"put","key":"x","value":3}}\n'
        '{"ClientId":1,"Kind":"call","Id":2,"Value":{"op":"get","key":"x"}}\n'
        '{"ClientId":0,"Kind":"return","Id":1,"Value":{}}\n'
    )
    assert as_rows(open_history(path)) == [
        ("write", "x", 3, 1, 3, 0, 0, None),
        ("read", "x", None, 2, None, 2, 1, None),
    ]
    path.write_text("{}\n")
    with pytest.raises(HistoryError, match="holds no operation"):
        open_history(path)


def test_many_threads_record_into_one_file(tmp_path: Path) -> None:
    """Whether lines are flushed one by one or many at a time, none is lost, mixed up or miscounted."""
    for lines_per_flush in (1, 7):
        path = tmp_path / f"{lines_per_flush}.jsonl"
        with HistoryFile(path, recorder="w1", lines_per_flush=lines_per_flush) as file:
            threads = [threading.Thread(target=add_many, args=(file, session)) for session in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        columns = reading.read(path).columns
        assert (columns.complete, columns.notes) == (True, ())
        assert sorted(columns.value.tolist()) == list(range(8 * 300))


def add_many(file: HistoryFile, session: int) -> None:
    """What one thread records."""
    for number in range(300):
        file.add("write", "k", session * 300 + number, number, number + 1, "ok", session)


def test_a_list_of_rows_is_refused() -> None:
    """What is neither columns nor files is refused with what would do."""
    with pytest.raises(HistoryError, match="A list of rows is no history"):
        open_history([{"kind": "read"}])


def test_positions_and_times_are_arrays_of_64_bits(tmp_path: Path) -> None:
    """Columns are numpy arrays that a person can use as they are."""
    columns = reading.read(record(tmp_path / "a.jsonl")).columns
    assert {columns.key.dtype, columns.value.dtype, columns.invoked_ns.dtype} == {np.dtype(np.int64)}
    assert columns.at(columns.is_kind("write")).value.tolist() == [0, 1, 2]
