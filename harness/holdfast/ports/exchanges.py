"""Asking an application whatever comes of it: the status is the answer, and so is its absence."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import PortError
from holdfast.ports.answer import Answer
from holdfast.ports.context import PortContext
from holdfast.ports.effect import seen_in
from holdfast.ports.expression import search
from holdfast.ports.sources.http import ask, reading
from holdfast.ports.transports.web import prepare
from holdfast.stack.effects import Effect, HttpSource
from holdfast.stack.templates import render_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an application answered.

    Attributes:
        answer: the answer.
        count: how many effects it shows, 0 for an absence; None when it claims to know neither.
        values: what each of them shows for the value of the command.
        degraded: whether it says of itself that it is not the usual one.
    """

    answer: Answer
    count: int | None = None
    values: tuple[str, ...] = ()
    degraded: bool = False


def http_source(effect: Effect) -> HttpSource | None:
    """The one HTTP source of an effect; None where it has another, or several."""
    sources = effect.sources
    return sources[0] if len(sources) == 1 and isinstance(sources[0], HttpSource) else None


def ask_for_effect(source: HttpSource, context: PortContext, port: str, degraded: str | None) -> Asked:
    """Ask what is known of one key.

    Args:
        source: the question.
        context: whose key.
        port: who asks, for messages.
        degraded: JMESPath on the answer, true for one that is not the usual one; None where there is none.

    Raises:
        PortError: it cannot be asked at all.
        ResourceError: a component is missing.
    """
    request, answer = ask(source, context)
    said = degraded is not None and search(degraded, answer.document()) is True
    try:
        seen = seen_in(source, reading(source, request, answer, port, context.stack.descriptor.marked), context, port)
    except PortError:
        return Asked(answer=answer, degraded=said)
    return Asked(answer=answer, count=seen.count, values=seen.values, degraded=said)


def ask_url(template: str, context: PortContext) -> Asked:
    """GET a URL.

    Raises:
        PortError: it cannot be asked at all.
        DescriptorError: a placeholder stands for nothing.
    """
    request = prepare("GET", render_text(template, context.values), headers={})
    return Asked(answer=context.web.send(request, context.timeout_seconds))
