"""The guard rail: nothing outside the resources that the descriptor resolves to is ever changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from holdfast.drivers.choosing import driver_of
from holdfast.errors import GuardRailError, ResourceError
from holdfast.levers.base import Lever
from holdfast.levers.channel_fault import channel_resource
from holdfast.levers.invocation import component_resource
from holdfast.levers.journal import Journal, Pin
from holdfast.stack.components import DRIVEN

if TYPE_CHECKING:
    from holdfast.stack.resolve import Resource, Stack


def allow(lever: Lever, stack: Stack, journal: Journal) -> None:
    """Let a lever through, or refuse it before anything is read or changed.

    Args:
        lever: what would act.
        stack: the only stack it may act on.
        journal: the run's journal, pinned to one account, region and stack.

    Raises:
        GuardRailError: the lever reaches outside the stack, or the place is not the pinned one.
    """
    pinned = Pin.of(stack)
    if journal.pin != pinned:
        raise GuardRailError(
            f"the run is pinned to {_said(journal.pin)}, not to {_said(pinned)}; nothing was changed",
            remedy="start a run of its own for each stack",
        )
    target = lever.target
    if (target.kind, target.endpoint_url, target.account, target.region) != (pinned.kind, *pinned.place()):
        raise GuardRailError(
            f"{lever.name} would act in account {target.account}, region {target.region} ({target.kind}), "
            f"but the stack is in {_said(pinned)}; nothing was changed",
        )
    aws = stack.descriptor.target.aws
    if target.kind == "aws" and (aws is None or (aws.account, aws.region) != (target.account, target.region)):
        raise GuardRailError(
            f"account {target.account} and region {target.region} are not pinned in the descriptor of {pinned.stack}",
            remedy=f'add [target.aws] with account = "{target.account}" and region = "{target.region}"',
        )
    # few levers act on more than one resource, so it is no part of the protocol
    outside = sorted(set(getattr(lever, "reaches", ())) - {each.arn for each in stack.resources.values()})
    if outside:
        raise GuardRailError(
            f"{lever.name} would also act on {outside[0]}, which is no component of {stack.descriptor.name}; "
            "nothing was changed",
            remedy="name the resource as a component of the descriptor if it may be broken",
        )
    if not _within(lever, stack):
        raise GuardRailError(
            f"{lever.name} would change {lever.resource}, which is not part of component {lever.component!r} "
            f"of {stack.descriptor.name}; nothing was changed",
            remedy="name the resource as a component of the descriptor if it may be broken",
        )
    _same_place(lever, pinned)


def check_address(lever: str, resource: str, address: str) -> None:
    """Refuse a lever whose calls would name another resource than the ARN that the guard rail goes by.

    Args:
        lever: name of the lever.
        resource: the ARN.
        address: what its API calls it by: a name, or a URL that ends in it.

    Raises:
        GuardRailError: the ARN does not end in that name.
    """
    name = address.rpartition("/")[2]
    if not name or not resource.endswith((f":{name}", f"/{name}")):
        raise GuardRailError(
            f"{lever} would change {address or 'nothing'}, which is not {resource}; nothing was changed",
            remedy="make the lever with its on(), which takes both from the component",
        )


def _within(lever: Lever, stack: Stack) -> bool:
    """Whether a lever changes its component, or what derives from it.

    That is its execution role, its mappings, its subscriptions, the stage of an API, an execution of a state machine
    (which one, the lever decides by the run's prefix), the one instance that is proven to be the component now, and the
    rules of a channel.
    """
    if lever.component in stack.descriptor.channels:
        return lever.resource == channel_resource(lever.component)
    try:
        resource = stack.resource(lever.component)
    except ResourceError as error:
        raise GuardRailError(
            f"{lever.component!r} is no component of {stack.descriptor.name}; nothing was changed"
        ) from error
    if lever.resource in {resource.arn, resource.role} - {""}:
        return True
    if resource.type == "process" and lever.resource == component_resource(lever.component):
        return True
    return _derived(lever, stack, resource)


def _derived(lever: Lever, stack: Stack, resource: Resource) -> bool:
    match resource.type:
        case "function" if not lever.resource.startswith("arn:"):
            return any(mapping.uuid == lever.resource for mapping in stack.mappings(lever.component))
        case "topic":
            # the ARN of a subscription is its topic's, and an id
            return re.fullmatch(re.escape(resource.arn) + r":[0-9a-f-]+", lever.resource) is not None
        case "api":
            return bool(resource.arn and resource.stage) and lever.resource == f"{resource.arn}/stages/{resource.stage}"
        case "state_machine":
            executions = resource.arn.replace(":stateMachine:", ":execution:", 1)
            machine, _, name = lever.resource.rpartition(":")
            return bool(name) and machine == executions != resource.arn
        case kind if kind in DRIVEN:
            return lever.resource == driver_of(stack, lever.component).find().resource
        case _:
            return False


def _same_place(lever: Lever, pinned: Pin) -> None:
    """An ARN names its account and, where the service has regions, its region: both must be the pinned ones."""
    if not lever.resource.startswith("arn:"):
        return
    region, account = [*lever.resource.split(":", 5), "", "", "", "", ""][3:5]
    if account not in ("", pinned.account) or region not in ("", pinned.region):
        raise GuardRailError(
            f"{lever.resource} is outside account {pinned.account} and region {pinned.region}; nothing was changed",
            remedy="a fault may only be put on the pinned account and region",
        )


def _said(pin: Pin) -> str:
    return f"stack {pin.stack} in account {pin.account}, region {pin.region} ({pin.kind})"
