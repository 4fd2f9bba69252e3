"""A sample command, as a person writes it: ``POST /orders {"order_id": "{key}", "note": "{value}"}``. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.errors import DescriptorError
from holdfast.inference.inventory import Route

_WRITTEN = re.compile(r"\s*(?:(?P<method>[A-Z]+)\s+(?P<path>/\S*)\s*)?(?P<body>\{.*\})?\s*", re.DOTALL)
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
FIELD_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
FIELD_LENGTH = 12
"""A field of the sample is drawn like this: a short word that goes everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A command by example.

    Attributes:
        method: HTTP method.
        path: with placeholders.
        body: JSON with placeholders; None for no body.
        headers: of the call, by name, with placeholders.
        upload: text that is put where the answer says, with placeholders; empty for no upload.
        upload_headers: of the upload, by name.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None
    headers: Mapping[str, str] = field(default_factory=dict)
    upload: str = ""
    upload_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, ...]:
        """The placeholders beside key and value, in order."""
        text = self.path + json.dumps([self.body, self.headers]) + self.upload
        names = dict.fromkeys(_PLACEHOLDER.findall(text))
        return tuple(name for name in names if name not in ("key", "value"))

    @property
    def key_field(self) -> str:
        """The field of the body that is the key; empty where it is none."""
        return next((name for name, value in (self.body or {}).items() if value == "{key}"), "")

    @property
    def key_header(self) -> str:
        """The header that is the key; empty where it is none."""
        return next((name for name, value in self.headers.items() if value == "{key}"), "")


def parse_sample(
    text: str,
    routes: tuple[Route, ...],
    *,
    headers: Mapping[str, str] | None = None,
    upload: str = "",
    upload_headers: Mapping[str, str] | None = None,
    alone: bool = False,
) -> Sample:
    """Read a sample; method and path may be left out where there is one route, or none is needed.

    Args:
        text: the sample.
        routes: the ways in, likeliest first.
        headers: of the call, by name.
        upload: what is put where the answer says.
        upload_headers: of the upload, by name.
        alone: its body is all that counts: it is the input of an execution, or an event.

    Raises:
        DescriptorError: it is no sample, it has no key, or it fits no route.
    """
    found = _WRITTEN.fullmatch(text)
    try:
        body = json.loads(found["body"]) if found and found["body"] else None
    except json.JSONDecodeError as error:
        raise _refused(f"its body is not JSON: {error}") from None
    if found is None or (body is None and not found["path"]):
        raise _refused("it is neither a body nor METHOD /path with a body")
    method, path = found["method"], found["path"]
    if alone:
        if body is None or "{key}" not in json.dumps(body):
            raise _refused("its body starts the saga, since no API is seen to lead there, and shows no {key}")
        method, path = "", ""
    elif not path:
        if not routes:
            raise _refused("it names no path, and the template shows no way in")
        method, path = routes[0].method, routes[0].path
    sample = Sample(
        method=method,
        path=path,
        body=body,
        headers=headers or {},
        upload=upload,
        upload_headers=upload_headers or {},
    )
    if body is not None and _holds_null(body):
        raise _refused("it holds null, which TOML and so a descriptor cannot say: leave such fields out")
    if "{key}" not in path + json.dumps([body, sample.headers]) + upload:
        raise _refused("{key} stands nowhere in it, so that one command could not be told from another")
    return sample


def _holds_null(value: Any) -> bool:
    if isinstance(value, Mapping | list):
        return any(map(_holds_null, value.values() if isinstance(value, Mapping) else value))
    return value is None


def filled(template: Any, values: Mapping[str, str]) -> Any:
    """A template with its placeholders replaced; those that are not known stay."""
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)
    if isinstance(template, Mapping):
        return {filled(name, values): filled(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [filled(value, values) for value in template]
    return template


def _refused(why: str) -> DescriptorError:
    return DescriptorError(
        "The sample command cannot be used.",
        cause=why,
        remedy="""--sample 'POST /orders {"order_id": "{key}", "note": "{value}"}'""",
    )
