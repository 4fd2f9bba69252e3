"""The faults on everything: what each window needs, and which levers open it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from holdfast.levers.base import Lever
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.role import RoleDeny
from holdfast.provocations.model import Provocation, Window
from holdfast.provocations.requirements import (
    CALL_FAULTS,
    INVOCATION_FAULTS,
    STREAM_DETACHED,
    Requirement,
    Situation,
    Supported,
    store_named,
    workers_named,
)
from holdfast.stack.patterns import Pattern, SagaPattern
from holdfast.targets.base import Capability

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


WINDOW_REQUIREMENTS: Mapping[Window, tuple[Requirement, ...]] = MappingProxyType(
    {
        Window.STORAGE_DENIED: (
            store_named,
            _storing_known,
            Supported(Capability.IAM_ENFORCED, "no right can be taken from a role"),
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
    return (
        *provocation.requires,
        *(WINDOW_REQUIREMENTS[provocation.window] if provocation.window is not None else ()),
        *((INVOCATION_FAULTS,) if points else ()),
        *((CALL_FAULTS,) if "call" in points else ()),
    )


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
    if window is Window.COMPUTE_DEAD:
        levers: list[Lever] = []
        workers = _struck(pattern)
        # Mappings first: behind a throttled function the pollers of an enabled one still receive, which uses up
        # the receive count and moves healthy requests to the dead letters (LEVERS.md).
        for worker in workers:
            levers += MappingDisable.on(stack, worker)
        levers += [FunctionThrottle.on(stack, worker) for worker in workers]
        return levers
    assert pattern.store is not None
    resource = stack.resource(pattern.store)
    actions = STORING_ACTIONS[resource.type]
    arns = (resource.arn, f"{resource.arn}/*") if resource.type == "bucket" else (resource.arn,)
    return [RoleDeny.on(stack, role, actions=actions, resources=arns, run=run) for role in pattern.storage_roles]
