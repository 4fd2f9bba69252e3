"""Plans of concurrent sagas: drawn as data, told, covered, and shrunk with remembered verdicts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import pytest

from holdfast.provocations.saga_generated import Choices, draw_plans, faults_of
from holdfast.provocations.saga_plans import Plan, PlannedFault, PlannedSaga, Tried, smaller, telling

LOST = PlannedFault("reserve", undo=True, kind="answer lost")
FAILS = PlannedFault("reserve", undo=False, kind="fail")
FAILS_AFTER = PlannedFault("reserve", undo=False, kind="fail after")
CHOICES = Choices(
    inputs=({}, {"sku": "sold-out"}, {"card": "declined"}, {"sku": "scarce"}),
    about=("ordinary", "sold out", "declined", "scarce"),
    failing=("", "reserve", "charge", ""),
    before={"reserve": frozenset({"reserve"}), "charge": frozenset({"reserve", "charge"})},
    steps=("reserve", "charge", "ship"),
    undone=("reserve", "charge"),
    breakable=("reserve", "charge"),
)


STEPS = ("flight", "car", "pay", "confirm")
TRIP = Choices(
    inputs=({}, {"flight": "full"}, {"card": "declined"}, {"flight": "scarce"}),
    about=("ordinary", "full", "declined", "scarce"),
    failing=("", "flight", "pay", ""),
    before={name: frozenset(STEPS[: number + 1]) for number, name in enumerate(STEPS[:3])},
    steps=STEPS,
    undone=STEPS[:3],
    breakable=STEPS[:3],
)


@cache
def drawn(seed: int) -> list[Plan]:
    """The plans of a seed, drawn once for all tests."""
    return draw_plans(CHOICES, seed)


def alone(saga: PlannedSaga) -> Plan:
    """A plan of one saga."""
    return Plan((saga,))


def test_every_fault_that_is_drawn_has_a_cell_of_the_coverage() -> None:
    """The grid is laid out by what may be drawn, once each; nothing is drawn beside it."""
    possible = faults_of(CHOICES)
    assert len(set(possible)) == len(possible)
    met = {fault for number in range(5) for plan in drawn(number) for saga in plan.sagas for fault in saga.faults}
    assert met <= set(possible)


def test_smaller_plans_say_one_thing_less() -> None:
    """Of one saga: its input, each fault, and each simpler kind of a fault; the smallest first."""
    plan = alone(PlannedSaga(input=1, faults=(LOST,)))
    assert smaller(plan) == (
        alone(PlannedSaga(input=1)),
        alone(PlannedSaga(faults=(LOST,))),
        alone(PlannedSaga(input=1, faults=(PlannedFault("reserve", undo=True, kind="fail"),))),
        alone(PlannedSaga(input=1, faults=(PlannedFault("reserve", undo=True, kind="fail once"),))),
    )


def test_smaller_plans_leave_a_saga_out_or_release_it_with_the_others() -> None:
    """Of several sagas: one of them alone, and all in one wave."""
    first, second = PlannedSaga(input=3), PlannedSaga(wave=1)
    assert smaller(Plan((first, second))) == (
        alone(PlannedSaga()),
        alone(first),
        Plan((PlannedSaga(), second)),
        Plan((first, PlannedSaga())),
    )


def test_nothing_is_smaller_than_one_ordinary_saga() -> None:
    """Shrinking ends there."""
    assert smaller(alone(PlannedSaga())) == ()


def test_shrinking_never_grows() -> None:
    """Every smaller plan is smaller by the measure that shrinking ends by."""
    for plan in drawn(7):
        assert all(one.size < plan.size for one in smaller(plan))
        assert all(a.size <= b.size for a, b in pairwise(smaller(plan)))


def test_telling_plans_bring_together_what_none_before_did() -> None:
    """A plan that adds nothing comes last, and one that was drawn twice is kept once."""
    bare, full = alone(PlannedSaga(input=1)), alone(PlannedSaga(input=1, faults=(LOST, FAILS)))
    part = alone(PlannedSaga(input=1, faults=(LOST,)))
    assert telling([bare, part, full, full], 3) == [full, bare, part]


@pytest.mark.parametrize("seed", range(5))
def test_the_plans_that_are_run_strike_with_every_fault(seed: int) -> None:
    """No single fault is left out for the sake of a pair."""
    struck = {fault for plan in draw_plans(TRIP, seed) for saga in plan.sagas for fault in saga.faults}
    assert struck == set(faults_of(TRIP))


def test_the_same_seed_draws_the_same_plans() -> None:
    """Draws depend on the seed and nothing else."""
    assert draw_plans(CHOICES, 4) == drawn(4)
    assert drawn(4) != drawn(5)


@pytest.mark.parametrize("seed", range(10))
def test_faults_are_drawn_only_where_a_saga_comes_by(seed: int) -> None:
    """A saga that is refused at a step meets no fault after it, and one that goes through none at a compensation."""
    for plan in drawn(seed):
        for saga in plan.sagas:
            stopped = [one.step for one in saga.faults if one.kind in ("fail", "fail after")]
            refused = CHOICES.failing[saga.input]
            assert len(stopped) <= (0 if refused else 1)
            cause = refused or next(iter(stopped), "")
            for one in saga.faults:
                assert one.undo is False or one.step in CHOICES.before[cause]
                assert one.undo or not cause or one.step in CHOICES.before[cause]
            assert len({(one.step, one.undo) for one in saga.faults}) == len(saga.faults)


@pytest.mark.parametrize("seed", range(10))
def test_the_plans_hold_a_refused_saga_whose_compensation_loses_its_answer(seed: int) -> None:
    """What takes an input and a fault to show is among the few plans that are run."""
    sagas = [saga for plan in drawn(seed) for saga in plan.sagas]
    assert any(saga.input == 1 and LOST in saga.faults for saga in sagas)


def test_what_a_plan_is_called() -> None:
    """Waves are told only where there are several."""
    told = Plan((PlannedSaga(input=1, faults=(LOST,)), PlannedSaga(wave=1, faults=(FAILS_AFTER,)))).told(CHOICES.about)
    assert told == (
        "wave 1: sold out, answer lost at the compensation of reserve; wave 2: ordinary, fail after at reserve"
    )
    assert alone(PlannedSaga()).told(CHOICES.about) == "ordinary"


def test_a_proven_plan_is_not_run_again() -> None:
    """One violating run is a proof; what kept its promises is run as often as allowed, and not more."""
    counts: dict[Plan, int] = {}
    good, bad = alone(PlannedSaga()), alone(PlannedSaga(input=1))

    def run(plans: Sequence[Plan]) -> list[bool]:
        for plan in plans:
            counts[plan] = counts.get(plan, 0) + 1
        return [plan == bad for plan in plans]

    tried = Tried(run=run, repeats=3)
    assert tried.find([good]) is None
    assert tried.find([good, bad]) == bad
    assert tried.shrink(bad) == bad
    assert counts == {good: 3, bad: 1}


def test_without_time_nothing_more_is_run() -> None:
    """A plan is as small as it had become when time was up."""
    plan = alone(PlannedSaga(input=1, faults=(LOST,)))

    def run(plans: Sequence[Plan]) -> list[bool]:
        pytest.fail(f"{len(plans)} plans were run")

    assert Tried(run=run, repeats=3, time_left=lambda: False).shrink(plan) == plan


@pytest.mark.parametrize("seed", range(20))
def test_a_bug_that_shows_one_time_in_five_is_found_and_shrunk_to_its_smallest_plan(seed: int) -> None:
    """A sold-out saga whose release loses its answer, beside any: found, and reduced to just that."""
    chance = random.Random(seed)

    def run(plans: Sequence[Plan]) -> list[bool]:
        return [
            any(saga.input == 1 and LOST in saga.faults for saga in plan.sagas) and chance.random() < 0.2
            for plan in plans
        ]

    plans = drawn(seed)
    tried = Tried(run=run, repeats=40)
    found = tried.find(plans)
    assert found is not None
    assert tried.shrink(found) == alone(PlannedSaga(input=1, faults=(LOST,)))
