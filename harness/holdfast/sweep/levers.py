"""Where no interceptor sits: the points that are known, the lever for a kind of fault there, what cannot be reached.

Such a fault is on everything, so the points are visited one after another. What the levers do on AWS is written to the
documentation that each of them names; no account has been used in the tests.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from holdfast.levers.base import Lever
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.http_api import HttpApiThrottle
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.queue_attributes import QueueVisibility
from holdfast.levers.rest_api import RestApiThrottle
from holdfast.levers.role import RoleDeny
from holdfast.provocations.faults import STORING_ACTIONS
from holdfast.provocations.requirements import Situation
from holdfast.stack.commands import HttpCall
from holdfast.stack.definitions import tasks_of
from holdfast.stack.resolve import Stack
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Fault
from holdfast.sweep.points import Caller, Callers, Point, component_names
from holdfast.targets.base import Capability
from holdfast.targets.interceptor.names import name_of

_PASSED_ON = {
    "lambda": ("lambda", "Invoke"),
    "sqs": ("sqs", "SendMessage"),
    "sns": ("sns", "Publish"),
    "states": ("states", "StartExecution"),
    "events": ("events", "PutEvents"),
}
"""How a rule or topic passes an event on, by the service of what it is passed on to."""

_INTEGRATION = re.compile(r"arn:[^:]+:states:::(?:aws-sdk:)?([a-z0-9-]+):([A-Za-z0-9]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A lever that does a kind of fault at a point, to every command.

    Attributes:
        fault: the fault.
        capability: what the target must have for it.
        about: what the lever does.
        make: makes the levers for a stack and the id of a run.
    """

    fault: Fault
    capability: Capability
    about: str
    make: Callable[[Stack, str], Sequence[Lever]]


def aimed_here(situation: Situation) -> bool:
    """Whether faults can be aimed at the invocations and the calls of one command."""
    target = situation.stack.target
    wanted = (Capability.INVOCATION_FAULTS, Capability.CALL_FAULTS)
    return target.interceptor is not None and all(target.supports(one).supported for one in wanted)


def points_told(situation: Situation, callers: Callers) -> tuple[Point, ...]:
    """The points that descriptor and configuration tell of; calls that functions make are known for the store alone.

    Args:
        situation: the stack.
        callers: its callers.
    """
    stack, pattern = situation.stack, situation.pattern
    calls = stack.descriptor.commands[pattern.command].calls
    apis = dict.fromkeys(call.api for call in calls if isinstance(call, HttpCall) and call.api is not None)
    found = [Point(caller=Caller(component=api, type="api")) for api in apis if stack.resource(api).type == "api"]
    found += [Point(caller=Caller(component=name)) for name in (*pattern.ingest, *pattern.workers)]
    if pattern.store is not None and pattern.storage_roles:
        action = STORING_ACTIONS.get(stack.resource(pattern.store).type, ("",))[0]
        if action:
            service, operation = action.split(":")
            caller = Caller(component=pattern.ingest[0]) if pattern.ingest else Caller(component=next(iter(apis), ""))
            caller = caller if pattern.ingest else Caller(component=caller.component, type="api")
            found.append(Point(caller=caller, service=service, operation=operation, about=pattern.store))
    for caller in callers.by_name.values():
        if caller.type == "mapping" and caller.component in pattern.workers:
            found.append(Point(caller=caller, service="lambda", operation="Invoke"))
    for machine in situation.configuration.machines:
        for task in tasks_of(machine.definition):
            called = _called(str(task.state.get("Resource", "")))
            if called is not None:
                caller = Caller(component=machine.component, type="state_machine")
                about = _function_of(stack, task.state)
                found.append(Point(caller=caller, service=called[0], operation=called[1], state=task.name, about=about))
    return (*found, *_relayed(situation, callers))


def _relayed(situation: Situation, callers: Callers) -> Iterator[Point]:
    """What rules and topics pass on."""
    stack = situation.stack
    components = component_names(stack)
    counts: Counter[tuple[str, str]] = Counter()
    for relay in situation.configuration.relays:
        called = _PASSED_ON.get(relay.target_arn.split(":")[2] if relay.target_arn.startswith("arn:") else "")
        if called is None or relay.component not in stack.resources:
            continue
        service, operation = called
        counts[relay.component, operation] += 1
        yield Point(
            caller=callers.by_name[stack.resource(relay.component).name],
            service=service,
            operation=operation,
            nth=counts[relay.component, operation],
            about=components.get(name_of(relay.target_arn), ""),
        )


def means(point: Point, kind: Kind, situation: Situation) -> Means | str:
    """The lever for a kind of fault at a point, or why there is none.

    Args:
        point: where.
        kind: what.
        situation: the stack.
    """
    found = _means(point, kind, situation)
    if isinstance(found, str):
        return found
    support = situation.stack.target.supports(found.capability)
    if not support.supported:
        return f"{found.about}: not on the {situation.stack.target.kind} target: {support.reason}"
    return found


def _means(point: Point, kind: Kind, situation: Situation) -> Means | str:  # noqa: PLR0911 - one return for each lever
    stack, caller = situation.stack, point.caller
    fault = Fault(point, kind)
    match caller.type, kind:
        case "api", Kind.THROTTLED if point.invocation:
            rest = "/restapis/" in stack.resource(caller.component).arn
            lever = RestApiThrottle if rest else HttpApiThrottle
            return Means(
                fault=fault,
                capability=Capability.API_THROTTLE if rest else Capability.HTTP_API_THROTTLE,
                about="the stage's limits refuse requests",
                make=lambda stack, _: [lever.on(stack, caller.component)],
            )
        case (("function" | "api"), Kind.REFUSED) if point.about and point.about == situation.pattern.store:
            return Means(
                fault=fault,
                capability=Capability.IAM_ENFORCED,
                about="the right to store is denied",
                make=partial(_storing_denied, situation),
            )
        case "function", Kind.THROTTLED if point.invocation:
            return _throttle(fault, caller.component, situation)
        case "mapping", Kind.THROTTLED:
            return _throttle(fault, caller.component, situation)
        case "mapping", Kind.REFUSED:
            return Means(
                fault=fault,
                capability=Capability.MAPPING_DISABLE,
                about="the mapping is disabled",
                make=lambda stack, _: MappingDisable.on(stack, caller.component),
            )
        case "mapping", Kind.DUPLICATED if caller.source in stack.resources:
            return Means(
                fault=fault,
                capability=Capability.QUEUE_ATTRIBUTES,
                about="the queue's visibility timeout is shorter than the handler",
                make=lambda stack, _: [QueueVisibility.on(stack, caller.source, seconds=0)],
            )
        case "state_machine", Kind.THROTTLED if point.service == "lambda" and point.about in stack.resources:
            return _throttle(fault, point.about, situation)
        case "state_machine", Kind.REFUSED if point.service == "lambda" and point.about in stack.resources:
            return Means(
                fault=fault,
                capability=Capability.TASK_ROLE_ENFORCED,
                about="the state machine's role may not invoke the function",
                make=lambda stack, run: [_deny(stack, caller.component, point.about, run)],
            )
        case _:
            return _unreachable(kind, situation)


def _throttle(fault: Fault, function: str, situation: Situation) -> Means | str:
    configuration = situation.configuration.function(function)
    if configuration is not None and configuration.asynchronous_callers and not configuration.mappings:
        return "at reserved concurrency 0 Lambda gives asynchronous events up instead of keeping them"
    return Means(
        fault=fault,
        capability=Capability.FUNCTION_THROTTLE,
        about="the function's reserved concurrency is 0",
        make=lambda stack, _: [FunctionThrottle.on(stack, function)],
    )


def _deny(stack: Stack, machine: str, function: str, run: str) -> RoleDeny:
    arn = stack.resource(function).arn
    return RoleDeny.on(stack, machine, actions=("lambda:InvokeFunction",), resources=(arn, f"{arn}:*"), run=run)


def _storing_denied(situation: Situation, stack: Stack, run: str) -> list[Lever]:
    assert situation.pattern.store is not None
    store = stack.resource(situation.pattern.store)
    arns = (store.arn, f"{store.arn}/*") if store.type == "bucket" else (store.arn,)
    actions = STORING_ACTIONS[store.type]
    return [
        RoleDeny.on(stack, role, actions=actions, resources=arns, run=run) for role in situation.pattern.storage_roles
    ]


_WITHOUT = {
    Kind.REFUSED: "no lever refuses it and leaves the rest alone",
    Kind.THROTTLED: "no lever throttles it and leaves the rest alone",
    Kind.ANSWER_LOST: "an answer can only be lost between the caller and the service, where nothing of ours sits",
    Kind.KILLED_BEFORE: "no lever ends a running function",
    Kind.KILLED_AFTER: "no lever ends a running function",
    Kind.DELAYED: "a delay needs something between the caller and the service, or an extension in the function",
    Kind.DUPLICATED: "no lever repeats it",
    Kind.LOST_FOR_GOOD: "an answer can only be lost between the caller and the service, where nothing of ours sits",
    Kind.FOR_GOOD: "a fault for good would be on every command, and use up the deliveries of all of them",
}


def _unreachable(kind: Kind, situation: Situation) -> str:
    return f"not reachable on the {situation.stack.target.kind} target: {_WITHOUT[kind]}"


def _called(resource: str) -> tuple[str, str] | None:
    """Service and operation that a task's resource calls; None for an activity."""
    if ":lambda:" in resource and ":function:" in resource:
        return "lambda", "Invoke"
    found = _INTEGRATION.match(resource)
    return None if found is None else (found[1], found[2][0].upper() + found[2][1:])


def _function_of(stack: Stack, state: object) -> str:
    """The component that a task invokes, where the definition names it."""
    assert isinstance(state, dict)
    given = state.get("Parameters") or state.get("Arguments") or {}
    named = given.get("FunctionName") if isinstance(given, dict) else None
    text = str(named or state.get("Resource", ""))
    return component_names(stack).get(name_of(text), "")
