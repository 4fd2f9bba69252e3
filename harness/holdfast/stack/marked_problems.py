"""Mistakes in the marks of secret fields."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from holdfast.errors import DescriptorError
from holdfast.stack.base import Json
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.keypath import Problem
from holdfast.stack.marked import names_in
from holdfast.stack.templates import parse

_ALMOST = 0.75  # a name that is so like another one is a slip of the pen: what it marks would be shown
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_KEY = "{key}"


def problems(descriptor: Descriptor) -> Iterator[Problem]:
    """A mark of a field that carries the key, and one that is almost a name that the descriptor uses."""
    if not descriptor.secret_fields:
        return
    try:
        for name, command in descriptor.commands.items():
            if any(template == _KEY for template in descriptor.marked.of_command(command)):
                yield Problem(
                    ("secret_fields",),
                    f"the command {name} carries {_KEY} in a marked field",
                    "leave that field out: Holdfast makes up the keys, and every finding names the one it is about",
                )
    except DescriptorError:  # a bad template, which is reported where it stands
        return
    known = set(_names(descriptor))
    for at, mark in enumerate(descriptor.secret_fields):
        for name in mark.split("."):
            close = [] if name in known else difflib.get_close_matches(name, sorted(known), n=1, cutoff=_ALMOST)
            if close:
                yield Problem(
                    ("secret_fields", at),
                    f"nothing is called {name}, and something is called {close[0]}",
                    f"did you mean {close[0]}?",
                    frozenset({close[0]}),
                )


def _names(descriptor: Descriptor) -> Iterator[str]:
    """Names of fields: generated ones, those in payloads and rows, and those that expressions speak of."""
    for command in descriptor.commands.values():
        yield from command.fields
        yield from (one.name for call in command.calls for one in parse(_texts(call)))
        for call in command.calls:
            yield from names_in(call.model_dump(mode="json", by_alias=False))
    for item in descriptor.seed:
        yield from names_in(item.model_dump(mode="json"))
    for source in descriptor.sources:
        yield from (word for text in _texts(source) for word in _WORD.findall(text))


def _texts(part: BaseModel) -> list[str]:
    return list(_leaves(part.model_dump(mode="json")))


def _leaves(document: Json) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for value in document.values():
            yield from _leaves(value)
    elif isinstance(document, list):
        for value in document:
            yield from _leaves(value)
