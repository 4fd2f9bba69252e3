"""Staleness, session guarantees and convergence: literal histories with their full result, and naive oracles."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import pytest

from columnar import Op, rows, table
from holdfast.checkers.columnar import convergence, sessions, staleness
from holdfast.checkers.columnar.result import Result
from holdfast.checkers.columnar.versions import versions_of
from holdfast.history.columns import Columns
from holdfast.history.model import ErrorClass, FaultWindow
from holdfast.verdict.model import Verdict

HISTORIES = 20_000
"""For each oracle, half of them with positions."""

HISTORIES_A_CALL = 100
MS = 1_000_000


def test_staleness_is_a_distribution_over_all_reads() -> None:
    """Versions and milliseconds behind of each read, from two readers, with the full result."""
    history = table(
        Op("write", 1, 0, 1 * MS),
        Op("write", 2, 2 * MS, 3 * MS),
        Op("write", 3, 4 * MS, 5 * MS),
        Op("read", 3, 6 * MS, 7 * MS, session="a"),
        Op("read", 1, 8 * MS, 9 * MS, session="b"),
        Op("read", None, 8 * MS, 9 * MS, session="a"),
        Op("read", 2, 5 * MS, 6 * MS, session="b"),
    )
    assert staleness.check(history) == Result(
        model="staleness",
        verdict=Verdict.HOLDS,
        reason="4 reads by 2 readers were behind by at most 3 versions and 7 ms.",
        figures={
            "operations": 7.0,
            "violations": 0.0,
            "reads": 4.0,
            "readers": 2.0,
            "stale_reads": 2.0,
            "versions_p50": 0.0,
            "versions_p99": 3.0,
            "versions_max": 3.0,
            "ms_p50": 0.0,
            "ms_p99": 7.0,
            "ms_max": 7.0,
        },
    )


def test_a_read_past_the_bound_is_convicted_with_what_it_missed() -> None:
    """The finding names the version that had been completed first, and what was read instead."""
    history = table(
        Op("write", 1, 0, 1),
        Op("write", 2, 2, 3),
        Op("read", 1, 3 + 5 * MS, 4 + 5 * MS, session="a"),
        Op("read", 2, 3 + 5 * MS, 4 + 5 * MS, session="b"),
    )
    result = staleness.check(history, bound_ms=4)
    assert [finding.sentence for finding in result.findings] == [
        "The read #3 of key x was behind by 1 version and 5 ms: the write #2 had been completed before it began."
    ]
    assert rows(result.findings[0].witness) == ["#1", "#2", "#3"]
    assert staleness.check(history, bound_ms=5).verdict == "holds"
    assert staleness.check(history, bound_versions=0).verdict == "violated"
    assert staleness.check(history, bound_versions=1).verdict == "holds"


def test_one_reader_is_no_distribution() -> None:
    """Figures need two readers; with one there are none, and the verdict is inconclusive."""
    result = staleness.check(table(Op("write", 1, 0, 1), Op("read", 1, 2, 3, session="a")))
    assert result.verdict == "inconclusive"
    assert result.reason == "Staleness is measured from 1 reader, but at least two are needed."
    assert "ms_max" not in result.figures


def batches(chance: random.Random, *, positioned: bool) -> Iterator[list[list[Op]]]:
    """Random histories, a hundred at a time; their keys and sessions differ, so that they can be judged together."""
    for _ in range(HISTORIES // HISTORIES_A_CALL // 2):
        yield [
            [
                one._replace(key=f"{number}{one.key}", session=f"{number}{one.session}")
                for one in random_history(chance, positioned=positioned)
            ]
            for number in range(HISTORIES_A_CALL)
        ]


def random_history(chance: random.Random, *, positioned: bool) -> list[Op]:
    """Sessions that read and write one or two keys, one thing after another, with or without positions."""
    operations = []
    written: dict[str, list[tuple[int, int]]] = {"x": [], "y": []}
    for session in ("a", "b", "c"):
        now = chance.randint(0, 4)
        for _ in range(chance.randint(1, 5)):
            key = chance.choice(("x", "x", "y"))
            end = now + chance.randint(0, 4)
            if chance.random() < 0.5:
                value = 100 * len(operations) + 1
                outcome = chance.choice(("ok", "ok", "ok", "unknown", "fail"))
                position = len(written[key]) + 1 if outcome == "ok" else None
                written[key].append((value, position or 0))
                operations.append(Op("write", value, now, end, outcome, key, session, position if positioned else None))
            else:
                operations.append(Op("read", "?", now, end, "ok", key, session))
            now = end + chance.randint(0, 3)
    return [
        one._replace(value=chance.choice([None, *(value for value, _ in written[str(one.key)])]))
        if one.kind == "read"
        else one
        for one in operations
    ]


Version = tuple[float, float]


def version_of(operations: list[Op], key: object, value: object, *, positioned: bool) -> Version | None:
    """The low and high of a version by its definition; None where it is no version."""
    if value is None:
        return (float("-inf"), float("-inf"))
    write = next((one for one in operations if one.kind == "write" and one.key == key and one.value == value), None)
    if write is None or write.outcome == "fail":
        return None
    if positioned:
        return None if write.position is None else (write.position, write.position)
    return (write.begin, done(operations, write))


def done(operations: list[Op], write: Op) -> float:
    """When a write had happened for certain."""
    ends = [one.end for one in operations if one.kind == "read" and one.key == write.key and one.value == write.value]
    return min([float(end or 0) for end in ends] + [float(write.end or 0) if write.outcome == "ok" else float("inf")])


@pytest.mark.parametrize("positioned", [False, True], ids=["real time", "positions"])
def test_staleness_is_that_of_its_definition(*, positioned: bool) -> None:
    """Of each read: stale or not and since when is exact; versions never exceed those that are certainly newer."""
    for histories in batches(random.Random(1), positioned=positioned):
        history = table(*chain.from_iterable(histories))
        versions = versions_of(history)
        behind, behind_ns = staleness.staleness(history, versions)
        measured = {int(row): (int(k), int(t)) for row, k, t in zip(versions.read, behind, behind_ns, strict=True)}
        row = -1
        for operations in histories:
            for read in operations:
                row += 1
                if read.kind != "read":
                    continue
                seen = version_of(operations, read.key, read.value, positioned=positioned)
                assert (row in measured) == (seen is not None)
                if seen is None:
                    continue
                newer = [
                    done(operations, write)
                    for write in operations
                    if write.kind == "write" and write.key == read.key and done(operations, write) < read.begin
                    if (own := version_of(operations, write.key, write.value, positioned=positioned)) is not None
                    and own[0] > seen[1]
                ]
                versions_behind, late_ns = measured[row]
                assert late_ns == read.begin - min(newer, default=read.begin)
                assert (versions_behind > 0) == bool(newer)
                assert versions_behind <= len(newer) or positioned


def bad_rows(operations: list[Op], guarantee: str, *, positioned: bool) -> set[int]:
    """Rows that break a guarantee, by its definition."""
    before, after = {"read-your-writes": ("write", "read"), "monotonic-reads": ("read", "read")}.get(
        guarantee, ("write", "write")
    )
    wrong = set()
    for row, later in enumerate(operations):
        for earlier in operations:
            if (earlier.session, earlier.key) != (later.session, later.key) or earlier.outcome != "ok":
                continue
            if earlier.kind != before or later.kind != after or (earlier.end or 0) >= later.begin:
                continue
            if later.outcome != "ok":
                continue
            one = version_of(operations, earlier.key, earlier.value, positioned=positioned)
            other = version_of(operations, later.key, later.value, positioned=positioned)
            if one is not None and other is not None and other[1] < one[0]:
                wrong.add(row)
    return wrong


@pytest.mark.parametrize("positioned", [False, True], ids=["real time", "positions"])
def test_session_guarantees_are_those_of_their_definitions(*, positioned: bool) -> None:
    """On random sessions the operations that break a guarantee are those that comparing all pairs finds."""
    found = 0
    for histories in batches(random.Random(2), positioned=positioned):
        history = table(*chain.from_iterable(histories))
        versions = versions_of(history)
        for guarantee in sessions.GUARANTEES[: 3 if positioned else 2]:
            pairs = sessions.violating_pairs(history, versions, guarantee)
            first, wrong = 0, set()
            for operations in histories:
                wrong |= {first + row for row in bad_rows(operations, guarantee, positioned=positioned)}
                first += len(operations)
            assert set(pairs[:, 1].tolist()) == wrong
            found += len(pairs)
    assert found > 500


def test_a_session_that_does_not_see_its_write() -> None:
    """Read-your-writes: the own write, the read, and the write of what was read instead are the witness."""
    history = table(
        Op("write", 1, 0, 1, session="a"),
        Op("write", 2, 2, 3, session="b"),
        Op("read", 1, 4, 5, session="b"),
        Op("read", 1, 4, 5, session="a"),
    )
    result = sessions.check(history)
    assert (result.verdict, len(result.findings)) == ("violated", 1)
    assert result.reason == (
        "In session b the read #3 of key x returned a version older than the session's own write #2."
    )
    assert rows(result.findings[0].witness) == ["#1", "#2", "#3"]
    assert result.figures == {
        "operations": 4.0,
        "violations": 1.0,
        "sessions": 2.0,
        "read_your_writes_violations": 1.0,
        "monotonic_reads_violations": 0.0,
    }


def test_reads_that_go_back_and_writes_out_of_order() -> None:
    """Monotonic reads and, where writes have positions, monotonic writes."""
    back = table(
        Op("write", 1, 0, 1, session="w"),
        Op("write", 2, 2, 3, session="w"),
        Op("read", 2, 4, 5, session="a"),
        Op("read", 1, 6, 7, session="a"),
    )
    assert sessions.check(back).reason == (
        "In session a the read #4 of key x returned a version older than the session's read #3 had returned before."
    )
    swapped = table(Op("write", 1, 0, 1, session="w", position=2), Op("write", 2, 2, 3, session="w", position=1))
    assert sessions.check(swapped).reason == (
        "In session w the write #2 of key x was ordered before the session's own earlier write #1."
    )
    asked = sessions.check(back.at([0, 1]), guarantees=["monotonic-writes"])  # type: ignore[arg-type]
    assert (asked.verdict, asked.undecided) == (
        "inconclusive",
        ("monotonic writes are decided by the positions of writes, and not every write has one",),
    )


def test_operations_without_a_session_are_undecided() -> None:
    """Nothing is claimed about clients that the history does not tell apart."""
    result = sessions.check(table(Op("write", 1, 0, 1), Op("read", None, 2, 3)))
    assert (result.verdict, result.undecided) == ("inconclusive", ("some operations belong to no session",))


def converging(*reads: tuple[int, int]) -> Columns:
    """Two writes, the last one done at 10 ms, and reads of a value at so many milliseconds."""
    return table(
        Op("write", 1, 0, MS),
        Op("write", 2, 9 * MS, 10 * MS),
        *(Op("read", value, at * MS, (at + 1) * MS) for value, at in reads),
    )


def test_convergence_is_counted_to_the_first_read_that_all_later_ones_agree_with() -> None:
    """Stale reads after the last write, then fresh ones: the time to the end of the first fresh one."""
    result = convergence.check(converging((1, 12), (2, 13), (1, 14), (2, 20), (2, 30)))
    assert result == Result(
        model="convergence",
        verdict=Verdict.HOLDS,
        reason="1 key converged within 11 ms after the last write.",
        figures={
            "operations": 7.0,
            "violations": 0.0,
            "keys": 1.0,
            "converged_keys": 1.0,
            "convergence_ms_p50": 11.0,
            "convergence_ms_p99": 11.0,
            "convergence_ms_max": 11.0,
        },
    )


def converged(operations: list[Op], key: object, *, positioned: bool) -> tuple[int | None, int | None, float]:
    """By definition: the place of the last read that was not final, of the first that was, and when the writes ended.

    A place is None where there is no such read.
    """
    own = {
        one.value: version
        for one in operations
        if one.kind == "write" and one.key == key
        if (version := version_of(operations, key, one.value, positioned=positioned)) is not None
        if done(operations, one) < float("inf")
    }
    writes = [one for one in operations if one.kind == "write" and one.key == key and one.value in own]
    settled = max(done(operations, one) for one in writes)
    reads = sorted(
        (
            (one.begin, place)
            for place, one in enumerate(operations)
            if one.kind == "read" and one.key == key and one.begin > settled and one.value in {None, *own}
        ),
    )
    newest = max(low for low, _ in own.values())
    finals = [place for _, place in reads if (value := operations[place].value) is not None and own[value][1] >= newest]
    final = operations[finals[-1]].value if finals else object()
    last_other, first_final = None, None
    for _, place in reads:
        if operations[place].value == final:
            first_final = place if first_final is None else first_final
        else:
            last_other, first_final = place, None
    return last_other, first_final, settled


def stopped_until(ended_ns: int) -> FaultWindow:
    """A fault that ended then."""
    return FaultWindow(
        lever="disable",
        component="projector",
        error_class=ErrorClass.STALLED,
        started_seconds=0.0,
        ended_seconds=ended_ns / 1_000_000_000,
    )


@pytest.mark.parametrize("positioned", [False, True], ids=["real time", "positions"])
def test_convergence_is_that_of_its_definition(*, positioned: bool) -> None:
    """The last read of a key that was not final, the first final one after it, and what it took from healing to it."""
    found, healings = 0, random.Random(4)
    for histories in batches(random.Random(3), positioned=positioned):
        everything = list(chain.from_iterable(histories))
        healed_ns, took_ns = healings.randint(0, 30), list[float]()
        history = replace(table(*everything), windows=(stopped_until(healed_ns),))
        measured = convergence.convergence(history, versions_of(history))
        by_key = {
            history.keys.label(history.key[row]): row for row in range(len(history)) if everything[row].kind == "write"
        }
        dense_keys = {str(label): int(history.key[row]) for label, row in by_key.items()}
        results = {
            int(key): (int(other), int(final))
            for key, other, final in zip(measured.key, measured.last_other, measured.first_final, strict=True)
        }
        first = 0
        for operations in histories:
            for key in {str(one.key) for one in operations}:
                if key not in dense_keys or dense_keys[key] not in results:
                    continue
                *places, settled_ns = converged(operations, key, positioned=positioned)
                assert results[dense_keys[key]] == tuple(-1 if at is None else first + at for at in places)
                found += places != [None, None]
                if places[1] is not None:
                    took_ns.append(max(float(operations[places[1]].end or 0) - max(settled_ns, healed_ns), 0.0))
            first += len(operations)
        figures = convergence.check(history).figures
        assert figures["converged_keys"] == len(took_ns)
        assert figures["healing_ms_max"] == pytest.approx(max(took_ns) / MS)
    assert found > 500


def test_what_has_not_converged_is_late_or_undecided() -> None:
    """Without a bound an end without convergence proves nothing; a stale read past the bound does."""
    stale = converging((2, 12), (1, 20))
    assert convergence.check(stale).reason == "The history ends before 1 key ('x') converged."
    assert convergence.check(stale, bound_ms=10).verdict == "inconclusive"
    late = convergence.check(stale, bound_ms=9)
    assert (late.verdict, rows(late.findings[0].witness)) == ("violated", ["#1", "#2", "#4"])
    assert late.reason.startswith("The read #4 of key x began 10 ms after the last write or the end of the last fault")
    assert convergence.check(converging()).reason == "Nobody read 1 key ('x') after the last write."


def test_convergence_after_healing_counts_from_the_end_of_the_last_fault() -> None:
    """A fault that ends after the last write moves the beginning of the time that is measured and bounded."""
    healed = replace(converging((1, 17), (1, 20), (2, 24)), windows=(stopped_until(18 * MS),))
    result = convergence.check(healed, bound_ms=3)
    assert (result.verdict, result.figures["healing_ms_max"], result.figures["convergence_ms_max"]) == (
        *("holds", 7.0, 15.0),
    )
    assert convergence.check(healed, bound_ms=1).verdict == "violated"


def test_readers_that_settle_on_different_values_have_not_converged() -> None:
    """Of two concurrent last writes either may win, but all readers must see the same one in the end."""
    writes = (Op("write", 1, 0, 10), Op("write", 2, 0, 10))
    agree = table(*writes, Op("read", 1, 11, 12), Op("read", 2, 13, 14), Op("read", 2, 15, 16))
    assert convergence.check(agree).figures["convergence_ms_max"] == 4 / MS
    split = table(*writes, Op("read", 2, 11, 12), Op("read", 1, 11, 12), Op("read", 2, 13, 14))
    assert convergence.check(split).figures["convergence_ms_max"] == 4 / MS
