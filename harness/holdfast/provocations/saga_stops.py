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
from holdfast.provocations.saga_places import HOLD_SECONDS, Place, fault, places, saga_of
from holdfast.provocations.saga_requirements import EXECUTIONS_RESUMED, EXECUTIONS_STOPPED, executions_kept
from holdfast.provocations.saga_runs import await_ends
from holdfast.stack.generate import Submission
from holdfast.stack.resources import execution_arns

WIDTH = 4
STOPPED_ROLE = "stopped"


def held(situation: Situation) -> list[Place]:
    """Where each saga is held to be stopped: every step but those that come after none."""
    saga = saga_of(situation)
    before = saga.predecessors()
    return places(situation, [step for step in saga.steps if before[step.name]])


def _stop_after_each_step(bench: Bench) -> None:
    """Hold each step that follows another when it begins, stop its execution meanwhile, and redrive it."""
    at = held(bench.situation)
    struck = list(zip(bench.draw(len(at)), at, strict=True))
    for submission, place in struck:
        bench.strike(submission.key, place.step)
    faults = [fault(bench.situation, place, "hold", submission.key) for submission, place in struck]
    with bench.aimed(faults) as aim:
        side_by_side(lambda one: _stop_once(bench, aim, *one), struck, WIDTH)
        await_ends(bench, [submission for submission, _ in struck])


def _stop_once(bench: Bench, aim: Aim, submission: Submission, place: Place) -> None:
    with bench.room:
        bench.submit(submission, STOPPED_ROLE)
    key = submission.key
    machine = saga_of(bench.situation).state_machine
    assert machine is not None
    reached = bench.until(
        f"{place} to begin", lambda: aim.hits(key), lambda hits: hits > 0, bench.bounds.saga_seconds
    ).met
    running = bench.until(
        "its execution to be listed",
        lambda: [one for one in bench.ports.find_executions(machine, key) if not one.ended],
        bool,
        HOLD_SECONDS if reached else 0.0,
    ).value
    if not running:
        bench.undecided(f"no execution was running when {place} had begun", [key])
        return
    if not running[0].name.startswith(bench.prefix):
        raise Inconclusive(
            "only executions whose names begin with the key may be stopped; let {key} begin the execution's name"
        )
    abort = ExecutionAbort(target=bench.stack.target, component=machine, resource=running[0].arn, prefix=bench.prefix)
    try:
        with pulled([abort], stack=bench.stack, journal=bench.journal, recorder=bench.recorder, provocation=bench.name):
            pass
    except (Inconclusive, InjectionError) as reason:
        bench.undecided(f"{key} could not be stopped when {place} had begun: {reason}", [key])


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
    requires=(executions_kept, EXECUTIONS_STOPPED, EXECUTIONS_RESUMED, *AIMED_AT_STEPS),
    aims=(Aimed(action="hold", at=_functions), Aimed(action="hold", at=_machines, point="call")),
    uses=(Uses(actions=("states:StopExecution", "states:RedriveExecution"), on=_executions),),
    commands=lambda situation: len(held(situation)),
)
