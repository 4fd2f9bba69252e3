"""Executions that are stopped after each step of their saga, and resumed."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.errors import Inconclusive, InjectionError
from holdfast.levers.execution import ExecutionAbort
from holdfast.levers.pull import pulled
from holdfast.provocations.bench import Aim, Bench, side_by_side
from holdfast.provocations.model import Aimed, Provocation, Uses
from holdfast.provocations.requirements import Situation
from holdfast.provocations.saga_failures import AIMED_AT_STEPS
from holdfast.provocations.saga_places import Place, fault, places, saga_of
from holdfast.provocations.saga_requirements import (
    EXECUTIONS_RESUMED,
    EXECUTIONS_STOPPED,
    executions_kept,
    executions_named,
)
from holdfast.provocations.saga_runs import await_ends
from holdfast.stack.generate import Submission
from holdfast.stack.resources import execution_arns

WIDTH = 4
TRIES = 3
STOPPED_ROLE = "stopped"


def held(situation: Situation) -> list[Place]:
    """Where each saga is held to be stopped: every step but those that come after none."""
    saga = saga_of(situation)
    before = saga.predecessors()
    return places(situation, [step for step in saga.steps if before[step.name]])


def _stop_after_each_step(bench: Bench) -> None:
    """Hold each step that follows another when it begins, stop its execution meanwhile, and redrive it."""
    at = held(bench.situation)
    side_by_side(lambda one: _stop(bench, *one), list(zip(bench.draw(len(at)), at, strict=True)), WIDTH)
    await_ends(bench, [one for one in bench.submissions() if one.key not in bench.left_open()])


def _stop(bench: Bench, submission: Submission, place: Place) -> None:
    """Stop an execution when a step begins; on a busy machine the moment may pass, and another one is stopped."""
    missed = ""
    for again in range(TRIES):
        one = bench.draw(1)[0] if again else submission
        bench.strike(one.key, place.step)
        with bench.aimed([fault(bench.situation, place, "hold", one.key)]) as aim:
            missed = _stop_once(bench, aim, one, place)
        if not missed:
            return
        bench.leave_open([one.key])
    bench.undecided(f"{missed}, {TRIES} times")


def _stop_once(bench: Bench, aim: Aim, submission: Submission, place: Place) -> str:
    """Start a saga and stop its execution when a step begins; returns why it could not be, or nothing."""
    with bench.room:
        bench.submit(submission, STOPPED_ROLE)
    key = submission.key
    machine = saga_of(bench.situation).state_machine
    assert machine is not None
    # looked up before the step begins, for it is held no longer than its timeout allows
    execution = bench.until(
        "its execution to be listed",
        lambda: next(iter(bench.ports.find_executions(machine, key)), None),
        lambda found: found is not None,
        bench.bounds.saga_seconds,
    ).value
    if execution is None:
        return f"{key} never began"
    if not execution.name.startswith(bench.prefix):
        raise Inconclusive(
            "only executions whose names begin with the key may be stopped; let {key} begin the execution's name"
        )
    begun = bench.until(
        f"{place} to begin", lambda: aim.hits(key), bool, bench.bounds.saga_seconds, longest_interval_seconds=0.2
    )
    if not begun.met:
        return f"{place} was not reached by {key}"
    abort = ExecutionAbort(
        target=bench.stack.target, component=machine, resource=execution.arn, prefix=bench.prefix, key=key
    )
    try:
        with pulled([abort], stack=bench.stack, journal=bench.journal, recorder=bench.recorder, provocation=bench.name):
            return ""
    except (Inconclusive, InjectionError) as reason:
        return f"{key} could not be stopped when {place} had begun: {reason}"


def _executions(situation: Situation) -> Sequence[str]:
    machine = saga_of(situation).state_machine
    return [] if machine is None else execution_arns(situation.stack.resource(machine).arn)


def _functions(situation: Situation) -> list[str]:
    return [place.component for place in held(situation) if place.function]


def _machines(situation: Situation) -> list[str]:
    return list(dict.fromkeys(place.component for place in held(situation) if not place.function))


STOPPED = Provocation(
    name="stopped-executions",
    provoke=_stop_after_each_step,
    requires=(executions_kept, executions_named, EXECUTIONS_STOPPED, EXECUTIONS_RESUMED, *AIMED_AT_STEPS),
    aims=(Aimed(action="hold", at=_functions), Aimed(action="hold", at=_machines, point="call")),
    uses=(Uses(actions=("states:StopExecution", "states:RedriveExecution"), on=_executions),),
    commands=lambda situation: len(held(situation)),
)
