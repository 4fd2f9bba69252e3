"""The write-ahead journal: on disk before the change, readable after a kill."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path

import pytest

from holdfast.errors import InjectionError
from holdfast.levers.base import Snapshot
from holdfast.levers.journal import Journal, Leftovers, Pin, Reopened, open_entries

PIN = Pin(
    kind="localstack",
    endpoint_url="http://127.0.0.1:4566",
    account="000000000000",
    region="eu-west-1",
    profile=None,
    stack="orders",
)


def snapshot(resource: str = "arn:one") -> Snapshot:
    return Snapshot(lever="fake", component="worker", resource=resource, found={"was": None}, placed={"is": 0})


def test_what_was_planned_is_read_back_whole(tmp_path: Path) -> None:
    """An open entry gives back where and what, in the order it was written, and the state it reached."""
    journal = Journal(tmp_path / "deep" / "journal", PIN)
    first, second, third = journal.planned([snapshot("arn:1"), snapshot("arn:2"), snapshot("arn:3")])
    journal.injected([first, second])
    journal.healed([first])
    journal.heal_failed(second, "no right to")
    found = open_entries(journal.directory)
    assert [(e.id, e.snapshot, e.state, e.reason) for e in found.entries] == [
        (second, snapshot("arn:2"), "heal-failed", "no right to"),
        (third, snapshot("arn:3"), "planned", ""),
    ]
    assert all((e.pin, e.pid, e.path) == (PIN, os.getpid(), journal.path) for e in found.entries)
    assert (found.cut, found.unreadable) == ((), ())
    journal.close()


def test_every_batch_is_synced_with_its_directory_before_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a new file and every batch of lines are synced; a batch of many costs one sync."""
    synced: list[str] = []
    sync = os.fsync

    def seen(file: int) -> None:
        mode = os.fstat(file).st_mode
        synced.append("directory" if stat.S_ISDIR(mode) else f"{os.fstat(file).st_size} bytes")
        sync(file)

    monkeypatch.setattr(os, "fsync", seen)
    with Journal(tmp_path, PIN) as journal:
        ids = journal.planned([snapshot(str(n)) for n in range(50)])
        size = journal.path.stat().st_size
        assert synced == ["directory", f"{size} bytes"]
        journal.injected(ids)
        assert len(synced) == 3
        journal.healed(ids)


@pytest.mark.parametrize("kept", [1, 20, 200])
def test_a_line_cut_short_by_a_kill_is_told_and_stands_for_nothing(tmp_path: Path, kept: int) -> None:
    """Whatever is left of the last line, the entries before it are read and the cut is mentioned."""
    journal = Journal(tmp_path, PIN)
    journal.planned([snapshot("arn:1")])
    whole = journal.path.read_bytes()
    journal.planned([snapshot("arn:2")])
    journal.close()
    journal.path.write_bytes(whole + journal.path.read_bytes()[len(whole) :][:kept])
    found = open_entries(tmp_path)
    assert [entry.snapshot.resource for entry in found.entries] == ["arn:1"]
    assert found.cut == (f"{journal.path.name}, line 2: was cut short by a kill; nothing was changed after it",)


def test_a_reopened_journal_drops_the_cut_line_before_it_writes_its_own(tmp_path: Path) -> None:
    """A mark written after a kill must not run into the line that the kill cut short."""
    journal = Journal(tmp_path, PIN)
    (only,) = journal.planned([snapshot()])
    journal.close()
    with journal.path.open("ab") as file:
        file.write(b'{"entry":"inj')
    reopened = Reopened.take(journal.path)
    assert reopened is not None
    reopened.mark(only, "healed")
    assert open_entries(tmp_path) == Leftovers()
    reopened.close()
    assert not journal.path.exists()
    lines = journal.path.with_suffix(".healed").read_text().splitlines()
    assert [json.loads(line)["entry"] for line in lines] == ["planned", "healed"]


def test_a_damaged_line_in_the_middle_is_told_and_keeps_the_file_open(tmp_path: Path) -> None:
    """A line that is no kill's work may stand for a fault, so its file is never set aside as healed."""
    journal = Journal(tmp_path, PIN)
    (only,) = journal.planned([snapshot()])
    journal.close()
    journal.path.write_bytes(b"garbage\n" + journal.path.read_bytes())
    reopened = Reopened.take(journal.path)
    assert reopened is not None
    reopened.mark(only, "healed")
    reopened.close()
    found = open_entries(tmp_path)
    assert found.entries == ()
    (told,) = found.unreadable
    assert told.startswith(f"{journal.path.name}, line 1: cannot be read")


def test_a_line_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    """What another version wrote is told, as a line that may stand for a fault."""
    with Journal(tmp_path, PIN) as journal:
        journal.planned([snapshot()])
    later = journal.path.read_text().replace('"version":1', '"version":2')
    journal.path.write_text(later)
    found = open_entries(tmp_path)
    assert found.entries == ()
    (told,) = found.unreadable
    assert "another version of Holdfast wrote it (2)" in told


def test_a_new_journal_is_held_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who heals while a run begins finds no journal that nobody holds: set aside, its faults would never be healed."""
    seen: list[list[str]] = []
    hold = fcntl.flock

    def looking(file: int, operation: int) -> None:
        seen.append([path.name for path in tmp_path.glob("*.jsonl")])
        hold(file, operation)

    monkeypatch.setattr(fcntl, "flock", looking)
    with Journal(tmp_path, PIN) as journal:
        journal.planned([snapshot()])
        assert seen == [[]]
        assert Reopened.take(journal.path) is None


def test_a_healed_run_leaves_nothing_to_read_and_a_run_without_faults_no_file(tmp_path: Path) -> None:
    """A journal whose faults are all healed is set aside; one that never planned anything was never made."""
    with Journal(tmp_path, PIN) as journal:
        journal.healed(journal.planned([snapshot()]))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".healed"]
    with Journal(tmp_path / "other", PIN):
        pass
    assert not (tmp_path / "other").exists()
    assert open_entries(tmp_path / "other") == Leftovers()


def test_a_living_runs_journal_cannot_be_taken(tmp_path: Path) -> None:
    """Only when its run is gone may a journal be healed from, and by one healer at a time."""
    journal = Journal(tmp_path, PIN)
    journal.planned([snapshot()])
    assert Reopened.take(journal.path) is None
    journal.close()
    first = Reopened.take(journal.path)
    assert first is not None
    assert Reopened.take(journal.path) is None
    first.close()
    assert Reopened.take(tmp_path / "missing.jsonl") is None


def test_nothing_may_be_changed_when_the_journal_cannot_be_written(tmp_path: Path) -> None:
    """A journal directory that cannot be made is an error that names it, before any change."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InjectionError, match="cannot be written, so nothing was changed"):
        Journal(tmp_path / "file" / "journal", PIN).planned([snapshot()])


def test_half_a_batch_that_the_disk_refused_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle of a line leaves the lines before and after it whole."""
    journal = Journal(tmp_path, PIN)
    journal.planned([snapshot("arn:1")])
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 100:
            return write(file, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(InjectionError, match="cannot be written"):
        journal.planned([snapshot("arn:" + "2" * 300)])
    monkeypatch.undo()
    journal.planned([snapshot("arn:3")])
    journal.close()
    found = open_entries(tmp_path)
    assert [entry.snapshot.resource for entry in found.entries] == ["arn:1", "arn:3"]
    assert (found.cut, found.unreadable) == ((), ())
