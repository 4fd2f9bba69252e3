"""The order of a saga's moves: literal findings, and the automaton as an oracle that steps through every move."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

import pytest

from histories import history, ok, seen
from holdfast.checkers import saga_traces
from holdfast.checkers.saga_traces import Move, misplaced
from holdfast.history.executions import Attempt, Execution, ExecutionStatus, Visit
from holdfast.stack.patterns import SagaPattern
from holdfast.verdict.model import Finding

WORDS = 4_000


def line(*names: str, after: dict[str, list[str]] | None = None, order: str = "reverse") -> SagaPattern:
    """A saga of these steps, each with a port that counts its compensations."""
    steps = [
        {
            "name": name,
            "effect": name,
            "undone": f"un{name}",
            "state": name.upper(),
            "compensation": {"state": f"UN{name.upper()}"},
            **({"after": after[name]} if after and name in after else {}),
        }
        for name in names
    ]
    return SagaPattern.model_validate(
        {"command": "order", "effect": names[-1], "steps": steps, "compensation_order": order}
    )


def word(*moves: str) -> list[Move]:
    """Moves at 0, 1, 2...: ``a`` does a step, ``-a`` undoes it."""
    return [
        Move(step=move.lstrip("-"), undo=move.startswith("-"), place=at, end=at, shown=str(at))
        for at, move in enumerate(moves)
    ]


def accepted(moves: Sequence[str], saga: SagaPattern) -> bool:
    """The automaton itself: whether each move was allowed when it came."""
    before = saga.predecessors()
    done: set[str] = set()
    undone: set[str] = set()
    for move in moves:
        step = move.lstrip("-")
        if move.startswith("-"):
            standing = {name for name in done - undone if step in before[name]}
            if step not in done or step in undone or (standing and saga.compensation_order == "reverse"):
                return False
            undone.add(step)
        else:
            if step in done or not before[step] <= done or before[step] & undone:
                return False
            done.add(step)
    return True


@pytest.mark.parametrize(
    "saga",
    [
        line("a", "b", "c"),
        line("a", "b", "c", order="any"),
        line("a", "b", "c", after={"c": ["a"]}),
        line("a", "b", "c", after={"b": []}),
        line("a", "b", "c", after={"b": [], "c": []}, order="any"),
    ],
    ids=["line", "any order", "fork", "join", "free"],
)
def test_pairs_refuse_what_the_automaton_refuses(saga: SagaPattern) -> None:
    """Every word of moves, each once, is refused by the pairs exactly when the automaton gets stuck in it."""
    moves = ["a", "b", "c", "-a", "-b", "-c"]
    refused = 0
    for length in range(len(moves) + 1):
        for said in permutations(moves, length):
            # an undo without its step is for the counts to tell, not for the order
            if any(move.startswith("-") and move[1:] not in said for move in said):
                continue
            assert (not misplaced(word(*said), saga)) == accepted(said, saga), said
            refused += not accepted(said, saga)
    assert refused


def test_random_words_of_longer_sagas_agree_with_the_automaton() -> None:
    """The same for five steps in a random partial order."""
    chance = random.Random(20)
    names = "abcde"
    verdicts = set()
    for _ in range(WORDS):
        after = {
            name: sorted(chance.sample(names[:at], chance.randint(0, min(at, 2)))) for at, name in enumerate(names)
        }
        saga = line(*names, after=after, order=chance.choice(("reverse", "reverse", "any")))
        done = list(names[: chance.randint(1, 5)])
        undone = [f"-{name}" for name in reversed(done) if chance.random() < 0.8]
        said = [*done, *undone]
        for _ in range(chance.choice((0, 0, 1, 2))):
            one, other = chance.randrange(len(said)), chance.randrange(len(said))
            said[one], said[other] = said[other], said[one]
        if any(move.startswith("-") and said.index(move) < said.index(move[1:]) for move in said):
            assert misplaced(word(*said), saga)
            continue
        assert (not misplaced(word(*said), saga)) == accepted(said, saga), (said, after)
        verdicts.add(accepted(said, saga))
    assert verdicts == {True, False}


def test_moves_of_one_moment_are_not_ordered() -> None:
    """A clock that ticks seldom accuses nobody."""
    at_once = [Move(step=step, undo=True, place=1.0, end=1.0, shown="1") for step in "ab"]
    assert not misplaced([*word("a", "b"), *at_once], line("a", "b"))


def test_compensations_in_forward_order_are_told_with_the_two_reads() -> None:
    """The positions of the effects tell the order, as numbers where all are numbers."""
    start = ok("k")
    reads = [
        seen("k", 1, 9.0, port="a", orders=("8",)),
        seen("k", 1, 9.1, port="una", orders=("10",)),
        seen("k", 1, 9.2, port="b", orders=("9",)),
        seen("k", 1, 9.3, port="unb", orders=("11",)),
    ]
    lived, saga = history(start, *reads), line("a", "b")
    assert saga_traces.in_order(lived, saga) == (
        Finding(
            title="out of order",
            sentence="Key k: step a was undone at '10', before b was undone at '11'; expected that b is undone before"
            " a.",
            key="k",
            witness=(start, *reads),
        ),
    )
    assert saga_traces.in_order(lived, line("a", "b", order="any")) == ()
    assert saga_traces.unplaced(lived, saga) == ()


def test_an_order_is_known_where_two_compensations_have_a_place() -> None:
    """By the positions of their effects, or by the states of an execution; one compensation alone has no order."""
    start, saga = ok("k"), line("a", "b")
    places = {"a": "1", "b": "2", "unb": "3", "una": "4"}
    placed = [seen("k", 1, 9.0, port=port, orders=(place,)) for port, place in places.items()]
    bare = [seen("k", 1, 9.0, port=port) for port in places]
    both = execution(visit("UNB", 102, 103), visit("UNA", 103, 104))
    one = execution(visit("UNB", 102, 103))
    assert saga_traces.with_known_order([], history(start, *placed), saga) == {"k"}
    assert saga_traces.with_known_order([both], history(start, *bare), saga) == {"k"}
    assert saga_traces.with_known_order([one], history(start, *bare), saga) == frozenset()
    assert (
        saga_traces.with_known_order([execution(*both.visits, redrives=1)], history(start, *bare), saga) == frozenset()
    )


def test_effects_without_positions_tell_no_order() -> None:
    """Two steps were undone, and nobody can tell in which order."""
    reads = [seen("k", 1, 9.0 + at / 10, port=port) for at, port in enumerate(("a", "una", "b", "unb"))]
    lived, saga = history(ok("k"), *reads), line("a", "b")
    assert saga_traces.in_order(lived, saga) == ()
    assert saga_traces.unplaced(lived, saga) == ("k",)


def visit(state: str, entered: float, exited: float, error: str = "") -> Visit:
    """A visit of a task with one attempt."""
    attempt = Attempt(started_seconds=entered, ended_seconds=exited, error=error)
    return Visit(state=state, entered_seconds=entered, exited_seconds=exited, attempts=(attempt,))


def execution(*visits: Visit, redrives: int = 0) -> Execution:
    """A failed execution of key ``k``."""
    return Execution(
        key="k",
        arn="arn:aws:states:eu-west-1:123456789012:execution:machine:k",
        status=ExecutionStatus.FAILED,
        started_seconds=100.0,
        redrives=redrives,
        visits=visits,
    )


def test_a_history_tells_the_order_of_compensations_too() -> None:
    """A compensation that begins before the one it must follow is over is out of order; failed visits are none."""
    start, saga = ok("k"), line("a", "b")
    forward = execution(
        visit("A", 100, 101), visit("B", 101, 102, "Oops"), visit("UNA", 102, 103), visit("UNB", 103, 104)
    )
    assert saga_traces.executed_in_order([forward], history(start), saga) == (
        Finding(
            title="out of order",
            sentence="Key k: step a was undone at 2.000 s of execution k, before b was undone at 3.000 s of execution"
            " k; expected that b is undone before a.",
            key="k",
            witness=(start,),
        ),
    )
    side_by_side = execution(visit("UNB", 102, 104), visit("UNA", 103, 105))
    assert len(saga_traces.executed_in_order([side_by_side], history(start), saga)) == 1
    reverse = execution(visit("UNB", 102, 103), visit("UNA", 103, 104))
    assert saga_traces.executed_in_order([reverse], history(start), saga) == ()
    assert saga_traces.executed_in_order([execution(*forward.visits, redrives=1)], history(start), saga) == ()
    assert [move.step for move in saga_traces.moves_of(forward, saga)] == ["a", "a", "b"]
