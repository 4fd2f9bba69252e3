"""Literal histories and their full findings: what sagas leave."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from histories import history, ok, seen, unknown
from holdfast.checkers import saga as sagas
from holdfast.checkers.saga import Fate
from holdfast.history.model import History, Observation
from holdfast.stack.patterns import SagaPattern
from holdfast.verdict.model import Finding


def saga(**options: Any) -> SagaPattern:
    """Reserve, then pay (the pivot), then ship, which is shown by what is left alone."""
    steps = [
        {"name": "reserve", "effect": "reserved", "undone": "released", "compensation": {"function": "release"}},
        {"name": "pay", "effect": "paid", "undone": "refunded", "compensation": {"function": "refund"}},
        {"name": "ship", "effect": "shipped"},
    ]
    return SagaPattern.model_validate(
        {"command": "order", "effect": "shipped", "pivot": "pay", "steps": steps, **options}
    )


PORTS = ("reserved", "released", "paid", "refunded", "shipped")
ORDERS = saga()


def read(key: str, *counts: int, at: float = 9.0, incomplete: str = "") -> list[Observation]:
    """One read of each port: reserved, released, paid, refunded, shipped."""
    return [
        seen(key, count, at + index / 10, port=port, complete=port != incomplete)
        for index, (port, count) in enumerate(zip(PORTS, counts, strict=True))
    ]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((1, 0, 1, 0, 1), Fate.COMMITTED),
        ((0, 0, 0, 0, 0), Fate.COMPENSATED),
        ((1, 1, 1, 1, 0), Fate.COMPENSATED),
        ((1, 0, 1, 0, 0), Fate.HALF),
        ((1, 1, 1, 0, 0), Fate.HALF),
        ((2, 0, 1, 0, 1), Fate.REPEATED),
        ((2, 1, 1, 0, 1), Fate.COMMITTED),
        ((3, 1, 1, 0, 1), Fate.REPEATED),
        ((1, 0, 1, 0, 2), Fate.REPEATED),
        ((1, 2, 0, 0, 0), Fate.UNDONE_TWICE),
        ((0, 1, 0, 0, 0), Fate.UNDONE_TWICE),
    ],
)
def test_a_sagas_fate_follows_from_the_counts(counts: tuple[int, ...], expected: Fate) -> None:
    """Every net is 1, or every net is 0, or something is wrong: half, repeated, undone too often."""
    (found,) = sagas.left(history(ok("k"), *read("k", *counts)), ORDERS)
    assert found.fate is expected


def test_half_a_saga_is_neither_all_nor_nothing() -> None:
    """The counts of every step are told, with the reads that show them."""
    start, reads = ok("k"), read("k", 1, 0, 1, 0, 0)
    assert sagas.all_or_nothing(history(start, *reads), ORDERS) == (
        Finding(
            title="saga half done",
            sentence="Key k was started 1 time and left reserve 1, pay 1, ship 0 at t=+9.400s, expected either all of"
            " them or none.",
            key="k",
            witness=(start, *reads),
        ),
    )


@pytest.mark.parametrize(
    ("lived", "open_keys"),
    [
        pytest.param(history(ok("k"), *read("k", 1, 0, 1, 0, 1)), (), id="all"),
        pytest.param(history(unknown("k"), *read("k", 0, 0, 0, 0, 0)), (), id="none"),
        pytest.param(history(ok("k"), *read("k", 1, 0, 1, 0, 0, incomplete="shipped")), ("k",), id="not read whole"),
        pytest.param(history(ok("k", 8.0, 9.2), *read("k", 1, 0, 0, 0, 0)), ("k",), id="read too early"),
        pytest.param(history(ok("k")), ("k",), id="never read"),
    ],
)
def test_what_is_not_read_to_the_end_decides_nothing(lived: History, open_keys: tuple[str, ...]) -> None:
    """A saga that may not have been seen to its end is no counterexample, and keeps the clause open."""
    assert sagas.all_or_nothing(lived, ORDERS) == ()
    assert sagas.undecided(lived, ORDERS) == open_keys


def test_what_was_done_twice_stands_whatever_was_not_read() -> None:
    """Too many are too many, also where another port could not be read."""
    lived = history(ok("k"), *read("k", 2, 0, 1, 0, 0, incomplete="shipped"))
    assert [one.title for one in sagas.all_or_nothing(lived, ORDERS)] == ["saga repeated"]


def test_a_failure_for_good_leaves_nothing_and_leads_nowhere() -> None:
    """What came before the failed step is undone, and what comes after it is not done; committed sagas say nothing."""
    left_behind, went_on, fine, overcome = ok("left"), ok("on", 2.0), ok("fine", 3.0), ok("overcome", 4.0)
    lived = history(
        left_behind,
        *(behind := read("left", 1, 0, 0, 0, 0)),
        went_on,
        *(on := read("on", 1, 1, 0, 0, 1)),
        fine,
        *read("fine", 1, 1, 0, 0, 0),
        overcome,
        *read("overcome", 1, 0, 1, 0, 1),
    )
    struck = dict.fromkeys(("left", "on", "fine", "overcome"), "pay")
    assert sagas.compensated(lived, ORDERS, struck) == (
        Finding(
            title="went on after a failure",
            sentence="Key on: step pay failed for good, and step ship after it was done 1 time, expected 0 times.",
            key="on",
            witness=(went_on, on[4]),
        ),
        Finding(
            title="saga half done",
            sentence="Key left was started 1 time and left reserve 1, pay 0, ship 0 at t=+9.400s, expected 0 of each"
            " after step pay had failed for good.",
            key="left",
            witness=(left_behind, *behind),
        ),
        Finding(
            title="saga half done",
            sentence="Key on was started 1 time and left reserve 1-1, pay 0, ship 1 at t=+9.400s, expected 0 of each"
            " after step pay had failed for good.",
            key="on",
            witness=(went_on, *on),
        ),
    )


def test_an_ambiguous_step_that_stays_is_an_orphan() -> None:
    """A step that took effect and failed must be undone itself."""
    start, reads = ok("k"), read("k", 1, 1, 1, 0, 0)
    assert sagas.compensated(history(start, *reads), ORDERS, {"k": "pay"}, ambiguous=True) == (
        Finding(
            title="orphaned effect",
            sentence="Key k: step pay took effect and then failed for good; it was done 1 time and undone 0 times at"
            " t=+9.300s, expected that it is undone as well.",
            key="k",
            witness=(start, reads[2], reads[3]),
        ),
    )
    assert sagas.compensated(history(start, *read("k", 1, 1, 1, 1, 0)), ORDERS, {"k": "pay"}, ambiguous=True) == ()


@pytest.mark.parametrize(("counts", "orphaned"), [((1, 1, 1, 0, 0), True), ((1, 0, 1, 0, 1), False)])
def test_a_pivot_that_nothing_undoes_and_that_took_effect_goes_forward(counts: tuple[int, ...], orphaned: bool) -> None:
    """What came before it may not be undone then."""
    steps = [one.model_copy(update={"undone": None, "compensation": None}) for one in ORDERS.steps if one.name == "pay"]
    bare = ORDERS.model_copy(update={"steps": [ORDERS.steps[0], *steps, ORDERS.steps[2]]})
    found = sagas.compensated(history(ok("k"), *read("k", *counts)), bare, {"k": "pay"}, ambiguous=True)
    assert [one.sentence for one in found] == [
        "Key k: step pay took effect and then failed for good; it was done 1 time and undone 0 times at t=+9.200s,"
        " expected that it is undone as well."
    ] * orphaned


def test_a_step_done_twice_is_repeated_even_when_it_is_undone() -> None:
    """Exactly once speaks of what was ever done, not of what is left."""
    start, reads = ok("k"), read("k", 2, 2, 1, 1, 0)
    assert sagas.all_or_nothing(history(start, *reads), ORDERS) == ()
    assert sagas.once(history(start, *reads), ORDERS) == (
        Finding(
            title="step repeated",
            sentence="Key k was started 1 time and its step reserve was done 2 times at t=+9.000s, expected at most 1.",
            key="k",
            witness=(start, reads[0]),
        ),
    )


def test_a_compensation_that_runs_twice_must_not_undo_twice() -> None:
    """A step is undone as often as it was done, at most."""
    start, reads = ok("k"), read("k", 1, 2, 0, 0, 0)
    assert sagas.undone_once(history(start, *reads), ORDERS) == (
        Finding(
            title="undone twice",
            sentence="Key k: step reserve was done 1 time and undone 2 times at t=+9.100s, expected that it is undone"
            " as often at most.",
            key="k",
            witness=(start, reads[0], reads[1]),
        ),
    )
    assert sagas.undone_once(history(start, *read("k", 1, 1, 0, 0, 0)), ORDERS) == ()


def test_a_committed_saga_stands_when_it_is_repeated() -> None:
    """Its own earlier success is not undone by a repeat that fails."""
    first, again, reads = ok("k"), ok("k", 2.0, 2.5), read("k", 1, 0, 1, 1, 1)
    assert sagas.stands(history(first, again, *reads), ORDERS, {"k"}, why="was committed and repeated") == (
        Finding(
            title="undone after success",
            sentence="Key k was committed and repeated, and its step pay was done 1 time and undone 1 time at"
            " t=+9.300s, expected that it stands.",
            key="k",
            witness=(first, again, reads[2], reads[3]),
        ),
    )
    kept = history(first, again, *read("k", 1, 0, 1, 0, 1))
    assert sagas.stands(kept, ORDERS, {"k"}, why="was committed") == ()
    assert sagas.stands(history(first, *reads), ORDERS, set(), why="was committed") == ()


def test_after_the_pivot_nothing_is_undone_and_what_passes_is_overcome() -> None:
    """Going back is told, and so is not going on."""
    start, back, stuck = ok("k"), read("k", 1, 0, 1, 1, 0), read("k", 1, 0, 1, 0, 0)
    assert sagas.not_undone(history(start, *back), ORDERS, {"k"}) == (
        Finding(
            title="went back after the pivot",
            sentence="Key k: the pivot pay was done, a step after it failed, and step pay was undone (pay 1-1),"
            " expected that the saga only goes forward.",
            key="k",
            witness=(start, back[2], back[3]),
        ),
    )
    assert sagas.not_undone(history(start, *stuck), ORDERS, {"k"}) == ()
    assert [one.title for one in sagas.went_forward(history(start, *stuck), ORDERS, {"k"})] == ["saga half done"]
    assert sagas.went_forward(history(start, *read("k", 1, 0, 1, 0, 1)), ORDERS, {"k"}) == ()


def test_no_lock_outlives_its_saga() -> None:
    """A saga that is committed or compensated holds no lock; one that is half done may."""
    locking = saga(lock="lock")
    start, reads = ok("k"), read("k", 1, 0, 1, 0, 1)
    held = seen("k", 1, 9.6, port="lock")
    assert sagas.locks_left(history(start, *reads, held), locking) == (
        Finding(
            title="lock left",
            sentence="Key k is committed and its lock 'lock' was there 1 time at t=+9.600s, expected 0.",
            key="k",
            witness=(start, held),
        ),
    )
    assert sagas.locks_left(history(start, *reads, seen("k", 0, 9.6, port="lock")), locking) == ()
    assert sagas.unseen(history(start, *reads, held), "lock") == ()
    assert sagas.unseen(history(start, *reads, replace(held, complete=False)), "lock") == ("k",)
    assert sagas.unseen(history(start, *reads), "lock") == ("k",)
    assert sagas.locks_left(history(start, *read("k", 1, 0, 0, 0, 0), held), locking) == ()


def test_a_committed_saga_that_read_a_compensated_one_has_read_dirt() -> None:
    """Reading the effect of a saga that is undone is an aborted read; reading a committed one, or oneself, is not."""
    reading = saga(reads="seen")
    reader, writer, kept = ok("reader"), ok("writer", 2.0), ok("kept", 3.0)
    lived = [
        *(reader, *read("reader", 1, 0, 1, 0, 1)),
        *(writer, *read("writer", 1, 1, 0, 0, 0)),
        *(kept, *read("kept", 1, 0, 1, 0, 1)),
    ]
    shown = seen("reader", 3, 9.6, port="seen", values=("writer", "kept", "reader"))
    assert sagas.dirty_reads(history(*lived, shown), reading) == (
        Finding(
            title="dirty read",
            sentence="Key reader is committed and has read what key writer had done, which was compensated; expected"
            " that it waits, or is compensated too.",
            key="reader",
            witness=(reader, writer, shown),
        ),
    )
    clean = seen("reader", 1, 9.6, port="seen", values=("kept",))
    assert sagas.dirty_reads(history(*lived, clean), reading) == ()
