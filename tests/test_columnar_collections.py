"""Sets, queues and ledgers of effects, counters, sequences and banks: literal histories and naive oracles."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import chain, combinations

import pytest

from columnar import Op, rows, table
from holdfast.checkers.columnar import bank, counter, effects, sequences, set_full
from holdfast.checkers.columnar.result import Result
from holdfast.errors import HistoryError
from holdfast.verdict.model import Verdict

HISTORIES = 10_000
HISTORIES_A_CALL = 100
MS = 1_000_000


def titles(result: Result) -> list[tuple[str, list[str]]]:
    """What was found, and its witness."""
    return [(finding.title, rows(finding.witness)) for finding in result.findings]


def test_a_set_that_keeps_its_elements() -> None:
    """Stable elements, one of them visible late, one never read whose add is unknown: the full result."""
    history = table(
        Op("add", "a", 0, 1 * MS),
        Op("add", "b", 0, 2 * MS),
        Op("add", "c", 0, 2 * MS, "unknown"),
        Op("read", ["a"], 5 * MS, 6 * MS),
        Op("read", ["b", "a"], 7 * MS, 8 * MS),
    )
    result = set_full.check(history)
    assert result == Result(
        model="set",
        verdict=Verdict.HOLDS,
        reason="2 elements of 3 added ones were stable, none was lost, invented or doubled.",
        figures={
            "operations": 5.0,
            "violations": 0.0,
            "added": 3.0,
            "stable": 2.0,
            "lost": 0.0,
            "never_read": 1.0,
            "stale": 1.0,
            "reads": 2.0,
            "visible_ms_p50": 0.0,
            "visible_ms_p99": 3.0,
            "visible_ms_max": 3.0,
        },
    )
    assert titles(set_full.check(history, fresh=True)) == [("stale read", ["#2", "#4"])]


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        (
            (Op("add", 1, 0, 1), Op("read", [1], 2, 3), Op("read", [], 4, 5)),
            [("acknowledged and lost", ["#1", "#2", "#3"])],
        ),
        ((Op("add", 1, 0, 1), Op("read", [], 2, 3)), [("acknowledged and lost", ["#1", "#2"])]),
        # a read that is concurrent with the acknowledgement proves nothing
        ((Op("add", 1, 0, 2), Op("read", [], 2, 3)), []),
        ((Op("add", 1, 0, 1, "unknown"), Op("read", [], 2, 3)), []),
        (
            (Op("add", 1, 0, 1, "unknown"), Op("read", [1], 2, 3), Op("read", [], 4, 5)),
            [("seen and lost", ["#1", "#2", "#3"])],
        ),
        ((Op("add", 1, 0, 1, "fail"), Op("read", [1], 2, 3)), [("refused and there", ["#1", "#2"])]),
        ((Op("read", [7], 2, 3),), [("never added", ["#1"])]),
        ((Op("add", 1, 0, 1), Op("read", [1, 1], 2, 3)), [("doubled element", ["#2"])]),
        (
            (Op("read", [1], 0, 1), Op("add", 1, 2, 3), Op("read", [1], 4, 5)),
            [("seen before it was added", ["#1", "#2"])],
        ),
    ],
)
def test_literal_sets(operations: tuple[Op, ...], expected: list[tuple[str, list[str]]]) -> None:
    """Each small history of a set has the anomalies that the definitions give it, with their witness."""
    assert titles(set_full.check(table(*operations))) == expected


def test_a_set_that_was_not_read_late_enough_is_undecided() -> None:
    """An element that no read could have seen is neither kept nor lost."""
    result = set_full.check(table(Op("read", [], 0, 1), Op("add", 1, 2, 3)))
    assert (result.verdict, result.undecided) == (
        "inconclusive",
        ("no read that began after the acknowledgement of 1 element could have seen them",),
    )
    assert set_full.check(table(Op("add", 1, 2, 3))).verdict == "inconclusive"


def test_sets_are_judged_as_their_definitions_say() -> None:
    """On random sets each element is stable, lost or never read as a loop over reads says."""
    chance = random.Random(1)
    for _ in range(HISTORIES):
        adds = [
            Op("add", value, begin := chance.randint(0, 9), begin + chance.randint(0, 3), chance.choice(OUTCOMES))
            for value in range(chance.randint(1, 3))
        ]
        reads = []
        moments = chance.sample(range(14), chance.randint(0, 4))
        for begin in moments:
            seen = [one.value for one in adds if chance.random() < 0.6 and one.outcome != "fail" and one.begin <= begin]
            reads.append(Op("read", seen, begin, begin + chance.randint(0, 3)))
        result = set_full.check(table(*adds, *reads))
        ordered = sorted(reads, key=lambda one: one.begin)
        counts: Counter[str] = Counter()
        for one in adds:
            if one.outcome == "fail":
                continue
            ends = [read.end or 0 for read in reads if one.value in read.value]
            there = one.end if one.outcome == "ok" else min(ends, default=None)
            if ordered and one.value in ordered[-1].value:
                counts["stable"] += 1
            elif ordered and there is not None and there < ordered[-1].begin:
                counts["lost"] += 1
            else:
                counts["never_read"] += 1
        assert {name: result.figures[name] for name in ("stable", "lost", "never_read")} == {
            name: float(counts[name]) for name in ("stable", "lost", "never_read")
        }
        assert (result.verdict == "violated") == (counts["lost"] > 0)


OUTCOMES = ("ok", "ok", "unknown", "fail")


def test_each_submission_took_effect_once() -> None:
    """A ledger with a lost, a doubled, a phantom and a recovered effect: the full result but its findings."""
    result = effects.check(
        table(
            Op("submit", "a", 0, 1),
            Op("submit", "b", 0, 1),
            Op("submit", "c", 0, 1, "unknown"),
            Op("submit", "d", 0, 1, "fail"),
            Op("submit", "e", 0, 1),
            Op("effect", ["b", "c", "d", "b"], 2, 3),
            Op("effect", ["z", "e"], 2, 3),
        ),
        model="effects",
    )
    assert sorted(titles(result)) == [
        ("acknowledged and lost", ["#1"]),
        ("duplicated", ["#2", "#6"]),
        ("never submitted", ["#7"]),
        ("refused and there", ["#4", "#6"]),
    ]
    assert result.reason == "'a' of the submit #1 was acknowledged and never seen."
    assert result.figures == {
        "operations": 7.0,
        "violations": 4.0,
        "attempted": 5.0,
        "acknowledged": 3.0,
        "lost": 1.0,
        "duplicated": 1.0,
        "phantom": 2.0,
        "recovered": 1.0,
    }


@pytest.mark.parametrize(
    ("operations", "verdict"),
    [
        ((Op("enqueue", 1, 0, 1), Op("dequeue", 1, 2, 3)), "holds"),
        ((Op("enqueue", 1, 0, 1), Op("dequeue", 1, 2, 3), Op("dequeue", 1, 4, 5)), "violated"),
        ((Op("enqueue", 1, 0, 1), Op("drain", [1], 2, 3)), "holds"),
        # nothing shows that the queue is empty, then something does
        ((Op("enqueue", 1, 0, 1),), "inconclusive"),
        ((Op("enqueue", 1, 0, 1), Op("dequeue", None, 2, 3)), "violated"),
        # a dequeue whose answer was lost may have taken it
        ((Op("enqueue", 1, 0, 1), Op("dequeue", None, 1, 2, "unknown"), Op("dequeue", None, 3, 4)), "inconclusive"),
        ((Op("dequeue", 1, 0, 1), Op("enqueue", 1, 2, 3)), "violated"),
        ((Op("enqueue", 1, 0, 1, "unknown"), Op("dequeue", None, 2, 3)), "holds"),
    ],
)
def test_literal_queues(operations: tuple[Op, ...], verdict: str) -> None:
    """Each small history of a queue has the verdict that the definitions give it."""
    assert effects.check(table(*operations)).verdict == verdict


def test_effects_are_the_difference_of_multisets() -> None:
    """On random ledgers what is lost, duplicated, phantom and recovered is what counting by hand says."""
    chance = random.Random(2)
    for _ in range(HISTORIES):
        submitted = [
            Op("submit", value, 0, 1, chance.choice(OUTCOMES))
            for value in range(3)
            for _ in range(chance.randint(0, 2))
        ]
        ledger = [chance.randint(0, 3) for _ in range(chance.randint(0, 5))]
        history = table(*submitted, Op("effect", ledger, 2, 3))
        seen, expected = Counter(ledger), Counter[str]()
        for value in range(4):
            outcomes = {one.outcome for one in submitted if one.value == value}
            expected["lost"] += "ok" in outcomes and not seen[value]
            expected["duplicated"] += bool(outcomes & {"ok", "unknown"}) and seen[value] > 1
            expected["phantom"] += not outcomes & {"ok", "unknown"} and seen[value] > 0
            expected["recovered"] += "ok" not in outcomes and "unknown" in outcomes and seen[value] > 0
        result = effects.check(history)
        assert {name: result.figures[name] for name in expected} == {name: float(expected[name]) for name in expected}
        bad = expected["lost"] + expected["duplicated"] + expected["phantom"]
        assert result.verdict == ("violated" if bad else "holds")


def test_a_counter_that_counts_too_much() -> None:
    """The finding names the range that is possible."""
    history = table(Op("add", 1, 0, 1), Op("add", 2, 0, 9), Op("read", 4, 2, 3), Op("read", 3, 2, 3))
    result = counter.check(history)
    assert titles(result) == [("impossible count", ["#1", "#2", "#3"])]
    assert result.reason == "The read #3 of key x returned 4, which must be from 1 to 3: 2 additions had begun."
    assert result.figures == {"operations": 4.0, "violations": 1.0, "reads": 2.0, "additions": 2.0}
    with pytest.raises(HistoryError, match="no whole number"):
        counter.check(table(Op("add", "many", 0, 1)))


def test_counters_are_judged_as_sums_over_subsets_say() -> None:
    """Adding ones, a read is possible exactly if some choice of additions explains it; mixed amounts never alarm."""
    chance = random.Random(3)
    for _ in range(2 * HISTORIES // HISTORIES_A_CALL):
        histories = {str(key): random_counter(chance, ones=key % 2 == 0, key=key) for key in range(HISTORIES_A_CALL)}
        result = counter.check(table(*chain.from_iterable(histories.values())))
        wrong = {finding.key for finding in result.findings}
        for key, operations in histories.items():
            if int(key) % 2 == 0:
                assert (key in wrong) == (not is_possible(operations))
            elif key in wrong:
                assert not is_possible(operations)


def random_counter(chance: random.Random, *, ones: bool, key: int) -> list[Op]:
    """Some additions and one read, which comes last."""
    adds = []
    for _ in range(chance.randint(0, 4)):
        begin = chance.randint(0, 6)
        amount = 1 if ones else chance.choice((-2, -1, 1, 3))
        adds.append(Op("add", amount, begin, begin + chance.randint(0, 4), chance.choice(OUTCOMES), key))
    begin = chance.randint(0, 9)
    return [*adds, Op("read", chance.randint(-2, 5), begin, begin + chance.randint(0, 4), "ok", key)]


def is_possible(operations: list[Op]) -> bool:
    """Whether some choice of additions adds up to what was read."""
    *adds, read = operations
    may = [one for one in adds if one.outcome != "fail" and one.begin <= (read.end or 0)]
    must = [one.value for one in may if one.outcome == "ok" and (one.end or 0) < read.begin]
    rest = [one.value for one in may if not (one.outcome == "ok" and (one.end or 0) < read.begin)]
    choices = chain.from_iterable(combinations(rest, size) for size in range(len(rest) + 1))
    return any(sum(must) + sum(extra) == read.value for extra in choices)


def event(position: int, value: str, moment: int = 10) -> Op:
    """An entry of the log, seen by a read."""
    return Op("event", value, moment, moment + 1, position=position)


def append(value: str, position: int | None, outcome: str = "ok", begin: int = 0) -> Op:
    """An append with the position it was given."""
    return Op("append", value, begin, begin + 1, outcome, position=position)


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ((append("a", 1), append("b", 2), event(1, "a"), event(2, "b")), []),
        ((event(1, "a"), event(3, "c")), [("gap", ["#1", "#2"])]),
        ((event(2, "b"),), [("gap", ["#1"])]),
        ((event(1, "a"), event(1, "b", 20)), [("event changed", ["#1", "#2"])]),
        ((event(1, "a"), event(2, "a")), [("event twice", ["#1", "#2"])]),
        (
            (append("a", 1), append("b", None, "fail"), event(1, "a"), event(2, "b")),
            [("refused and there", ["#2", "#4"])],
        ),
        (
            (append("a", 1), append("b", 1), event(1, "a")),
            [("accepted and lost", ["#2"]), ("two appends at one position", ["#1", "#2"])],
        ),
        (
            (append("a", 1), append("b", 2), event(1, "b"), event(2, "a")),
            [("at another position", ["#1", "#4"]), ("at another position", ["#2", "#3"])],
        ),
        # accepted while the log was read: it may come later
        ((append("a", 1), event(1, "a"), append("b", 2, begin=10)), []),
        ((append("a", None, "unknown"), event(1, "a")), []),
    ],
)
def test_literal_sequences(operations: tuple[Op, ...], expected: list[tuple[str, list[str]]]) -> None:
    """Each small log has the anomalies that the definitions give it."""
    assert titles(sequences.check(table(*operations))) == expected


def test_sequences_are_gap_free_as_a_loop_says() -> None:
    """On random logs a gap, a change or a repeat is found exactly where a loop over positions finds one."""
    chance = random.Random(4)
    for _ in range(2 * HISTORIES // HISTORIES_A_CALL):
        logs = {
            str(key): [
                Op("event", chance.choice("abcde"), at, at + 1, key=key, position=chance.randint(1, 3))
                for at in range(chance.randint(1, 4))
            ]
            for key in range(HISTORIES_A_CALL)
        }
        wrong = set()
        for key, log in logs.items():
            shown: dict[int, set[str]] = {}
            for one in log:
                shown.setdefault(one.position or 0, set()).add(one.value)
            values = [value for some in shown.values() for value in some]
            if (
                set(shown) != set(range(1, len(shown) + 1))
                or len(values) > len(shown)
                or len(set(values)) < len(values)
            ):
                wrong.add(key)
        result = sequences.check(table(*chain.from_iterable(logs.values())))
        assert {finding.key for finding in result.findings} == wrong
        assert 10 < len(wrong) < HISTORIES_A_CALL


def test_a_log_of_which_a_part_is_missing_has_no_proven_gap() -> None:
    """Missing rows may be the missing positions; an event that changed stays proven."""
    gap = replace(table(event(1, "a"), event(3, "c")), complete=False, notes=("cut off",))
    assert (sequences.check(gap).verdict, sequences.check(gap).undecided) == (
        "inconclusive",
        ("1 gap or absence may be due to what is missing", "cut off"),
    )
    assert sequences.check(replace(table(event(1, "a"), event(1, "b")), complete=False)).verdict == "violated"


@pytest.mark.parametrize(
    ("balances", "expected"),
    [
        (({"a": 5, "b": 5}, {"a": 0, "b": 10}), []),
        (({"a": 5, "b": 5}, {"a": 4, "b": 5}), [("wrong total", ["#1", "#2"])]),
        (({"a": 5, "b": 5}, {"a": -1, "b": 11}), [("overdraft", ["#2"])]),
    ],
)
def test_literal_banks(balances: tuple[dict[str, int], ...], expected: list[tuple[str, list[str]]]) -> None:
    """Every read has the same total and no overdraft."""
    reads = [Op("read", one, at, at + 1) for at, one in enumerate(balances)]
    assert titles(bank.check(table(*reads))) == expected
    assert titles(bank.check(table(*reads), total=10, least=None)) == [
        (title, witness[-1:]) for title, witness in expected if title == "wrong total"
    ]


def test_a_ledger_folds_to_its_balances() -> None:
    """The running balance of each account never falls below the least, in the order of positions."""
    entries = [("a", 5, 1), ("b", -5, 1), ("a", -7, 3), ("a", 7, 2), ("b", 0, 2)]
    history = table(*(Op("entry", amount, 0, 1, key=key, position=at) for key, amount, at in entries))
    assert titles(bank.check(history)) == [("overdraft", ["#2"])]
    assert bank.check(history, least=None).verdict == "holds"
    assert titles(bank.check(history, least=None, total=3)) == [("wrong total", ["#5"])]


def test_banks_are_judged_as_adding_up_says() -> None:
    """On random reads the total and overdrafts are those of a loop."""
    chance = random.Random(5)
    for _ in range(HISTORIES // 2):
        reads = [{"a": chance.randint(-1, 3), "b": chance.randint(-1, 3)} for _ in range(chance.randint(1, 3))]
        result = bank.check(table(*(Op("read", one, at, at) for at, one in enumerate(reads))))
        wrong = len({sum(one.values()) for one in reads}) > 1 or any(min(one.values()) < 0 for one in reads)
        assert (result.verdict == "violated") == wrong
        entries = [(chance.choice("ab"), chance.randint(-2, 3)) for _ in range(chance.randint(1, 5))]
        history = table(*(Op("entry", amount, at, at, key=key) for at, (key, amount) in enumerate(entries)))
        balance, low = Counter[str](), False
        for key, amount in entries:
            balance[key] += amount
            low |= balance[key] < 0
        assert (bank.check(history, total=sum(balance.values())).verdict == "violated") == low
