"""Levers from data: a name, a component and a few options, as a plan of faults gives them.

Everything that can be wrong is found before anything is changed: an unknown lever or option, a component of another
type, a target that cannot do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from holdfast.levers.base import Lever
from holdfast.levers.bucket_policy import BucketDeny
from holdfast.levers.component_pressure import ComponentPressure
from holdfast.levers.component_signal import ComponentEnd, ComponentKill, ComponentStop
from holdfast.levers.function import FunctionThrottle
from holdfast.levers.function_limits import FunctionMemory, FunctionTimeout
from holdfast.levers.function_variable import FunctionVariable
from holdfast.levers.http_api import HttpApiThrottle
from holdfast.levers.invoke_permission import PermissionCut
from holdfast.levers.mapping import MappingDisable
from holdfast.levers.queue_attributes import QueueDelay, QueueRedrive, QueueVisibility
from holdfast.levers.queue_policy import QueueDeny
from holdfast.levers.registry import LEVERS
from holdfast.levers.rest_api import RestApiThrottle
from holdfast.levers.role import RoleDeny
from holdfast.levers.rule import RuleDisable
from holdfast.levers.subscription import SubscriptionFilter
from holdfast.levers.table_policy import TableDeny
from holdfast.levers.table_throughput import TableCap, TableCapacity
from holdfast.stack.components import DRIVEN
from holdfast.stack.resolve import Stack
from holdfast.stack.templates import suggestion
from holdfast.targets.base import Capability

Options = Mapping[str, Any]
_NO_OPTIONS: Options = MappingProxyType({})

OTHERWISE: Mapping[str, str] = MappingProxyType(
    {
        "channel-fault": "it is a rule in the relay of a channel",
        "archive-replay": "it sends events once more and is over; it has no window to put on a clock",
        "execution-abort": "it is aimed at single executions",
        "function-experiment": "FIS keeps its own time: it cannot be put on and taken off by the second",
        "invocation-fault": "it is an interceptor rule: give `rule` in place of `lever`",
    }
)
"""Levers that a plan cannot put on by their name, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How one lever is made.

    Attributes:
        lever: the lever.
        types: types of components it acts on.
        make: from the stack, the component, the options and the id of the run to the levers.
        options: name of each option and the Python type of its value.
        needed: options without which it cannot be made.
    """

    lever: type[Lever]
    types: tuple[str, ...]
    make: Callable[[Stack, str, Options, str], Sequence[Lever]]
    options: Mapping[str, type] = field(default_factory=dict)
    needed: tuple[str, ...] = ()


def _plain(lever: Any) -> Callable[[Stack, str, Options, str], Sequence[Lever]]:
    """Made of its options alone; lists become tuples, as levers have them."""

    def make(stack: Stack, component: str, options: Options, _run: str) -> Sequence[Lever]:
        given = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
        made = lever.on(stack, component, **given)
        return made if isinstance(made, tuple) else (made,)

    return make


def _limited(lever: Any, option: str) -> Callable[[Stack, str, Options, str], Sequence[Lever]]:
    def make(stack: Stack, component: str, options: Options, _run: str) -> Sequence[Lever]:
        made = lever.on(stack, component)
        return (replace(made, limit=options[option]) if option in options else made,)

    return make


def _role_deny(stack: Stack, component: str, options: Options, run: str) -> Sequence[Lever]:
    resources = tuple(
        arn for name in options["resources"] for arn in _arns(stack.resource(name).arn, stack.resource(name).type)
    )
    return (RoleDeny.on(stack, component, actions=tuple(options["actions"]), resources=resources, run=run),)


def _arns(arn: str, kind: str) -> tuple[str, ...]:
    return (arn, f"{arn}/*") if kind == "bucket" else (arn,)


_DENIAL = MappingProxyType({"actions": list})
_MAKINGS = (
    Making(lever=BucketDeny, types=("bucket",), make=_plain(BucketDeny), options=_DENIAL),
    Making(
        lever=FunctionMemory,
        types=("function",),
        make=_limited(FunctionMemory, "megabytes"),
        options={"megabytes": int},
    ),
    Making(lever=FunctionThrottle, types=("function",), make=_plain(FunctionThrottle), options={"canary_safe": bool}),
    Making(
        lever=FunctionTimeout, types=("function",), make=_limited(FunctionTimeout, "seconds"), options={"seconds": int}
    ),
    Making(
        lever=FunctionVariable,
        types=("function",),
        make=_plain(FunctionVariable),
        options={"variable": str, "value": str},
        needed=("variable", "value"),
    ),
    Making(lever=HttpApiThrottle, types=("api",), make=_plain(HttpApiThrottle), options={"canary_path": str}),
    Making(lever=MappingDisable, types=("function",), make=_plain(MappingDisable)),
    Making(
        lever=PermissionCut,
        types=("function",),
        make=_plain(PermissionCut),
        options={"principal": str, "qualifier": str},
        needed=("principal",),
    ),
    Making(lever=ComponentEnd, types=DRIVEN, make=_plain(ComponentEnd)),
    Making(lever=ComponentKill, types=DRIVEN, make=_plain(ComponentKill)),
    Making(lever=ComponentPressure, types=DRIVEN, make=_plain(ComponentPressure)),
    Making(lever=ComponentStop, types=DRIVEN, make=_plain(ComponentStop)),
    Making(lever=QueueDelay, types=("queue",), make=_plain(QueueDelay), options={"seconds": int}, needed=("seconds",)),
    Making(lever=QueueDeny, types=("queue",), make=_plain(QueueDeny), options=_DENIAL),
    Making(lever=QueueRedrive, types=("queue",), make=_plain(QueueRedrive)),
    Making(
        lever=QueueVisibility,
        types=("queue",),
        make=_plain(QueueVisibility),
        options={"seconds": int},
        needed=("seconds",),
    ),
    Making(lever=RestApiThrottle, types=("api",), make=_plain(RestApiThrottle), options={"canary_path": str}),
    Making(
        lever=RoleDeny,
        types=("role", "function", "state_machine"),
        make=_role_deny,
        options={"actions": list, "resources": list},
        needed=("actions", "resources"),
    ),
    Making(lever=RuleDisable, types=("rule",), make=_plain(RuleDisable)),
    Making(
        lever=SubscriptionFilter, types=("topic",), make=_plain(SubscriptionFilter), options={"to": str}, needed=("to",)
    ),
    Making(lever=TableCap, types=("table",), make=_plain(TableCap)),
    Making(lever=TableCapacity, types=("table",), make=_plain(TableCapacity)),
    Making(lever=TableDeny, types=("table",), make=_plain(TableDeny), options=_DENIAL),
)
MAKINGS: Mapping[str, Making] = MappingProxyType({making.lever.name: making for making in _MAKINGS})


def problems(stack: Stack, name: str, component: str, options: Options = _NO_OPTIONS) -> tuple[str, ...]:
    """What is wrong with a lever of a plan, a sentence each; nothing is asked of the stack's services.

    Args:
        stack: the resolved stack.
        name: of the lever, as in docs/levers.md.
        component: name of a component in the descriptor.
        options: of the lever.
    """
    if name in OTHERWISE:
        return (f"the lever {name} cannot be used here: {OTHERWISE[name]}",)
    making = MAKINGS.get(name)
    if making is None:
        return (f"there is no lever {name}; {suggestion(name, LEVERS)}",)
    found = [
        *_options(making, options),
        *component_problems(stack, component, making.types, f"the lever {name}"),
    ]
    if not found:
        others = [*options.get("resources", ()), *([options["to"]] if "to" in options else [])]
        found = [problem for other in others for problem in component_problems(stack, other, (), "")]
    if found:
        return tuple(found)
    capability: object = making.lever.capability
    if isinstance(capability, Capability):
        support = stack.target.supports(capability)
        if not support.supported:
            return (f"the {stack.target.kind} target cannot do {name}: {support.reason}",)
    return ()


def make(stack: Stack, name: str, component: str, options: Options = _NO_OPTIONS, *, run: str) -> tuple[Lever, ...]:
    """The levers of that name on a component, several where e.g. a function has several mappings.

    Args:
        stack: the resolved stack.
        name: of a lever without `problems`.
        component: name of a component in the descriptor.
        options: of the lever.
        run: id of the run, for the names of what is added.

    Raises:
        HoldfastError: a component cannot be read.
        Inconclusive: the target cannot do this.
    """
    return tuple(MAKINGS[name].make(stack, component, options, run))


def component_problems(stack: Stack, component: str, types: Sequence[str], who: str) -> tuple[str, ...]:
    """What is wrong with a component that is named: unknown, or of another type than it must be.

    Args:
        stack: the resolved stack.
        component: the name.
        types: the types it may have; none for any.
        who: what acts on it, for the message.
    """
    known = stack.descriptor.components
    if component not in known:
        return (f"there is no component {component}; {suggestion(component, known)}",)
    kind = known[component].type
    if types and kind not in types:
        return (f"{component} is a {kind}, and {who} acts on {' or '.join(types)}",)
    return ()


def _options(making: Making, options: Options) -> list[str]:
    name = making.lever.name
    found = [
        f"the lever {name} has no option {given}"
        + (f"; {suggestion(given, making.options)}" if making.options else "; it has none")
        for given in options
        if given not in making.options
    ]
    found += [f"the lever {name} needs the option {needed}" for needed in making.needed if needed not in options]
    for given, value in options.items():
        wanted = making.options.get(given)
        if wanted is None:
            continue
        right = type(value) is wanted and (not isinstance(value, list) or all(isinstance(one, str) for one in value))
        if not right:
            words = {int: "a whole number", str: "a text", bool: "true or false", list: "a list of texts"}
            found.append(f"the option {given} of the lever {name} is {words[wanted]}")
    return found
