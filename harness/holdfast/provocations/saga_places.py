"""Where the steps and compensations of a saga are done, and faults aimed at one of them for one key.

A place is a function, whose invocations for the key are struck; or a state of the state machine that calls a service by
itself, or a function that does other things as well: then the machine's own calls from that state are struck.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from holdfast.checkers.retries import Policy, policy_of_task
from holdfast.provocations.deliveries import transient_failures
from holdfast.provocations.requirements import Situation
from holdfast.stack.definitions import Task, tasks_of
from holdfast.stack.deliveries import delivery_limit
from holdfast.stack.patterns import SagaPattern, SagaStep
from holdfast.targets.base import Rule

Fault = Literal["fail", "fail once", "answer lost", "fail after", "kill after", "hold", "callback lost"]

TRANSIENT = "ServiceException"
"""A service's own error, which its callers are to retry: ``Lambda.ServiceException`` as Step Functions names it
(docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception)."""

HOLD_SECONDS = 2.5
"""How long a step is held while its execution is stopped: longer than stopping takes, shorter than usual timeouts."""

MOST_FAILURES = 2
"""So many attempts fail in a failure that passes, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a step is done, or undone.

    Attributes:
        step: the step.
        undo: whether it is its compensation.
        component: what is struck: the function, or the state machine that has the state.
        function: whether it is a function.
        state: its state in the definition; empty in a choreography. Of a function, as the descriptor names it.
    """

    step: str
    undo: bool
    component: str
    function: bool
    state: str

    def __str__(self) -> str:
        what = f"the compensation of {self.step}" if self.undo else f"step {self.step}"
        return f"{what} ({self.component}{'' if self.function else f', state {self.state}'})"


def saga_of(situation: Situation) -> SagaPattern:
    """The pattern, for what is asked of sagas alone."""
    assert isinstance(situation.pattern, SagaPattern)
    return situation.pattern


def place_of(situation: Situation, step: SagaStep, *, undo: bool = False) -> Place | None:
    """Where a step is done, or undone; None where the descriptor does not say enough to aim at it."""
    saga = saga_of(situation)
    does = step.compensation if undo else step
    if does is None:
        return None
    state = does.state or ""
    if does.function is not None and _uses(saga)[does.function] == 1:
        return Place(step=step.name, undo=undo, component=does.function, function=True, state=state)
    if saga.state_machine is None or does.state is None:
        return None
    component, task = _task_at(situation, saga.state_machine, does.state) or (saga.state_machine, None)
    return Place(step=step.name, undo=undo, component=component, function=False, state=task.name if task else state)


def state_known(situation: Situation, state: str) -> bool:
    """Whether the deployed definitions have a task that the descriptor names."""
    return _task_at(situation, saga_of(situation).state_machine, state) is not None


def _task_at(situation: Situation, component: str | None, state: str) -> tuple[str, Task] | None:
    """A task and the state machine that has it; ``TASK/STATE`` is one of the machine that TASK starts."""
    machine = situation.configuration.machine(component)
    if machine is None:
        return None
    tasks = {task.name: task for task in tasks_of(machine.definition)}
    if state in tasks:
        return machine.component, tasks[state]
    outer, _, inner = state.partition("/")
    started = tasks[outer].starts if outer in tasks else ""
    # an ARN may end with an alias or a version
    child = next((one for one in situation.configuration.machines if f"{started}:".startswith(f"{one.arn}:")), None)
    return None if child is None else _task_at(situation, child.component, inner)


def _uses(saga: SagaPattern) -> Counter[str]:
    """How many steps and compensations each function does."""
    named = [step.function for step in saga.steps]
    named += [step.compensation.function for step in saga.steps if step.compensation is not None]
    return Counter(function for function in named if function is not None)


def steps_until_pivot(situation: Situation) -> list[SagaStep]:
    """The steps whose failure leads back: all that are not after the pivot."""
    saga = saga_of(situation)
    return [step for step in saga.steps if not saga.after_pivot(step.name)]


def steps_after_pivot(situation: Situation) -> list[SagaStep]:
    """The steps after the pivot."""
    saga = saga_of(situation)
    return [step for step in saga.steps if saga.after_pivot(step.name)]


def compensated_steps(situation: Situation) -> list[SagaStep]:
    """The steps that can be undone."""
    return [step for step in steps_until_pivot(situation) if step.compensation is not None]


def places(situation: Situation, steps: Sequence[SagaStep], *, undo: bool = False) -> list[Place]:
    """Where these steps are done, or undone; without those that cannot be aimed at."""
    found = (place_of(situation, step, undo=undo) for step in steps)
    return [place for place in found if place is not None]


def fault(situation: Situation, place: Place, kind: Fault, key: str, *, times: int = 0) -> tuple[str, Rule]:
    """A fault at a place, for one key: the component to pull it on, and the rule.

    Args:
        situation: the stack.
        place: where.
        kind: ``fail``: before its effect; ``fail once`` and ``answer lost``: once, as a service's own error; ``fail
            after`` and ``kill after``: after its effect; ``hold``: held before it begins, once; ``callback lost``: the
            function works, and all that it tells the state machine is refused.
        key: for which saga.
        times: how often; for good when 0. Those that happen once happen once.
    """
    once = kind in ("fail once", "answer lost", "hold")
    rule = _at_function(situation, kind) if place.function else _at_state(place, kind)
    caller = situation.stack.resource(place.component).name
    return place.component, replace(rule, function=caller, key=key, times=(times or 1) if once else times)


def _at_function(situation: Situation, kind: Fault) -> Rule:
    orchestrated = saga_of(situation).state_machine is not None
    transient = f"Lambda.{TRANSIENT}" if orchestrated else ""
    lost = "Lambda.SdkClientException" if orchestrated else ""
    rules: dict[Fault, Rule] = {
        "fail": Rule(id="", action="fail"),
        "fail once": Rule(id="", action="fail", error=transient),
        "answer lost": Rule(id="", action="fail", when="after", error=lost),
        "fail after": Rule(id="", action="fail", when="after"),
        "kill after": Rule(id="", action="kill", when="after"),
        # Denied, so that the SDK does not try again until the function's own timeout fails the state.
        "callback lost": Rule(id="", action="refuse", point="call", service="states", error="AccessDeniedException"),
        "hold": Rule(id="", action="delay", delay_seconds=HOLD_SECONDS),
    }
    return rules[kind]


def _at_state(place: Place, kind: Fault) -> Rule:
    at = Rule(id="", action="refuse", point="call", state=place.state)
    after = replace(at, action="fail-after", error="InternalServerError")
    rules: dict[Fault, Rule] = {
        "fail": replace(at, error="ValidationException"),
        "fail once": replace(at, error=TRANSIENT),
        "answer lost": replace(at, action="drop"),
        "fail after": after,
        "kill after": after,  # what a state machine calls by itself has no process to kill
        "hold": replace(at, action="delay", delay_seconds=HOLD_SECONDS),
    }
    return rules[kind]


def policy_of(situation: Situation, place: Place) -> Policy | None:
    """The retry policy that the deployed definition declares for a place; None where it declares none."""
    found = _task_of(situation, place)
    return None if found is None else policy_of_task(found)


def _task_of(situation: Situation, place: Place) -> Task | None:
    found = _task_at(situation, saga_of(situation).state_machine if place.function else place.component, place.state)
    return None if found is None else found[1]


def callbacks(situation: Situation) -> list[Place]:
    """The functions of steps that call the state machine back, which waits for them."""
    found = [place for place in places(situation, saga_of(situation).steps) if place.function]
    return [place for place in found if (task := _task_of(situation, place)) and task.waits_for_callback]


def passing_failures(situation: Situation, place: Place) -> int:
    """How many failures in a row a place must overcome: as many as its retries allow, few at most, one at least."""
    policy = policy_of(situation, place)
    if policy is not None:
        which = policy.retrier(f"Lambda.{TRANSIENT}")
        allowed = 0 if which is None else policy.retriers[which].most_retries
        return min(max(allowed, 1), MOST_FAILURES)
    if place.function and situation.configuration.function(place.component) is not None:
        return max(1, transient_failures(delivery_limit(situation.configuration, place.component)))
    return 1


def undoing(situation: Situation, step: SagaStep) -> tuple[dict[str, object], Place | None, Fault]:
    """What makes a saga undo a step: an input that a later step refuses, or a fault at a later step, or at itself.

    Returns:
        The fields of the input; and the place of the fault with its kind, None where the input suffices.
    """
    saga = saga_of(situation)
    before = saga.predecessors()
    later = [one for one in steps_until_pivot(situation) if step.name in before[one.name]]
    for failure in business_failures(situation):
        if failure[0] in {one.name for one in later}:
            return dict(failure[1]), None, "fail"
    for place in places(situation, later):
        return {}, place, "fail"
    # in a choreography a step may have told others of its effect before it failed, and then the saga goes on
    return {}, place_of(situation, step), "fail after" if saga.state_machine is not None else "fail"


def business_failures(situation: Situation) -> Iterator[tuple[str, dict[str, object]]]:
    """The inputs that a step refuses for good, as far as the saga's command has their fields: step and fields."""
    descriptor = situation.stack.descriptor
    known = {*descriptor.commands[situation.pattern.command].fields, "value"}
    for failure in descriptor.business_failures:
        if set(failure.fields) <= known:
            yield failure.step, dict(failure.fields)


def contended(situation: Situation) -> list[dict[str, object]]:
    """The inputs whose sagas meet on one scarce resource, as far as the saga's command has their fields."""
    descriptor = situation.stack.descriptor
    known = {*descriptor.commands[situation.pattern.command].fields, "value"}
    return [dict(one.fields) for one in descriptor.contended if set(one.fields) <= known]
