"""Fault points: each AWS call of each caller while it handles one command, and the boundary of each invocation.

A point is named by who calls, what is called and which of its kind it is, counted over all that one command causes: an
execution index without line numbers, so that the same point has the same name in every run, in every deployment, and
after a fault that came before it (Meiklejohn et al., Service-Level Fault Injection Testing, SoCC 2021).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from holdfast.provocations.tracing import Trace
from holdfast.stack.configuration import Configuration
from holdfast.stack.resolve import Stack
from holdfast.targets.base import TracedCall
from holdfast.targets.interceptor.names import name_of

CallerType = Literal["function", "mapping", "state_machine", "api", "rule", "topic"]
_SERVICES: Mapping[str, CallerType] = {"state_machine": "state_machine", "api": "api", "rule": "rule", "topic": "topic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes calls: a function, or a service on behalf of a component.

    Attributes:
        component: its name in the descriptor; of a mapping, that of its function.
        type: what it is.
        source: what a mapping polls, by its name in the descriptor or its own; else empty.
    """

    component: str
    type: CallerType = "function"
    source: str = ""

    def __str__(self) -> str:
        return f"{self.source} → {self.component}" if self.type == "mapping" else self.component


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One fault point.

    Attributes:
        caller: who calls, or which function is invoked.
        service: endpoint prefix of the call; empty for the invocation itself.
        operation: the call's operation; empty for the invocation itself.
        state: the state of a state machine that makes the call; else empty.
        nth: which of its kind, from 1, over all that one command causes.
        about: what the call is about, for the reader; no part of the name.
    """

    caller: Caller
    service: str = ""
    operation: str = ""
    state: str = ""
    nth: int = 1
    about: str = field(default="", compare=False)

    @property
    def invocation(self) -> bool:
        """Whether it is the boundary of an invocation."""
        return not self.operation

    @property
    def name(self) -> str:
        """Its stable name."""
        state = f"/{self.state}" if self.state else ""
        what = "invocation" if self.invocation else f"{self.service}:{self.operation}"
        return f"{self.caller}{state} {what} #{self.nth}"

    def __str__(self) -> str:
        return f"{self.name} ({self.about})" if self.about else self.name


@dataclass(frozen=True, slots=True)
class Callers:
    """The callers of a stack, by their physical names: of a function, rule or topic its name, else its id."""

    by_name: Mapping[str, Caller]

    @classmethod
    def of(cls, stack: Stack, configuration: Configuration) -> Callers:
        """All that a stack's descriptor names, and the mappings of its functions."""
        names = component_names(stack)
        found: dict[str, Caller] = {}
        for component, resource in stack.resources.items():
            if resource.type == "function":
                found[resource.name] = Caller(component=component)
            elif resource.type in _SERVICES:
                found[resource.name] = Caller(component=component, type=_SERVICES[resource.type])
        for function in configuration.functions:
            for mapping in function.mappings:
                polled = name_of(mapping.source_arn)
                found[mapping.uuid] = Caller(
                    component=function.component, type="mapping", source=names.get(polled, polled)
                )
        return cls(found)

    def physical(self, caller: Caller) -> str | None:
        """The name under which a caller's calls are made; None when the stack has no such caller."""
        return next((name for name, one in self.by_name.items() if one == caller), None)


@dataclass(frozen=True, slots=True)
class Visited:
    """The points of one trace.

    Attributes:
        points: in the order in which they were first passed, each with the calls that led to it.
        strangers: physical names of callers that are no components of the descriptor; they cannot be broken.
    """

    points: tuple[Point, ...]
    strangers: tuple[str, ...] = ()


def visited(trace: Trace, callers: Callers, stack: Stack | None = None) -> Visited:
    """The fault points that a command passed.

    Args:
        trace: of the command.
        callers: those that can be broken.
        stack: tells what calls are about, for the reader.
    """
    counts: Counter[tuple[str, str, str, str]] = Counter()
    points: list[Point] = []
    strangers: list[str] = []
    for one in trace.invocations:
        caller = callers.by_name.get(one.function)
        if caller is None:
            strangers.append(one.function)
        elif caller.type == "function":
            counts[one.function, "", "", ""] += 1
            points.append(Point(caller=caller, nth=counts[one.function, "", "", ""]))
    for call in trace.calls:
        caller = callers.by_name.get(call.function)
        if caller is None:
            continue
        counts[identity(call)] += 1
        points.append(
            Point(
                caller=caller,
                service=call.service,
                operation=call.operation,
                state=call.state,
                nth=counts[identity(call)],
                about=_about(call, stack) if stack is not None else "",
            )
        )
    began = dict.fromkeys(callers.by_name.get(one.function) for one in trace.invocations)
    # one that began after its invocations were read and before its calls were comes last
    flow = {caller: at for at, caller in enumerate(began)}
    ordered = sorted(points, key=lambda one: flow.get(one.caller, len(flow)))
    return Visited(tuple(ordered), tuple(dict.fromkeys(strangers)))


def identity(call: TracedCall) -> tuple[str, str, str, str]:
    """What calls have in common that are counted together; a rule counts its matches in the same way."""
    return call.function, call.service, call.operation, call.state


def component_names(stack: Stack) -> dict[str, str]:
    """Component names by physical name."""
    return {resource.name: component for component, resource in stack.resources.items()}


def _readable(name: str, stack: str) -> str:
    """The logical id within a name that CloudFormation made, ``STACK-LOGICALID-RANDOM``; else the name."""
    if not stack or not name.startswith(f"{stack}-"):
        return name
    return name.removeprefix(f"{stack}-").rpartition("-")[0] or name


def counted(points: Iterable[Point]) -> dict[tuple[Caller, str, str, str], int]:
    """How often each kind of point was passed."""
    most: dict[tuple[Caller, str, str, str], int] = {}
    for point in points:
        kind = (point.caller, point.service, point.operation, point.state)
        most[kind] = max(most.get(kind, 0), point.nth)
    return most


def _about(call: TracedCall, stack: Stack) -> str:
    components = component_names(stack)
    named = [name for name in call.resource.split(",") if name]
    return ", ".join(components.get(name) or _readable(name, stack.cloudformation or "") for name in named)
