"""AWS operations as requests, and their answers, by botocore's models.

JSON services (DynamoDB, SQS, EventBridge, Step Functions...) are written by orjson where the parameters are plain JSON;
everything else, and every error, goes through botocore's own serializers and parsers, so that it means the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import orjson
from botocore.exceptions import ClientError
from botocore.model import OperationModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.utils import percent_encode_sequence

from holdfast.errors import PortError
from holdfast.ports.answer import Answer
from holdfast.ports.transports.aws import client_error, success
from holdfast_load.client.signing import Keys, Route, SignedRoute

AGENT = (("user-agent", "holdfast-load holdfast"), ("accept-encoding", "identity"))
FUNCTION_ERROR = "FunctionError"
_PLAIN_JSON = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Service:
    """Requests to one service at one endpoint.

    Args:
        client: a boto3 client of the service; only its models, endpoint and signing name are used.
        keys: who signs.

    Attributes:
        scheme: ``http`` or ``https``.
        hostname: name or address to connect to.
        port: port to connect to.
    """

    def __init__(self, client: Any, keys: Keys) -> None:
        url = urlsplit(client.meta.endpoint_url)
        self.scheme, self.hostname, self.port, self._host = place(client.meta.endpoint_url)
        self.base = url.path.rstrip("/")
        self._model = client.meta.service_model
        self._keys = keys
        self._prefixes_host = client.meta.config.inject_host_prefix is not False
        self._protocol = self._model.resolved_protocol
        self._serializer = create_serializer(self._protocol)
        self._parser = create_parser(self._protocol)
        self._operations: dict[str, OperationModel] = {}
        self._json_routes: dict[str, SignedRoute] = {}
        self._routes: dict[Route, SignedRoute] = {}

    def request(self, operation: str, parameters: Mapping[str, Any]) -> bytes:
        """A whole signed request.

        Raises:
            botocore.exceptions.BotoCoreError: a parameter is wrong, or there are no credentials.
            PortError: the operation has a host of its own.
        """
        if self._protocol == "json":
            try:
                body = orjson.dumps(parameters, option=_PLAIN_JSON)
            except TypeError:
                pass  # bytes and times: botocore knows how each service wants them
            else:
                signed = self._json_routes.get(operation)
                if signed is None:
                    signed = self._json_routes[operation] = self._route(operation, {})[0]
                return signed.request(body)
        signed, body = self._route(operation, parameters, check=True)
        return signed.request(body)

    def answer(self, operation: str, status: int, headers: dict[str, str], body: bytes) -> Answer:
        """What an answer says.

        Raises:
            botocore.exceptions.BotoCoreError: it is not what the service's protocol allows.
        """
        if self._protocol == "json" and status < 300:
            return Answer(status=status, headers=headers, text=body.decode("utf-8", "replace"))
        model = self._operation(operation)
        streams = status < 300 and model.has_streaming_output
        if streams:
            code = FUNCTION_ERROR if "x-amz-function-error" in headers else ""
            return Answer(status=status, code=code, headers=headers, text=body.decode("utf-8", "replace"))
        response = {"status_code": status, "headers": headers, "body": body}
        parsed = self._parser.parse(response, cast("Shape", model.output_shape))
        if status >= 300:
            return client_error(ClientError(parsed, operation))
        return success(parsed)

    def _operation(self, operation: str) -> OperationModel:
        model = self._operations.get(operation)
        if model is None:
            model = self._operations[operation] = self._model.operation_model(operation)
        return model

    def _route(
        self, operation: str, parameters: Mapping[str, Any], *, check: bool = False
    ) -> tuple[SignedRoute, bytes]:
        model = self._operation(operation)
        if model.endpoint and self._prefixes_host:
            raise PortError(
                f"the cheap client cannot call {operation}: it has a host of its own on AWS",
                remedy="call it with the boto3 reference client",
            )
        serializer = self._serializer if check else create_serializer(self._protocol, include_validation=False)
        made = serializer.serialize_to_request(parameters, model)
        path, _, fixed = made["url_path"].partition("?")
        if self._model.service_name == "s3" and not str(model.http["requestUri"]).startswith("/{Bucket}"):
            # boto3's own client takes the bucket out of the model at its first call
            path = f"/{parameters['Bucket']}{path}"
        query = made["query_string"]
        query = percent_encode_sequence(query) if isinstance(query, Mapping) and query else str(query or "")
        headers = {str(name).lower(): str(value) for name, value in made["headers"].items()}
        if "awsQueryCompatible" in self._model.metadata:
            headers["x-amzn-query-mode"] = "true"
        route = Route(
            made["method"],
            self._host,
            (self.base or "/") if path == "/" else self.base + path,
            "&".join(part for part in (fixed, query) if part),
            tuple(headers.items()),
            self._model.signing_name,
            AGENT,
        )
        signed = self._routes.get(route)
        if signed is None:
            signed = SignedRoute(route, self._keys)
            if self._protocol != "rest-xml":  # a route an object would never be asked for again
                self._routes[route] = signed
        return signed, _body(made["body"])


def place(url: str) -> tuple[str, str, int, str]:
    """Scheme, host name, port and Host header of a URL."""
    parts = urlsplit(url)
    hostname, default = parts.hostname or "", _DEFAULT_PORTS.get(parts.scheme, 80)
    port = parts.port or default
    host = f"[{hostname}]" if ":" in hostname else hostname
    return parts.scheme, hostname, port, host if port == default else f"{host}:{port}"


def _body(body: Any) -> bytes:
    if isinstance(body, Mapping):
        return urlencode(body, doseq=True).encode()
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read() if hasattr(body, "read") else body or b"")
