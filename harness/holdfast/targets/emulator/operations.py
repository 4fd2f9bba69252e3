"""Which service and operation an HTTP request to AWS is, and what its errors look like: read from botocore's models."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4
from xml.sax.saxutils import escape

_CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")
_CREDENTIAL_QUERY = re.compile(r"(?:^|&)X-Amz-Credential=[^&]*?%2F\d+%2F[^%&]+%2F([^%&]+)%2F", re.IGNORECASE)
_CBOR_PATH = re.compile(r"/service/[^/]+/operation/([^/]+)")
_LABEL = re.compile(r"\\\{[^{}]+?(\\\+)?\\\}")

# the signing name where it differs from the name of botocore's model
_MODELS = {"monitoring": "cloudwatch", "states": "stepfunctions", "execute-api": "apigatewaymanagementapi"}

_SERVER_CODES = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "ServiceException"}
)
_UNAVAILABLE_CODES = frozenset({"ServiceUnavailable", "ServiceUnavailableException", "SlowDown", "Unavailable"})
_DENIED_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}
)
_JSON_DENIALS = frozenset({"dynamodb", "events", "states", "kinesis", "logs", "monitoring", "secretsmanager", "ssm"})
"""Services that answer a denial with 400."""


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that identify an operation.

    Attributes:
        method: HTTP method.
        path: the path, decoded.
        query: the query string, as sent.
        headers: header values by lower-case name.
        body: the body; only read for form-encoded requests.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def form(self) -> bool:
        """Whether the operation is named in a form-encoded body."""
        return self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def service_of(request: Request) -> str:
    """The signing name of the service; empty for unsigned requests."""
    found = _CREDENTIAL.search(request.headers.get("authorization", "")) or _CREDENTIAL_QUERY.search(request.query)
    return found.group(1) if found else ""


def operation_of(service: str, request: Request) -> str:
    """The operation's name; ``METHOD /path`` when no model knows it."""
    target = request.headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    cbor = _CBOR_PATH.fullmatch(request.path)
    if cbor:
        return cbor.group(1)
    fields = parse_qs(request.body.decode("latin-1")) if request.form else parse_qs(request.query)
    if "Action" in fields:
        return fields["Action"][0]
    query = parse_qs(request.query, keep_blank_values=True)
    for route in _routes(service):
        if route.matches(request, query):
            return route.operation
    return f"{request.method} {request.path}"


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a model puts an operation that has a path of its own."""

    operation: str
    method: str
    path: re.Pattern[str]
    query: Mapping[str, str | None]
    headers: tuple[str, ...]

    def matches(self, request: Request, query: Mapping[str, list[str]]) -> bool:
        return (
            request.method == self.method
            and all(name in query and (value is None or value in query[name]) for name, value in self.query.items())
            and all(name in request.headers for name in self.headers)
            and self.path.fullmatch(request.path) is not None
        )


@functools.cache
def _model(service: str) -> Any:
    import botocore.session
    from botocore.exceptions import UnknownServiceError

    session = botocore.session.Session()
    try:
        return session.get_service_model(_MODELS.get(service, service))
    except UnknownServiceError:
        return None


@functools.cache
def _routes(service: str) -> tuple[_Route, ...]:
    """The routes of a REST service, the most specific first."""
    model = _model(service)
    if model is None or not model.metadata.get("protocol", "").startswith("rest"):
        return ()
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path, _, query = http["requestUri"].partition("?")
        required = {key: (value[0] or None) for key, value in parse_qs(query, keep_blank_values=True).items()}
        shape = model.operation_model(name).input_shape
        headers = []
        for member in shape.required_members if shape else ():
            told = shape.members[member].serialization
            if told.get("location") == "querystring":
                required.setdefault(told["name"], None)
            elif told.get("location") == "header":
                headers.append(told["name"].lower())
        pattern = _LABEL.sub(
            lambda label: "(?:.+)" if label.group(1) else "(?:[^/]+)", re.escape(path.rstrip("/") or "/")
        )
        routes.append(_Route(name, http["method"], re.compile(pattern + "/?"), required, tuple(headers)))
    return tuple(sorted(routes, key=lambda route: (-len(route.query), -len(route.headers), -len(route.path.pattern))))


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An AWS error as HTTP.

    Attributes:
        status: HTTP status.
        headers: header values by name.
        body: the body in the protocol of the service.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def error_answer(service: str, request: Request, code: str, message: str) -> ErrorAnswer:
    """An error in the shape that the service gives its errors; the status is the model's, or what the code suggests."""
    request_id = str(uuid4())
    status = _status(service, code)
    headers = {"x-amzn-requestid": request_id}
    told = request.headers.get("content-type", "")
    if service == "s3":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code>'
            f"<Message>{escape(message)}</Message><RequestId>{request_id}</RequestId></Error>"
        )
        return ErrorAnswer(status, {**headers, "content-type": "application/xml"}, body.encode())
    if request.form and "x-amz-target" not in request.headers:
        fault = "Sender" if status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{fault}</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return ErrorAnswer(status, {**headers, "content-type": "text/xml"}, body.encode())
    if told.startswith("application/x-amz-json"):
        headers["content-type"] = told
    else:
        headers["content-type"] = "application/json"
    if service == "sqs":
        headers["x-amzn-query-error"] = f"{code};{'Sender' if status < 500 else 'Receiver'}"
    headers["x-amzn-errortype"] = code
    return ErrorAnswer(status, headers, json.dumps({"__type": code, "message": message}).encode())


def _status(service: str, code: str) -> int:
    """The status that the model declares for a code, else what the code suggests."""
    model = _model(service)
    known = next((one for one in (model.error_shapes if model else ()) if code in (one.name, one.error_code)), None)
    declared = known.metadata.get("error", {}).get("httpStatusCode") if known is not None else None
    if declared:
        return int(declared)
    if code in _DENIED_CODES and service not in _JSON_DENIALS:
        return 403
    suggested = {
        **dict.fromkeys(_SERVER_CODES, 500),
        **dict.fromkeys(_UNAVAILABLE_CODES, 503),
        "TooManyRequestsException": 429,
    }
    return suggested.get(code, 500 if known is not None and known.metadata.get("fault") else 400)
