"""Literal histories and their full findings: idempotency."""

from __future__ import annotations

import pytest

from histories import EFFECT, fail, history, ok, seen, unknown
from holdfast.checkers import idempotency
from holdfast.checkers.idempotency import Conflict
from holdfast.history.model import History
from holdfast.verdict.model import Finding


def test_two_effects_of_one_key_are_a_duplicate() -> None:
    """More than one effect is a duplicate, however often the key was submitted; fewer submissions come first."""
    first, again, twice = ok("k-1"), unknown("k-1", 2.0), seen("k-1", 2)
    only, thrice = ok("k-2"), seen("k-2", 3)
    assert idempotency.duplicated(history(first, again, only, twice, thrice), effect=EFFECT) == (
        Finding(
            title="duplicated",
            sentence="Key k-2 was submitted 1 time (1 acknowledged) and its effect 'fulfilled' was there 3 times at"
            " t=+9.000s, expected at most 1.",
            key="k-2",
            witness=(only, thrice),
        ),
        Finding(
            title="duplicated",
            sentence="Key k-1 was submitted 2 times (1 acknowledged) and its effect 'fulfilled' was there 2 times at"
            " t=+9.000s, expected at most 1.",
            key="k-1",
            witness=(first, again, twice),
        ),
    )


@pytest.mark.parametrize(
    ("kept", "open_keys"),
    [
        pytest.param(history(ok("k-1"), ok("k-1", 2.0, 2.5), seen("k-1", 1)), (), id="once"),
        pytest.param(history(unknown("k-1"), seen("k-1", 0)), (), id="none"),
        pytest.param(history(ok("k-1"), seen("k-1", 2, complete=False)), ("k-1",), id="incomplete"),
        pytest.param(history(ok("k-1"), ok("k-1", 2.0, 4.0), seen("k-1", 1, 3.0)), ("k-1",), id="read too early"),
        pytest.param(history(ok("k-1")), ("k-1",), id="never read"),
    ],
)
def test_at_most_one_effect_is_no_duplicate(kept: History, open_keys: tuple[str, ...]) -> None:
    """One effect or none is fine; a read before the last answer leaves open what came after it."""
    assert idempotency.duplicated(kept, effect=EFFECT) == ()
    assert idempotency.undecided(kept, effect=EFFECT) == open_keys


def test_exactly_once_is_neither_twice_nor_never() -> None:
    """Duplicates and losses are told together, smallest witness first."""
    first, again, twice = ok("k-1"), ok("k-1", 2.0, 2.5), seen("k-1", 2)
    lost, never = ok("k-2"), seen("k-2", 0)
    findings = idempotency.exactly_once(
        history(first, again, lost, twice, never, ok("k-3"), seen("k-3", 1)), effect=EFFECT
    )
    assert [(one.title, one.key, one.witness) for one in findings] == [
        ("acknowledged and lost", "k-2", (lost, never)),
        ("duplicated", "k-1", (first, again, twice)),
    ]


A, B, C = ok("k-1", 1.0, 2.0, "a"), ok("k-1", 3.0, 4.0, "b"), unknown("k-1", 3.5, "b")
OVERLAPPING = ok("k-1", 1.5, 4.0, "b")
REFUSED = fail("k-1", 3.0, 4.0, "b")


def test_effects_that_show_two_payloads_are_a_mixture() -> None:
    """Two of the submitted payloads must not stand side by side."""
    read = seen("k-1", 2, values=("b", "a"))
    assert idempotency.mixture(history(A, B, read), effect=EFFECT) == (
        Finding(
            title="mixture",
            sentence="Key k-1 was submitted with 2 different payloads (value) and its effect 'fulfilled' shows 2 of the"
            " 2 submitted, 'b' and 'a', at t=+9.000s, expected exactly 1 of them, whole.",
            key="k-1",
            witness=(A, B, read),
        ),
    )


def test_a_payload_made_of_two_is_a_mixture() -> None:
    """A body that takes its parts from two submissions is none of them."""
    first, second = ok("k-1", body="ax"), ok("k-1", 2.0, 3.0, body="by")
    read = seen("k-1", 1, bodies=("ay",))
    assert idempotency.mixture(history(first, second, read), effect=EFFECT, compare="body") == (
        Finding(
            title="mixture",
            sentence="Key k-1 was submitted with 2 different payloads (body) and its effect 'fulfilled' shows 'ay',"
            " which is none of the 2 submitted, at t=+9.000s, expected exactly 1 of them, whole.",
            key="k-1",
            witness=(first, second, read),
        ),
    )


def test_a_refused_payload_must_not_stand() -> None:
    """The payload of a refused conflicting submission must not replace the earlier one."""
    read = seen("k-1", 1, values=("b",))
    assert idempotency.mixture(history(A, REFUSED, read), effect=EFFECT) == (
        Finding(
            title="refused payload stands",
            sentence="Key k-1 shows in effect 'fulfilled' at t=+9.000s the value 'b' whose submission was refused at"
            " t=+4.000s, expected one of the 1 submitted earlier and not refused.",
            key="k-1",
            witness=(A, REFUSED, read),
        ),
    )


def test_where_the_first_wins_a_later_payload_must_not_stand() -> None:
    """A payload sent after another was acknowledged must not be the one that stands."""
    read = seen("k-1", 1, values=("b",))
    assert idempotency.mixture(history(A, B, read), effect=EFFECT, conflict="first-wins") == (
        Finding(
            title="later payload stands",
            sentence="Key k-1 was acknowledged with the value 'a' at t=+2.000s but its effect 'fulfilled' shows 'b',"
            " sent at t=+3.000s, expected the 1 acknowledged first.",
            key="k-1",
            witness=(A, B, read),
        ),
    )


def test_where_conflicts_are_refused_a_later_one_must_not_be_acknowledged() -> None:
    """Another payload sent after the first was acknowledged must get a refusal, even if the first one stands."""
    read = seen("k-1", 1, values=("a",))
    assert idempotency.mixture(history(A, B, read), effect=EFFECT, conflict="refused") == (
        Finding(
            title="conflict accepted",
            sentence="Key k-1 was acknowledged with the value 'a' at t=+2.000s and again with 'b', sent at t=+3.000s,"
            " expected the 1 sent later to be refused.",
            key="k-1",
            witness=(A, B),
        ),
    )


@pytest.mark.parametrize(
    ("kept", "conflict"),
    [
        pytest.param(history(A, B, seen("k-1", 1, values=("b",))), "either", id="either, whole"),
        pytest.param(history(A, B, seen("k-1", 2, values=("a", "a"))), "either", id="twice the same is no mixture"),
        pytest.param(history(A, B, seen("k-1", 1, values=("a",))), "first-wins", id="the first stands"),
        pytest.param(history(A, OVERLAPPING, seen("k-1", 1, values=("b",))), "first-wins", id="overlapping"),
        pytest.param(history(A, OVERLAPPING, seen("k-1", 1, values=("b",))), "refused", id="overlapping, accepted"),
        pytest.param(history(A, C, seen("k-1", 1, values=("a",))), "refused", id="refusal whose answer was lost"),
        pytest.param(history(A, REFUSED, seen("k-1", 1, values=("a",))), "refused", id="refused"),
        pytest.param(history(REFUSED, ok("k-1", 5.0, 6.0, "a"), seen("k-1", 1, values=("b",))), "either", id="first"),
        pytest.param(history(A, A, seen("k-1", 1, values=("z",))), "refused", id="no conflict, altered is another's"),
        pytest.param(history(A, ok("k-1", 3.0, 4.0), seen("k-1", 1, values=("z",))), "either", id="value not known"),
    ],
)
def test_one_whole_payload_that_may_stand_is_no_mixture(kept: History, conflict: Conflict) -> None:
    """What stands is one submitted payload, whole, and the declared rule for conflicts was kept or cannot be judged."""
    assert idempotency.mixture(kept, effect=EFFECT, conflict=conflict) == ()


def test_conflicts_are_undecided_where_no_payload_shows() -> None:
    """An effect without its payload leaves open which one stands."""
    lived = history(A, B, seen("k-1", 1))
    assert idempotency.undecided(lived, effect=EFFECT, compare="value") == ("k-1",)
    assert idempotency.undecided(lived, effect=EFFECT) == ()
