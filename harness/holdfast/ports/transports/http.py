"""HTTP requests: API Gateway REST and HTTP APIs, function URLs, any URL; signed where asked."""

from __future__ import annotations

from urllib.parse import urlencode

import requests

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import decoded, encoded, json_text
from holdfast.ports.transports.address import address
from holdfast.ports.transports.web import prepare, secret_values
from holdfast.stack.commands import HttpCall
from holdfast.stack.templates import render, render_text


def send(call: HttpCall, context: PortContext) -> Sent:
    """Make the request and read the answer, or leave without reading it where the context says so.

    Raises:
        PortError: the URL or a header cannot be sent.
    """
    url, headers = address(call, context)
    payload, content_type = _payload(call, context)
    headers |= {name: render_text(value, context.values) for name, value in call.headers.items()}
    if content_type and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = content_type
    request = prepare(
        call.method,
        url,
        headers=headers,
        query={name: render_text(value, context.values) for name, value in call.query.items()},
        body=payload,
        sign_for=(call.sigv4, context.target) if call.sigv4 else None,
    )
    return dispatch(request, payload, context)


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
