"""What one command of a sweep showed: every mark, and every anomaly of the two kinds of invariants."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from histories import fail, ok, unknown
from holdfast.history.executions import EXECUTION
from holdfast.stack.effects import Status
from holdfast.stack.patterns import Pattern, SagaPattern
from holdfast.sweep.all_or_nothing import AllOrNothing
from holdfast.sweep.judging import Case, Mark, judge
from holdfast.sweep.kinds import Kind
from holdfast.sweep.one_effect import OneEffect
from holdfast.sweep.plan import Fault, Schedule
from holdfast.sweep.points import Caller
from holdfast.sweep.promises import invariants_of
from sweep_examples import CHARGE, GET, HANDLER, PUT, case, look, single

PATTERN = Pattern(command="place", effect="entered", status="order", row="row", message="message")
STATUS = Status.model_validate(
    {
        "source": {"kind": "http", "url": "http://127.0.0.1/"},
        "state": "state",
        "done": "done",
        "failed": "failed",
        "pending": "pending",
    }
)
ONE = OneEffect(PATTERN, STATUS)
FOR_GOOD = single(HANDLER, Kind.FOR_GOOD)


def titles(given: Case) -> list[str]:
    """The anomalies of a case."""
    return sorted({finding.title for finding in ONE.broken(given)})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (case(look("entered", 1)), []),
        (case(look("entered", 2)), ["repeated effect"]),
        (case(look("entered", 0)), ["acknowledged and lost"]),
        (case(look("entered", 0), operations=(unknown("k"),)), []),
        (case(look("entered", 1), operations=(unknown("k"),)), []),
        (case(look("entered", 0), operations=(unknown("k", 1.0), ok("k", 2.0))), ["acknowledged and lost"]),
        (case(look("entered", 1), operations=(fail("k"),)), ["refused and done"]),
        (case(look("entered", 1), operations=(unknown("k"), fail("k"))), []),
        (case(look("entered", 0), letters=1), ["given up too early"]),
        (case(look("entered", 0), letters=1, schedule=FOR_GOOD), []),
        (case(look("entered", 0), schedule=FOR_GOOD), ["acknowledged and lost"]),
        (case(look("entered", 0), letters=1, deliveries=1), []),
        (case(look("entered", 0, complete=False)), []),
        (case(look("row", 1), look("message", 0)), ["half done"]),
        (case(look("row", 0), look("message", 1)), ["half done"]),
        (case(look("row", 1), look("message", 1)), []),
        (case(look("row", 1), look("message", 0), letters=1, schedule=FOR_GOOD), []),
        (case(look("entered", 0), look("order", 1, state="done"), operations=(unknown("k"),)), ["reported wrongly"]),
        (case(look("entered", 1), look("order", 1, state="failed")), ["reported wrongly"]),
        (case(look("entered", 1), look("order", 1, state="pending")), []),
    ],
)
def test_one_effect(given: Case, found: list[str]) -> None:
    """Acknowledged requests take effect once; a dead letter ends them only where deliveries were used up."""
    assert titles(given) == found


def test_one_effect_agrees_with_a_brute_force() -> None:
    """For every mix of answers, counts and dead letters the verdict is that of the promise, spelled out."""
    for answers, count, letters, for_good in itertools.product(
        itertools.product((ok, fail, unknown), repeat=2), range(3), range(2), (False, True)
    ):
        operations = tuple(answer("k", float(at)) for at, answer in enumerate(answers, start=1))
        schedule = FOR_GOOD if for_good else single(PUT, Kind.REFUSED)
        given = case(look("entered", count), operations=operations, letters=letters, schedule=schedule)
        may_be_there = any(answer is not fail for answer in answers)
        must_be_there = ok in answers and not (for_good and letters)
        right = count <= 1 and (may_be_there or not count) and (count == 1 or not must_be_there)
        assert bool(titles(given)) != right, (answers, count, letters, for_good)


def test_a_fault_that_was_not_passed_is_never_held_nor_violated() -> None:
    """Whatever is left, a command whose fault did not hit says that the point was not reached, and why."""
    for count in range(3):
        told = judge(case(look("entered", count), missed=("p was not passed",)), ONE)
        assert told.mark is Mark.UNREACHED
        assert told.why.startswith("p was not passed")


def test_a_delay_that_nobody_felt_is_unreached_unless_something_broke() -> None:
    """A delay that ended before its caller gave up proves nothing; what broke under it is proof all the same."""
    assert judge(case(look("entered", 1), unproven=("waited for it",)), ONE).mark is Mark.UNREACHED
    assert judge(case(look("entered", 2), unproven=("waited for it",)), ONE).mark is Mark.VIOLATED


def test_absence_needs_silence_and_presence_does_not() -> None:
    """Without rest a loss may end yet, and a repeated effect never will."""
    assert judge(case(look("entered", 0), quiet=False), ONE).mark is Mark.INCONCLUSIVE
    assert judge(case(look("entered", 1), quiet=False), ONE).mark is Mark.INCONCLUSIVE
    assert judge(case(look("entered", 2), quiet=False), ONE).mark is Mark.VIOLATED


def test_what_cannot_be_told_is_open() -> None:
    """A port that could not be read, letters without keys and a starved machine leave a case open."""
    assert judge(case(look("entered", 1), look("row", 0, complete=False)), ONE).mark is Mark.INCONCLUSIVE
    nobody = case(look("entered", 0), schedule=FOR_GOOD, anonymous=("relay_failures",))
    told = judge(nobody, ONE)
    assert (told.mark, "relay_failures" in told.why) == (Mark.INCONCLUSIVE, True)
    starved = judge(case(look("entered", 0), starved=True), ONE)
    assert (starved.mark, "too busy" in starved.why) == (Mark.INCONCLUSIVE, True)
    assert judge(case(look("entered", 1), starved=True), ONE).mark is Mark.HELD


def test_held_says_what_was_seen() -> None:
    """The reason of a held cell is what the last look showed."""
    told = judge(case(look("entered", 1), look("order", 1, state="done")), ONE)
    assert (told.mark, told.why) == (Mark.HELD, "acknowledged; entered: 1, order: done")


SAGA = SagaPattern.model_validate(
    {
        "command": "place",
        "effect": "charged",
        "status": "order",
        "lock": "lock",
        "steps": [
            {"name": "reserve", "effect": "reserved", "undone": "released"},
            {"name": "charge", "effect": "charged", "undone": "refunded"},
        ],
    }
)
PORTS = ("reserved", "released", "charged", "refunded")


def saga_case(counts: tuple[int, int, int, int], state: str = "", **more: object) -> Case:
    """A case of a saga with these counts of its ports."""
    looks = [look(port, count) for port, count in zip(PORTS, counts, strict=True)]
    return case(*looks, look("order", 1, state=state), look("lock", 0), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "mark"),
    [
        (saga_case((1, 0, 1, 0), "done"), Mark.HELD),
        (saga_case((1, 1, 1, 1), "failed"), Mark.HELD),
        (saga_case((1, 1, 0, 0), "failed"), Mark.HELD),
        (saga_case((0, 0, 0, 0), "failed"), Mark.HELD),
        (saga_case((0, 0, 0, 0), operations=(unknown("k"),)), Mark.HELD),
        (saga_case((0, 0, 0, 0), "pending", operations=(unknown("k"),)), Mark.VIOLATED),
        (saga_case((0, 0, 0, 0), "pending"), Mark.VIOLATED),
        (saga_case((1, 1, 0, 0), "pending", operations=(unknown("k"),)), Mark.VIOLATED),
        (saga_case((0, 0, 0, 0)), Mark.VIOLATED),
        (saga_case((1, 0, 0, 0), "failed"), Mark.VIOLATED),
        (saga_case((2, 0, 1, 0), "done"), Mark.VIOLATED),
        (saga_case((1, 2, 0, 0), "failed"), Mark.VIOLATED),
        (saga_case((2, 2, 0, 0), "failed"), Mark.VIOLATED),
        (saga_case((1, 0, 1, 0), "failed"), Mark.VIOLATED),
        (saga_case((1, 1, 1, 1), "done"), Mark.VIOLATED),
        (saga_case((1, 0, 1, 0), "pending"), Mark.VIOLATED),
        (saga_case((1, 0, 1, 0), "done", operations=(fail("k"),)), Mark.VIOLATED),
        (saga_case((1, 0, 0, 0), "pending", schedule=FOR_GOOD, letters=1), Mark.HELD),
        (saga_case((1, 0, 1, 0), "failed", schedule=FOR_GOOD, letters=1), Mark.VIOLATED),
        (saga_case((1, 1, 1, 1), "done", schedule=FOR_GOOD, letters=1), Mark.VIOLATED),
        (saga_case((1, 1, 1, 1), "pending", schedule=FOR_GOOD, letters=1), Mark.HELD),
        (saga_case((1, 0, 1, 0), "done", schedule=FOR_GOOD, letters=1, operations=(fail("k"),)), Mark.VIOLATED),
        (saga_case((1, 0, 0, 0), "pending", schedule=FOR_GOOD), Mark.VIOLATED),
        (saga_case((1, 0, 0, 0), "pending", letters=1), Mark.VIOLATED),
        (saga_case((1, 0, 0, 0), "pending", schedule=FOR_GOOD, anonymous=("stuck",)), Mark.INCONCLUSIVE),
    ],
)
def test_all_or_nothing(given: Case, mark: Mark) -> None:
    """A saga is whole or undone, once, and reports which; half done it may stay only where it was surfaced."""
    assert judge(given, AllOrNothing(SAGA, STATUS)).mark is mark


@pytest.mark.parametrize(("slowed", "mark"), [(True, Mark.INCONCLUSIVE), (False, Mark.VIOLATED)])
def test_a_saga_that_ended_late_on_a_busy_machine_decides_nothing(slowed: bool, mark: Mark) -> None:
    """Being late is excused there; whatever else is broken is not."""
    running = look(EXECUTION, 1, state="RUNNING")
    late = saga_case((1, 1, 1, 1), "failed", slowed=slowed)
    late = replace(late, observations={**late.observations, EXECUTION: running})
    promises = AllOrNothing(SAGA, STATUS, bound_seconds=60.0)
    assert judge(late, promises).mark is mark
    repeated = replace(late, observations={**late.observations, "charged": look("charged", 2)})
    assert judge(repeated, promises).mark is Mark.VIOLATED


def test_what_was_never_undone_is_told_as_half_done_first() -> None:
    """It is out of order as well, for what came before it was undone; that is the lesser of the two."""
    places = {"reserved": "1", "charged": "2", "released": "3"}
    looks = [look(port, 1, orders=(place,)) for port, place in places.items()]
    left = case(*looks, look("refunded", 0), look("order", 1, state="failed"), look("lock", 0))
    found = judge(left, AllOrNothing(SAGA, STATUS)).findings
    assert [one.title for one in found] == ["saga half done", "out of order"]
    assert found[1].sentence.endswith("expected that charge is undone before reserve, and it never was.")


def test_only_what_has_no_way_back_may_leave_a_saga_stuck() -> None:
    """Of a state machine's saga, a step that fails for good is undone, and a compensation is tried again."""
    steps = [
        {
            "name": name,
            "effect": done,
            "undone": undone,
            "state": name.capitalize(),
            "function": name,
            "compensation": {"state": back.capitalize(), "function": back},
        }
        for name, done, back, undone in (
            ("reserve", "reserved", "release", "released"),
            ("charge", "charged", "refund", "refunded"),
        )
    ]
    ship = {"name": "ship", "effect": "shipped", "state": "Ship"}
    led = SagaPattern.model_validate(
        {
            "command": "place",
            "effect": "charged",
            "status": "order",
            "state_machine": "saga",
            "pivot": "charge",
            "steps": [*steps, ship],
        }
    )

    def at(state: str, kind: Kind) -> Fault:
        return Fault(replace(CHARGE, state=state), kind)

    stuck = [look(port, count) for port, count in zip((*PORTS, "shipped"), (1, 0, 0, 0, 0), strict=True)]
    for faults, mark in (
        ((at("Charge", Kind.FOR_GOOD),), Mark.VIOLATED),
        ((at("Charge", Kind.FOR_GOOD), at("Release", Kind.REFUSED)), Mark.VIOLATED),
        ((at("Charge", Kind.FOR_GOOD), at("Release", Kind.FOR_GOOD)), Mark.HELD),
        ((at("Ship", Kind.LOST_FOR_GOOD),), Mark.HELD),
        ((Fault(replace(HANDLER, caller=Caller(component="charge")), Kind.FOR_GOOD),), Mark.VIOLATED),
        ((Fault(replace(HANDLER, caller=Caller(component="release")), Kind.FOR_GOOD),), Mark.HELD),
    ):
        given = case(*stuck, look("order", 1, state="pending"), schedule=Schedule(faults=faults), letters=1)
        assert judge(given, AllOrNothing(led, STATUS)).mark is mark, faults
    # surfaced, and yet a step was undone although the pivot was done
    gone = [look(port, count) for port, count in zip((*PORTS, "shipped"), (1, 1, 1, 0, 0), strict=True)]
    given = case(
        *gone, look("order", 1, state="pending"), schedule=Schedule(faults=(at("Ship", Kind.FOR_GOOD),)), letters=1
    )
    assert [one.title for one in judge(given, AllOrNothing(led, STATUS)).findings] == ["went back after the pivot"]
    # undone as a whole: right after a step before the pivot, wrong after one behind it
    back = [look(port, count) for port, count in zip((*PORTS, "shipped"), (1, 1, 1, 1, 0), strict=True)]
    for state, mark in (("Charge", Mark.HELD), ("Ship", Mark.VIOLATED)):
        given = case(*back, look("order", 1, state="failed"), schedule=Schedule(faults=(at(state, Kind.FOR_GOOD),)))
        assert judge(given, AllOrNothing(led, STATUS)).mark is mark, state


def test_a_lock_that_is_left_is_found() -> None:
    """A saga that has ended and holds its lock is violated."""
    given = saga_case((1, 0, 1, 0), "done")
    locked = replace(given, observations={**given.observations, "lock": look("lock", 1)})
    assert judge(locked, AllOrNothing(SAGA, STATUS)).findings[0].title == "lock left"


def test_each_pattern_has_its_invariants() -> None:
    """A saga is judged step by step, everything else by its one effect."""
    of = partial(invariants_of, status=STATUS, descriptor=Path("o.stack.toml"), answers=False, bound_seconds=60.0)
    assert isinstance(of(SAGA), AllOrNothing)
    assert isinstance(of(PATTERN), OneEffect)
    assert AllOrNothing(SAGA, STATUS).effects == ("released", "reserved", "refunded", "charged", "lock")
    assert ONE.effects == ("row", "message", "row", "entered")


def test_two_faults_use_up_two_deliveries() -> None:
    """A pair may end in a dead letter where the request has two deliveries, not where it has three."""
    pair = Schedule(faults=(Fault(GET, Kind.REFUSED), Fault(PUT, Kind.REFUSED)))
    assert case(schedule=pair, deliveries=2).may_give_up
    assert not case(schedule=pair, deliveries=3).may_give_up
