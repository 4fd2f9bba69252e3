"""HTTP requests: API Gateway REST and HTTP APIs, function URLs, any URL; signed where asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import requests

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import decoded, encoded, json_text
from holdfast.ports.transports.address import address
from holdfast.ports.transports.web import prepare, secret_values
from holdfast.stack.commands import HttpCall
from holdfast.stack.templates import render, render_text


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, rendered and not yet sent.

    Attributes:
        method: HTTP method.
        url: the whole URL without ``query``.
        headers: sent as UTF-8.
        query: added to the URL, percent-encoded.
        payload: the exact payload; None for none.
        sign_for: signing name of a service; None for unsigned.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    payload: bytes | None
    sign_for: str | None


def request(call: HttpCall, context: PortContext) -> HttpRequest:
    """What a call sends."""
    url, headers = address(call, context)
    payload, content_type = _payload(call, context)
    headers |= {name: render_text(value, context.values) for name, value in call.headers.items()}
    if content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    query = {name: render_text(value, context.values) for name, value in call.query.items()}
    return HttpRequest(call.method, url, headers, query, payload, call.sigv4)


def send(call: HttpCall, context: PortContext) -> Sent:
    """Make the request and read the answer, or leave without reading it where the context says so.

    Raises:
        PortError: the URL or a header cannot be sent.
    """
    asked = request(call, context)
    prepared = prepare(
        asked.method,
        asked.url,
        headers=asked.headers,
        query=asked.query,
        body=asked.payload,
        sign_for=(asked.sign_for, context.target) if asked.sign_for else None,
    )
    return dispatch(prepared, asked.payload, context)


def dispatch(request: requests.PreparedRequest, payload: bytes | None, context: PortContext) -> Sent:
    """Send a finished request as the context asks; the values of its secret headers are marked as secrets."""
    send_it = context.web.send_and_leave if context.lose_answer else context.web.send
    answer = send_it(request, context.timeout_seconds)
    return Sent(None if payload is None else decoded(payload), answer, secret_values(request))


def _payload(call: HttpCall, context: PortContext) -> tuple[bytes | None, str]:
    if call.json_body is not None:
        return encoded(json_text(render(call.json_body, context.values))), "application/json"
    if call.form is not None:
        fields = {name: encoded(render_text(value, context.values)) for name, value in call.form.items()}
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    if call.body is not None:
        return encoded(render_text(call.body, context.values)), ""
    return None, ""
