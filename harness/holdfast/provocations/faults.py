"""The faults on everything: what each window needs, and which levers open it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from holdfast.levers.base import Lever
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.invocation import InvocationFault
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.role import RoleDeny
from holdfast.provocations.model import Provocation, Window
from holdfast.provocations.requirements import (
    CALL_FAULTS,
    INVOCATION_FAULTS,
    INVOCATION_OR_CALL_FAULTS,
    STREAM_DETACHED,
    Requirement,
    Situation,
    Supported,
    calls_alone,
    store_named,
    workers_named,
)
from holdfast.stack.patterns import CqrsPattern, Pattern, SagaPattern
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Capability, Rule

STORING_ACTIONS = {
    "queue": ("sqs:SendMessage",),
    "table": ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchWriteItem", "dynamodb:TransactWriteItems"),
    "bucket": ("s3:PutObject",),
    "bus": ("events:PutEvents",),
    "topic": ("sns:Publish",),
}
"""What is denied, by type of the store, to provoke ES-11 and SF-2."""


def _no_asynchronous_workers(situation: Situation) -> str:
    """No worker may be invoked asynchronously: that would be no outage but a loss."""
    for function in situation.workers():
        if function.asynchronous_callers and not function.mappings:
            return (
                f"{function.component} is invoked asynchronously by {', '.join(function.asynchronous_callers)}, and at"
                " reserved concurrency 0 Lambda gives such events up at once instead of keeping them"
            )
    return ""


def _polled(situation: Situation) -> bool:
    return any(function.mappings for function in situation.workers())


def _storing_known(situation: Situation) -> str:
    """It must be known which right stores something there."""
    if situation.pattern.store is None:
        return ""
    kind = situation.stack.resource(situation.pattern.store).type
    return "" if kind in STORING_ACTIONS else f"nothing is known about denying writes to a {kind}"


USING_ACTIONS = {
    "table": (
        "dynamodb:GetItem",
        "dynamodb:BatchGetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:TransactWriteItems",
    ),
    "bucket": ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
}
"""What is denied to provoke CQ-6, by type of the store: all use of its data, streams apart."""


def _write_side_named(situation: Situation) -> str:
    """Something of the write side must be named that can be stopped."""
    if situation.pattern.ingest or not store_named(situation):
        return ""
    return "the descriptor names neither the write side's functions (ingest) nor its store and roles (storage_roles)"


def _read_store_known(situation: Situation) -> str:
    """Where a right on the read store is denied, it must be known which."""
    pattern = situation.pattern
    if not isinstance(pattern, CqrsPattern) or pattern.read_store is None or not pattern.read_roles:
        return ""
    kind = situation.stack.resource(pattern.read_store).type
    return "" if kind in USING_ACTIONS else f"nothing is known about denying the use of a {kind}"


def _read_store_named(situation: Situation) -> str:
    """The read store must be a component, or none of its calls can be told from others."""
    if isinstance(situation.pattern, CqrsPattern) and situation.pattern.read_store is not None:
        return ""
    return "the descriptor names no component that holds the view (read_store)"


def _write_store_named(situation: Situation) -> str:
    """The store must be a component, or none of its calls can be told from others."""
    return "" if situation.pattern.store is not None else "the descriptor names no store (store)"


def _roles_named(situation: Situation) -> bool:
    pattern = situation.pattern
    return bool(pattern.storage_roles or (isinstance(pattern, CqrsPattern) and pattern.read_roles))


WINDOW_REQUIREMENTS: Mapping[Window, tuple[Requirement, ...]] = MappingProxyType(
    {
        Window.STORAGE_DENIED: (
            store_named,
            _storing_known,
            Supported(Capability.IAM_ENFORCED, "no right can be taken from a role"),
        ),
        Window.STORAGE_THROTTLED: (_write_store_named, CALL_FAULTS),
        Window.WRITE_STORE_SLOW: (_write_store_named, CALL_FAULTS),
        Window.READ_STORE_SLOW: (_read_store_named, CALL_FAULTS),
        Window.WRITE_SIDE_DEAD: (
            _write_side_named,
            _storing_known,
            Supported(Capability.FUNCTION_THROTTLE, "the write side cannot be throttled to zero"),
            Supported(Capability.IAM_ENFORCED, "no right can be taken from a role", _roles_named),
        ),
        Window.READ_SIDE_DEAD: (
            workers_named,
            _no_asynchronous_workers,
            _read_store_known,
            Supported(Capability.FUNCTION_THROTTLE, "no projector can be throttled to zero"),
            Supported(Capability.MAPPING_DISABLE, "the mapping of a projector cannot be switched off", _polled),
            Supported(Capability.IAM_ENFORCED, "no right can be taken from a role", _roles_named),
            STREAM_DETACHED,
        ),
        Window.COMPUTE_DEAD: (
            workers_named,
            _no_asynchronous_workers,
            Supported(Capability.FUNCTION_THROTTLE, "no worker can be throttled to zero"),
            Supported(Capability.MAPPING_DISABLE, "the mapping of a worker cannot be switched off", _polled),
            STREAM_DETACHED,
        ),
    }
)
"""What must be so for a window to be opened."""


def requirements_of(provocation: Provocation) -> tuple[Requirement, ...]:
    """All that must be so for a provocation to be run: its own requirements, its window's and its aimed faults'."""
    points = {aimed.point for aimed in provocation.aims}
    at_calls = provocation.at_calls
    aimable: tuple[Requirement, ...]
    if at_calls is not None:
        aimable = (INVOCATION_OR_CALL_FAULTS, CALL_FAULTS, *(_at_calls(one) for one in at_calls.requires))
    else:
        aimable = (*((INVOCATION_FAULTS,) if points else ()), *((CALL_FAULTS,) if "call" in points else ()))
    return (
        *provocation.requires,
        *(WINDOW_REQUIREMENTS[provocation.window] if provocation.window is not None else ()),
        *aimable,
    )


def _at_calls(requirement: Requirement) -> Requirement:
    """A requirement that matters only where calls alone can be broken."""
    return lambda situation: requirement(situation) if calls_alone(situation) else ""


def _struck(pattern: Pattern) -> list[str]:
    """The workers that are dead when compute is; what undoes a saga's steps lives, or many would stay half done."""
    steps = pattern.steps if isinstance(pattern, SagaPattern) else []
    undo = {step.compensation.function for step in steps if step.compensation is not None}
    undo -= {step.function for step in steps}
    return [worker for worker in pattern.workers if worker not in undo]


def levers_of(window: Window, situation: Situation, run: str) -> list[Lever]:
    """The levers that open a window whose requirements are met; nothing is changed yet.

    Args:
        window: which.
        situation: the stack.
        run: id of the run, for the names of what is added.
    """
    stack, pattern = situation.stack, situation.pattern
    match window:
        case Window.COMPUTE_DEAD:
            return _stopped(stack, _struck(pattern))
        case Window.READ_SIDE_DEAD:
            assert isinstance(pattern, CqrsPattern)
            denied = _denied(stack, pattern.read_store, pattern.read_roles, USING_ACTIONS, run)
            return [*_stopped(stack, _struck(pattern)), *denied]
        case Window.WRITE_SIDE_DEAD:
            assert isinstance(pattern, CqrsPattern)
            denied = _denied(stack, pattern.store, pattern.storage_roles, STORING_ACTIONS, run)
            # reads that need the write store go down with it; where nothing is known about its use, they are not tried
            usable = pattern.store is not None and stack.resource(pattern.store).type in USING_ACTIONS
            others = [role for role in pattern.read_roles if usable and role not in pattern.storage_roles]
            denied += _denied(stack, pattern.store, others, USING_ACTIONS, run)
            return [*(FunctionThrottle.on(stack, function) for function in pattern.ingest), *denied]
        case Window.STORAGE_DENIED:
            return _denied(stack, pattern.store, pattern.storage_roles, STORING_ACTIONS, run)
        case Window.READ_STORE_SLOW:
            assert isinstance(pattern, CqrsPattern)
            return _at_calls_about(stack, pattern.read_store, _HELD, run)
        case Window.WRITE_STORE_SLOW | Window.STORAGE_THROTTLED:
            rule = _HELD if window is Window.WRITE_STORE_SLOW else _THROTTLED
            return _at_calls_about(stack, pattern.store, rule, run)


_THROTTLED = Rule(id="", action="refuse", error="ThrottlingException", probability=0.5)
_HELD = Rule(id="", action="delay", delay_seconds=1.5)
"""Longer than an answer may take that does not need the store (`Bounds.acknowledgement_floor_seconds`)."""


def _at_calls_about(stack: Stack, store: str | None, rule: Rule, run: str) -> list[Lever]:
    """What befalls the calls of functions about a store, whatever they are for; the harness' own pass."""
    assert store is not None
    resource = stack.resource(store)
    told = replace(rule, id=f"{run}-{rule.action}-{store}", point="call", resource=resource.name)
    return [InvocationFault(target=stack.target, component=store, resource=resource.arn, rule=told)]


def _stopped(stack: Stack, workers: Sequence[str]) -> list[Lever]:
    levers: list[Lever] = []
    # Mappings first: behind a throttled function the pollers of an enabled one still receive, which uses up
    # the receive count and moves healthy requests to the dead letters (LEVERS.md).
    for worker in workers:
        levers += MappingDisable.on(stack, worker)
    return [*levers, *(FunctionThrottle.on(stack, worker) for worker in workers)]


def _denied(
    stack: Stack, store: str | None, roles: Sequence[str], by_type: Mapping[str, tuple[str, ...]], run: str
) -> list[Lever]:
    if store is None:
        return []
    resource = stack.resource(store)
    arns = (resource.arn, f"{resource.arn}/*") if resource.type == "bucket" else (resource.arn,)
    return [RoleDeny.on(stack, role, actions=by_type[resource.type], resources=arns, run=run) for role in roles]
