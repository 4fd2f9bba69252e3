"""An HTTP answer."""

from __future__ import annotations

import json
from collections.abc import Callable

import requests

from holdfast.errors import PortError
from holdfast.ports.answer import Answer
from holdfast.ports.context import PortContext
from holdfast.ports.expression import search
from holdfast.ports.redact import Redactor
from holdfast.ports.sources.reading import Entry, Reading
from holdfast.ports.transports.address import address
from holdfast.ports.transports.web import prepare, secret_values
from holdfast.stack.base import Json
from holdfast.stack.effects import HttpSource
from holdfast.stack.marked import Marked
from holdfast.stack.templates import render_text

_SHOWN_CHARACTERS = 120


def ask(source: HttpSource, context: PortContext) -> tuple[requests.PreparedRequest, Answer]:
    """Ask a source's URL, whatever comes of it; returns what was asked, and the answer.

    Raises:
        PortError: it cannot be asked at all.
        ResourceError: a component is missing.
    """
    url, headers = address(source, context)
    headers |= {name: render_text(value, context.values) for name, value in source.headers.items()}
    request = prepare(
        source.method,
        url,
        headers=headers,
        query={name: render_text(value, context.values) for name, value in source.query.items()},
        sign_for=(source.sigv4, context.target) if source.sigv4 else None,
    )
    return request, context.web.send(request, context.timeout_seconds)


def read(source: HttpSource, context: PortContext, port: str) -> Reading:
    """Ask, and take the entries out of the JSON answer; a status in ``absent`` means no effect."""
    request, answer = ask(source, context)
    return reading(source, request, answer, port, context.stack.descriptor.marked)


def reading(
    source: HttpSource, request: requests.PreparedRequest, answer: Answer, port: str, marked: Marked
) -> Reading:
    """The entries of an answer; a status in ``absent`` means no effect.

    Raises:
        PortError: it is no answer that tells of effects.
    """
    if answer.status in source.absent and not answer.error:
        return Reading()
    secrets = secret_values(request)

    def clean(text: str) -> str:
        return Redactor(marked=marked).clean(text, secrets)

    what = f"{port}: {source.method} {clean(str(request.url))}"
    if answer.error:
        raise PortError(
            f"{what} gets no answer",
            cause=clean(answer.error),
            remedy="correct the url, or start what should answer there",
        )
    if not 200 <= answer.status < 300:
        raise PortError(
            f"{what} answers {answer.status}",
            cause=_shown(answer, clean),
            remedy=_remedy(answer.status),
        )
    try:
        document = json.loads(answer.text)
    except (ValueError, RecursionError):
        raise PortError(
            f"{what} answers no JSON",
            cause=_shown(answer, clean),
            remedy="point the source at a URL that answers JSON",
        ) from None
    return _entries(search(source.entries, document), what, source.entries)


def _entries(found: Json, what: str, expression: str) -> Reading:
    if found is None or found is False:
        return Reading()
    if found is True:
        return Reading(count=1)
    if isinstance(found, int | float):
        if found != int(found) or found < 0:
            raise PortError(
                f"{what} answers {found}, which counts nothing",
                cause=f"entries = {expression!r} yields a number that is negative or no whole number",
                remedy="let entries yield a list, one entry, null or a count",
            )
        return Reading(count=int(found))
    if isinstance(found, list):
        return Reading(tuple(Entry(one) for one in found))
    return Reading((Entry(found),))


def _shown(answer: Answer, clean: Callable[[str], str]) -> str:
    kind = answer.headers.get("content-type", "no content type")
    text = clean(" ".join(answer.text.split()))  # before it is cut: of a secret that is cut half would stay
    return f"{kind}: {text[:_SHOWN_CHARACTERS]!r}" if text else f"{kind}, empty body"


def _remedy(status: int) -> str:
    if status in {401, 403}:
        return "give the source the headers or the sigv4 signature that the API asks for"
    if 300 <= status < 400:
        return "give the URL that it redirects to"
    if status >= 500:
        return "see the API's logs: it must answer before anything is broken on purpose"
    return "correct the source, or add the status to absent if it means that there is no effect"
