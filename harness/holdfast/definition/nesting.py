"""Puts the machines that tasks start and wait for in the place of these tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from holdfast.definition.model import Definition, Flow, State
from holdfast.errors import DefinitionError

LARGEST_MACHINE_STATES = 20_000


def embedded(definitions: Sequence[Definition]) -> tuple[Definition, ...]:
    """The machines that nothing among them starts, with those they start (``startExecution.sync``) inside.

    A machine is known by its name, by its aliases, and by the last part of an ARN; a task whose machine is not among
    them stays as it is.

    Raises:
        DefinitionError: machines start each other in a circle, or the whole is too large.
    """
    by_name = {name: each for each in definitions for name in (*each.aliases, each.name)}
    for each in definitions:
        _refuse_circle(each, by_name, ())
    started = {id(child) for each in definitions for child in _children(each, by_name)}
    return tuple(
        replace(each, flow=_Embedding(by_name).flow(each.flow, "")) for each in definitions if id(each) not in started
    )


def _children(definition: Definition, by_name: Mapping[str, Definition]) -> Iterable[Definition]:
    for state in definition.flow.walk():
        child = _started(state, by_name)
        if child is not None:
            yield child


def _started(state: State, by_name: Mapping[str, Definition]) -> Definition | None:
    if state.work is None or not state.work.starts:
        return None
    names = re.findall(r"[\w-]+", state.work.starts)
    # an ARN ends with the name; a reference may end with an attribute, as in ${Child.Arn}
    return next((by_name[name] for name in reversed(names[-2:]) if name in by_name), None)


def _refuse_circle(definition: Definition, by_name: Mapping[str, Definition], above: tuple[Definition, ...]) -> None:
    if any(each is definition for each in above):
        circle = " starts ".join(each.name for each in (*above, definition))
        raise DefinitionError(
            f"{definition.file}:{definition.line}: {definition.name} starts itself.",
            cause=f"{circle}, and each waits for the next",
            remedy="break the circle",
        )
    for child in dict.fromkeys(_children(definition, by_name)):
        _refuse_circle(child, by_name, (*above, definition))


class _Embedding:
    """Copies flows with the names of their states made unique."""

    def __init__(self, by_name: Mapping[str, Definition]) -> None:
        self._by_name = by_name
        self._count = 0

    def flow(self, given: Flow, prefix: str) -> Flow:
        self._count += len(given.states)
        if self._count > LARGEST_MACHINE_STATES:
            raise DefinitionError(
                f"The machines have more than {LARGEST_MACHINE_STATES} states together.",
                remedy="lint the nested machines on their own",
            )
        states = tuple(self._state(each, prefix) for each in given.states)
        return replace(given, start=prefix + given.start, states=states)

    def _state(self, given: State, prefix: str) -> State:
        child = _started(given, self._by_name)
        inner: tuple[Flow, ...] = ()
        if child is not None:
            flow = self.flow(child.flow, f"{prefix}{given.id}/")
            # what is started so can be nothing else
            at_once = given.work is not None and given.work.action == "sfn:startSyncExecution"
            inner = (replace(flow, express=bool(child.express) or at_once),)
        return replace(
            given,
            id=prefix + given.id,
            next=None if given.next is None else prefix + given.next,
            choices=tuple(prefix + each for each in given.choices),
            catchers=tuple(replace(each, next=prefix + each.next) for each in given.catchers),
            flows=inner or tuple(self.flow(each, prefix) for each in given.flows),
        )
