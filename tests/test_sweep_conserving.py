"""What a sweep says about what is conserved, about the input in dead letters, and about sagas that do not end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from histories import ok
from holdfast.history.executions import EXECUTION
from holdfast.history.model import DeadLetterSeen, Observation
from holdfast.provocations.tracing import Trace
from holdfast.stack.descriptor import Conserved
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import Pattern, SagaPattern
from holdfast.sweep.all_or_nothing import AllOrNothing
from holdfast.sweep.conserving import half_done, moved, unread
from holdfast.sweep.judging import Case, Mark, judge
from holdfast.sweep.kinds import Kind
from holdfast.sweep.one_effect import OneEffect
from holdfast.sweep.plan import Schedule
from holdfast.sweep.running import Ran, Runner
from holdfast.sweep.sweeping import Budget, Sweep
from holdfast.verdict.model import Finding
from sweep_examples import GET, HANDLER, PUT, case, look, single
from test_sweep_judging import STATUS

SAGA = SagaPattern.model_validate(
    {
        "command": "place",
        "effect": "charged",
        "status": "order",
        "steps": [
            {"name": "reserve", "effect": "reserved", "undone": "released"},
            {"name": "charge", "effect": "charged"},
        ],
    }
)
BOUND_SECONDS = 30.0
SENT = ok("k", 1.0, 1.5, body='{"id": "k", "amount": 7}')


def read(*values: int, complete: bool = True) -> Observation:
    """One read of a quantity."""
    return Observation(
        port="conserved:money",
        key="",
        count=len(values),
        values=tuple(map(str, values)),
        started_seconds=90.0,
        completed_seconds=90.1,
        complete=complete,
    )


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        (read(60, 40), read(50, 50), []),
        (read(60, 40), read(50, 49), ["not conserved"]),
        (read(60, 39), read(50, 49), []),
        (read(60, 39), read(50, 48), ["not conserved"]),
        (read(60, 39), read(50, 50), []),
        (read(100, 0), read(101, -1), ["oversold"]),
        (read(101, -1), read(101, -1), []),
        (read(101, -1), read(102, -2), ["oversold"]),
        (read(60, 40), read(50, -1), ["not conserved", "oversold"]),
        (read(60, 40), read(50, 1, complete=False), []),
        (read(60, 1, complete=False), read(50, 1), []),
    ],
)
def test_only_what_commands_moved_is_theirs(before: Observation, after: Observation, found: list[str]) -> None:
    """A sum that left its total, or an entry that fell below its minimum, since the read before; nothing older."""
    declared = Conserved(effect="balances", path="balance", total=100, minimum=0)
    assert [one.title for one in moved(declared, before, after)] == found


def saga_case(reserved: int, released: int, charged: int, **more: object) -> Case:
    """A case of the saga with these counts."""
    looks = (look("reserved", reserved), look("released", released), look("charged", charged))
    return case(*looks, **{"operations": (SENT,), **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("counts", "half"), [((1, 0, 1), False), ((1, 1, 0), False), ((0, 0, 0), False), ((1, 0, 0), True)]
)
def test_a_saga_that_is_half_done_holds_what_is_counted_nowhere(counts: tuple[int, int, int], half: bool) -> None:
    """Committed and compensated sagas leave every sum as it was; no other does."""
    assert half_done(saga_case(*counts), SAGA) is half


def letter(original: str | None) -> DeadLetterSeen:
    """A dead letter of the key."""
    return DeadLetterSeen(key="k", original=original, body="{}", port="stuck")


@pytest.mark.parametrize(
    ("letters", "titles"),
    [
        ((letter('{"amount": 7, "id": "k"}'),), []),
        ((letter(None),), []),
        ((letter('{"id": "k"}'),), ["not surfaced"]),
        ((letter('{"id": "k"}'), letter('{"id": "k", "amount": 7}')), []),
        ((), ["saga half done", "outcome disagrees"]),
    ],
)
def test_a_saga_that_is_stuck_is_surfaced_with_its_input(
    letters: tuple[DeadLetterSeen, ...], titles: list[str]
) -> None:
    """A saga that may stay half done is in the dead letters with what was submitted, or a promise is broken."""
    given = saga_case(1, 0, 0, schedule=single(HANDLER, Kind.FOR_GOOD), dead_letters=letters)
    stuck = replace(given, observations={**given.observations, "order": look("order", 1, state="pending")})
    assert sorted(one.title for one in AllOrNothing(SAGA, STATUS).broken(stuck)) == sorted(titles)


@pytest.mark.parametrize(
    ("original", "titles"), [('{"id": "k", "amount": 7}', []), (None, []), ("{}", ["dead letter altered"])]
)
def test_a_request_that_is_given_up_keeps_its_input(original: str | None, titles: list[str]) -> None:
    """What was acknowledged and never done is in the dead letters as it was submitted."""
    one = OneEffect(Pattern(command="place", effect="entered"), None)
    given = case(
        look("entered", 0),
        operations=(SENT,),
        schedule=single(HANDLER, Kind.FOR_GOOD),
        dead_letters=(letter(original),),
    )
    assert [finding.title for finding in one.broken(given)] == titles


@pytest.mark.parametrize(
    ("seconds", "state", "quiet", "mark"),
    [
        (BOUND_SECONDS + 1, "RUNNING", False, Mark.VIOLATED),
        (BOUND_SECONDS - 1, "RUNNING", False, Mark.INCONCLUSIVE),
        (BOUND_SECONDS + 1, "SUCCEEDED", False, Mark.INCONCLUSIVE),
        (BOUND_SECONDS + 1, "SUCCEEDED", True, Mark.HELD),
    ],
)
def test_an_execution_that_runs_past_its_bound_is_found_without_rest(
    seconds: float, state: str, quiet: bool, mark: Mark
) -> None:
    """No waiting ends what is under way later than its bound: it is violated, also where the stack never rests."""
    given = saga_case(1, 0, 1, quiet=quiet, operations=(replace(SENT, invoked_seconds=90.0 - seconds),))
    execution = look(EXECUTION, 1, state=state)
    order = look("order", 1, state="done")
    under_way = replace(given, observations={**given.observations, "order": order, EXECUTION: execution})
    told = judge(under_way, AllOrNothing(SAGA, STATUS, bound_seconds=BOUND_SECONDS))
    assert told.mark is mark
    assert [one.title for one in told.findings] == (["unfinished"] if mark is Mark.VIOLATED else [])


MOVED = Finding(title="not conserved", sentence="the sum is 99, expected 100")
SCHEDULES = [single(point, kind) for point in (PUT, GET, HANDLER) for kind in (Kind.REFUSED, Kind.THROTTLED)]


class Waves:
    """Runs waves of schedules of which some move what is conserved; it has all of a runner that is asked for here."""

    pattern = SAGA
    known = callers = stack = None

    def __init__(self, moves: Sequence[Schedule], *, only_together: int = 0) -> None:
        self.moves = moves
        self.only_together = only_together
        self.sizes: list[int] = []

    def say(self, message: str) -> None:
        """Nobody waits."""

    def run(self, schedules: Sequence[Schedule]) -> list[Ran]:
        """Each saga is whole; the sum is wrong where one of those that move it is among them."""
        self.sizes.append(len(schedules))
        wrong = any(one in self.moves for one in schedules) and len(schedules) >= self.only_together
        alone = wrong and len(schedules) == 1
        found = []
        for schedule in schedules:
            given = saga_case(1, 0, 1, schedule=schedule, unbalanced=(MOVED,) * alone)
            found.append(
                Ran(
                    schedule=schedule,
                    case=given,
                    judgement=judge(given, AllOrNothing(SAGA)),
                    trace=Trace(),
                    submission=Submission("k", "v"),
                    unbalanced=(MOVED,) * wrong,
                )
            )
        return found


def sweep_of(waves: Waves) -> Sweep:
    """A sweep whose time never passes."""
    return Sweep(runner=cast("Runner", waves), budget=Budget(), clock=lambda: 0.0)


@pytest.mark.parametrize("moves", [[], SCHEDULES[:1], SCHEDULES[3:4], [SCHEDULES[0], SCHEDULES[5]]])
def test_halving_finds_the_schedules_that_move_what_is_conserved(moves: list[Schedule]) -> None:
    """Of a wave after which the sum is wrong, exactly those schedules are found of which each alone makes it wrong."""
    waves = Waves(moves)
    sweep = sweep_of(waves)
    culprits = sweep._unbalancing(waves.run(SCHEDULES), 1.0)
    assert {one.schedule for one in culprits} == set(moves)
    assert all(one.judgement.mark is Mark.VIOLATED and one.judgement.findings == (MOVED,) for one in culprits)
    assert sweep._unexplained == []
    assert len(waves.sizes) == 1 if not moves else len(waves.sizes) > 1


def test_a_sum_that_only_many_commands_move_is_told_all_the_same() -> None:
    """Where no schedule alone makes the sum wrong, it is told without one: a promise is broken."""
    waves = Waves(SCHEDULES, only_together=6)
    sweep = sweep_of(waves)
    assert sweep._unbalancing(waves.run(SCHEDULES), 1.0) == []
    assert sweep._unexplained == [MOVED]


def test_a_sum_that_whole_sagas_move_again_is_told_although_the_wave_had_a_half_done_one() -> None:
    """A half-done saga proves nothing about its own wave, and excuses no later wave of whole sagas alone."""
    waves = Waves(SCHEDULES, only_together=5)
    wave = waves.run(SCHEDULES)
    sweep = sweep_of(waves)
    assert sweep._unbalancing([replace(wave[0], case=saga_case(1, 0, 0)), *wave[1:]], 1.0) == []
    assert sweep._unexplained == [MOVED]


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (read(60, 40), read(50, 50), ""),
        (read(60, 40, complete=False), read(50, 50), "money"),
        (read(60, 40), read(50, 50, complete=False), "money"),
    ],
)
def test_what_could_not_be_weighed_is_open(before: Observation, after: Observation, named: str) -> None:
    """A quantity that was not read to the end leaves every command of the wave open, and a broken promise broken."""
    told = unread({"money": before}, {"money": after})
    assert bool(told) is bool(named)
    assert named in told
    looks = (look("order", 1, state="done"),)
    given = saga_case(1, 0, 1, unweighed=told)
    whole = replace(given, observations={**given.observations, "order": looks[0]})
    assert judge(whole, AllOrNothing(SAGA, STATUS)).mark is (Mark.INCONCLUSIVE if told else Mark.HELD)
    half = saga_case(1, 0, 0, unweighed=told)
    assert judge(half, AllOrNothing(SAGA, STATUS)).mark is Mark.VIOLATED


def test_nothing_is_run_again_where_what_is_conserved_stays() -> None:
    """A wave that leaves every sum as it was costs nothing more."""
    waves = Waves([])
    assert sweep_of(waves)._unbalancing(waves.run(SCHEDULES), 1.0) == []
    assert waves.sizes == [len(SCHEDULES)]
