"""An HTTP API's first-class integrations: SQS, EventBridge, Step Functions and others without a function between.

``IntegrationSubtype`` (``SQS-SendMessage``, ``EventBridge-PutEvents``, ``StepFunctions-StartExecution`` and their like)
with its request parameters (``$request.body``, ``$request.header.NAME``, ``$context...``) and ``CredentialsArn``, and
response parameters that change status and headers:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services.html,
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-aws-services-reference.html
and https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html.

The call is one of the API, made as its role; it is under the interceptor's rules and in its record. The body of the
answer is the service's own answer in JSON. MiniStack drops subtype and role, and answers 502.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from ministack.core.concurrency import run_reentrant
from ministack.services import apigateway
from ministack.services.cloudformation import provisioners

from holdfast.targets.emulator.dispatch import ApiRequest
from holdfast.targets.emulator.known import require
from holdfast.targets.emulator.patches.mapping_templates import NotJsonError, at_path
from holdfast.targets.emulator.patches.service_integration import Answer, Sent, Signing, send, service_model

_LOG = logging.getLogger("holdfast.integration")
_KEPT = ("integrationSubtype", "credentialsArn")
_SERVICES = {"EventBridge": "events", "SQS": "sqs", "StepFunctions": "states", "Kinesis": "kinesis"}
_PLACE = re.compile(r"\$\{([^}]+)\}")
_JSON = {"Content-Type": "application/json"}


def apply() -> None:
    """Keep what such an integration needs, and make its call; after ``service_integration``."""
    for name, known in _KNOWN.items():
        require(getattr(apigateway, name), known, f"apigateway.{name}")
    require(provisioners._apigw_v2_integration_props, "d1635361889b", "provisioners._apigw_v2_integration_props")
    create, update, proxy = (
        apigateway._create_integration,
        apigateway._update_integration,
        apigateway._invoke_lambda_proxy,
    )
    properties = provisioners._apigw_v2_integration_props

    def create_integration(api_id: str, data: dict[str, Any]) -> Any:
        answer = create(api_id, data)
        return answer if answer[0] >= 400 else _keep(api_id, json.loads(answer[2])["integrationId"], data, answer[0])

    def update_integration(api_id: str, integration_id: str, data: dict[str, Any]) -> Any:
        answer = update(api_id, integration_id, data)
        return answer if answer[0] >= 400 else _keep(api_id, integration_id, data, answer[0])

    def integration_properties(told: dict[str, Any]) -> dict[str, Any]:
        named = {"integrationSubtype": told.get("IntegrationSubtype"), "credentialsArn": told.get("CredentialsArn")}
        return {**properties(told), **{name: value for name, value in named.items() if value}}

    async def invoke(  # noqa: PLR0917 - MiniStack's calling convention
        integration: dict[str, Any],
        api_id: str,
        stage: str,
        path: str,
        method: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
        route_key: str = "$default",
        path_params: dict[str, str] | None = None,
        **more: Any,
    ) -> Any:
        if not integration.get("integrationSubtype"):
            return await proxy(
                integration, api_id, stage, path, method, headers, body, query, route_key, path_params, **more
            )
        request = _Request(
            api_id=api_id,
            id=apigateway.new_uuid(),
            body=(body or b"").decode("utf-8", "replace"),
            headers=headers,
            query=query or {},
            path=path,
            path_params=path_params or {},
            stage_variables=apigateway._get_stage_variables(api_id, stage),
            context={
                "httpMethod": method,
                "path": f"/{stage}{path}",
                "routeKey": route_key,
                "stage": stage,
                "apiId": api_id,
                "accountId": more.get("owner_account_id") or "",
                "authorizer.jwt.claims": more.get("authorizer_claims") or {},
                "authorizer.lambda": more.get("authorizer_lambda_context") or {},
            },
        )
        return await run_reentrant(_call, integration, request)

    apigateway._create_integration = create_integration
    apigateway._update_integration = update_integration
    apigateway._invoke_lambda_proxy = invoke
    provisioners._apigw_v2_integration_props = integration_properties


def _keep(api_id: str, integration_id: str, data: dict[str, Any], status: int) -> Any:
    integration = apigateway._integrations[api_id][integration_id]
    integration.update({name: data[name] for name in _KEPT if data.get(name)})
    return apigateway._apigw_response(integration, status)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request of a client on its way to a service."""

    api_id: str
    id: str
    body: str
    headers: Mapping[str, str]
    query: Mapping[str, Any]
    path: str
    path_params: Mapping[str, str]
    stage_variables: Mapping[str, str]
    context: Mapping[str, Any]

    def value(self, source: str) -> str | None:
        """What a parameter mapping names: fixed text, one variable, or text with variables in it.

        Raises:
            NotJsonError: a part of a body is named that is no JSON.
        """
        if "${" in source:
            return _PLACE.sub(lambda found: self._variable(f"${found.group(1)}") or "", source)
        return self._variable(source) if source.startswith("$") else source

    def _variable(self, named: str) -> str | None:
        if named.startswith("$request.body"):
            path = named.removeprefix("$request.body")
            if not path:
                return self.body
            found = at_path(self.body, f"${path}")
            return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        found = apigateway._resolve_mapping_atom(
            named,
            request_headers=self.headers,
            request_query=self.query,
            path_params=self.path_params,
            context_vars={**self.context, "requestId": self.id, "request.path": self.path},
            stage_vars=self.stage_variables,
        )
        return None if found is None else str(found)

    def told(self) -> ApiRequest:
        """The request, for the record."""
        event = {"headers": dict(self.headers), "query": dict(self.query), "url": self.path, "body": self.body}
        return ApiRequest(self.api_id, self.id, json.dumps(event, ensure_ascii=False, default=str))


def _call(integration: Mapping[str, Any], request: _Request) -> Answer:
    """Make the call, and map its answer."""
    subtype = integration["integrationSubtype"]
    name, _, operation = subtype.partition("-")
    service = _SERVICES.get(name)
    model = service_model(service) if service else None
    if service is None or model is None or operation not in model.operation_names:
        _LOG.error("the integration subtype %s of %s is not modelled", subtype, request.api_id)
        return 500, dict(_JSON), b'{"message":"Internal Server Error"}'
    try:
        values = {
            key: request.value(str(source)) for key, source in (integration.get("requestParameters") or {}).items()
        }
        region = values.pop("Region", None) or apigateway.get_region()
        given = {key: value for key, value in values.items() if value is not None}
        content = _parameters(service, model.operation_model(operation).input_shape, given)
        headers = {
            "content-type": f"application/x-amz-json-{model.metadata['jsonVersion']}",
            "x-amz-target": f"{model.metadata['targetPrefix']}.{operation}",
        }
        signing = Signing(region, service, integration.get("credentialsArn") or "")
        status, answer = send(request.told(), Sent("POST", "/", headers, json.dumps(content).encode()), signing)
    except NotJsonError:
        return 400, dict(_JSON), b'{"message":"Bad Request"}'
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        _LOG.error("the integration of %s failed: %s", request.api_id, error)
        return 503, dict(_JSON), b'{"message":"Service Unavailable"}'
    return _respond(integration, request, status, answer)


def _parameters(service: str, shape: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """The service's request; what is no text in it is written as JSON in the mapping."""
    if service == "events":  # the parameters are those of the one entry
        return {"Entries": [_parameters("", shape.members["Entries"].member, given)]}
    members = {name.lower(): name for name in shape.members}
    told: dict[str, Any] = {}
    for key, value in given.items():
        name = members.get(key.lower(), key)
        kind = shape.members[name].type_name if name in shape.members else "string"
        told[name] = value if kind in ("string", "timestamp", "blob") else json.loads(value)
    return told


def _respond(integration: Mapping[str, Any], request: _Request, status: int, answer: str) -> Answer:
    """The service's answer, with what the response parameters for its status change."""
    headers = dict(_JSON)
    told = (integration.get("responseParameters") or {}).get(str(status)) or {}
    if "ResponseParameters" in told:  # as CloudFormation writes them
        told = {one["Destination"]: one["Source"] for one in told["ResponseParameters"]}
    for target, source in told.items():
        change, _, place = target.partition(":")
        if place == "statuscode":
            status = int(source)
        elif place.startswith("header."):
            name = place.removeprefix("header.")
            if change == "remove":
                headers.pop(name, None)
            elif (value := request.value(str(source))) is not None:
                headers[name] = value
    return status, headers, answer.encode()


_KNOWN = {
    "_create_integration": "970005e3a99e",
    "_update_integration": "9fe937d47d75",
    "_invoke_lambda_proxy": "fbe5024fcd36",
    "_resolve_mapping_atom": "0688bcbc2ddc",
}
