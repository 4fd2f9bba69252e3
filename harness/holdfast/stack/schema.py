"""The JSON Schema of descriptors, as people write them in TOML."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from holdfast.stack.base import Json
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.keypath import KeyPath, value_at

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"
_Schema = dict[str, Any]


@functools.cache
def _model_schema() -> _Schema:
    return Descriptor.model_json_schema(by_alias=True, mode="validation")


def json_schema() -> _Schema:
    """JSON Schema (draft 2020-12) of ``NAME.stack.toml``; editors complete and check descriptors with it.

    Numbers, booleans, choices and patterned texts may be written as ``"${NAME}"``, as the loader allows.
    """
    return {
        "$schema": DIALECT,
        **_with_variables(_model_schema()),
        "title": "Holdfast stack descriptor",
        "description": "NAME.stack.toml: which patterns a stack claims, and how to talk to it.",
    }


def _with_variables(schema: _Schema) -> _Schema:
    """The schema with ``${NAME}`` admitted wherever something narrower than text is asked for."""
    result = dict(schema)
    for key in ("properties", "patternProperties", "$defs"):
        if key in result:
            result[key] = {name: _with_variables(each) for name, each in result[key].items()}
    for key in ("anyOf", "oneOf"):
        if key in result:
            result[key] = [_with_variables(each) for each in result[key]]
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = _with_variables(result[key])
    kind = result.get("type")
    if "const" in result or not isinstance(kind, str):
        return result
    if kind in ("number", "integer", "boolean"):
        return {**result, "type": [kind, "string"], "pattern": _VARIABLE}
    if kind == "string" and "pattern" in result:
        return {**result, "pattern": f"(?:{result['pattern']})|{_VARIABLE}"}
    if kind == "string" and "enum" in result:
        choices = {"enum": result.pop("enum"), "type": result.pop("type")}
        return {**result, "anyOf": [choices, {"type": "string", "pattern": _VARIABLE}]}
    return result


def keys_at(document: Json, path: KeyPath) -> tuple[str, ...]:
    """The keys that may stand in the table at a path; empty where any may, or none."""
    return tuple(sorted({key for each in _reached(document, path) for key in each.get("properties", {})}))


def kinds_at(document: Json, path: KeyPath) -> tuple[str, ...]:
    """What may stand under the key that tells the alternatives at a path apart (``kind`` or ``type``)."""
    return tuple(sorted({tag for each in _reached(document, path) for tag in _tags(each)}))


def _tags(schema: _Schema) -> _Schema:
    mapping: _Schema = schema.get("discriminator", {}).get("mapping", {})
    return mapping


def _reached(document: Json, path: KeyPath) -> list[_Schema]:
    at = [(_model_schema(), document)]
    for step in path:
        at = [
            (inner, value_at(value, (step,)))
            for schema, value in at
            for each in _alternatives(schema, value)
            for inner in _within(each, step)
        ]
    return [each for schema, value in at for each in _alternatives(schema, value)]


def _within(schema: _Schema, step: str | int) -> Iterator[_Schema]:
    if isinstance(step, int):
        if "items" in schema:
            yield schema["items"]
    elif step in schema.get("properties", {}):
        yield schema["properties"][step]
    elif isinstance(schema.get("additionalProperties"), dict):
        yield schema["additionalProperties"]
    else:
        yield from schema.get("patternProperties", {}).values()


def _alternatives(schema: _Schema, value: Json) -> Iterator[_Schema]:
    """A schema and its alternatives without references; where a tag tells them apart, the one that it names."""
    if "$ref" in schema:
        yield from _alternatives(_model_schema()["$defs"][schema["$ref"].rpartition("/")[2]], value)
        return
    tag = value_at(value, (schema.get("discriminator", {}).get("propertyName", ""),))
    if isinstance(tag, str) and tag in _tags(schema):
        yield from _alternatives({"$ref": _tags(schema)[tag]}, value)
        return
    yield schema
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _alternatives(each, value)
