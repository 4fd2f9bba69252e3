"""Where a saga is struck, and what is said when it cannot be: pure functions of the descriptor and the definition."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from holdfast.provocations import saga_requirements as needs
from holdfast.provocations.faults import levers_of
from holdfast.provocations.model import Provocation, Window
from holdfast.provocations.requirements import Situation, unmet
from holdfast.provocations.saga_definitions import analysis_of, definition_usable
from holdfast.provocations.saga_failures import CALLBACK_LOST, COMPENSATION_DEAD, STEP_AMBIGUOUS
from holdfast.provocations.saga_generated import GENERATED_SAGAS, Choices, choices_of, faults_of
from holdfast.provocations.saga_places import (
    Place,
    callbacks,
    compensated_steps,
    contended,
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
from holdfast.provocations.saga_plans import PlannedFault
from holdfast.provocations.saga_starts import CONTENTION, SAGA_LOAD
from holdfast.provocations.saga_stops import STOPPED
from holdfast.stack.commands import ExecutionCall
from holdfast.stack.configuration import Configuration, MachineConfiguration
from holdfast.stack.definitions import tasks_of
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import SagaPattern, SagaStep
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Rule
from holdfast.targets.capabilities import AWS, EMBEDDED
from holdfast.verdict.model import Verdict
from holdfast_fixtures.catalogue import reference_stacks

ORDERS = next(one for one in reference_stacks() if one.name == "orders")
DEFINITION: dict[str, Any] = json.loads((ORDERS.directory / "order.asl.json").read_text(encoding="utf-8"))


def situation(
    *, definition: dict[str, Any] | None = None, express: bool = False, kind: str = "embedded", **saga: Any
) -> Situation:
    """The reference stack of orders, its pattern or its definition changed."""
    descriptor = load_descriptor(ORDERS.descriptor, {})
    pattern = descriptor.patterns["saga"].model_copy(update=saga)
    machine = MachineConfiguration(
        component="saga", arn="arn:machine", express=express, definition=json.dumps(definition or DEFINITION)
    )
    target = SimpleNamespace(
        kind=kind, interceptor=object(), supports=(EMBEDDED if kind == "embedded" else AWS).__getitem__
    )
    stack = SimpleNamespace(
        descriptor=descriptor,
        target=target,
        resource=lambda name: SimpleNamespace(name=f"stack-{name}", arn=f"arn:aws:x:{name}", type="function"),
    )
    return Situation(
        stack=cast("Stack", stack), pattern=pattern, configuration=Configuration((), (), machines=(machine,))
    )


def uncounted() -> Situation:
    """Without a total, and with a step whose undoing is not counted."""
    there = situation()
    descriptor = there.stack.descriptor.model_copy(update={"conserved": {}})
    reserve, *others = saga_of(there).steps
    pattern = there.pattern.model_copy(update={"steps": [reserve.model_copy(update={"undone": None}), *others]})
    stack = SimpleNamespace(**{**vars(there.stack), "descriptor": descriptor})
    return replace(there, stack=cast("Stack", stack), pattern=pattern)


def steps(there: Situation) -> dict[str, Any]:
    """The steps by name."""
    return {step.name: step for step in saga_of(there).steps}


def test_a_step_is_struck_at_its_function_or_at_its_state() -> None:
    """A function of its own is struck itself; what the machine calls, or a shared function, at the machine's state."""
    there = situation()
    of = steps(there)
    assert place_of(there, of["reserve"]) == Place(
        step="reserve", undo=False, component="reserve", function=True, state="Reserve"
    )
    assert place_of(there, of["reserve"], undo=True) == Place(
        step="reserve", undo=True, component="release", function=True, state="Release"
    )
    assert place_of(there, of["ship"]) == Place(step="ship", undo=False, component="saga", function=False, state="Ship")
    assert place_of(there, of["ship"], undo=True) is None
    shared = [one.model_copy(update={"function": "reserve"}) for one in of.values()]
    both = situation(steps=shared)
    assert [place.component for place in places(both, shared)] == ["saga"] * 4
    choreographed = situation(steps=shared, state_machine=None)
    assert places(choreographed, shared) == []
    assert "reserve, charge, ship, confirm alone" in needs.steps_aimed(choreographed)


def test_the_pivot_parts_what_leads_back_from_what_goes_forward() -> None:
    """Failing, the pivot leads back itself; only what comes after it does not."""
    there = situation()
    assert [one.name for one in steps_until_pivot(there)] == ["reserve", "charge"]
    assert [one.name for one in steps_after_pivot(there)] == ["ship", "confirm"]
    assert [one.name for one in compensated_steps(there)] == ["reserve", "charge"]


def test_a_fault_is_aimed_at_the_function_or_at_the_call_from_the_state() -> None:
    """Errors of services are those that callers retry; what happens once happens once."""
    there = situation()
    of = steps(there)
    at_function, at_state = place_of(there, of["charge"]), place_of(there, of["ship"])
    assert at_function is not None
    assert at_state is not None
    assert fault(there, at_function, "fail", "k") == (
        "charge",
        Rule(id="", action="fail", function="stack-charge", key="k"),
    )
    assert fault(there, at_function, "answer lost", "k") == (
        "charge",
        Rule(
            id="",
            action="fail",
            when="after",
            function="stack-charge",
            key="k",
            times=1,
            error="Lambda.SdkClientException",
        ),
    )
    assert fault(there, at_state, "answer lost", "k") == (
        "saga",
        Rule(id="", action="drop", point="call", function="stack-saga", key="k", times=1, state="Ship"),
    )
    assert fault(there, at_state, "fail once", "k", times=2)[1].times == 2
    assert fault(there, at_state, "kill after", "k")[1].action == "fail-after"


def test_a_step_is_undone_because_of_an_input_a_later_step_or_itself() -> None:
    """The cheapest cause that makes the compensation run."""
    there = situation()
    of = steps(there)
    assert undoing(there, of["reserve"]) == ({"card": "declined"}, None, "fail")
    fields, cause, how = undoing(there, of["charge"])
    assert (fields, cause, how) == ({}, place_of(there, of["charge"]), "fail after")
    choreographed = situation(state_machine=None)
    assert undoing(choreographed, of["charge"]) == ({}, place_of(choreographed, of["charge"]), "fail")
    without = there.stack.descriptor.model_copy(update={"business_failures": []})
    other = replace(there, stack=cast("Stack", SimpleNamespace(**{**vars(there.stack), "descriptor": without})))
    assert undoing(other, of["reserve"]) == ({}, place_of(other, of["charge"]), "fail")


def test_failures_that_pass_are_as_many_as_the_policy_overcomes() -> None:
    """Two at most, one where nothing is retried."""
    there = situation()
    (reserve, charge, ship, confirm) = places(there, saga_of(there).steps)
    assert [passing_failures(there, place) for place in (reserve, charge, ship, confirm)] == [2, 2, 2, 2]
    definition = json.loads(json.dumps(DEFINITION))
    del definition["States"]["Reserve"]["Retry"]
    assert passing_failures(situation(definition=definition), reserve) == 1


def test_contended_inputs_are_those_that_the_command_has() -> None:
    """The command of the saga alone counts."""
    assert contended(situation()) == [{"sku": "scarce"}, {"sku": "scarce", "card": "declined"}]


def test_a_callback_is_lost_only_where_one_is_awaited() -> None:
    """Without such a step there is nothing to lose, and the provocation says so."""
    there = situation()
    assert callbacks(there) == []
    assert needs.callback_awaited(there)
    definition = json.loads(json.dumps(DEFINITION))
    definition["States"]["Confirm"]["Resource"] += ".waitForTaskToken"
    waiting = situation(definition=definition)
    assert [place.step for place in callbacks(waiting)] == ["confirm"]
    assert CALLBACK_LOST.commands(waiting) == 1


STARTED = {
    "Type": "Task",
    "Resource": "arn:aws:states:::states:startExecution.sync:2",
    "Parameters": {"StateMachineArn": "arn:inner:7", "Input.$": "$"},
}


def nested() -> Situation:
    """The reference stack with the reservation and the shipment in a machine that the task Goods starts."""
    inner = {name: DEFINITION["States"][name] for name in ("Reserve", "Release", "Ship")}
    outer = {name: state for name, state in DEFINITION["States"].items() if name not in inner}
    changed = {
        "reserve": {"state": "Goods/Reserve", "compensation": {"state": "Goods/Release", "function": "release"}},
        "ship": {"state": "Goods/Ship"},
    }
    listed = [
        SagaStep.model_validate({**step.model_dump(), **changed.get(step.name, {})})
        for step in saga_of(situation()).steps
    ]
    there = situation(definition={**DEFINITION, "States": {"Goods": STARTED, **outer}}, steps=listed)
    started = MachineConfiguration(
        component="goods", arn="arn:inner", express=False, definition=json.dumps({"States": inner})
    )
    machines = (*there.configuration.machines, started)
    return replace(there, configuration=replace(there.configuration, machines=machines))


def test_a_step_of_a_machine_that_a_task_starts_is_struck_there() -> None:
    """It is named as the analysis of the definition names it, TASK/STATE, and its policy is that of its own machine."""
    there = nested()
    (reserve, charge, ship, confirm) = places(there, saga_of(there).steps)
    assert needs.states_defined(there) == ""
    assert (reserve.component, reserve.function, reserve.state) == ("reserve", True, "Goods/Reserve")
    assert ship == Place(step="ship", undo=False, component="goods", function=False, state="Ship")
    component, rule = fault(there, ship, "fail", "k")
    assert (component, rule.function, rule.state) == ("goods", "stack-goods", "Ship")
    assert policy_of(there, reserve) == policy_of(situation(), replace(reserve, state="Reserve"))
    assert policy_of(there, ship) == policy_of(situation(), replace(ship, component="saga"))
    assert None not in [policy_of(there, one) for one in (reserve, charge, ship, confirm)]


def test_a_state_of_no_machine_is_told_with_those_there_are() -> None:
    """Also one inside a task that starts no machine of the stack."""
    there = nested()
    alone = replace(there, configuration=replace(there.configuration, machines=there.configuration.machines[:1]))
    assert needs.states_defined(alone).startswith(
        "the deployed definition has no task Goods/Reserve, Goods/Ship, Goods/Release; it has Goods, Open, Charge"
    )


@pytest.mark.parametrize(
    ("requirement", "there", "reason"),
    [
        (needs.steps_listed, situation(steps=[]), "the descriptor lists no steps"),
        (needs.states_defined, situation(definition={"States": {}}), "no task Reserve, Charge, Ship, Confirm"),
        (needs.machine_named, situation(state_machine=None), "the saga is a choreography"),
        (needs.executions_kept, situation(express=True), "an Express workflow, which keeps no executions"),
        (needs.executions_kept, situation(state_machine=None), "the saga is a choreography"),
        (needs.pivot_named, situation(pivot=None), "names no pivot"),
        (needs.pivot_named, situation(pivot="confirm"), "no step comes after the pivot confirm"),
        (needs.two_compensations, situation(compensation_order="any"), "promises no order of compensations"),
        (needs.retries_read, nested(), "the retries of Goods/Reserve, Goods/Ship are those of a nested"),
        (needs.undoing_counted, uncounted(), "that reserve is undone twice would not be seen"),
        (needs.services_aimed, situation(kind="aws"), "no fault can be aimed at what the state machine calls itself"),
        (needs.outcome_reported, situation(status=None, express=True), "nothing reports a saga's outcome"),
    ],
)
def test_what_cannot_be_decided_is_said(requirement: Any, there: Situation, reason: str) -> None:
    """Each requirement is met by the reference stack, and says in one sentence what is missing elsewhere."""
    assert requirement(situation()) == ""
    assert reason in requirement(there)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("{key}", ""),
        ("{key}-order", ""),
        ("order-{key}", "the name of the execution does not begin with {key}, so none may be stopped"),
        (None, "the name of the execution does not begin with {key}, so none may be stopped"),
    ],
)
def test_only_an_execution_that_is_named_by_its_key_is_stopped(name: str | None, reason: str) -> None:
    """Whether SG-12 can be decided is known before anything is started, where the descriptor names the execution."""
    there = situation()
    descriptor = there.stack.descriptor
    call = ExecutionCall(kind="execution", state_machine="saga", name=name, input={})
    command = descriptor.commands[saga_of(there).command].model_copy(update={"calls": [call]})
    changed = descriptor.model_copy(update={"commands": {**descriptor.commands, saga_of(there).command: command}})
    named = replace(there, stack=cast("Stack", SimpleNamespace(**{**vars(there.stack), "descriptor": changed})))
    assert unmet(STOPPED.requires, named) == ((reason,) if reason else ())
    assert unmet(STOPPED.requires, there) == ()


def test_without_steps_there_is_one_reason() -> None:
    """What follows from their absence is not told beside it, or a person would waive what the stack owes."""
    there = situation(steps=[], pivot="Ship")
    requirements = (
        needs.steps_listed,
        needs.several_steps,
        needs.states_named,
        needs.two_compensations,
        needs.compensations_named,
        needs.pivot_named,
        needs.business_failures_named,
    )
    assert unmet(requirements, there) == (needs.steps_listed(there),)


def test_steps_without_a_descriptor_are_derived_to_be_confirmed() -> None:
    """The tasks of the definition are named in the reason."""
    said = needs.steps_listed(situation(steps=[]))
    assert "Reserve" in said
    assert "[[patterns.saga.steps]]" in said
    declared = needs.steps_listed(situation(steps=[], pivot="Ship"))
    assert "Ship (Ship, never undone)" in declared
    assert "; the pivot Ship" in declared


@pytest.mark.parametrize(
    ("given", "started"),
    [({"StateMachineArn": "arn:m"}, "arn:m"), ("{% $states.input %}", ""), (None, "")],
    ids=["named", "an expression", "nothing"],
)
def test_a_nested_machine_is_known_where_the_definition_names_it(given: object, started: str) -> None:
    """In JSONata the arguments may be one expression, which names nothing."""
    state = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Arguments": given}
    (task,) = tasks_of(json.dumps({"StartAt": "Nested", "States": {"Nested": state}}))
    assert task.starts == started


def test_what_undoes_steps_lives_while_compute_is_dead() -> None:
    """Or the sagas of that window would stay half done."""
    there = situation()
    bare = cast("Any", SimpleNamespace(**{**vars(there.stack), "mappings": lambda _: ()}))
    found = levers_of(Window.COMPUTE_DEAD, replace(there, stack=bare), "run")
    assert [lever.component for lever in found] == ["reserve", "charge", "confirm"]


def test_the_workers_of_a_saga_are_its_functions_where_none_are_named() -> None:
    """Each once, steps first."""
    listed = [
        {"name": "a", "effect": "e", "function": "f", "compensation": {"function": "g"}},
        {"name": "b", "effect": "e", "function": "f"},
    ]
    told = {"command": "c", "effect": "e", "steps": listed}
    assert SagaPattern.model_validate(told).workers == ["f", "g"]
    assert SagaPattern.model_validate({**told, "workers": ["h"]}).workers == ["h"]


@pytest.mark.parametrize(
    ("provocation", "count"),
    [(SAGA_LOAD, 10), (CONTENTION, 12), (STOPPED, 3), (COMPENSATION_DEAD, 2), (GENERATED_SAGAS, 30)],
)
def test_a_plan_knows_how_many_sagas_are_started(provocation: Provocation, count: int) -> None:
    """One for each place that is struck, and a fixed number where many meet."""
    assert provocation.commands(situation()) == count


def test_what_plans_are_drawn_from() -> None:
    """The ordinary input, those that a step refuses, those that meet; and faults where they can be aimed."""
    assert choices_of(situation()) == Choices(
        inputs=(
            {},
            {"sku": "sold-out"},
            {"card": "declined"},
            {"sku": "scarce"},
            {"sku": "scarce", "card": "declined"},
        ),
        about=(
            "ordinary",
            '{"sku": "sold-out"}',
            '{"card": "declined"}',
            '{"sku": "scarce"}',
            '{"card": "declined", "sku": "scarce"}',
        ),
        failing=("", "reserve", "charge", "", "charge"),
        before={"reserve": frozenset({"reserve"}), "charge": frozenset({"reserve", "charge"})},
        steps=("reserve", "charge", "ship", "confirm"),
        undone=("reserve", "charge"),
        breakable=("reserve", "charge"),
    )


def test_a_pivot_that_nothing_undoes_fails_after_its_effect_too() -> None:
    """What is done about it is asked of every step up to the pivot, and not of those alone that can be undone."""
    listed = saga_of(situation()).steps
    bare = [one.model_copy(update={"compensation": None}) if one.name == "charge" else one for one in listed]
    there = situation(steps=bare)
    assert [one.name for one in compensated_steps(there)] == ["reserve"]
    assert STEP_AMBIGUOUS.commands(there) == 4
    (at_functions, at_machine) = STEP_AMBIGUOUS.aims
    assert (list(at_functions.at(there)), list(at_machine.at(there))) == (["reserve", "charge"], [])
    assert PlannedFault("charge", undo=False, kind="fail after") in faults_of(choices_of(there))
    none = situation(steps=[one.model_copy(update={"compensation": None}) for one in listed])
    assert [requirement(none) for requirement in STEP_AMBIGUOUS.requires] == [""] * len(STEP_AMBIGUOUS.requires)


def test_no_generated_saga_of_a_choreography_fails_for_good() -> None:
    """What its queues take to give up is too long for many plans."""
    found = choices_of(situation(state_machine=None))
    assert found.breakable == ()
    assert found.failing == ("", "reserve", "charge", "", "charge")


def test_a_pivot_declared_without_steps_counts() -> None:
    """The pivot may name a derived step, or a task that becomes one; a name that is neither is told."""
    charged = analysis_of(situation(steps=[], pivot="Charge"))
    after = ["Confirm", "MarkCompleted"]
    assert [step.name for step in charged.steps.steps] == ["Reserve", "Charge", "Ship", *after]
    assert [step.certain for step in charged.steps.steps] == [True, True, False, False, False]
    assert charged.steps.pivot == "Charge"
    shipped = analysis_of(situation(steps=[], pivot="Ship"))
    assert [step.name for step in shipped.steps.steps] == ["Reserve", "Charge", "Ship", *after]
    assert {one.steps for one in shipped.findings if one.verdict is Verdict.VIOLATED} >= {("Reserve", "Charge")}
    assert "Ship" not in {one.state for one in shipped.steps.undecided}
    assert definition_usable(situation(steps=[], pivot="Ship")) == ""
    assert "the pivot Gone is no step" in definition_usable(situation(steps=[], pivot="Gone"))
