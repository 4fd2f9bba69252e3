"""What provocations and clauses about sagas need of a descriptor, a deployment and a target."""

from __future__ import annotations

import functools

from holdfast.checkers.retries import policies_of
from holdfast.history.executions import ExecutionStatus
from holdfast.provocations.requirements import Requirement, Situation, Supported
from holdfast.provocations.saga_definitions import derived
from holdfast.provocations.saga_places import (
    business_failures,
    callbacks,
    compensated_steps,
    contended,
    place_of,
    saga_of,
    state_known,
    steps_after_pivot,
    steps_until_pivot,
)
from holdfast.stack.commands import ExecutionCall
from holdfast.stack.patterns import SagaStep
from holdfast.targets.base import Capability


def steps_listed(situation: Situation) -> str:
    """The descriptor must list the steps with their effect ports; nothing else can tell what a step has done."""
    if saga_of(situation).steps:
        return ""
    told = derived(situation)
    confirm = f"; {told}: list them in [[patterns.saga.steps]], each with its effect port" if told else ""
    return f"the descriptor lists no steps, and without effect ports none can be judged{confirm}"


def _of_listed_steps(requirement: Requirement) -> Requirement:
    """A requirement on steps: where none is listed that is the reason, and nothing that follows from it."""

    @functools.wraps(requirement)
    def asked(situation: Situation) -> str:
        return steps_listed(situation) or requirement(situation)

    return asked


def _unaimed(situation: Situation, steps: list[SagaStep], *, undo: bool) -> str:
    what = "compensation" if undo else "step"
    lacking = [step.name for step in steps if place_of(situation, step, undo=undo) is None]
    if not lacking:
        return ""
    return (
        f"no fault can be aimed at the {what} {', '.join(lacking)} alone: name a function that does nothing else, or "
        "its state in the state machine"
    )


def steps_aimed(situation: Situation) -> str:
    """Each step must have a function of its own, or a state."""
    return _unaimed(situation, saga_of(situation).steps, undo=False)


def compensations_aimed(situation: Situation) -> str:
    """Each compensation must have a function of its own, or a state."""
    return _unaimed(situation, compensated_steps(situation), undo=True)


@_of_listed_steps
def compensations_named(situation: Situation) -> str:
    """Some step must have a compensation."""
    if compensated_steps(situation):
        return ""
    return "the descriptor names no compensation for any step up to the pivot"


def states_defined(situation: Situation) -> str:
    """The states that the descriptor names must be tasks of the deployed definition."""
    saga = saga_of(situation)
    machine = situation.configuration.machine(saga.state_machine)
    if machine is None:
        return ""
    named = [step.state for step in saga.steps]
    named += [step.compensation.state for step in saga.steps if step.compensation is not None]
    tasks = policies_of(machine.definition)
    absent = [state for state in named if state is not None and not state_known(situation, state)]
    if not absent:
        return ""
    return f"the deployed definition has no task {', '.join(absent)}; it has {', '.join(tasks) or 'none'}"


def services_aimed(situation: Situation) -> str:
    """Where a state machine calls a service by itself, faults must reach that call."""
    saga = saga_of(situation)
    found = [place_of(situation, step) for step in saga.steps]
    found += [place_of(situation, step, undo=True) for step in compensated_steps(situation)]
    if all(place is None or place.function for place in found):
        return ""
    return Supported(Capability.SERVICE_CALL_FAULTS, "no fault can be aimed at what the state machine calls itself")(
        situation
    )


def machine_named(situation: Situation) -> str:
    """There must be a state machine."""
    if saga_of(situation).state_machine is not None:
        return ""
    return "the saga is a choreography: there is no state machine (waive this clause with that reason)"


def executions_kept(situation: Situation) -> str:
    """The state machine must keep its executions."""
    missing = machine_named(situation)
    machine = situation.configuration.machine(saga_of(situation).state_machine)
    if missing or machine is None or not machine.express:
        return missing
    return f"{machine.component} is an Express workflow, which keeps no executions: none can be looked at or stopped"


@_of_listed_steps
def states_named(situation: Situation) -> str:
    """Some step must name its state, so that its attempts are found in a history."""
    if any(step.state is not None for step in saga_of(situation).steps):
        return ""
    return "the descriptor names no step's state, so no attempts can be told in an execution's history"


def states_all_named(situation: Situation) -> str:
    """Every step and compensation must name its state, where the descriptor lists them."""
    saga = saga_of(situation)
    lacking = [step.name for step in saga.steps if step.state is None]
    undone = [step for step in saga.steps if step.compensation is not None and step.compensation.state is None]
    lacking += [f"the compensation of {step.name}" for step in undone]
    return f"the descriptor names no state of {', '.join(lacking)}" if lacking else ""


def retries_declared(situation: Situation) -> str:
    """Some task of the definition must declare retries."""
    machine = situation.configuration.machine(saga_of(situation).state_machine)
    if machine is None or any(policy.retriers for policy in policies_of(machine.definition).values()):
        return ""
    return "the definition declares no retries, so there is no policy to keep"


def retries_read(situation: Situation) -> str:
    """The states of the steps must be those of the saga's own machine: histories of nested ones are not read."""
    nested = [step.state for step in saga_of(situation).steps if step.state is not None and "/" in step.state]
    return f"the retries of {', '.join(nested)} are those of a nested execution, which is not read" if nested else ""


def callback_awaited(situation: Situation) -> str:
    """Some step must be waited for until it calls back."""
    return "" if callbacks(situation) else "no step is waited for until it calls back"


def executions_named(situation: Situation) -> str:
    """An execution that the command starts itself must be named by its key, or it could be anybody's."""
    saga = saga_of(situation)
    calls = situation.stack.descriptor.commands[saga.command].calls
    starts = [call for call in calls if isinstance(call, ExecutionCall) and call.state_machine == saga.state_machine]
    if all((call.name or "").startswith("{key}") for call in starts):
        return ""
    return "the name of the execution does not begin with {key}, so none may be stopped"


EXECUTIONS_RESUMED = Supported(Capability.EXECUTION_REDRIVE, "a stopped execution cannot be resumed")
EXECUTIONS_STOPPED = Supported(Capability.EXECUTION_END, "an execution cannot be stopped")


@_of_listed_steps
def pivot_named(situation: Situation) -> str:
    """There must be a step after the pivot."""
    saga = saga_of(situation)
    if saga.pivot is None:
        return "the descriptor names no pivot: every step can be undone (waive this clause with that reason)"
    if steps_after_pivot(situation):
        return ""
    return f"no step comes after the pivot {saga.pivot} (waive this clause with that reason)"


@_of_listed_steps
def several_steps(situation: Situation) -> str:
    """A saga has more than one step."""
    return "" if len(saga_of(situation).steps) > 1 else "there is one step only: nothing can be done in part"


@_of_listed_steps
def two_compensations(situation: Situation) -> str:
    """An order needs two steps that are undone."""
    saga = saga_of(situation)
    if saga.compensation_order == "any":
        return "the descriptor promises no order of compensations (compensation_order); waive this clause"
    before = saga.predecessors()
    undone = {step.name for step in compensated_steps(situation)}
    if any(undone & before[name] for name in undone):
        return ""
    return "no two steps that come one after the other are undone, so there is no order to keep"


def undoing_counted(situation: Situation) -> str:
    """That a step is undone twice shows in a count of its undoings, or in a total that it moves."""
    uncounted = [step.name for step in compensated_steps(situation) if step.undone is None]
    if not uncounted or not totals_declared(situation):
        return ""
    return (
        f"that {', '.join(uncounted)} is undone twice would not be seen: give it `undone`, an effect port that counts,"
        " or declare a total that it moves (conserved)"
    )


@_of_listed_steps
def business_failures_named(situation: Situation) -> str:
    """The descriptor must name inputs that a step refuses."""
    steps = {step.name for step in steps_until_pivot(situation)}
    if any(step in steps for step, _ in business_failures(situation)):
        return ""
    return "the descriptor names no business_failures at a step up to the pivot"


def contention_named(situation: Situation) -> str:
    """The descriptor must name inputs whose sagas meet."""
    if contended(situation):
        return ""
    return "the descriptor names no contended input (an input whose sagas meet on one scarce resource)"


def quantities_declared(situation: Situation) -> str:
    """The descriptor must declare what is conserved."""
    declared = situation.stack.descriptor.conserved.values()
    if any(one.total is not None or one.minimum is not None for one in declared):
        return ""
    return "the descriptor declares nothing that is conserved (conserved, with a total or a minimum)"


def totals_declared(situation: Situation) -> str:
    """A total must be declared, or only the minimum can be judged."""
    if any(one.total is not None for one in situation.stack.descriptor.conserved.values()):
        return ""
    return "the descriptor declares no total of what is conserved"


def outcome_reported(situation: Situation) -> str:
    """The saga must report its outcome: by a status, a kept execution, or the answer to a synchronous start."""
    saga = saga_of(situation)
    if saga.status is not None or not executions_kept(situation) or answer_tells(situation):
        return ""
    return "nothing reports a saga's outcome: name a status port, or start the Express workflow synchronously"


def answer_tells(situation: Situation) -> bool:
    """Whether the answer to the start of an Express workflow, and no status, tells how it ended."""
    return saga_of(situation).status is None and ends_before_its_answer(situation)


def ends_before_its_answer(situation: Situation) -> bool:
    """Whether an Express workflow has ended when its start is answered, as far as the descriptor says.

    An execution that Holdfast starts does when it is synchronous; of an API nobody can tell but the descriptor, which
    then asks the answer for ``SUCCEEDED`` (``acknowledgement.acknowledged``, an expression).
    """
    saga = saga_of(situation)
    command = situation.stack.descriptor.commands[saga.command]
    machine = situation.configuration.machine(saga.state_machine)
    if machine is None or not machine.express:
        return False
    last, rule = command.calls[-1], command.acknowledgement.acknowledged
    synchronous = last.kind == "http" or bool(getattr(last, "synchronous", False))
    return synchronous and isinstance(rule, str) and ExecutionStatus.SUCCEEDED in rule
