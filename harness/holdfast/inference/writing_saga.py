"""What a descriptor says of a saga: how one is started without an API, and its steps. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from holdfast.inference.evidence import snake
from holdfast.inference.patterns import ChoreographedStep, Parts
from holdfast.inference.sample import Sample
from holdfast.inference.steps import FoundStep, Told
from holdfast.inference.toml import MARK, toml

_BODY = {"id": "{key}", "note": "{value}"}


def starts_alone(parts: Parts) -> bool:
    """Whether a command starts the state machine, or is an event on the bus, because no API leads there."""
    return parts.route is None and bool(parts.machine or parts.bus)


def call(parts: Parts, names: Mapping[str, str], sample: Sample | None) -> Iterator[str]:
    """The call of a command that starts a saga by itself.

    Args:
        parts: a saga without a route.
        names: names of the components, by logical id.
        sample: a command by example; None where there is none.
    """
    body = _BODY if sample is None else sample.body or {}
    holds = f"  # {MARK}: what a command holds; {{key}} tells it from others, {{value}} is a text that its effect shows"
    comment = holds if sample is None else ""
    if parts.machine:
        yield 'kind = "execution"'
        yield f"state_machine = {toml(names[parts.machine])}"
        yield 'name = "{key}"'
        yield f"input = {toml(body)}{comment}"
        return
    yield 'kind = "eventbridge"'
    yield f"bus = {toml(names[parts.bus])}"
    yield f'source = "saga"  # {MARK}: the source of the event that begins a saga'
    yield f'detail_type = "started"  # {MARK}: its detail-type'
    yield f"detail = {toml(body)}{comment}"


def found(steps: Iterable[FoundStep], names: Mapping[str, str]) -> Iterator[str]:
    """The steps that a sample has shown.

    Args:
        steps: in order.
        names: names of the components, by logical id.
    """
    for step in steps:
        actor = step.actor
        assert step.done is not None
        undone = step.undone.name if step.undone is not None else ""
        undo = {"state": actor.undo_state, "function": names.get(actor.undo_function, "")} if undone else {}
        yield ""
        yield from _step(
            actor.name,
            toml(step.done.name),
            undo,
            undone=undone,
            state=actor.state,
            function=names.get(actor.function, ""),
        )


def choreographed(steps: Iterable[ChoreographedStep], names: Mapping[str, str], effect: str) -> Iterator[str]:
    """The steps of a choreography that no sample has shown: what counts each of them is marked.

    Args:
        steps: in order.
        names: names of the components, by logical id.
        effect: an effect that is there, in place of the one that counts a step.
    """
    for step in steps:
        marked = f"{toml(effect)}  # {MARK}: the effect that counts this step; undone: the one that counts its undoing"
        undo = {"function": names[step.undone_by]} if step.undone_by else {}
        yield ""
        yield from _step(snake(step.name), marked, undo, function=names[step.function])


def told(steps: Told, names: Mapping[str, str]) -> Iterator[str]:
    """The steps that a definition tells, as comments: without effects of their own nothing could be judged by them.

    Args:
        steps: what the definition tells.
        names: names of the components, by logical id.
    """
    yield ""
    if not steps.actors:
        yield (
            f"# {MARK}: [[patterns.saga.steps]] with name, effect, state and compensation of every step; "
            "`holdfast doctor` shows those that the definition tells"
        )
        return
    yield (
        f"# {MARK}: the definition tells these steps; name the effect that counts each of them, and take away the # "
        "and what is no step"
    )
    for actor in steps.actors:
        undo = {"state": actor.undo_state, "function": names.get(actor.undo_function, "")}
        effect = (
            f'""  # its undoing is not certain: {steps.unsure[actor.state]}' if actor.state in steps.unsure else '""'
        )
        for line in _step(actor.name, effect, undo, state=actor.state, function=names.get(actor.function, "")):
            yield f"# {line}"
    if steps.undecided:
        yield f"# not told whether these are steps: {', '.join(steps.undecided)}"


def _step(name: str, effect: str, undo: Mapping[str, str], **said: str) -> Iterator[str]:
    """One step: ``effect`` as it is written, ``said`` as texts of which empty ones are left out."""
    yield from ("[[patterns.saga.steps]]", f"name = {toml(name)}", f"effect = {effect}")
    yield from (f"{key} = {toml(value)}" for key, value in said.items() if value)
    compensation = {key: value for key, value in undo.items() if value}
    if compensation:
        yield f"compensation = {toml(compensation)}"
