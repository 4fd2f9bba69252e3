"""Templates: text and JSON with placeholders, rendered for one submission.

    {key} {amount}            a value by its name
    {queue.url}               an attribute of a component
    {key|sha256:12|upper}     filters, applied from left to right
    {{key}}                   the text {key} itself

Text that merely contains braces (JSON text, ``${velocity}``, CSS) is left alone: only a name in braces, without blanks,
is a placeholder. A JSON text that is one placeholder alone keeps the type of what it stands for; everywhere else a
value is written as JSON writes it, and text as it is.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

from holdfast.errors import DescriptorError
from holdfast.stack.base import Json

_NAME = r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)*"
_FILTERS = r"(?:\|[A-Za-z][A-Za-z0-9_]*(?::[^{}|]*)?)*"
_BODY = rf"(?P<name>{_NAME})(?P<filters>{_FILTERS})"
_MOST_TEMPLATES = 4_096
# `${name}` is Velocity's or the shell's, never ours; a doubled brace is an escape.
_TOKEN = re.compile(rf"\{{\{{(?P<escaped>{_NAME}{_FILTERS})\}}\}}|(?<!\$)\{{{_BODY}\}}")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder of a template.

    Attributes:
        name: what it stands for, e.g. ``key`` or ``queue.url``.
        filters: the filters with their arguments (empty where there is none), in order.
    """

    name: str
    filters: tuple[tuple[str, str], ...] = ()


def text_of(value: Json) -> str:
    """How a value reads inside text: text as it is, anything else as compact JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _digest(algorithm: str) -> Callable[[Json, str], str]:
    def digest(value: Json, argument: str) -> str:
        hexadecimal = hashlib.new(algorithm, text_of(value).encode(), usedforsecurity=False).hexdigest()
        return hexadecimal[: _length(argument)] if argument else hexadecimal

    return digest


def _length(argument: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", argument):
        raise ValueError("takes a length from 1 to 9999, as in {key|prefix:4}")
    return int(argument)


def _without_argument(function: Callable[[Json], str]) -> Callable[[Json, str], str]:
    def apply(value: Json, argument: str) -> str:
        if argument:
            raise ValueError("takes no argument")
        return function(value)

    return apply


_FILTER: Mapping[str, Callable[[Json, str], str]] = {
    "sha256": _digest("sha256"),
    "md5": _digest("md5"),
    "prefix": lambda value, argument: text_of(value)[: _length(argument)],
    "upper": _without_argument(lambda value: text_of(value).upper()),
    "lower": _without_argument(lambda value: text_of(value).lower()),
    "base64": _without_argument(lambda value: base64.b64encode(text_of(value).encode()).decode("ascii")),
    "urlencode": _without_argument(lambda value: quote(text_of(value), safe="")),
    "json": _without_argument(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))),
}

FILTERS: tuple[str, ...] = tuple(sorted(_FILTER))
"""Names of the filters."""


def close_matches(word: str, known: Iterable[str]) -> list[str]:
    """The one known name that a misspelt word is closest to, or nothing."""
    return difflib.get_close_matches(word, sorted(set(known)), n=1, cutoff=0.55)


def suggestion(word: str, known: Iterable[str]) -> str:
    """``did you mean ...?`` for a misspelt word, or the list of what is known."""
    names = sorted(set(known))
    close = close_matches(word, names)
    if close:
        return f"did you mean {close[0]}?"
    return f"use one of: {', '.join(names)}" if names else "there is none to name"


def parse(template: Json) -> tuple[Placeholder, ...]:
    """Every placeholder of a template in the order of its text, also those in the keys of JSON objects.

    Raises:
        DescriptorError: a filter is unknown or its argument is wrong.
    """
    if isinstance(template, str):
        return tuple(_placeholder(match) for match in _TOKEN.finditer(template) if match["escaped"] is None)
    if isinstance(template, Mapping):
        return tuple(p for key, value in template.items() for part in (key, value) for p in parse(part))
    if isinstance(template, list | tuple):
        return tuple(p for part in template for p in parse(part))
    return ()


def placeholders(template: Json) -> frozenset[str]:
    """The names that a template needs, filters left off, e.g. ``{"key", "queue.url"}``.

    Raises:
        DescriptorError: a filter is unknown or its argument is wrong.
    """
    return frozenset(placeholder.name for placeholder in parse(template))


def literal(text: str) -> str:
    """A template that renders to exactly this text."""
    return _TOKEN.sub(lambda match: "{" + match[0] + "}", text)


def render(template: Json, values: Mapping[str, Json]) -> Json:
    """Fill a template with values.

    Args:
        template: text or nested JSON; the keys of objects are templates too.
        values: what the placeholders stand for; ``a.b`` is looked up whole first, then as ``b`` within ``a``.

    Raises:
        DescriptorError: a placeholder or filter is unknown.
    """
    if isinstance(template, str):
        parts = _parts(template)
        if len(parts) == 1 and isinstance(parts[0], Placeholder):
            return _value(parts[0], values)
        return _joined(parts, values)
    if isinstance(template, Mapping):
        return {_text(key, values): render(value, values) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [render(part, values) for part in template]
    return template


def render_text(template: str, values: Mapping[str, Json]) -> str:
    """Fill a template whose result must be text: a path, a header, an attribute.

    Raises:
        DescriptorError: a placeholder or filter is unknown.
    """
    return _text(template, values)


def _text(template: str, values: Mapping[str, Json]) -> str:
    return _joined(_parts(template), values)


def _joined(parts: tuple[str | Placeholder, ...], values: Mapping[str, Json]) -> str:
    return "".join([part if isinstance(part, str) else text_of(_value(part, values)) for part in parts])


@lru_cache(maxsize=_MOST_TEMPLATES)
def _parts(template: str) -> tuple[str | Placeholder, ...]:
    """A text taken apart into what stays and what is filled in; load renders the same few millions of times."""
    parts: list[str | Placeholder] = []
    at = 0
    for match in _TOKEN.finditer(template):
        parts.append(template[at : match.start()])
        parts.append(_placeholder(match) if match["escaped"] is None else "{" + match["escaped"] + "}")
        at = match.end()
    return tuple(part for part in (*parts, template[at:]) if part != "")


def _placeholder(match: re.Match[str]) -> Placeholder:
    filters = []
    for part in match["filters"].split("|")[1:]:
        name, _, argument = part.partition(":")
        if name not in _FILTER:
            raise DescriptorError(
                f"The template filter {name} in {match[0]} does not exist.", remedy=suggestion(name, FILTERS)
            )
        try:
            # a filter judges its argument before it looks at the value
            _FILTER[name]("", argument)
        except ValueError as error:
            raise DescriptorError(f"The template filter {name} in {match[0]} {error}.") from None
        filters.append((name, argument))
    return Placeholder(match["name"], tuple(filters))


def _value(placeholder: Placeholder, values: Mapping[str, Json]) -> Json:
    value = _look_up(placeholder.name, values)
    for name, argument in placeholder.filters:
        value = _FILTER[name](value, argument)
    return value


def _look_up(name: str, values: Mapping[str, Json]) -> Json:
    if name in values:
        return values[name]
    found: Json = values
    for step in name.split("."):
        if not isinstance(found, Mapping) or step not in found:
            raise DescriptorError(
                f"The placeholder {{{name}}} stands for nothing here.",
                cause="a template names a field, component or saved value that does not exist",
                remedy=f"{suggestion(name, values)} Write {{{{{name}}}}} for the text in braces itself.",
            )
        found = found[step]
    return found
