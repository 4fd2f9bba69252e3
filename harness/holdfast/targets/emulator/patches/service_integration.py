"""A REST API's AWS integration calls the service as its role, with what the template or the request parameters say.

* The call is a real, signed request to the emulator's own endpoint, so the role's policies and the queue's policy are
  enforced; errors go through the integration responses:
  https://docs.aws.amazon.com/apigateway/latest/developerguide/integrating-api-with-aws-services-lambda.html and
  https://docs.aws.amazon.com/apigateway/latest/api/API_Integration.html (``credentials``, ``requestParameters``,
  ``contentHandling``).
* ``path`` and ``action`` integrations of services with the Query or JSON protocol (SQS, SNS, DynamoDB, EventBridge,
  Step Functions), and objects of S3:
  https://docs.aws.amazon.com/apigateway/latest/developerguide/integrating-api-with-aws-services-s3.html.
* The call is one of the API, under the interceptor's rules and in its record; what a rule refuses goes through the
  integration responses as the service's own error, and an answer that is lost is a 504, as after any broken connection.
* The request id in ``$context.requestId`` is the one in the answer's ``x-amzn-RequestId``.
* A body over 10 MB is refused with 413: https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html.
* A media type that no template is for is passed through or refused with 415, as the passthrough behaviour says:
  https://docs.aws.amazon.com/apigateway/latest/developerguide/integration-passthrough-behaviors.html.
* A body that is no JSON, in a template that asks for a part of it, is refused with 400.
* Text that is no UTF-8 is replaced, as in API Gateway's text payloads, unless its media type is declared binary and
  converted to text: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings.html.

MiniStack calls SQS without asking any policy, ignores request parameters, and answers 504 for other services.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import logging
import os
import re
import time
import urllib.parse
import xml.etree.ElementTree as ET  # the emulator's own answers only
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import urllib3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from ministack.core.concurrency import run_reentrant
from ministack.services import apigateway_v1, sts

from holdfast.targets.emulator.dispatch import ApiRequest, CallFailedError, as_answer, asked, call_of_api
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches.mapping_templates import (
    NotJsonError,
    UnknownDirectiveError,
    at_path,
    parameter,
    render,
)

MAX_BODY_BYTES = 10 * 1024 * 1024
_TIMEOUT_SECONDS = 29.0
_LOG = logging.getLogger("holdfast.integration")
_REQUEST: ContextVar[dict[str, Any] | None] = ContextVar("holdfast_gateway_request", default=None)
_POOL = urllib3.HTTPConnectionPool("127.0.0.1", int(os.environ.get("GATEWAY_PORT", "0")), maxsize=64)
_OWN = "holdfast-integration"
"""The interceptor of HTTP calls passes what the harness itself sends; this call has been under the rules already."""

_SIGNING = {"states": "stepfunctions"}
Answer = tuple[int, dict[str, str], bytes]


def apply() -> None:
    """Replace the non-proxy AWS integration."""
    require(apigateway_v1._invoke_sqs_v1, "f1a9ab93150a", "apigateway_v1._invoke_sqs_v1")
    require(apigateway_v1._execute_in_scope, "2ae72b7d5eb6", "apigateway_v1._execute_in_scope")
    require(apigateway_v1._invoke_lambda_custom_v1, "79d47dae9d00", "apigateway_v1._invoke_lambda_custom_v1")
    in_scope = apigateway_v1._execute_in_scope
    custom_lambda = apigateway_v1._invoke_lambda_custom_v1

    async def execute_in_scope(request: dict[str, Any], *arguments: Any) -> Any:
        body = arguments[5]
        if body and len(body) > MAX_BODY_BYTES:
            request["stage"] = apigateway_v1._stages_v1.get(request["api_id"], {}).get(request["stage_name"])
            return apigateway_v1._gw_error("REQUEST_TOO_LARGE", f"HTTP content length exceeded {MAX_BODY_BYTES} bytes.")
        token = _REQUEST.set(request)
        try:
            answer = await in_scope(request, *arguments)
        finally:
            _REQUEST.reset(token)
        if isinstance(answer, tuple):
            answer[1].setdefault("x-amzn-requestid", request["request_id"])
        return answer

    async def custom(integration: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        spec = apigateway_v1._parse_service_integration_uri(integration.get("uri", ""))
        if spec and spec[1] != "lambda":
            return await invoke_service(integration, *arguments, **options)
        return await custom_lambda(integration, *arguments, **options)

    apigateway_v1._execute_in_scope = execute_in_scope
    apigateway_v1._invoke_sqs_v1 = invoke_service
    apigateway_v1._invoke_lambda_custom_v1 = custom


class _UnmappedError(Exception):
    """No template is for the media type, and the body may not pass through."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request of a client on its way to a service."""

    integration: Mapping[str, Any]
    body: str
    parameters: Mapping[str, Mapping[str, str]]
    context: Mapping[str, Any]
    stage: Mapping[str, str]

    def value(self, source: str) -> str:
        """What a request parameter mapping names."""
        if len(source) >= 2 and source[0] == source[-1] == "'":
            return source[1:-1]
        kind, _, name = source.partition(".")
        if source.startswith("method.request.body"):
            path = source.removeprefix("method.request.body")
            found = at_path(self.body, "$" + path) if path else self.body
            return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        if kind == "method":
            place, _, told = name.removeprefix("request.").partition(".")
            if place == "header":
                return parameter({"path": {}, "querystring": {}, "header": self.parameters["header"]}, told)
            return self.parameters.get(place, {}).get(told, "")
        if kind == "stageVariables":
            return self.stage.get(name, "")
        node: Any = self.context
        for part in name.split("."):
            node = node.get(part, "") if isinstance(node, Mapping) else ""
        return str(node)

    @property
    def method(self) -> str:
        """The HTTP method of the service's request."""
        return str(self.integration.get("httpMethod") or "POST").upper()

    def signing(self, region: str, service: str) -> Signing:
        """Whose call it is."""
        return Signing(region, service, self.integration.get("credentials") or "")

    def request(self) -> ApiRequest:
        """What the client asked, for the record."""
        event = json.dumps({**self.parameters, "url": self.context["path"], "body": self.body}, ensure_ascii=False)
        return ApiRequest(self.context["apiId"], self.context["requestId"], event)

    def rendered(self) -> str:
        """The request for the service: the template of the media type, or the body as it is."""
        told = parameter(self.parameters, "content-type") or "application/json"
        media = told.split(";", 1)[0].strip().lower()
        templates = self.integration.get("requestTemplates") or {}
        for key, template in templates.items():
            if key.split(";", 1)[0].strip().lower() == media:
                return render(template, self.body, self.parameters, self.context, self.stage)
        behavior = str(self.integration.get("passthroughBehavior") or "WHEN_NO_MATCH").upper()
        if behavior == "NEVER" or (behavior == "WHEN_NO_TEMPLATES" and templates):
            raise _UnmappedError
        return self.body


async def invoke_service(  # noqa: PLR0917 - MiniStack's calling convention
    integration: dict[str, Any],
    api_id: str,
    stage_name: str,
    stage: dict[str, Any],
    resource: dict[str, Any],
    request_path: str,
    method: str,
    headers: dict[str, Any],
    body: bytes,
    query_params: dict[str, Any],
    path_params: dict[str, str] | None,
    *,
    owner_account_id: str,
    binary_media_types: list[str] | None = None,
    authorizer_context: dict[str, Any] | None = None,
    **_: Any,
) -> Any:
    """Call the service of a non-proxy AWS integration; see ``apigateway_v1._invoke_sqs_v1``."""
    request = _REQUEST.get() or {"request_id": apigateway_v1.new_uuid()}
    parameters = {
        "path": dict(path_params or {}),
        "querystring": {name: told[0] if isinstance(told, list) else str(told) for name, told in query_params.items()},
        "header": {name: told if isinstance(told, str) else str(told[-1]) for name, told in headers.items()},
    }
    now = time.time()
    context: dict[str, Any] = {
        "requestId": request["request_id"],
        "extendedRequestId": request["request_id"],
        "accountId": owner_account_id,
        "apiId": api_id,
        "stage": stage_name,
        "httpMethod": method,
        "path": f"/{stage_name}{request_path}",
        "resourcePath": resource["path"],
        "resourceId": resource["id"],
        "protocol": "HTTP/1.1",
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "requestTimeEpoch": int(now * 1000),
        "identity": {"sourceIp": "127.0.0.1", "userAgent": parameter(parameters, "user-agent")},
        "authorizer": authorizer_context or {},
    }
    binary = apigateway_v1._media_type_matches(parameter(parameters, "content-type"), binary_media_types)
    if binary and integration.get("contentHandling") == "CONVERT_TO_TEXT":
        text = base64.b64encode(body or b"").decode()
    else:
        text = (body or b"").decode("utf-8", "replace")
    call = _Call(integration, text, parameters, context, stage.get("variables") or {})
    try:
        status, answer = await run_reentrant(_perform, call, owner_account_id)
        return _respond(call, status, answer)
    except _UnmappedError:
        return apigateway_v1._gw_error("UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type")
    except NotJsonError as error:
        return apigateway_v1._gw_error("BAD_REQUEST_BODY", f"Could not parse request body into json: {error}")
    except UnknownDirectiveError as error:
        _LOG.error("the mapping template of %s uses %s, which is not modelled", api_id, error)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        _LOG.error("the integration of %s failed: %s", api_id, error)
        return 504, {"Content-Type": "application/json"}, b'{"message":"Endpoint request timed out"}'
    return 500, {"Content-Type": "application/json"}, b'{"message":"Internal server error"}'


def _perform(call: _Call, account: str) -> tuple[int, str]:
    """Send the request to the service; its status and answer."""
    region, service, kind, rest = apigateway_v1._parse_service_integration_uri(call.integration["uri"])
    rendered = call.rendered()
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for target, source in (call.integration.get("requestParameters") or {}).items():
        place, _, name = target.removeprefix("integration.request.").partition(".")
        value = call.value(str(source))
        if place == "querystring":
            query[name] = value
        elif place == "header":
            headers[name.lower()] = value
        elif place == "path":
            rest = rest.replace(f"{{{name}}}", urllib.parse.quote(value, safe=""))
    model = service_model(service)
    path = "/"
    if service == "s3":
        path = f"/{rest.strip('/')}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        content = rendered.encode()
        headers.setdefault("content-type", parameter(call.parameters, "content-type") or "application/json")
        return send(call.request(), Sent(call.method, path, headers, content), call.signing(region, service))
    if model is not None and model.metadata.get("targetPrefix") and service != "sqs":
        headers["content-type"] = f"application/x-amz-json-{model.metadata['jsonVersion']}"
        headers["x-amz-target"] = f"{model.metadata['targetPrefix']}.{rest.strip('/')}"
        content = rendered.encode()
    else:
        if kind == "action":
            query["Action"] = rest.strip("/")
        else:
            path = f"/{rest.strip('/')}" if "/" in rest.strip("/") else f"/{account}/{rest.strip('/')}"
        form = urllib.parse.urlencode(query)
        # a form in the body is what the template made; without one the parameters are the form
        content = "&".join(
            part for part in (form, rendered if "Action=" in rendered or not form else "") if part
        ).encode()
        headers["content-type"] = "application/x-www-form-urlencoded"
    status, text = send(call.request(), Sent(call.method, path, headers, content), call.signing(region, service))
    return status, _query_answer_as_json(text) if service == "sqs" else text


@dataclass(frozen=True, slots=True)
class Signing:
    """Whose call it is, and to which service.

    Attributes:
        region: region of the service.
        service: its signing name.
        role: ARN of the role that makes it; empty for nobody's.
    """

    region: str
    service: str
    role: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A request for a service."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes


def send(request: ApiRequest, sent: Sent, signing: Signing) -> tuple[int, str]:
    """Make an API's call to a service, with the faults that are aimed at it; its status and answer.

    Raises:
        urllib3.exceptions.HTTPError: no answer came.
    """
    path = urllib.parse.unquote(sent.path)
    operation, about = asked(signing.service, sent.method, path, sent.headers, sent.content)
    try:
        answer = call_of_api(request, signing.service, operation, lambda: _send(sent, signing), about=about)
    except CallFailedError as failure:
        if failure.lost:
            raise urllib3.exceptions.ProtocolError(failure.message) from failure
        told = as_answer(signing.service, failure.code, failure.message, sent.headers)
        return told.status, told.body.decode()
    return answer.status, answer.data.decode("utf-8", "replace")


def _send(sent: Sent, signing: Signing) -> urllib3.BaseHTTPResponse:
    method, path, headers, content = sent.method, sent.path, sent.headers, sent.content
    headers = {**headers, "user-agent": _OWN}
    request = AWSRequest(
        method=method,
        url=f"http://127.0.0.1:{_POOL.port}{path}",
        data=content,
        headers={**headers, "host": f"127.0.0.1:{_POOL.port}"},
    )
    if signing.role:
        signer = S3SigV4Auth if signing.service == "s3" else SigV4Auth
        signer(_credentials(signing.role), signing.service, signing.region).add_auth(request)
    return _POOL.request(
        method,
        path,
        body=content,
        headers=dict(request.headers.items()),
        timeout=_TIMEOUT_SECONDS,
        retries=False,
    )


def _credentials(role: str) -> Credentials:
    """A session of the integration's role."""
    digest = hashlib.sha256(f"apigateway:{role}".encode()).hexdigest()
    account, name = role.split(":")[4], role.rsplit("/", 1)[-1]
    key, secret, token = f"ASIA{digest[:16].upper()}", digest, digest[::-1]
    session = {
        "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/BackplaneAssumeRoleSession",
        "UserId": f"{name}:BackplaneAssumeRoleSession",
        "SecretAccessKey": secret,
        "SessionToken": token,
    }
    sts.register_session(key, session)
    return Credentials(key, secret, token)


@functools.cache
def service_model(service: str) -> Any:
    """Botocore's model of a service, by its signing name; None when it knows none."""
    import botocore.session
    from botocore.exceptions import UnknownServiceError

    try:
        return botocore.session.Session().get_service_model(_SIGNING.get(service, service))
    except UnknownServiceError:
        return None


def _query_answer_as_json(text: str) -> str:
    """SQS' Query answer as API Gateway gets it, which asks for JSON."""
    try:
        root = ET.fromstring(text)  # noqa: S314
    except ET.ParseError:
        return text
    told = _element(root)
    name = root.tag.rpartition("}")[2]
    if name == "ErrorResponse":
        return json.dumps(told)
    if name == "SendMessageResponse" and isinstance(told, dict):
        result = dict.fromkeys(
            (
                "MD5OfMessageAttributes",
                "MD5OfMessageBody",
                "MD5OfMessageSystemAttributes",
                "MessageId",
                "SequenceNumber",
            )
        )
        told["SendMessageResult"] = {**result, **told.get("SendMessageResult", {})}
    return json.dumps({name: told})


def _element(element: ET.Element) -> Any:
    children = list(element)
    if not children:
        return element.text or ""
    return {child.tag.rpartition("}")[2]: _element(child) for child in children}


def _respond(call: _Call, status: int, answer: str) -> Answer:
    """Map the service's answer through the integration responses."""
    selected = apigateway_v1._select_service_integration_response(call.integration, status)
    if selected is None:
        return 500, {"Content-Type": "application/json"}, b'{"message": "Internal server error"}'
    headers = {"Content-Type": "application/json"}
    for target, source in (selected.get("responseParameters") or {}).items():
        name = target.removeprefix("method.response.header.")
        if str(source).startswith("integration.response.body"):
            path = "$" + str(source).removeprefix("integration.response.body")
            headers[name] = str(at_path(answer, path))
        elif not str(source).startswith("integration.response.header"):
            headers[name] = call.value(str(source))
    templates = selected.get("responseTemplates") or {}
    accept = parameter(call.parameters, "accept").split(",", 1)[0].split(";", 1)[0].strip().lower()
    template = templates.get(accept) or templates.get("application/json") or next(iter(templates.values()), None)
    if template is not None:
        answer = render(template, answer, call.parameters, call.context, call.stage)
    return int(re.sub(r"\D", "", str(selected.get("statusCode"))) or status), headers, answer.encode()
