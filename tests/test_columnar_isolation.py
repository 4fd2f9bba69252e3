"""Isolation anomalies: a literal of each kind with its cycle in words, and an oracle that tries every order."""

from __future__ import annotations

import random
from itertools import permutations
from typing import Any

import pytest

from columnar import Op, rows, table
from holdfast.checkers.columnar import isolation
from holdfast.checkers.columnar.graph import components, shortest_cycle
from holdfast.checkers.columnar.isolation import Level
from holdfast.checkers.columnar.result import Result
from holdfast.errors import HistoryError
from holdfast.verdict.model import Verdict

HISTORIES = 10_000


def txn(*steps: list[Any], outcome: str = "ok", begin: int = 0, end: int = 10) -> Op:
    """One transaction; all of them overlap unless told otherwise."""
    return Op("txn", list(steps), begin, end, outcome, key=None)


def found(*operations: Op, level: Level = "serializable") -> list[tuple[str, list[str]]]:
    """Anomalies and their witnesses."""
    return [(one.title, rows(one.witness)) for one in isolation.check(table(*operations), level=level).findings]


def test_write_skew_is_told_in_words() -> None:
    """Two transactions that each miss the other's write: the full result."""
    result = isolation.check(
        table(
            txn(["r", "x", []], ["append", "y", 1]),
            txn(["r", "y", []], ["append", "x", 1]),
            txn(["r", "x", [1]], ["r", "y", [1]]),
        )
    )
    sentence = (
        "#1, #2 would each have to come before the next and the last before the first: #1 read x without 1, which #2"
        " appended; #2 read y without 1, which #1 appended."
    )
    assert result == Result(
        model="isolation",
        verdict=Verdict.VIOLATED,
        reason=sentence,
        findings=result.findings,
        figures={"operations": 3.0, "violations": 1.0, "transactions": 3.0, "dependencies": 4.0, "G2": 1.0},
    )
    assert [(one.title, one.sentence, rows(one.witness)) for one in result.findings] == [("G2", sentence, ["#1", "#2"])]


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        # overwrites in opposite orders
        (
            (
                txn(["append", "x", 1], ["append", "y", 1]),
                txn(["append", "x", 2], ["append", "y", 2]),
                txn(["r", "x", [1, 2]], ["r", "y", [2, 1]]),
            ),
            [("G0", ["#1", "#2"])],
        ),
        ((txn(["append", "x", 1], outcome="fail"), txn(["r", "x", [1]])), [("G1a", ["#1", "#2"])]),
        (
            (txn(["append", "x", 1], ["append", "x", 2]), txn(["r", "x", [1]]), txn(["r", "x", [1, 2]])),
            [("G1b", ["#1", "#2"]), ("G-single", ["#1", "#2"])],
        ),
        # each reads what the other wrote
        (
            (txn(["append", "x", 1], ["r", "y", [1]]), txn(["append", "y", 1], ["r", "x", [1]])),
            [("G1c", ["#1", "#2"])],
        ),
        # read skew
        (
            (txn(["append", "x", 1], ["append", "y", 1]), txn(["r", "x", [1]], ["r", "y", []])),
            [],
        ),
        (
            (txn(["append", "x", 1], ["append", "y", 1]), txn(["r", "x", [1]], ["r", "y", []]), txn(["r", "y", [1]])),
            [("G-single", ["#1", "#2"])],
        ),
        ((txn(["r", "x", [7]]),), [("never written", ["#1"])]),
        ((txn(["append", "x", 1]), txn(["r", "x", [1, 1]])), [("duplicate", ["#2"])]),
        (
            (
                *(txn(["append", "x", 1]), txn(["append", "x", 2])),
                *(txn(["r", "x", [1]]), txn(["r", "x", [2]])),
            ),
            [("incompatible order", ["#3", "#4"])],
        ),
        ((txn(["append", "x", 1], ["r", "x", []]),), [("internal", ["#1"])]),
        # registers: a lost update, and a write that is seen and then not
        (
            (
                txn(["w", "x", 1]),
                txn(["r", "x", 1], ["w", "x", 2]),
                txn(["r", "x", 1], ["w", "x", 3]),
            ),
            [("G2", ["#2", "#3"]), ("lost update", ["#1", "#2", "#3"])],
        ),
        ((txn(["w", "x", 1]), txn(["w", "y", 1]), txn(["r", "x", 1], ["r", "y", None])), []),
    ],
)
def test_literal_anomalies(operations: tuple[Op, ...], expected: list[tuple[str, list[str]]]) -> None:
    """Each small history has the anomalies of its kind, with the transactions of the shortest cycle."""
    assert sorted(found(*operations)) == sorted(expected)


def test_a_level_forbids_what_it_forbids() -> None:
    """Write skew passes under snapshot isolation, read skew under read committed, and neither when serializable."""
    skew = (
        txn(["r", "x", []], ["append", "y", 1]),
        txn(["r", "y", []], ["append", "x", 1]),
        txn(["r", "x", [1]], ["r", "y", [1]]),
    )
    assert found(*skew, level="snapshot-isolation") == []
    read_skew = (
        txn(["append", "x", 1], ["append", "y", 1]),
        txn(["r", "x", [1]], ["r", "y", []]),
        txn(["r", "y", [1]]),
    )
    assert found(*read_skew, level="read-committed") == []
    assert found(*read_skew, level="snapshot-isolation") == [("G-single", ["#1", "#2"])]


def test_strict_serializability_respects_real_time() -> None:
    """A read that began after an append had been acknowledged and misses it is fine but for real time."""
    late = (
        txn(["append", "x", 1], begin=0, end=1),
        txn(["r", "x", []], begin=2, end=3),
        txn(["r", "x", [1]], begin=4, end=5),
    )
    assert found(*late) == []
    assert found(*late, level="strict-serializable") == [("G-single-realtime", ["#1", "#2"])]


def test_what_is_no_transaction_is_refused() -> None:
    """A row that is no list of steps is named."""
    with pytest.raises(HistoryError, match="Transaction #1 is no list of steps"):
        isolation.check(table(txn(["delete", "x", 1])))


def random_execution(chance: random.Random) -> list[Op]:
    """Transactions on lists that run one after the other, and then, sometimes, reads that are too old."""
    lists: dict[str, list[int]] = {"x": [], "y": []}
    operations = []
    for number in range(chance.randint(2, 4)):
        steps: list[list[Any]] = []
        for _ in range(chance.randint(1, 3)):
            key = chance.choice("xy")
            if chance.random() < 0.5:
                lists[key].append(len(operations) * 10 + len(steps))
                steps.append(["append", key, lists[key][-1]])
            else:
                steps.append(["r", key, list(lists[key])])
        operations.append(txn(*steps, begin=number, end=99))
    operations.append(txn(["r", "x", list(lists["x"])], ["r", "y", list(lists["y"])], end=99))
    if chance.random() < 0.7:
        for one in operations[:-1]:
            own: set[str] = set()
            for step in one.value:
                if step[0] == "append":
                    own.add(step[1])
                elif step[1] not in own and chance.random() < 0.5:
                    del step[2][chance.randint(0, len(step[2])) :]
    return operations


def is_serializable(operations: list[Op]) -> bool:
    """Whether running the transactions in some order gives every read."""
    for order in permutations(operations):
        lists: dict[str, list[int]] = {"x": [], "y": []}
        if all(
            lists[step[1]] == step[2] if step[0] == "r" else lists[step[1]].append(step[2]) is None
            for one in order
            for step in one.value
        ):
            return True
    return False


def test_serializability_is_that_of_trying_every_order() -> None:
    """With every append read in the end, a history is convicted exactly if no order of its transactions explains it."""
    chance = random.Random(1)
    both = [0, 0]
    for _ in range(HISTORIES):
        operations = random_execution(chance)
        verdict = isolation.check(table(*operations)).verdict
        right = is_serializable(operations)
        both[right] += 1
        assert (verdict == "holds") == right
    assert min(both) > HISTORIES // 10


def test_cycles_are_the_shortest() -> None:
    """On random graphs the components are those of mutual reach, and no cycle through one is shorter."""
    chance = random.Random(2)
    for _ in range(1_000):
        size = chance.randint(1, 6)
        graph = {
            one: {other: {"ww"} for other in range(size) if other != one and chance.random() < 0.3}
            for one in range(size)
        }
        reach = [[other in graph[one] for other in range(size)] for one in range(size)]
        length = [[1 if reach[one][other] else 99 for other in range(size)] for one in range(size)]
        for middle in range(size):
            for one in range(size):
                for other in range(size):
                    length[one][other] = min(length[one][other], length[one][middle] + length[middle][other])
        cyclic = {
            frozenset(v for v in range(size) if v == u or (length[u][v] < 99 and length[v][u] < 99))
            for u in range(size)
            if length[u][u] < 99
        }
        assert {frozenset(one) for one in components(graph)} == cyclic
        for component in components(graph):
            cycle = shortest_cycle(graph, component)
            assert cycle is not None
            assert len(cycle) == min(length[one][one] for one in component)
            assert all(other in graph[one] for one, other in zip(cycle, [*cycle[1:], cycle[0]], strict=True))
