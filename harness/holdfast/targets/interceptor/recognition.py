"""Which service and operation an HTTP request to AWS is: read from botocore's models.

The protocols are those of https://smithy.io/2.0/aws/protocols/index.html: JSON and CBOR name the operation in a header
or the path, the query protocols in a field of the form, the REST protocols by method, path and query.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qs, unquote

from holdfast.targets.interceptor.model import metadata, operation_model, service_model

Protocol = Literal["json", "cbor", "query", "rest", ""]

_CREDENTIAL = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/")
_CREDENTIAL_QUERY = re.compile(r"(?:^|&)X-Amz-Credential=[^&]*?%2F\d+%2F[^%&]+%2F([^%&]+)%2F", re.IGNORECASE)
_S3_QUERY = re.compile(r"(?:^|&)AWSAccessKeyId=")
"""S3's own older signatures: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html."""

_CBOR_PATH = re.compile(r"/service/[^/]+/operation/([^/]+)")
_LABEL = re.compile(r"\{([^{}+]+)(\+)?\}")
_BUCKET_HOST = re.compile(r"(?P<bucket>[a-z0-9][a-z0-9.-]+)\.s3[.-]")


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that identify an operation.

    Attributes:
        method: HTTP method.
        path: the path, as sent.
        query: the query string, as sent.
        headers: header values by lower-case name.
        body: the body, as far as it is read.
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

    @property
    def cbor(self) -> bool:
        """Whether it speaks Smithy's RPC with CBOR."""
        return self.headers.get("smithy-protocol", "") == "rpc-v2-cbor" or self.headers.get(
            "content-type", ""
        ).startswith("application/cbor")


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for.

    Attributes:
        service: signing name of the service; empty for unsigned requests.
        operation: its name; ``METHOD /path`` when no model knows it.
        protocol: how it is told; empty when no model knows it.
        told: what the path and the query tell, by their names on the wire.
    """

    service: str
    operation: str
    protocol: Protocol = ""
    told: Mapping[str, str] = field(default_factory=dict)


def service_of(request: Request) -> str:
    """The signing name of the service; empty for unsigned requests."""
    found = _CREDENTIAL.search(request.headers.get("authorization", "")) or _CREDENTIAL_QUERY.search(request.query)
    if found:
        return found.group(1)
    old = _S3_QUERY.search(request.query) or request.headers.get("authorization", "").startswith("AWS ")
    return "s3" if old else ""


def operation_of(service: str, request: Request) -> str:
    """The operation's name; ``METHOD /path`` when no model knows it."""
    return recognise(service, request).operation


def prepare(service: str) -> None:
    """Read what is needed to recognise the calls of a service; takes up to a tenth of a second the first time."""
    _routes(service)


def recognise(service: str, request: Request) -> Call:
    """What a request asks for; a form-encoded one needs its body."""
    target = request.headers.get("x-amz-target", "")
    if target:
        return Call(service, target.rpartition(".")[2], "json")
    cbor = _CBOR_PATH.fullmatch(request.path)
    if cbor:
        return Call(service, cbor.group(1), "cbor")
    fields = parse_qs(request.body.decode("latin-1")) if request.form else parse_qs(request.query)
    if "Action" in fields:
        told = {name: values[0] for name, values in fields.items()}
        return Call(service, fields["Action"][0], "query", {"_path": request.path, **told})
    query = parse_qs(request.query, keep_blank_values=True)
    path = _path_with_bucket(request) if service == "s3" else request.path
    for route in _routes(service).get(request.method, ()):
        found = route.match(path, query, request.headers)
        if found is not None:
            first = {name: values[0] for name, values in query.items()}
            return Call(service, route.operation, "rest", {**first, **found})
    return Call(service, f"{request.method} {request.path}")


def _path_with_bucket(request: Request) -> str:
    """The path with the bucket that the host names, if it does.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    found = _BUCKET_HOST.match(request.headers.get("host", ""))
    return f"/{found['bucket']}{request.path}" if found else request.path


@dataclass(frozen=True, slots=True)
class _Route:
    """Where a model puts an operation that has a path of its own."""

    operation: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    query: Mapping[str, str | None]
    headers: tuple[str, ...]

    def match(self, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> dict[str, str] | None:
        if not all(name in query and (value is None or value in query[name]) for name, value in self.query.items()):
            return None
        if not all(name in headers for name in self.headers):
            return None
        found = self.path.fullmatch(path)
        if found is None:
            return None
        return {name: unquote(value) for name, value in zip(self.labels, found.groups(), strict=True)}


@functools.lru_cache(maxsize=256)
def _routes(service: str) -> Mapping[str, tuple[_Route, ...]]:
    """The routes of a REST service by method, the most specific first."""
    if not metadata(service).get("protocol", "").startswith("rest"):
        return {}
    routes: dict[str, list[_Route]] = {}
    for name in service_model(service).operation_names:
        operation = operation_model(service, name)
        path, _, query = operation.http["requestUri"].partition("?")
        required = {key: (value[0] or None) for key, value in parse_qs(query, keep_blank_values=True).items()}
        shape = operation.input_shape
        headers = []
        for member in shape.required_members if shape else ():
            told = shape.members[member].serialization
            if told.get("location") == "querystring":
                required.setdefault(told["name"], None)
            elif told.get("location") == "header":
                headers.append(told["name"].lower())
        pattern, labels = _pattern(path)
        routes.setdefault(operation.http["method"], []).append(
            _Route(name, re.compile(pattern), labels, required, tuple(headers))
        )
    return {method: tuple(sorted(found, key=_specific)) for method, found in routes.items()}


def _specific(route: _Route) -> tuple[int, int, int]:
    return (-len(route.query), -len(route.headers), -len(route.path.pattern))


def _pattern(path: str) -> tuple[str, tuple[str, ...]]:
    """The regular expression of a model's path, and the names of what it captures."""
    pieces, labels, at = [], [], 0
    told = path.rstrip("/") or "/"
    for label in _LABEL.finditer(told):
        pieces += [re.escape(told[at : label.start()]), "(.+)" if label.group(2) else "([^/]+)"]
        labels.append(label.group(1))
        at = label.end()
    return "".join([*pieces, re.escape(told[at:]), "/?"]), tuple(labels)
