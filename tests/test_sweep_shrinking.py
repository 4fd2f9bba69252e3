"""The smallest schedule of a violation, the coverage table, and replay files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.errors import HoldfastError
from holdfast.sweep.coverage import Cell, PairRun, cells, to_json
from holdfast.sweep.judging import Judgement, Mark
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Left, Schedule
from holdfast.sweep.replay import ScheduleReplay, read, write
from holdfast.sweep.shrinking import Verdicts, grouped, smaller, smallest, to_run
from holdfast.sweep.table import show
from holdfast.verdict.document import without_secrets
from sweep_examples import AGAIN, BROKEN, CHARGE, GET, HELD, PAIR, PUT, coverage, single, violation


def test_smaller_schedules_come_smallest_first() -> None:
    """No fault, each fault alone, a retried call's fault at its first; a client that gives up is also tried patient."""
    assert smaller(Schedule()) == ()
    assert smaller(single(PUT, Kind.REFUSED)) == (Schedule(),)
    assert smaller(PAIR) == (
        Schedule(),
        single(GET, Kind.REFUSED),
        single(PUT, Kind.KILLED_AFTER),
        single(AGAIN, Kind.KILLED_AFTER),
    )
    assert smaller(single(PUT, Kind.REFUSED, patient=False)) == (
        Schedule(),
        Schedule(patient=False),
        single(PUT, Kind.REFUSED),
    )


def test_every_candidate_is_run_as_often_as_asked_for_and_known_runs_count() -> None:
    """Candidates that several violations share are run for all of them at once."""
    verdicts = Verdicts()
    verdicts.remember(PAIR, BROKEN)
    verdicts.remember(single(GET, Kind.REFUSED), HELD)
    runs = to_run([PAIR, single(GET, Kind.REFUSED)], verdicts, 3)
    counts = {schedule: runs.count(schedule) for schedule in runs}
    assert counts == {
        Schedule(): 3,
        single(GET, Kind.REFUSED): 2,
        single(PUT, Kind.KILLED_AFTER): 3,
        single(AGAIN, Kind.KILLED_AFTER): 3,
        PAIR: 2,
    }


def test_one_violating_run_is_proof_and_the_smallest_is_kept() -> None:
    """Of a pair, the fault that is enough alone is what is reported, if it broke a promise in any run."""
    verdicts = Verdicts()
    alone = single(PUT, Kind.KILLED_AFTER)
    verdicts.remember(PAIR, BROKEN)
    verdicts.remember(alone, HELD)
    assert smallest(PAIR, verdicts) == PAIR
    verdicts.remember(alone, BROKEN)
    assert smallest(PAIR, verdicts) == alone
    assert (verdicts.violated(alone), len(verdicts.of(alone))) == (1, 2)
    assert grouped([PAIR, alone], verdicts) == {alone: (PAIR, alone)}
    verdicts.remember(Schedule(), BROKEN)
    assert grouped([PAIR, alone], verdicts) == {Schedule(): (PAIR, alone)}


def test_of_several_runs_of_one_fault_the_worst_is_in_the_table() -> None:
    """A fault that holds with a patient client and breaks a promise with another is violated; nothing is left out."""
    found = cells(
        [
            (single(PUT, Kind.REFUSED), HELD),
            (single(PUT, Kind.REFUSED, patient=False), BROKEN),
            (single(GET, Kind.REFUSED), Judgement(mark=Mark.UNREACHED, why="not passed")),
        ],
        [Left(point=GET, kind=Kind.ANSWER_LOST, why="it only reads")],
        [GET, PUT],
    )
    assert [(one.point, one.kind, one.mark) for one in found] == [
        (GET, Kind.REFUSED, Mark.UNREACHED),
        (GET, Kind.ANSWER_LOST, Mark.INAPPLICABLE),
        (PUT, Kind.REFUSED, Mark.VIOLATED),
    ]
    assert found[2].why.endswith("(the client gives up)")


@pytest.mark.parametrize("schedule", [PAIR, Schedule(patient=False), single(CHARGE, Kind.FOR_GOOD)])
def test_a_replay_file_is_read_as_it_was_written(schedule: Schedule, tmp_path: Path) -> None:
    """Schedule, fields, seed and what is expected survive; the descriptor is found from where the file lies."""
    descriptor = tmp_path / "stacks" / "orders.stack.toml"
    descriptor.parent.mkdir()
    descriptor.write_text("", encoding="utf-8")
    folder = tmp_path / "out" / "replays"
    path = write(coverage(descriptor), violation(schedule), 4, folder=folder, clean=lambda text: text)
    assert path == folder / "storage-first-4.replay.json"
    replay = read(path)
    assert isinstance(replay, ScheduleReplay)
    assert replay.schedule == schedule
    assert replay.fields["amount"] == "1.00"
    found = replay.found
    assert (found.descriptor, found.stack, found.pattern, found.target) == (
        descriptor.resolve(),
        "orders",
        "storage-first",
        "embedded",
    )
    assert (found.seed, found.title, found.reproduced) == (7, "repeated effect", "3 of 3")


def test_secrets_stay_out_of_replay_files_and_coverage(tmp_path: Path) -> None:
    """Every text in a file is cleaned, and a field that holds a secret is left out, to be drawn anew."""

    def clean(text: str) -> str:
        return text.replace("a-secret-of-mine", '[redacted "it"]')

    path = write(coverage(tmp_path), violation(PAIR), 1, folder=tmp_path, clean=clean)
    assert "a-secret-of-mine" not in path.read_text(encoding="utf-8")
    replay = read(path)
    assert isinstance(replay, ScheduleReplay)
    assert "note" not in replay.fields
    assert replay.left_out == ("note",)
    assert without_secrets({"a": ["a-secret-of-mine", 1, None]}, clean) == {"a": ['[redacted "it"]', 1, None]}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{", "Invalid JSON"),
        ("{}", "version: Field required"),
        ('{"version": 2}', "version: Input should be 1"),
        ('{"version": 2, "kind": "plan"}', "version: Input should be 1"),
        ("\udcff", "decode"),
    ],
)
def test_what_is_no_replay_file_is_refused_with_the_cause(text: str, cause: str, tmp_path: Path) -> None:
    """A file that cannot be read, or is of another version, ends in what is wrong with it."""
    path = tmp_path / "x.replay.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(HoldfastError) as told:
        read(path)
    assert cause in told.value.cause
    assert told.value.remedy


def test_the_document_counts_every_mark_and_names_every_cell(tmp_path: Path) -> None:
    """sweep.json holds the table, the pairs and the violations with their smallest schedules."""
    document = json.loads(json.dumps(to_json(coverage(tmp_path, violations=(violation(PAIR),)))))
    assert document["counts"] == {"violated": 1, "inconclusive": 0, "unreached": 1, "held": 0, "inapplicable": 0}
    assert document["cells"][0] == {
        "point": "worker dynamodb:PutItem #1",
        "kind": "killed-after",
        "mark": "violated",
        "why": "entered of k is there 2 times",
    }
    assert document["pairs"]["pruned"] == 8
    (one,) = document["violations"]
    assert (one["smallest"], one["violated"], one["runs"], len(one["found_by"])) == (str(PAIR), 3, 3, 1)


@pytest.mark.parametrize(
    ("pairs", "dropped", "asked", "decided"),
    [
        ((Mark.HELD,), 9, 120, True),
        ((Mark.HELD, Mark.VIOLATED), 0, 120, True),
        ((Mark.HELD, Mark.UNREACHED), 0, 120, False),
        ((Mark.INCONCLUSIVE,), 0, 120, False),
        ((), 9, 120, False),
        ((), 9, 0, True),
        ((), 0, 120, True),
    ],
)
def test_pairs_count_in_what_is_decided(
    pairs: tuple[Mark, ...], dropped: int, asked: int, *, decided: bool, tmp_path: Path
) -> None:
    """A pair that was run has to come to an end; those left out are a gap where none was run and some were wanted."""
    found = replace(
        coverage(tmp_path),
        cells=(Cell(point=PUT, kind=Kind.REFUSED, mark=Mark.HELD, why=""),),
        pairs=tuple(PairRun(schedule=PAIR, mark=mark, why="it was not passed") for mark in pairs),
        dropped=dropped,
        pairs_asked=asked,
    )
    assert found.decided is decided
    told: list[str] = []
    show([found], write_line=told.append, width=160)
    assert any("  unreached: " in line for line in told) is (Mark.UNREACHED in pairs)


def test_the_table_shows_every_point_and_the_words_below_it_every_gap(tmp_path: Path) -> None:
    """A person sees which points were not reached and why, each violation, and how to run it again."""
    lines: list[str] = []
    found = coverage(tmp_path, violations=(replace(violation(PAIR), file="x.replay.json"),))
    show([found], write_line=lines.append, width=160)
    text = "\n".join(lines)
    assert "2 fault points, 1 violated, 1 unreached; 1 pairs; 5 commands in 2 s" in text
    assert "unreached: queue → worker lambda:Invoke #1, delayed past its caller's timeout: it was not passed" in text
    assert "violation 1: repeated effect" in text
    assert "again: holdfast replay x.replay.json" in text
    assert "pairs: 9 reachable, 8 pruned, 1 violated" in text
