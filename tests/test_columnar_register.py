"""Linearizable registers: literal histories with their full result, oracles, and histories that must never alarm."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from columnar import Op, explained, register_states, rows, table
from holdfast.checkers.columnar import register, search
from holdfast.checkers.columnar.result import Result
from holdfast.checkers.columnar.search import Budget
from holdfast.errors import HistoryError
from holdfast.history.columns import Columns, columns_of
from holdfast.verdict.model import Verdict
from holdfast_fixtures.synthetic_histories import linearizable_history, plant_anomalies

HISTORIES = 20_000
HISTORIES_A_CALL = 100
LINEARIZABLE_HISTORIES = 60_000


def judged(*operations: Op) -> tuple[str, str, list[str]]:
    """Verdict, kind of the first finding, and its witness."""
    result = register.check(table(*operations))
    first = result.findings[0] if result.findings else None
    return result.verdict.value, first.title if first else "", rows(first.witness) if first else []


def test_a_read_of_what_was_replaced_is_convicted_with_the_whole_result() -> None:
    """The result names the two values, the operations that force their order, and nothing else."""
    result = register.check(table(Op("write", 1, 0, 1), Op("write", 2, 2, 3), Op("read", 1, 4, 5)))
    sentence = (
        "Key x: '1' must come before '2', because the write #1 ended before the write #2 began, and after it, because"
        " the write #2 ended before the read #3 began."
    )
    finding = result.findings[0]
    assert result == Result(
        model="register",
        verdict=Verdict.VIOLATED,
        reason=sentence,
        findings=(finding,),
        figures={"operations": 3.0, "violations": 1.0, "keys": 1.0},
    )
    assert (finding.title, finding.sentence, finding.key) == ("not linearizable", sentence, "x")
    assert rows(finding.witness) == ["#1", "#2", "#3"]


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ((Op("write", 1, 0, 1), Op("read", 1, 2, 3)), ("holds", "", [])),
        ((Op("read", None, 0, 1), Op("write", 1, 2, 3)), ("holds", "", [])),
        # intervals are closed: what ends at 2 and what begins at 2 are concurrent
        ((Op("write", 1, 0, 2), Op("read", None, 2, 3)), ("holds", "", [])),
        ((Op("write", 1, 0, 1), Op("read", None, 2, 3)), ("violated", "not linearizable", ["#1", "#2"])),
        ((Op("read", 7, 0, 1),), ("violated", "read of what nobody wrote", ["#1"])),
        ((Op("write", 1, 0, 1, key="y"), Op("read", 1, 2, 3)), ("violated", "read of what nobody wrote", ["#2"])),
        ((Op("write", 1, 0, 1, "fail"), Op("read", 1, 2, 3)), ("violated", "read of a refused write", ["#1", "#2"])),
        ((Op("read", 1, 0, 1), Op("write", 1, 2, 3)), ("violated", "read before its write", ["#1", "#2"])),
        # an unknown write may happen late, or never, but not both ways
        ((Op("write", 1, 0, 1, "unknown"), Op("read", None, 2, 3), Op("read", 1, 4, 5)), ("holds", "", [])),
        ((Op("write", 1, 0, None, "unknown"), Op("read", None, 2, 3)), ("holds", "", [])),
        (
            (Op("write", 1, 0, 1, "unknown"), Op("read", 1, 2, 3), Op("read", None, 4, 5)),
            ("violated", "not linearizable", ["#1", "#2", "#3"]),
        ),
        ((Op("write", 1, 0, 1), Op("read", 9, 2, 3, "unknown")), ("holds", "", [])),
        # two readers that see two concurrent writes in opposite orders
        (
            (
                *(Op("write", 1, 0, 9), Op("write", 2, 0, 9)),
                *(Op("read", 1, 1, 2), Op("read", 2, 3, 4), Op("read", 1, 5, 6)),
            ),
            ("violated", "not linearizable", ["#1", "#2", "#3", "#4", "#5"]),
        ),
        ((), ("inconclusive", "", [])),
    ],
)
def test_literal_histories(operations: tuple[Op, ...], expected: tuple[str, str, list[str]]) -> None:
    """Each small history has the verdict, the kind of anomaly and the witness that the definitions give it."""
    assert judged(*operations) == expected


def test_values_that_are_written_twice_are_searched() -> None:
    """A key whose values are not unique is decided all the same, and told from those that are."""
    twice = (Op("write", 1, 0, 1), Op("write", 2, 2, 3), Op("write", 1, 4, 5))
    assert judged(*twice, Op("read", 1, 6, 7)) == ("holds", "", [])
    result = register.check(
        table(*twice, Op("read", 2, 6, 7), Op("write", 1, 0, 1, key="y"), Op("read", 1, 2, 3, key="y"))
    )
    assert (result.verdict, result.figures["keys_searched"]) == ("violated", 1.0)
    assert result.reason == "Key x: no order of 4 operations that real time permits explains the read #4."


def test_a_search_past_its_budget_is_inconclusive() -> None:
    """Without the steps to decide nothing is claimed, in either direction."""
    operations = [Op("write", 1 + at % 2, 0, 100) for at in range(12)] + [Op("read", 3, 0, 100)]
    result = search.check(table(*operations), model="register", budget=Budget(steps=50))
    assert (result.verdict, result.findings) == ("inconclusive", ())
    assert result.reason == "The budget of 50 steps did not suffice for 1 key."


def test_compare_and_set_and_append_are_searched() -> None:
    """A compare-and-set needs what it compares with; an append shows in what is read."""
    assert judged(Op("write", 1, 0, 1), Op("cas", [1, 2], 2, 3), Op("read", 2, 4, 5)) == ("holds", "", [])
    assert judged(Op("write", 1, 0, 1), Op("cas", [3, 2], 2, 3))[0] == "violated"
    assert judged(Op("write", "a", 0, 1), Op("append", "b", 2, 3), Op("read", "ab", 4, 5)) == ("holds", "", [])
    assert judged(Op("append", "a", 0, 1), Op("append", "b", 2, 3), Op("read", "ba", 4, 5))[0] == "violated"


@pytest.mark.parametrize(
    ("operations", "verdict"),
    [
        ((Op("enqueue", 1, 0, 1), Op("enqueue", 2, 2, 3), Op("dequeue", 1, 4, 5), Op("dequeue", 2, 6, 7)), "holds"),
        ((Op("enqueue", 1, 0, 1), Op("enqueue", 2, 2, 3), Op("dequeue", 2, 4, 5)), "violated"),
        ((Op("enqueue", 1, 0, 3), Op("enqueue", 2, 2, 3), Op("dequeue", 2, 4, 5)), "holds"),
        ((Op("dequeue", None, 0, 1), Op("enqueue", 1, 2, 3), Op("dequeue", None, 4, 5)), "violated"),
        ((Op("enqueue", 1, 0, 1), Op("dequeue", None, 2, 3, "unknown"), Op("dequeue", None, 4, 5)), "holds"),
    ],
)
def test_a_queue_is_first_in_first_out(operations: tuple[Op, ...], verdict: str) -> None:
    """The search decides queues, elements taken by operations of unknown outcome included."""
    assert search.check(table(*operations), model="queue").verdict == verdict


def test_a_counter_is_searched() -> None:
    """Concurrent additions may be seen in either order, but not one of two that had ended."""
    adds = (Op("add", 1, 0, 5), Op("add", 2, 0, 5))
    assert search.check(table(*adds, Op("read", 2, 1, 2)), model="counter").verdict == "holds"
    assert search.check(table(*adds, Op("read", 2, 6, 7)), model="counter").verdict == "violated"


def test_a_model_has_its_own_operations() -> None:
    """Rows that a model does not know are refused with those that it does."""
    with pytest.raises(HistoryError, match="A queue has no operation write") as caught:
        search.check(table(Op("write", 1, 0, 1)), model="queue")
    assert caught.value.remedy == "its operations are dequeue, enqueue"


def random_history(chance: random.Random, key: int, *, unique: bool) -> list[Op]:
    """Up to seven operations on a coarse clock, so that moments often meet."""
    values = [key * 10 + at for at in range(1, 5)]
    unwritten = list(values)
    operations = []
    for _ in range(chance.randint(1, 7)):
        begin = chance.randint(0, 10)
        end = begin + chance.randint(0, 5)
        kind = chance.choice(("write", "read", "read") if unique else ("write", "read", "read", "cas"))
        if kind == "cas":
            outcome = chance.choice(("ok", "ok", "unknown", "fail"))
            operations.append(
                Op("cas", [chance.choice(values[:2]), chance.choice(values[:2])], begin, end, outcome, key)
            )
        elif kind == "write" and unwritten:
            value = unwritten.pop() if unique else chance.choice(values[:2])
            outcome = chance.choice(("ok", "ok", "ok", "unknown", "fail"))
            operations.append(Op("write", value, begin, end, outcome, key))
        else:
            read = chance.choice((None, *(values if unique else values[:2])))
            operations.append(Op("read", read, begin, end, chance.choice(("ok",) * 9 + ("unknown",)), key))
    return operations


@pytest.mark.parametrize("unique", [True, False], ids=["zones", "search"])
def test_the_verdict_is_that_of_trying_every_order(*, unique: bool) -> None:
    """On tens of thousands of small histories the checker convicts exactly those that no order explains."""
    chance = random.Random(5)
    linearizable = 0
    for batch in range(HISTORIES // HISTORIES_A_CALL // (1 if unique else 2)):
        keys = range(batch * HISTORIES_A_CALL, (batch + 1) * HISTORIES_A_CALL)
        histories = {str(key): random_history(chance, key, unique=unique) for key in keys}
        result = register.check(table(*(one for operations in histories.values() for one in operations)))
        right = {key for key, operations in histories.items() if explained(operations, register_states)}
        linearizable += len(right)
        assert {finding.key for finding in result.findings} == set(histories) - right
    assert 0.2 < linearizable / (batch + 1) / HISTORIES_A_CALL < 0.8  # both kinds were among them


def test_every_witness_convicts_by_itself() -> None:
    """A finding's witness alone, as a history, is convicted too."""
    chance = random.Random(6)
    for key in range(2_000):
        operations = random_history(chance, key, unique=key % 2 == 0)
        for finding in register.check(table(*operations)).findings:
            witness = [operations[int(one.id[1:]) - 1] for one in finding.witness]
            assert register.check(table(*witness)).verdict == "violated"
            assert len(witness) <= 6 or key % 2


def test_no_false_alarm_on_linearizable_histories() -> None:
    """Of 60,000 histories that were made by a linearizable register none is convicted."""
    history = linearizable_history(np.random.default_rng(7), 900_000, keys=LINEARIZABLE_HISTORIES, concurrency=3)
    result = register.check(history)
    assert (result.verdict, result.figures["keys"]) == ("holds", float(LINEARIZABLE_HISTORIES))


def test_every_planted_anomaly_is_convicted_with_its_witness() -> None:
    """Each of the stale reads planted in a large history is found, and the read is in the witness."""
    history, planted = plant_anomalies(
        np.random.default_rng(8), linearizable_history(np.random.default_rng(9), 200_000, keys=2_000, concurrency=6)
    )
    result = register.check(history)
    witnesses = [{int(one.id[1:]) - 1 for one in finding.witness} for finding in result.findings]
    assert len(planted) == 50
    assert all(any(row in witness for witness in witnesses) for row in planted)
    assert {finding.key for finding in result.findings} == {str(history.key[row]) for row in planted}


def test_uncertain_clocks_hide_anomalies_and_never_invent_one() -> None:
    """With a larger uncertainty only fewer histories are violated, and with one that covers everything none is."""
    chance = random.Random(10)
    for key in range(1_500):
        history = table(*(one for one in random_history(chance, key, unique=True) if one.outcome != "fail"))
        written = set(history.value[history.is_kind("write")].tolist())
        reads = history.is_kind("read") & ~np.isin(history.value, [*written, -1])
        history = history.at(~reads)
        verdicts = [register.check(replace(history, uncertainty_ns=ns)).verdict == "violated" for ns in (0, 1, 3, 100)]
        assert verdicts == sorted(verdicts, reverse=True)
        assert not verdicts[-1]


def test_what_is_missing_convicts_nobody_and_absolves_nobody() -> None:
    """In a damaged history a read of an unknown value is undecided, and one that went back is violated still."""
    damaged = replace(table(Op("read", 7, 0, 1)), complete=False, notes=("a.jsonl is damaged",))
    result = register.check(damaged)
    assert (result.verdict, result.findings) == ("inconclusive", ())
    assert result.undecided == (
        "1 read returned values whose writes may be among what is missing",
        "a.jsonl is damaged",
    )
    searched = replace(table(Op("write", 1, 0, 1), Op("cas", [2, 3], 2, 3)), complete=False)
    assert register.check(searched).undecided[0] == "what is missing may explain 1 key that nothing else explains"
    back = table(Op("write", 1, 0, 1), Op("write", 2, 2, 3), Op("read", 1, 4, 5))
    assert register.check(replace(back, complete=False)).verdict == "violated"
    assert register.check(replace(back.at(np.array([0, 1])), complete=False)).verdict == "inconclusive"


def test_values_of_any_type_are_told_apart() -> None:
    """Text, numbers, true and lists are values too, and 1 is neither true nor 1.0 nor the text 1."""
    pairs = [("a", "b"), (1, True), (1, 1.0), (1, "1"), (0, False), (-5, 5), ([1], [2]), ([1], [1.0]), ({"a": 1}, [1])]
    for value, other in pairs:
        assert judged(Op("write", value, 0, 1), Op("read", value, 2, 3))[0] == "holds"
        assert judged(Op("write", value, 0, 1), Op("read", other, 2, 3))[1] == "read of what nobody wrote"


def test_columns_are_those_of_any_table() -> None:
    """Numpy columns, seconds instead of nanoseconds and NaN for no completion do as well."""
    columns: Columns = columns_of(
        {
            "kind": np.array(["write", "read"]),
            "value": np.array([5, 5]),
            "invoked_seconds": np.array([0.0, 2.5]),
            "completed_seconds": np.array([np.nan, 3.0]),
            "outcome": np.array(["unknown", "ok"]),
        }
    )
    assert columns.completed_ns.tolist() == [np.iinfo(np.int64).max, 3_000_000_000]
    assert register.check(columns).verdict == "holds"
