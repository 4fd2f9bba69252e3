"""AWS errors as HTTP, in the protocol that the call was made in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4
from xml.sax.saxutils import escape

from holdfast.targets.interceptor.model import metadata, service_model
from holdfast.targets.interceptor.recognition import Request

_SERVER_CODES = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "InternalServerException", "ServiceException"}
)
_UNAVAILABLE_CODES = frozenset({"ServiceUnavailable", "ServiceUnavailableException", "SlowDown", "Unavailable"})
_DENIED_CODES = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException"}
)


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
    """An error in the shape that the service gives its errors; the status is the model's, or what the code suggests.

    The shapes are those of https://smithy.io/2.0/aws/protocols/index.html and, for S3,
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
    """
    shape = _shape(service, code)
    status = _status(service, code, shape)
    known = metadata(service)
    headers = {"x-amzn-requestid": str(uuid4())}
    if "awsQueryCompatible" in known and not request.form:
        # https://smithy.io/2.0/aws/protocols/aws-query-protocol.html: clients take the code from this header
        headers["x-amzn-query-error"] = f"{_code(shape, code)};{_fault(status)}"
    if request.cbor:
        headers |= {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return ErrorAnswer(status, headers, _cbor({"__type": _name(shape, code), "message": message}))
    named = "x-amz-target" in request.headers
    xml = known.get("protocol") == "rest-xml" or (request.form and not named)
    if xml:
        content_type = "application/xml" if service == "s3" else "text/xml"
        # an answer to HEAD has no body
        body = _xml(service, _code(shape, code), message, headers["x-amzn-requestid"], fault=_fault(status))
        body = b"" if request.method == "HEAD" else body
        return ErrorAnswer(status, {**headers, "content-type": content_type}, body)
    told = request.headers.get("content-type", "")
    headers["content-type"] = told if told.startswith("application/x-amz-json") else "application/json"
    headers["x-amzn-errortype"] = _name(shape, code)
    content = {"__type": _name(shape, code), _message_member(shape): message}
    return ErrorAnswer(status, headers, json.dumps(content).encode())


def _xml(service: str, code: str, message: str, request_id: str, *, fault: str) -> bytes:
    told = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "s3":
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{told}<RequestId>{request_id}</RequestId></Error>'
    elif metadata(service).get("protocol") == "ec2":
        text = f"<Response><Errors><Error>{told}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        text = (
            f"<ErrorResponse><Error><Type>{fault}</Type>{told}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return text.encode()


def _cbor(content: Mapping[str, str]) -> bytes:
    from botocore.model import StringShape
    from botocore.serialize import SERIALIZERS

    serializers: Any = SERIALIZERS
    serializer = serializers["smithy-rpc-v2-cbor"]()
    text = StringShape("String", {"type": "string"})
    written = bytearray([0xA0 | len(content)])  # a map of so many pairs, RFC 8949 section 3.1
    for pair in content.items():
        for one in pair:
            serializer._serialize_data_item(written, one, text)  # noqa: SLF001 - botocore has no public CBOR encoder
    return bytes(written)


def _shape(service: str, code: str) -> Any:
    """The model of an error, found by its name or its code; None when the service's model has none."""
    model = service_model(service)
    errors = model.error_shapes if model is not None else ()
    return next((one for one in errors if code in (one.name, one.error_code)), None)


def _code(shape: Any, code: str) -> str:
    """What the query protocol calls an error."""
    return str(shape.error_code) if shape is not None and shape.error_code else code


def _name(shape: Any, code: str) -> str:
    """What the JSON protocols call an error."""
    return str(shape.name) if shape is not None else code


def _message_member(shape: Any) -> str:
    """How the error's shape spells the member that holds the message."""
    members = shape.members if shape is not None else ()
    return next((name for name in members if name.lower() == "message"), "message")


def _fault(status: int) -> str:
    return "Sender" if status < 500 else "Receiver"


def _status(service: str, code: str, shape: Any) -> int:
    """The status that the model declares for a code, else what the code suggests."""
    declared = shape.metadata.get("error", {}).get("httpStatusCode") if shape is not None else None
    if declared:
        return int(declared)
    if code in _DENIED_CODES and not _denies_with_400(service):
        return 403
    suggested = {
        **dict.fromkeys(_SERVER_CODES, 500),
        **dict.fromkeys(_UNAVAILABLE_CODES, 503),
        "TooManyRequestsException": 429,
    }
    return suggested.get(code, 500 if shape is not None and shape.metadata.get("fault") else 400)


def _denies_with_400(service: str) -> bool:
    """The services of the JSON protocols give every error of the caller's 400, but SQS has kept its query statuses."""
    known = metadata(service)
    return service == "monitoring" or (known.get("protocol") == "json" and "awsQueryCompatible" not in known)
