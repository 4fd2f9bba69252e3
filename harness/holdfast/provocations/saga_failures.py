"""Steps and compensations of sagas that fail: before their effect or after it, for a while or for good.

Each saga is struck at one place, by its key, and all of them run side by side. Which step struck which key is kept in
the evidence (`Evidence.struck`). What leaves sagas half done for good comes after a look at all others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from holdfast.provocations.bench import Aim, Bench
from holdfast.provocations.model import Aimed, Moment, Provocation
from holdfast.provocations.requirements import REDELIVERY, Requirement, Situation, dead_letters_named
from holdfast.provocations.saga_places import (
    Fault,
    Place,
    callbacks,
    compensated_steps,
    fault,
    passing_failures,
    place_of,
    places,
    policy_of,
    saga_of,
    steps_after_pivot,
    steps_until_pivot,
    undoing,
)
from holdfast.provocations.saga_requirements import (
    callback_awaited,
    compensations_aimed,
    compensations_named,
    machine_named,
    pivot_named,
    retries_declared,
    services_aimed,
    states_defined,
    states_named,
    steps_aimed,
    steps_listed,
)
from holdfast.provocations.saga_runs import await_ends, start_all
from holdfast.stack.deliveries import delivery_limit
from holdfast.stack.generate import Submission
from holdfast.targets.base import Rule

AIMED_AT_STEPS: tuple[Requirement, ...] = (steps_listed, steps_aimed, states_defined, services_aimed, *REDELIVERY)
AIMED_AT_COMPENSATIONS: tuple[Requirement, ...] = (*AIMED_AT_STEPS, compensations_named, compensations_aimed)

TRANSIENT_ROLE = "failing for a while"
FOR_GOOD_ROLE = "failing for good"

_Faults = list[tuple[str, Rule]]


def _strike(
    bench: Bench, struck: Sequence[tuple[Submission, Place]], faults: _Faults, role: str, *, given_up: bool = False
) -> None:
    """Start sagas with their faults in force, and wait for their ends; what was not struck decides nothing.

    Args:
        bench: the provocation's.
        struck: each saga with the place where it is struck.
        faults: the faults, each aimed at one of their keys.
        role: of the operations.
        given_up: wait as well until what fails has failed as often as it is delivered.
    """
    submissions = [submission for submission, _ in struck]
    for submission, place in struck:
        bench.strike(submission.key, place.step)
    with bench.aimed(faults) as aim:
        start_all(bench, [(submission, role) for submission in submissions])
        late = await_ends(bench, submissions)
        if given_up:
            _await_given_up(bench, struck, aim)
        for submission, place in struck:
            hits = [aim.interceptor.hits(rule.id) for rule in aim.rules if rule.key == submission.key]
            if not all(hits):
                bench.undecided(f"{place} was not reached by {submission.key}", [submission.key])
    if late:
        bench.note(f"not ended within {bench.bounds.saga_seconds:g} s: {', '.join(one.key for one in late)}")


def _await_given_up(bench: Bench, struck: Sequence[tuple[Submission, Place]], aim: Aim) -> None:
    """Wait until every request that fails has failed in all its deliveries; one that has not decides nothing."""
    limits = {place.component: delivery_limit(bench.configuration, place.component) for _, place in struck}

    def waiting() -> list[str]:
        return [one.key for one, place in struck if aim.hits(one.key) < limits[place.component]]

    left = bench.until("requests to be given up", waiting, lambda keys: not keys, bench.patience_seconds).value
    if left:
        bench.undecided(f"not every delivery was seen to fail: {', '.join(left)}", left)


def _at_each(bench: Bench, at: Sequence[Place], *kinds: Fault, role: str, given_up: bool = False) -> None:
    """Strike one saga at each place, for each kind of fault."""
    struck: list[tuple[Submission, Place]] = []
    faults: _Faults = []
    for place in at:
        for kind in kinds:
            (submission,) = bench.draw(1)
            struck.append((submission, place))
            times = passing_failures(bench.situation, place) if kind == "fail once" else 0
            faults.append(fault(bench.situation, place, kind, submission.key, times=times))
    _strike(bench, struck, faults, role, given_up=given_up)


def _fail_each_step(bench: Bench) -> None:
    _at_each(bench, _until_pivot(bench.situation), "fail", role=FOR_GOOD_ROLE)


def _lose_each_answer(bench: Bench) -> None:
    _at_each(bench, places(bench.situation, saga_of(bench.situation).steps), "answer lost", role="answer lost")


def _fail_each_step_after_its_effect(bench: Bench) -> None:
    at = _until_pivot(bench.situation)
    # In a choreography a step that fails after its effect may have passed the saga on, which ends long before the last
    # delivery to the step has failed; what is done about that one is what this is about.
    choreographed = saga_of(bench.situation).state_machine is None
    _at_each(bench, at, "fail after", "kill after", role="ambiguous", given_up=choreographed)


def _retry_each_step(bench: Bench) -> None:
    _at_each(bench, _retried(bench.situation), "fail once", role=TRANSIENT_ROLE)


def _retried(situation: Situation) -> list[Place]:
    """The places that are a state whose definition retries a service's own error."""
    found = []
    for place in places(situation, saga_of(situation).steps):
        policy = policy_of(situation, place)
        if policy is not None and policy.retriers:
            found.append(place)
    return found


def _fail_after_the_pivot(bench: Bench) -> None:
    _at_each(bench, places(bench.situation, steps_after_pivot(bench.situation)), "fail once", role=TRANSIENT_ROLE)


def _fail_after_the_pivot_for_good(bench: Bench) -> None:
    _at_each(bench, places(bench.situation, steps_after_pivot(bench.situation)), "fail", role=FOR_GOOD_ROLE)


def _at_each_compensation(bench: Bench, kind: Fault, role: str, times: Callable[[Place], int]) -> None:
    """Make one saga undo each step, and strike its compensation."""
    situation = bench.situation
    struck: list[tuple[Submission, Place]] = []
    faults: _Faults = []
    for step in compensated_steps(situation):
        place = place_of(situation, step, undo=True)
        fields, cause, how = undoing(situation, step)
        if place is None:
            continue
        (submission,) = bench.draw(1, fields)
        struck.append((submission, place))
        faults.append(fault(situation, place, kind, submission.key, times=times(place)))
        if cause is not None:
            faults.append(fault(situation, cause, how, submission.key))
    _strike(bench, struck, faults, role)


def _lose_callbacks(bench: Bench) -> None:
    _at_each(bench, callbacks(bench.situation), "callback lost", role="callback lost")


def _fail_compensations(bench: Bench) -> None:
    _at_each_compensation(bench, "fail once", TRANSIENT_ROLE, lambda place: passing_failures(bench.situation, place))


def _lose_answers_of_compensations(bench: Bench) -> None:
    _at_each_compensation(bench, "answer lost", "answer lost", lambda _: 1)


def _fail_compensations_for_good(bench: Bench) -> None:
    _at_each_compensation(bench, "fail", FOR_GOOD_ROLE, lambda _: 0)


def _functions(of: Callable[[Situation], Sequence[Place]]) -> Callable[[Situation], Sequence[str]]:
    return lambda situation: [place.component for place in of(situation) if place.function]


def _machines(of: Callable[[Situation], Sequence[Place]]) -> Callable[[Situation], Sequence[str]]:
    return lambda situation: list(dict.fromkeys(place.component for place in of(situation) if not place.function))


def aims_at(action: str, of: Callable[[Situation], Sequence[Place]]) -> tuple[Aimed, ...]:
    """The aimed faults at places: at functions' invocations, and at the state machine's own calls."""
    return (Aimed(action=action, at=_functions(of)), Aimed(action=action, at=_machines(of), point="call"))


def _of_steps(situation: Situation) -> list[Place]:
    return places(situation, saga_of(situation).steps)


def _until_pivot(situation: Situation) -> list[Place]:
    return places(situation, steps_until_pivot(situation))


def _compensations(situation: Situation) -> list[Place]:
    return places(situation, compensated_steps(situation), undo=True)


def _after_pivot(situation: Situation) -> list[Place]:
    return places(situation, steps_after_pivot(situation))


def _one_each(of: Callable[[Situation], Sequence[Any]], times: int = 1) -> Callable[[Situation], int]:
    return lambda situation: times * len(of(situation))


STEP_FAILS = Provocation(
    name="step-fails",
    provoke=_fail_each_step,
    requires=AIMED_AT_STEPS,
    aims=aims_at("fail for good, before its effect", _until_pivot),
    commands=_one_each(_until_pivot),
)
STEP_ANSWER_LOST = Provocation(
    name="step-answer-lost",
    provoke=_lose_each_answer,
    requires=AIMED_AT_STEPS,
    aims=aims_at("lose the answer, once", _of_steps),
    commands=_one_each(_of_steps),
)
STEP_AMBIGUOUS = Provocation(
    name="step-ambiguous",
    provoke=_fail_each_step_after_its_effect,
    requires=AIMED_AT_STEPS,
    aims=aims_at("fail or be killed for good, after its effect", _until_pivot),
    commands=_one_each(_until_pivot, 2),
)
STEP_RETRIED = Provocation(
    name="step-retried",
    provoke=_retry_each_step,
    requires=(machine_named, states_named, retries_declared, *AIMED_AT_STEPS),
    aims=aims_at("fail for a while", _retried),
    commands=_one_each(_retried),
)
COMPENSATION_FAILS = Provocation(
    name="compensation-fails",
    provoke=_fail_compensations,
    requires=AIMED_AT_COMPENSATIONS,
    aims=aims_at("fail for a while", _compensations),
    commands=_one_each(_compensations),
)
COMPENSATION_ANSWER_LOST = Provocation(
    name="compensation-answer-lost",
    provoke=_lose_answers_of_compensations,
    requires=AIMED_AT_COMPENSATIONS,
    aims=aims_at("lose the answer, once", _compensations),
    commands=_one_each(_compensations),
)
COMPENSATION_DEAD = Provocation(
    name="compensation-dead",
    provoke=_fail_compensations_for_good,
    moment=Moment.SCARRING,
    requires=(*AIMED_AT_COMPENSATIONS, dead_letters_named),
    aims=aims_at("fail for good", _compensations),
    commands=_one_each(_compensations),
)
CALLBACK_LOST = Provocation(
    name="callback-lost",
    provoke=_lose_callbacks,
    requires=(callback_awaited, *AIMED_AT_STEPS),
    aims=(Aimed(action="refuse what is told to the state machine", at=_functions(callbacks), point="call"),),
    commands=_one_each(callbacks),
)
AFTER_PIVOT = Provocation(
    name="after-pivot",
    provoke=_fail_after_the_pivot,
    requires=(pivot_named, *AIMED_AT_STEPS),
    aims=aims_at("fail for a while", _after_pivot),
    commands=_one_each(_after_pivot),
)
AFTER_PIVOT_DEAD = Provocation(
    name="after-pivot-dead",
    provoke=_fail_after_the_pivot_for_good,
    moment=Moment.SCARRING,
    requires=(pivot_named, *AIMED_AT_STEPS),
    aims=aims_at("fail for good", _after_pivot),
    commands=_one_each(_after_pivot),
)
