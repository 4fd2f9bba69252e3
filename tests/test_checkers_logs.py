"""Literal histories and their full findings: commands and the events of a log, one to one and in order."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from aggregates import event, log, stream
from histories import fail, history, ok, unknown
from holdfast.checkers import logs
from holdfast.checkers.columnar import register
from holdfast.checkers.projections import streams


def titles(found: Any) -> list[str]:
    return [one.title for one in found]


E1, E2, E3 = event(1, "k1"), event(2, "k2"), event(3, "k3")


def test_a_log_of_accepted_commands_in_order_is_fine() -> None:
    """One event each, places from 1, the same at every read: nothing to say."""
    one = stream(ok("k1", 1, 2), ok("k2", 3, 4), log(E1, at=2.5), log(E1, E2))
    assert logs.gap_free([one]) == logs.recorded([one]) == logs.in_real_time_order([one]) == ()
    assert logs.phantom_events([one]) == logs.unfinished_commands([one]) == ()


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        ([log(E1, E3)], ["gap"]),
        ([log(E2)], ["gap"]),
        ([log(E1, E1)], ["event twice"]),
        ([log(E1, event(1, "k2"))], ["event changed", "event twice"]),
        ([log(E1, at=2.0), log(event(1, "k1", 9))], ["event changed"]),
        ([log(E1, E2, at=2.0), log(E1)], ["event gone"]),
        ([log(E1, E2, at=2.0, complete=False), log(E1)], []),
    ],
)
def test_gaps_repeats_and_changes_are_found(reads: list[Any], expected: list[str]) -> None:
    """Places are 1..n, once each, and what was read once is read for ever; reads that failed prove nothing."""
    assert sorted(titles(logs.gap_free([stream(ok("k1"), *reads)]))) == expected


def test_an_accepted_command_without_an_event_is_lost() -> None:
    """Beside other events and in an empty log; one that was accepted after the log was read is not."""
    (beside,) = logs.recorded([stream(ok("k1", 1, 2), ok("k2", 3, 4), log(E1))])
    (alone,) = logs.recorded([stream(ok("k1", 1, 2), log())])
    assert (beside.title, alone.title) == ("accepted and lost", "accepted and lost")
    assert alone.sentence == ("Command k1 was accepted at t=+2.000s, and at t=+8.000s the log of a has no event.")
    late = stream(ok("k1", 1, 2), ok("k2", 8.5, 9), log(E1))
    assert logs.recorded([late]) == ()
    assert logs.unfinished_commands([late]) == ("the log of a was not read after its last command",)


def test_an_unknown_command_may_have_an_event_or_none() -> None:
    """A command without an answer decides nothing; one with two events does."""
    assert logs.recorded([stream(unknown("k1", 1), log(E1))]) == ()
    assert logs.recorded([stream(unknown("k1", 1), ok("k2", 1, 2), log(event(1, "k2")))]) == ()
    assert titles(logs.recorded([stream(unknown("k1", 1), log(E1, event(2, "k1")))])) == ["event twice"]


def test_a_refused_command_with_an_event_is_a_phantom() -> None:
    """Refused by every submission, and there; one that was accepted at another try is not."""
    refused = stream(fail("k1", 1, 2), log(E1))
    assert titles(logs.recorded([refused])) == ["refused and there"]
    (found,) = logs.phantom_events([refused])
    assert found.sentence == "Command k1 was refused (409) at t=+2.000s, and its event stands at place 1 of a."
    retried = stream(ok("k1", 1, 2), fail("k1", 3, 4), log(E1))
    assert logs.recorded([retried]) == logs.phantom_events([retried]) == ()


def test_an_event_in_the_log_of_another_aggregate_is_found() -> None:
    """Commands stay with their aggregate."""
    found = streams(
        history(ok("k1", 1, 2), ok("k2", 1, 2)),
        {"k1": "a", "k2": "b"},
        [log(E1, event(2, "k2")), log(event(1, "k2"), aggregate="b")],
        [],
    )
    assert titles(logs.recorded(found)) == ["event of another aggregate"]


def test_order_contradicts_real_time_only_when_one_ended_before_the_other_began() -> None:
    """Commands that overlap may stand in either order."""
    swapped = log(event(1, "k2"), event(2, "k1"))
    (found,) = logs.in_real_time_order([stream(ok("k1", 1, 2), ok("k2", 3, 4), swapped)])
    assert found.sentence == (
        "Command k1 of a was accepted at t=+2.000s, before k2 was sent at t=+3.000s, but stands at place 2, after it"
        " at 1."
    )
    assert [one.key for one in found.witness] == ["k1", "k2"]  # type: ignore[union-attr]
    assert logs.in_real_time_order([stream(ok("k1", 1, 3), ok("k2", 2, 4), swapped)]) == ()
    assert logs.in_real_time_order([stream(ok("k1", 1, 3), ok("k2", 3, 4), swapped)]) == ()


def test_a_log_and_its_readers_are_a_register_that_is_appended_to() -> None:
    """What a read showed may not vanish, and what was accepted before a read must be in it."""
    fine = stream(ok("k1", 1, 2), unknown("k2", 3), fail("k3", 3, 4), log(E1, at=2.5), log(E1, E2))
    assert register.check(logs.as_appended([fine])).verdict == "holds"
    stale = stream(ok("k1", 1, 2), ok("k2", 3, 4), log(E1, at=5.0), log(E1, E2))
    overwritten = stream(ok("k1", 1, 4), ok("k2", 1, 4), log(E1, at=2.0), log(event(1, "k2")))
    phantom = stream(ok("k1", 1, 2), fail("k2", 3, 4), log(E1, E2))
    for one in (stale, overwritten, phantom):
        (found,) = register.check(logs.as_appended([one])).findings
        assert (found.title, found.key) == ("not linearizable", "a")
    failed = stream(ok("k1", 1, 2), log(at=5.0, complete=False), log(E1))
    assert register.check(logs.as_appended([failed])).verdict == "holds"


def linearizable(times: dict[str, tuple[float, float]], order: list[str]) -> bool:
    """Whether every pair that real time orders stands in that order."""
    return not any(times[after][1] < times[before][0] for before, after in itertools.combinations(order, 2))


def test_orders_agree_with_an_obvious_oracle() -> None:
    """On thousands of random logs a contradiction is found exactly where some pair contradicts real time."""
    rng = random.Random(3)
    found = {True: 0, False: 0}
    for _ in range(5_000):
        keys = [f"k{at}" for at in range(rng.randint(1, 5))]
        times = {key: tuple(sorted((rng.randint(0, 6), rng.randint(0, 6)))) for key in keys}
        order = rng.sample(keys, len(keys))
        one = stream(
            *(ok(key, *times[key]) for key in keys), log(*(event(at + 1, key) for at, key in enumerate(order)))
        )
        right = linearizable(times, order)  # type: ignore[arg-type]
        found[right] += 1
        assert (logs.in_real_time_order([one]) == ()) is right, (times, order)
        assert (register.check(logs.as_appended([one])).verdict == "holds") is right, (times, order)
    assert min(found.values()) > 500


def test_one_to_one_agrees_with_an_obvious_oracle() -> None:
    """On thousands of random logs something is wrong exactly where counts, places or outcomes say so."""
    rng = random.Random(5)
    found = {True: 0, False: 0}
    for _ in range(5_000):
        keys = [f"k{at}" for at in range(rng.randint(1, 4))]
        outcomes = {key: rng.choice((ok, ok, fail, None)) for key in keys}
        held = [key for key in keys if rng.random() < (0.9 if outcomes[key] is ok else 0.3)]
        if held and rng.random() < 0.2:
            held.append(rng.choice(held))
        rng.shuffle(held)
        places = list(range(1, len(held) + 1))
        if places and rng.random() < 0.2:
            places[rng.randrange(len(places))] += rng.choice((1, -1))
        operations = [unknown(key, 1) if (made := outcomes[key]) is None else made(key, 1, 2) for key in keys]
        events = [event(place, key) for place, key in sorted(zip(places, held, strict=True))]
        one = stream(*operations, log(*events))
        wrong = (
            sorted(places) != list(range(1, len(held) + 1))
            or any(held.count(key) > 1 for key in held)
            or any(outcomes[key] is fail for key in held)
            or any(outcomes[key] is ok and key not in held for key in keys)
        )
        found[wrong] += 1
        assert bool(logs.gap_free([one]) or logs.recorded([one])) is wrong, (outcomes, held, places)
    assert min(found.values()) > 500
