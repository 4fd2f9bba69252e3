"""The variables of mapping templates that direct integrations need, as API Gateway documents them.

``$context`` (requestId, stage, identity...), ``$input.body`` / ``json`` / ``path`` / ``params``, ``$stageVariables``
and ``$util``:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html.
``$input.json`` gives JSON text, strings quoted; a body that is no JSON cannot be asked for parts. Texts have Java's
``replaceAll``, which the page uses to undo the escapes of apostrophes. MiniStack knows ``$context.authorizer`` and
``$util.urlEncode`` only, and prints strings bare.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from ministack.services import apigateway_v1

from holdfast.targets.emulator.known import require

Steps = list[tuple[str, str | None]]
State = dict[str, Any]

_DIRECTIVE = re.compile(r"#\{?(if|foreach|macro|define|evaluate|include|parse)\b")
_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[\s*(?:'([^']*)'|\"([^\"]*)\"|(\d+))\s*\]")
_MISSING = object()
_JAVASCRIPT = {
    "'": "\\'", '"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\n": "\\n", "\t": "\\t", "\f": "\\f", "\r": "\\r",
}  # fmt: skip


class NotJsonError(Exception):
    """The template asks for a part of a body that is no JSON; the message is the parser's."""


class UnknownDirectiveError(Exception):
    """The template uses a directive that is not modelled; nothing is guessed."""


def apply() -> None:
    """Replace how references are resolved."""
    require(apigateway_v1._vtl_input, "1b9964b7ca9c", "apigateway_v1._vtl_input")
    require(apigateway_v1._vtl_util, "519704c73578", "apigateway_v1._vtl_util")
    require(apigateway_v1._vtl_resolve, "8d432146c9ac", "apigateway_v1._vtl_resolve")
    require(apigateway_v1._render_request_template_v1, "af6e0e7e9131", "apigateway_v1._render_request_template_v1")
    apigateway_v1._vtl_input = _input
    apigateway_v1._vtl_util = _util
    apigateway_v1._vtl_resolve = _resolve
    apigateway_v1._VTL_ROOTS = (*apigateway_v1._VTL_ROOTS, "stageVariables")


def render(
    template: str,
    body: str,
    parameters: Mapping[str, Mapping[str, str]],
    context: Mapping[str, Any],
    stage: Mapping[str, str],
) -> str:
    """Render a template.

    Args:
        template: the text with its references.
        body: what ``$input.body`` is.
        parameters: values by name under ``path``, ``querystring`` and ``header``.
        context: what ``$context`` is.
        stage: the stage's variables.

    Raises:
        NotJsonError: a part of a body that is no JSON is asked for.
        UnknownDirectiveError: a directive is not modelled.
    """
    directive = _DIRECTIVE.search(template)
    if directive:
        raise UnknownDirectiveError(directive.group(0))
    state: State = {
        "vars": {},
        "context": dict(context),
        "body": body,
        "params": parameters,
        "stage": dict(stage),
        "gobbled": False,
    }
    return str(apigateway_v1._vtl_render(template, state))


def parameter(parameters: Mapping[str, Mapping[str, str]], name: str) -> str:
    """A request parameter: from the path, else the query, else a header (whose name has no case)."""
    for place in ("path", "querystring"):
        if name in parameters[place]:
            return parameters[place][name]
    return next((value for told, value in parameters["header"].items() if told.lower() == name.lower()), "")


def at_path(body: str, path: str) -> Any:
    """What a JSONPath names in a JSON text; an empty string where there is nothing."""
    try:
        node = json.loads(body) if body else {}
    except ValueError as error:
        raise NotJsonError(str(error)) from error
    rest = path.strip().removeprefix("$")
    while rest:
        step = _PATH_STEP.match(rest)
        if step is None:
            raise UnknownDirectiveError(path)
        name = next((part for part in step.groups()[:3] if part is not None), None)
        if name is not None:
            node = node.get(name, _MISSING) if isinstance(node, dict) else _MISSING
        else:
            index = int(step.group(4))
            node = node[index] if isinstance(node, list) and index < len(node) else _MISSING
        if node is _MISSING:
            return ""
        rest = rest[step.end() :]
    return node


def escape_javascript(text: str) -> str:
    """A string by JavaScript's rules; anything but printable ASCII becomes a Unicode escape."""
    out = []
    for unit in text:
        if unit in _JAVASCRIPT:
            out.append(_JAVASCRIPT[unit])
        elif " " <= unit <= "\x7f":
            out.append(unit)
        else:
            encoded = unit.encode("utf-16-be", "surrogatepass")
            out.extend(f"\\u{encoded[at]:02X}{encoded[at + 1]:02X}" for at in range(0, len(encoded), 2))
    return "".join(out)


def _arguments(source: str | None, state: State) -> list[Any]:
    return [apigateway_v1._vtl_value(part, state) for part in apigateway_v1._vtl_split_args(source or "")]


def _input(steps: Steps, state: State) -> Any:
    if not steps:
        return None
    (name, source), rest = steps[0], steps[1:]
    value: Any = None
    if name == "body" and source is None:
        value = state["body"]
    elif name in ("json", "path") and source is not None:
        given = _arguments(source, state)
        value = at_path(state["body"], str(given[0]) if given else "$")
        if name == "json":
            value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    elif name == "params":
        given = _arguments(source, state)
        parameters = state["params"]
        if "header" not in parameters:  # a caller of MiniStack's own, with one flat map
            parameters = {"path": {}, "querystring": {}, "header": parameters}
        value = (
            parameter(parameters, str(given[0])) if given else {place: dict(told) for place, told in parameters.items()}
        )
        if rest and rest[0] and not given and source is None:
            return None
    return _walk(value, rest, state) if rest else value


def _walk(node: Any, steps: Steps, state: State) -> Any:
    """Follow properties, ``get(...)`` and ``size()`` through maps and lists."""
    for name, source in steps:
        given = _arguments(source, state) if source is not None else []
        if source is None and isinstance(node, dict):
            node = node.get(name)
        elif name == "get" and given and isinstance(node, dict):
            node = node.get(str(given[0]))
        elif name == "get" and given and isinstance(node, list) and isinstance(given[0], int) and given[0] < len(node):
            node = node[given[0]]
        elif name == "size" and isinstance(node, (dict, list)):
            node = len(node)
        elif name == "replaceAll" and len(given) == 2 and isinstance(node, str):
            new = apigateway_v1._vtl_str(given[1])
            if set("\\$") & set(new):
                raise UnknownDirectiveError(f"replaceAll with {new}")
            node = re.sub(apigateway_v1._vtl_str(given[0]), new, node)
        else:
            return None
    return node


def _util(  # noqa: PLR0911 - one return for each function of $util
    steps: Steps, state: State
) -> Any:
    if not steps or steps[0][1] is None:
        return None
    name, source = steps[0]
    given = _arguments(source, state)
    text = apigateway_v1._vtl_str(given[0]) if given else ""
    match name:
        case "urlEncode":
            return urllib.parse.quote_plus(text, safe="*").replace("~", "%7E")
        case "urlDecode":
            return urllib.parse.unquote_plus(text)
        case "escapeJavaScript":
            return _walk(escape_javascript(text), steps[1:], state)
        case "base64Encode":
            return base64.b64encode(text.encode()).decode()
        case "base64Decode":
            return base64.b64decode(text).decode("utf-8", "replace")
        case "parseJson":
            return _walk(at_path(text, "$"), steps[1:], state)
    return None


def _resolve(reference: tuple[int, bool, str, Steps], state: State) -> Any:
    _, _, root, steps = reference
    if root == "input":
        return _input(steps, state)
    if root == "util":
        return _util(steps, state)
    if root == "stageVariables":
        return _walk(state.get("stage", {}), steps, state)
    if root == "context":
        value = _walk(state["context"], steps, state)
        return None if isinstance(value, dict) else value
    return _walk(state["vars"].get(root), steps, state)
