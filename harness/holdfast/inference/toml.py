"""Values and marks as a descriptor has them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MARK = "FILL IN"
"""Stands in the comment of every line that a person has to complete."""


def marked(text: str) -> tuple[int, ...]:
    """The numbers of the lines that a person has to complete, from 1."""
    return tuple(number for number, line in enumerate(text.splitlines(), 1) if f"# {MARK}" in line)


def toml(value: Any) -> str:
    """A value on one line: a JSON text is a basic string of TOML, too (toml.io/en/v1.0.0#string)."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(one) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)
