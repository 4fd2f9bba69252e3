"""Literal histories and their full findings: how sagas end, what they say of it, and what is conserved."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from histories import fail, history, ok, seen
from holdfast.checkers import conservation, saga_ends
from holdfast.checkers.saga import Fate
from holdfast.checkers.saga_ends import Claim
from holdfast.history.executions import EXECUTION
from holdfast.history.model import DeadLetterSeen, ErrorClass, FaultWindow
from holdfast.verdict.model import Finding
from test_checkers_saga import ORDERS, read

CLAIMS = {"completed": Claim.DONE, "cancelled": Claim.UNDONE, "working": Claim.OPEN}


def test_a_saga_that_runs_past_its_bound_is_told() -> None:
    """Only a look later than the bound counts, and only if it was under way then."""
    start = ok("k")
    early, late = (seen("k", 1, at, port=EXECUTION, state="RUNNING") for at in (20.0, 62.0))
    over = seen("k", 1, 70.0, port=EXECUTION, state="SUCCEEDED")
    lived = history(start, early, late, over)
    assert saga_ends.unfinished(lived, port=EXECUTION, running=["RUNNING"], bound_seconds=60.0) == (
        Finding(
            title="unfinished",
            sentence="Key k was started at t=+1.000s and 'execution' says 'RUNNING' at t=+62.000s, expected that it has"
            " ended within 60 s.",
            key="k",
            witness=(start, late),
        ),
    )
    assert saga_ends.unfinished(lived, port=EXECUTION, running=["RUNNING"], bound_seconds=61.5) == ()
    assert saga_ends.unfinished(lived, port=EXECUTION, running=["RUNNING"], bound_seconds=60.0, keys=()) == ()
    assert saga_ends.running_still(lived) == ()
    assert saga_ends.running_still(history(start, early)) == ("k",)
    assert saga_ends.over_since(lived, port=EXECUTION, running=["RUNNING"]) == {"k"}
    assert saga_ends.over_since(history(start, early, late), port=EXECUTION, running=["RUNNING"]) == frozenset()
    assert saga_ends.over_since(history(start), port=EXECUTION, running=["RUNNING"]) == frozenset()
    struck = FaultWindow(
        lever="invocation-fault",
        component="refund",
        error_class=ErrorClass.FAILURE,
        started_seconds=0.0,
        ended_seconds=69.0,
        proof="hit",
        key="k",
    )
    only_healed, by_itself = (replace(lived, windows=(replace(struck, ended_seconds=at),)) for at in (69.0, 71.0))
    assert saga_ends.over_since(only_healed, port=EXECUTION, running=["RUNNING"]) == frozenset()
    assert saga_ends.over_since(by_itself, port=EXECUTION, running=["RUNNING"]) == {"k"}


def letter(key: str, original: str | None) -> DeadLetterSeen:
    """A dead letter."""
    return DeadLetterSeen(key=key, original=original, body="", port="stuck")


@pytest.mark.parametrize("original", ['{"id": "k"}', '{ "id":"k" }', None])
def test_half_a_saga_is_surfaced_with_its_input(original: str | None) -> None:
    """Its input is there when it is the same JSON; where no original is shown, the dead letter is enough."""
    lived = history(ok("k", body='{"id": "k"}'), *read("k", 1, 0, 0, 0, 0))
    assert saga_ends.surfaced(lived, ORDERS, letters=[letter("k", original)], keys={"k"}) == ()


@pytest.mark.parametrize(
    ("letters", "problem"),
    [
        ([], "has 0 dead letters, expected 1 with its input"),
        ([letter("k", '{"id": "other"}')], "has 1 dead letters, and none holds its input as it was submitted"),
        ([letter("other", None)], "has 0 dead letters, expected 1 with its input"),
    ],
)
def test_half_a_saga_that_nobody_hears_of_is_told(letters: list[DeadLetterSeen], problem: str) -> None:
    """Neither undone nor surfaced, or surfaced without what it needs to be undone by hand."""
    start, reads = ok("k", body='{"id": "k"}'), read("k", 1, 0, 0, 0, 0)
    assert saga_ends.surfaced(history(start, *reads), ORDERS, letters=letters, keys={"k"}) == (
        Finding(
            title="not surfaced",
            sentence=f"Key k left reserve 1, pay 0, ship 0 for good and {problem}.",
            key="k",
            witness=(start, *reads),
        ),
    )
    undone = history(start, *read("k", 1, 1, 0, 0, 0))
    assert saga_ends.surfaced(undone, ORDERS, letters=letters, keys={"k"}) == ()


COUNTS = {
    Fate.COMMITTED: (1, 0, 1, 0, 1),
    Fate.COMPENSATED: (1, 1, 0, 0, 0),
    Fate.HALF: (1, 0, 0, 0, 0),
}


@pytest.mark.parametrize("surfaced", [True, False])
@pytest.mark.parametrize("state", [*CLAIMS, "strange", ""])
@pytest.mark.parametrize("fate", COUNTS)
def test_a_report_agrees_with_what_happened(fate: Fate, state: str, surfaced: bool) -> None:
    """The whole table: what may be said of a saga that is committed, undone, or half done and surfaced or not."""
    lived = history(ok("k"), *read("k", *COUNTS[fate]), seen("k", 1, 9.8, port="status", state=state))
    found = saga_ends.agree(lived, ORDERS, port="status", claims=CLAIMS, surfaced_keys={"k"} if surfaced else ())
    truths = {Fate.COMMITTED: {"completed"}, Fate.COMPENSATED: {"cancelled", ""}, Fate.HALF: {"cancelled"}}
    if surfaced:
        truths[Fate.HALF].add("working")
    assert bool(found) == (state not in truths[fate])


def test_a_claim_that_is_not_true_is_told_with_the_counts() -> None:
    """The sentence names what is left, what is claimed and what should be."""
    start, reads = ok("k"), read("k", 1, 1, 0, 0, 0)
    said = seen("k", 1, 9.8, port="status", state="completed")
    assert saga_ends.agree(history(start, *reads, said), ORDERS, port="status", claims=CLAIMS) == (
        Finding(
            title="outcome disagrees",
            sentence="Key k is compensated (reserve 1-1, pay 0, ship 0) and 'status' says 'completed' at t=+9.800s,"
            " expected that it is undone.",
            key="k",
            witness=(start, *reads, said),
        ),
    )
    unread = history(start, *reads, seen("k", 0, 9.8, port="status", complete=False))
    assert saga_ends.agree(unread, ORDERS, port="status", claims=CLAIMS) == ()
    assert saga_ends.unreported(unread, ORDERS, port="status") == ("k",)
    assert saga_ends.unreported(history(start, *reads, said), ORDERS, port="status") == ()


def test_what_the_client_was_told_is_true() -> None:
    """A refused saga leaves nothing; an acknowledged one is done where the answer comes at its end."""
    refused, reads = fail("k"), read("k", 1, 0, 0, 0, 0)
    assert saga_ends.answers_agree(history(refused, *reads), ORDERS, tells_outcome=False) == (
        Finding(
            title="answer disagrees",
            sentence="Key k was started 1 time and left reserve 1, pay 0, ship 0, expected 0 of each, since every start"
            " was refused.",
            key="k",
            witness=(refused, *reads),
        ),
    )
    undone = history(ok("k"), *read("k", 1, 1, 0, 0, 0))
    assert saga_ends.answers_agree(undone, ORDERS, tells_outcome=False) == ()
    assert [one.title for one in saga_ends.answers_agree(undone, ORDERS, tells_outcome=True)] == ["answer disagrees"]
    assert saga_ends.answers_agree(history(refused, *read("k", 1, 1, 0, 0, 0)), ORDERS, tells_outcome=True) == ()


STOCK = "conserved:stock"


def test_a_quantity_below_its_minimum_was_oversold_at_that_moment() -> None:
    """The worst of all complete reads is the witness, whatever came after it."""
    low, lower = (seen("", 2, at, port=STOCK, values=values) for at, values in ((2.0, ("5", "-1")), (3.0, ("-2", "9"))))
    last = seen("", 2, 9.0, port=STOCK, values=("0", "5"))
    assert conservation.conserved(history(low, lower, last), port=STOCK, total=5, minimum=0) == (
        Finding(
            title="oversold",
            sentence="An entry of 'conserved:stock' was -2 at t=+3.000s, expected 0 or more.",
            key="",
            witness=(lower,),
        ),
    )


def test_a_sum_is_judged_when_all_is_quiet() -> None:
    """The last complete read adds up; decimals are exact."""
    amiss = seen("", 3, 2.0, port=STOCK, values=("1",))
    last = seen("", 2, 9.0, port=STOCK, values=("0.1", "0.2"))
    lived = history(last, amiss)
    assert conservation.conserved(lived, port=STOCK, total=0.3) == ()
    assert conservation.conserved(lived, port=STOCK, total=1) == (
        Finding(
            title="not conserved",
            sentence="The 2 entries of 'conserved:stock' added up to 0.3 at t=+9.000s, expected 1.",
            key="",
            witness=(last,),
        ),
    )
    assert conservation.undecided(lived, port=STOCK) == ()
    assert conservation.undecided(history(), port=STOCK) == ("'conserved:stock' was never read",)
    unread = history(last, seen("", 0, 9.5, port=STOCK, complete=False, state="denied"))
    assert conservation.conserved(unread, port=STOCK, total=1) == ()
    assert conservation.undecided(unread, port=STOCK) == ("'conserved:stock' was not read to the end: denied",)


def test_conservation_agrees_with_the_fold_of_a_ledger() -> None:
    """Random transfers between accounts: what is read is conserved exactly when no transfer was lost or overdrew."""
    chance = random.Random(4)
    seen_verdicts = set()
    for _ in range(2_000):
        accounts = [10, 10, 10]
        reads, overdrawn, lost = [], False, False
        for at in range(chance.randint(1, 6)):
            giver, taker, amount = chance.randrange(3), chance.randrange(3), chance.randint(1, 9)
            accounts[giver] -= amount
            if chance.random() < 0.9:
                accounts[taker] += amount
            else:
                lost = True
            reads.append(seen("", 3, float(at), port=STOCK, values=tuple(str(one) for one in accounts)))
            overdrawn = overdrawn or min(accounts) < 0
        titles = {one.title for one in conservation.conserved(history(*reads), port=STOCK, total=30, minimum=0)}
        assert titles == {*(["oversold"] if overdrawn else []), *(["not conserved"] if lost else [])}
        seen_verdicts.add((overdrawn, lost))
    assert len(seen_verdicts) == 4
