"""A descriptor's calls through the cheap client: rendered by the ports' own code, sent at a fraction of the processor.

What a call sends is decided in `holdfast.ports.transports`, once for ports and load. Calls that the cheap client cannot
make (Python ports, presigned URLs, hosts of their own) go through boto3 and requests as the ports send them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from requests import PreparedRequest, RequestException

from holdfast.errors import PortError
from holdfast.ports.answer import Answer, Sent
from holdfast.ports.command import TRANSPORTS, Transports
from holdfast.ports.context import PortContext
from holdfast.ports.redact import SECRET_HEADERS
from holdfast.ports.text import decoded
from holdfast.ports.transports import eventbridge, execution, function, http, s3, sns, sqs
from holdfast.ports.transports.aws import AwsRequest
from holdfast.stack.commands import AnyCall, Command, ExecutionCall, HttpCall, PythonCall, S3Call
from holdfast_load.client.calls import LoadClient

_PLAIN_URL = re.compile(r"https?://[a-zA-Z0-9.:\[\]-]+/[a-zA-Z0-9._~/?&=+,:;@!$*()-]*")
"""What needs no percent-encoding, and nothing in it would be decoded."""

Render = Callable[[Any, PortContext], AwsRequest]


def costly(command: Command, *, on_aws: bool) -> str:
    """Why a command is not sent by the cheap client alone; empty when it is.

    Args:
        command: the command.
        on_aws: whether services have hosts of their own.
    """
    reasons = [_costly(call, on_aws=on_aws) for call in command.calls]
    return next((reason for reason in reasons if reason), "")


def _costly(call: AnyCall, *, on_aws: bool) -> str:
    if isinstance(call, PythonCall):
        return "it is code of the descriptor's own"
    if isinstance(call, S3Call) and call.presigned:
        return "its URL is presigned by boto3"
    if isinstance(call, ExecutionCall) and call.synchronous and on_aws:
        return "StartSyncExecution has a host of its own"
    return ""


def cheap_transports(client: LoadClient, *, on_aws: bool) -> Transports:
    """What makes each kind of call.

    Args:
        client: the cheap client.
        on_aws: whether services have hosts of their own.
    """
    renders: dict[str, Render] = {
        "sqs": sqs.request,
        "sns": sns.request,
        "eventbridge": eventbridge.request,
        "lambda": function.request,
        "execution": execution.request,
        "s3": s3.request,
    }
    cheap = {kind: _aws(client, render) for kind, render in renders.items()} | {"http": _http(client)}

    def sender(kind: str) -> Callable[[Any, PortContext], Sent]:
        cheaply, costly_one = cheap.get(kind), TRANSPORTS[kind]
        if cheaply is None:
            return costly_one
        return lambda call, context: (costly_one if _costly(call, on_aws=on_aws) else cheaply)(call, context)

    return {kind: sender(kind) for kind in TRANSPORTS}


def _aws(client: LoadClient, render: Render) -> Callable[[Any, PortContext], Sent]:
    def send(call: Any, context: PortContext) -> Sent:
        asked = render(call, context)
        answer = client.call(asked.service, asked.operation, asked.parameters)
        return Sent(asked.body, eventbridge.entry_answer(answer) if asked.operation == "PutEvents" else answer)

    return send


def _http(client: LoadClient) -> Callable[[HttpCall, PortContext], Sent]:
    def send(call: HttpCall, context: PortContext) -> Sent:
        asked = http.request(call, context)
        answer: Answer = client.http(
            asked.method,
            whole_url(asked),
            headers=asked.headers,
            body=asked.payload or b"",
            sign_for=asked.sign_for or "",
            read_seconds=context.timeout_seconds,
        )
        secrets = tuple(value for name, value in asked.headers.items() if name.lower() in SECRET_HEADERS)
        return Sent(None if asked.payload is None else decoded(asked.payload), answer, secrets)

    return send


def whole_url(asked: http.HttpRequest) -> str:
    """The URL with its query, encoded as requests would encode it.

    Raises:
        PortError: it is no URL.
    """
    url = asked.url
    if asked.query:
        url += ("&" if "?" in url else "?") + urlencode(asked.query, quote_via=quote, safe="")
    if _PLAIN_URL.fullmatch(url):
        return url
    prepared = PreparedRequest()
    try:
        prepared.prepare_url(url, None)
    except (RequestException, ValueError) as error:
        raise PortError(
            f"a {asked.method} request cannot be sent",
            cause=f"{type(error).__name__}: {error}",
            remedy="correct its url in the descriptor; encode text, as in {value|urlencode}",
        ) from None
    return str(prepared.url)
