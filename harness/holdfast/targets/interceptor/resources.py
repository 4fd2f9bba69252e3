"""What a call is about: the names of the table, queue, bucket, function, topic... in its input.

Which member of the input that is, the service's model says: the parameters by which the service routes a call
(https://smithy.io/2.0/additional-specs/rules-engine/parameters.html), else the first member that is required and names
something, else the first that names something.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from holdfast.targets.interceptor.model import operation_model
from holdfast.targets.interceptor.names import name_of
from holdfast.targets.interceptor.recognition import Call, Request

_NAMING = re.compile(r".*(Name|ARN|Arn|arn|Url|Id)|name")
_ROUTING = frozenset({"Bucket", "ResourceArn", "ResourceArnList", "StreamARN", "StreamId"})
"""Parameters that routing goes by and that name a resource."""

_DEFAULT_BUS = {("events", "PutEvents"): "default"}
"""Which bus an event that names none goes to: https://docs.aws.amazon.com/eventbridge/latest/APIReference."""


def resources_of(call: Call, request: Request) -> tuple[str, ...]:
    """The bare names of what a call is about, each once; none when it names nothing or no model knows it.

    The request needs its body unless :func:`in_path` says that the path tells.
    """
    expressions = _expressions(call.service, call.operation)
    if not expressions:
        return ()
    told = _input(call, request)
    for expression in expressions:
        names = _search(expression, told)
        if names:
            return tuple(dict.fromkeys(name_of(name) for name in names))
    default = _DEFAULT_BUS.get((call.service, call.operation), "")
    if call.protocol == "query" and call.service == "sqs" and call.told.get("_path", "/").count("/") > 1:
        default = call.told["_path"].rpartition("/")[2]  # the queue's own URL is where the oldest clients call
    return (default,) if default else ()


def in_path(call: Call) -> bool:
    """Whether the path, or the form, already tells what a call is about, or that it is about nothing."""
    expressions = _expressions(call.service, call.operation)
    if call.protocol in ("query", "") or not expressions:
        return True
    return call.protocol == "rest" and any(_search(one, call.told) for one in expressions)


@functools.lru_cache(maxsize=4096)
def _expressions(service: str, operation: str) -> tuple[Any, ...]:
    """Where the input of an operation names its resource, the best place first."""
    model = operation_model(service, operation)
    if model is None or model.input_shape is None:
        return ()
    found = [told["path"] for told in (model.operation_context_parameters or {}).values()]
    routing = {one.member_name for one in model.context_parameters if one.name in _ROUTING}
    shape = model.input_shape
    naming = [
        name for name, member in shape.members.items() if member.type_name == "string" and _NAMING.fullmatch(name)
    ]
    required = [name for name in naming if name in shape.required_members]
    for name in (*(name for name in shape.members if name in routing), *required, *naming):
        wire = json.dumps(shape.members[name].serialization.get("name", name))
        if wire not in found:
            found.append(wire)
    for name, member in shape.members.items():
        if member.type_name == "list" and member.member.type_name == "structure":
            found += [
                f"{json.dumps(name)}[*].{json.dumps(inner)}"
                for inner, told in member.member.members.items()
                if told.type_name == "string" and _NAMING.fullmatch(inner) and inner.endswith("Name")
            ]
    return tuple(jmespath.compile(expression) for expression in found)


def _search(expression: Any, told: Mapping[str, Any]) -> list[str]:
    try:
        return _texts(expression.search(told))
    except JMESPathError:  # the input is not of the shape that the model asks for
        return []


def _input(call: Call, request: Request) -> Mapping[str, Any]:
    """The input of a call as far as it names things, by names on the wire."""
    body: Any = {}
    if call.protocol == "json" or (call.protocol == "rest" and request.body[:1] == b"{"):
        try:
            body = json.loads(request.body)
        except (ValueError, RecursionError):
            body = {}
    elif call.protocol == "cbor":
        body = _from_cbor(request.body)
    return {**(body if isinstance(body, dict) else {}), **call.told}


def _from_cbor(body: bytes) -> Any:
    from botocore.parsers import PROTOCOL_PARSERS

    parsers: Any = PROTOCOL_PARSERS
    parser = parsers["smithy-rpc-v2-cbor"]()
    try:
        return parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)) if body else {}
    except Exception:  # noqa: BLE001 - malformed content makes it raise many things; the service will say what is wrong
        return {}


def _texts(value: Any) -> list[str]:
    """The texts in what an expression found."""
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return []
