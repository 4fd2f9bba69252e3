"""An imported OpenAPI definition keeps its integrations whole: credentials, templates, parameters and responses.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration.html,
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-integration-responses.html
(the key of a response is its selection pattern, or ``default``),
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-any-method.html and
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-binary-media-types.html.
MiniStack keeps type, method and URI only.
"""

from __future__ import annotations

from typing import Any

from ministack.services import apigateway_v1

from holdfast.targets.emulator.known import require

_KEPT = (
    "credentials",
    "requestParameters",
    "requestTemplates",
    "contentHandling",
    "timeoutInMillis",
    "cacheKeyParameters",
)
_RESPONSE_KEPT = ("responseParameters", "responseTemplates", "contentHandling")
_ANY = "x-amazon-apigateway-any-method"
_BINARY = "x-amazon-apigateway-binary-media-types"


def apply() -> None:
    """Replace the import of an operation, and read two extensions more."""
    require(apigateway_v1._import_operation, "ca6b0dd9dcf2", "apigateway_v1._import_operation")
    require(apigateway_v1._import_path_item, "563432744443", "apigateway_v1._import_path_item")
    require(apigateway_v1._import_rest_api, "ef72f9312702", "apigateway_v1._import_rest_api")
    known_path, known_api = apigateway_v1._import_path_item, apigateway_v1._import_rest_api

    def import_path_item(api_id: str, path: str, item: dict[str, Any], *security: Any) -> None:
        known_path(api_id, path, item, *security)
        if _ANY in item:
            resources = apigateway_v1._resources[api_id]
            resource = next(name for name, told in resources.items() if told.get("path") == path)
            _import_operation(api_id, resource, "ANY", item[_ANY], *security)

    def import_rest_api(spec: dict[str, Any], base: dict[str, Any] | None = None) -> str:
        binary = spec.get(_BINARY)
        return str(known_api(spec, {"binaryMediaTypes": binary, **(base or {})} if binary else base))

    apigateway_v1._import_operation = _import_operation
    apigateway_v1._import_path_item = import_path_item
    apigateway_v1._import_rest_api = import_rest_api


def _import_operation(  # noqa: PLR0917 - MiniStack's calling convention
    api_id: str,
    resource: str,
    method: str,
    operation: dict[str, Any] | None,
    schemes: dict[str, Any] | None = None,
    default_security: Any = None,
) -> None:
    """Put a method with its whole integration; see ``apigateway_v1._import_operation``."""
    told = operation or {}
    security = told.get("security")
    known = apigateway_v1._method_security(default_security if security is None else security, schemes or {})
    apigateway_v1._put_method(api_id, resource, method, known)
    integration = told.get("x-amazon-apigateway-integration")
    if not integration:
        return
    settings = {name: integration[name] for name in _KEPT if integration.get(name) is not None}
    settings["type"] = str(integration.get("type") or "").upper() or None
    settings["httpMethod"] = integration.get("httpMethod")
    settings["uri"] = integration.get("uri")
    if integration.get("passthroughBehavior"):
        settings["passthroughBehavior"] = str(integration["passthroughBehavior"]).upper()
    apigateway_v1._put_integration(api_id, resource, method, settings)
    for pattern, response in (integration.get("responses") or {}).items():
        answer = {name: response[name] for name in _RESPONSE_KEPT if response.get(name) is not None}
        answer["selectionPattern"] = "" if pattern == "default" else pattern
        status = str(response.get("statusCode") or "200")
        apigateway_v1._put_integration_response(api_id, resource, method, status, answer)
