"""The deployed definition of a saga's state machine, analysed with the steps that the descriptor lists."""

from __future__ import annotations

from dataclasses import replace

from holdfast.definition import Analysis, Definition, SagaSteps, Step, analyse, derive_steps, embedded, possible_pivots
from holdfast.definition.files import parse_text
from holdfast.errors import DefinitionError
from holdfast.provocations.requirements import Situation
from holdfast.provocations.saga_places import saga_of
from holdfast.stack.configuration import MachineConfiguration
from holdfast.stack.patterns import SagaPattern


def analysis_of(situation: Situation) -> Analysis:
    """What the definition says about the failures of the saga.

    Its steps are those of the descriptor; where it lists none, they are derived, its pivot is one of them, and what is
    not beyond doubt stays undecided.

    Raises:
        DefinitionError: the definition cannot be read, or does not have the states that the descriptor names.
    """
    definition, saga = definition_of(situation), saga_of(situation)
    return analyse(definition, steps_of(saga) or _derived(definition, saga.pivot))


def _derived(definition: Definition, pivot: str | None) -> SagaSteps:
    """The steps that a definition tells, and the declared pivot; a name that is none of its tasks stays, to be told."""
    if pivot in possible_pivots(definition):
        return derive_steps(definition, pivot=pivot)
    return replace(derive_steps(definition), pivot=pivot)


def definition_of(situation: Situation) -> Definition:
    """The deployed definition, with the state machines of the stack that it starts inside.

    Raises:
        DefinitionError: it cannot be read.
    """
    machines = situation.configuration.machines
    parsed = [_parsed(machine) for machine in machines]
    own = next(_name(machine) for machine in machines if machine.component == saga_of(situation).state_machine)
    whole = next((one for one in embedded(parsed) if one.name == own), None)
    return whole or next(one for one in parsed if one.name == own)


def _parsed(machine: MachineConfiguration) -> Definition:
    return parse_text(
        machine.definition, file=f"definition of {machine.component}", name=_name(machine), express=machine.express
    )


def _name(machine: MachineConfiguration) -> str:
    return machine.arn.rsplit(":", 1)[-1]


def steps_of(saga: SagaPattern) -> SagaSteps | None:
    """The steps of a pattern as the analysis takes them; None where it lists none."""
    if not saga.steps:
        return None
    before = saga.predecessors()
    ordered = saga.compensation_order == "reverse"
    return SagaSteps(
        steps=tuple(
            Step(
                name=step.name,
                states=(step.state,) if step.state is not None else (),
                compensations=(step.compensation.state,)
                if step.compensation is not None and step.compensation.state is not None
                else (),
                idempotent=step.idempotent,
                after=tuple(one.name for one in saga.steps if one.name in before[step.name]) if ordered else (),
            )
            for step in saga.steps
        ),
        pivot=saga.pivot,
    )


def definition_usable(situation: Situation) -> str:
    """The deployed definition must be readable, and have the states that the descriptor names."""
    if situation.configuration.machine(saga_of(situation).state_machine) is None:
        return ""
    try:
        analysis_of(situation)
    except DefinitionError as error:
        return f"{error.what.removesuffix('.')}: {error.cause}" if error.cause else error.what
    return ""


def derived(situation: Situation) -> str:
    """What the definition tells about the steps, for a person to confirm; empty where it cannot tell."""
    if situation.configuration.machine(saga_of(situation).state_machine) is None:
        return ""
    try:
        found = _derived(definition_of(situation), saga_of(situation).pivot)
    except DefinitionError:
        return ""
    told = [
        f"{step.name} ({', '.join(step.states)}"
        + (f", undone by {', '.join(step.compensations)}" if step.compensations else ", never undone")
        + ("" if step.certain else ", not certain")
        + ")"
        for step in found.steps
    ]
    if not told:
        return "the definition tells no steps"
    beside = [f"; the pivot {found.pivot}"] if found.pivot else []
    beside += [f"; taken to have no effect: {', '.join(sorted(found.read_only))}"] if found.read_only else []
    beside += [f"; not decided: {one.state}, {one.reason}" for one in found.undecided]
    return f"the definition has the steps {', '.join(told)}{''.join(beside)}"
