"""One AWS API call, and what its result or its exception says about the effect."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore import exceptions as boto
from botocore import xform_name
from botocore.parsers import ResponseParserError

from holdfast.errors import PortError
from holdfast.ports.answer import Answer, Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import json_text
from holdfast.stack.base import Json
from holdfast.stack.templates import render, render_text

_CLIENT_MISTAKES = (
    boto.ParamValidationError,
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.NoRegionError,
)


@dataclass(frozen=True, slots=True)
class AwsRequest:
    """One AWS call, rendered and not yet made.

    Attributes:
        service: as boto3 names it.
        operation: as AWS names it, e.g. ``SendMessage``.
        parameters: as boto3 takes them.
        body: the payload in them, as text.
    """

    service: str
    operation: str
    parameters: Mapping[str, Any]
    body: str


def made(request: AwsRequest, context: PortContext) -> Sent:
    """Make a call with boto3.

    Raises:
        PortError: botocore refused to send it.
    """
    method = getattr(context.client(request.service), xform_name(request.operation))
    return Sent(request.body, perform(lambda: success(method(**request.parameters))))


def perform(call: Callable[[], Answer]) -> Answer:
    """Make a call; every way in which the service or the network can fail becomes an answer.

    Raises:
        PortError: botocore refused to send the request: parameters or credentials are wrong.
    """
    try:
        return call()
    except boto.ClientError as error:
        return client_error(error)
    except _CLIENT_MISTAKES as error:
        raise PortError(
            "an AWS call cannot be sent",
            cause=" ".join(str(error).split()),
            remedy="correct the command in the descriptor, or the credentials of the target",
        ) from None
    except (boto.BotoCoreError, ResponseParserError, OSError) as error:
        return Answer(error=f"{type(error).__name__}: {error}", sent=not never_sent(error))


def client_error(error: boto.ClientError) -> Answer:
    """The answer that a botocore ClientError stands for."""
    details: Mapping[str, Any] = error.response.get("Error", {})
    metadata: Mapping[str, Any] = error.response.get("ResponseMetadata", {})
    code = str(details.get("Code") or "Unknown")
    status = metadata.get("HTTPStatusCode")
    # Without a status (a parser that found no HTTP response) nothing is known about the effect.
    return Answer(
        status=status if isinstance(status, int) else 500,
        code=code,
        headers=_headers(error.response),
        text=str(details.get("Message") or ""),
    )


def success(response: Mapping[str, Any], text: str | None = None) -> Answer:
    """The answer of a call that succeeded; its text is the response as JSON unless another is given."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 200)
    plain = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    body = json.dumps(plain, default=str) if text is None else text
    return Answer(status=int(status), headers=_headers(response), text=body)


def never_sent(error: BaseException) -> bool:
    """Whether the connection was refused or the name does not exist: then no byte of the request left."""
    if not isinstance(error, boto.EndpointConnectionError):
        return False
    inner = error.kwargs.get("error")
    cause = getattr(inner, "__cause__", None)
    return isinstance(inner, socket.gaierror) or isinstance(cause, ConnectionRefusedError | socket.gaierror)


def message_text(json_body: Json, body: str | None, context: PortContext) -> str:
    """The payload of a message or an object: JSON as compact JSON, text as it is, empty when neither is given."""
    if json_body is not None:
        return json_text(render(json_body, context.values))
    return render_text(body or "", context.values)


def string_attributes(attributes: Mapping[str, str], context: PortContext) -> dict[str, dict[str, str]]:
    """Message attributes of SQS and SNS, all of type String."""
    return {
        name: {"DataType": "String", "StringValue": render_text(value, context.values)}
        for name, value in attributes.items()
    }


def optional_texts(context: PortContext, **templates: str | None) -> dict[str, str]:
    """Rendered parameters, those left out that the descriptor leaves out."""
    return {name: render_text(template, context.values) for name, template in templates.items() if template is not None}


def _headers(response: Mapping[str, Any]) -> dict[str, str]:
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return {str(name).lower(): str(value) for name, value in headers.items()}
