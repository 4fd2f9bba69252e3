"""The processes that a run starts, in the order of their lifecycle, and what their templates may name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from holdfast.stack.components import Component
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.keypath import KeyPath, Problem
from holdfast.stack.templates import suggestion

PYTHON = "python"
"""The placeholder for the interpreter that Holdfast runs on."""
PROCESS_ATTRIBUTES = ("address", "folder", "name", "port", "socket", "url")
"""What templates may say of a process that the run starts."""
CHANNEL_ATTRIBUTES = ("address", "port", "socket", "url")
"""What templates may say of a channel: where its source connects."""


def started(descriptor: Descriptor) -> Mapping[str, Component]:
    """The components that a run starts, by name."""
    return {name: each for name, each in descriptor.components.items() if each.start is not None}


def launches(descriptor: Descriptor) -> bool:
    """Whether a run of this stack starts anything beside the target."""
    return bool(started(descriptor) or descriptor.channels)


def order(descriptor: Descriptor) -> tuple[str, ...]:
    """The components that a run starts, each after those that it comes after; else in the order of the file.

    Raises:
        CycleError: they wait for each other; a descriptor that was loaded has no such cycle.
    """
    found = started(descriptor)
    sorter = TopologicalSorter({name: _after(each) for name, each in found.items()})
    sorter.prepare()
    places = {name: place for place, name in enumerate(found)}
    result: list[str] = []
    waiting = list(sorter.get_ready())
    while waiting:
        waiting.sort(key=lambda name: places.get(name, -1))
        name = waiting.pop(0)
        result.append(name)
        sorter.done(name)
        waiting += sorter.get_ready()
    return tuple(name for name in result if name in found)


def general_values() -> Mapping[str, str]:
    """What templates of started processes may name beside account, region, components and channels."""
    return {PYTHON: sys.executable}


def _after(component: Component) -> list[str]:
    return component.start.after if component.start is not None else []


def problems(descriptor: Descriptor) -> Iterator[Problem]:
    """What is wrong between started processes and channels."""
    found = started(descriptor)
    for name, component in found.items():
        for index, other in enumerate(_after(component)):
            if other not in found:
                yield Problem(
                    ("components", name, "start", "after", index),
                    f"the run starts no component {other}",
                    suggestion(other, set(found) - {name}),
                    frozenset({other}),
                )
    try:
        order(descriptor)
    except CycleError as error:
        circle = " after ".join(error.args[1])
        yield Problem(
            ("components", error.args[1][0], "start", "after"),
            f"nothing can be started first: {circle}",
            "leave one of these out",
        )
    for name in descriptor.channels:
        yield from _channel(descriptor, name)


def _channel(descriptor: Descriptor, name: str) -> Iterator[Problem]:
    channel, path = descriptor.channels[name], ("channels", name)
    if name in descriptor.components:
        yield Problem(path, f"{name} is the name of a component", "give the channel another name")
    for key, end in (("from", channel.source), ("to", channel.to)):
        if end not in descriptor.components:
            yield Problem(
                (*path, key), f"there is no component {end}", suggestion(end, descriptor.components), frozenset({end})
            )
    to = descriptor.components.get(channel.to)
    if channel.upstream is None and to is not None and to.start is None:
        yield Problem(
            (*path, "upstream"),
            f"it is missing, and the run does not start {channel.to}",
            "say where the component listens: HOST:PORT, or its socket",
        )


def attributes_of(descriptor: Descriptor, name: str) -> tuple[str, ...]:
    """What templates may say of a started process or a channel; empty for all else."""
    if name in descriptor.channels:
        return CHANNEL_ATTRIBUTES
    component = descriptor.components.get(name)
    return PROCESS_ATTRIBUTES if component is not None and component.start is not None else ()


def is_start(path: KeyPath) -> bool:
    """Whether a key is a template of a started process or a channel, which may name components."""
    return path[0] == "channels" or (path[0] == "components" and "start" in path[2:3])
