"""Where something stands in a descriptor, as TOML writes it, and what is wrong with it there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.stack.base import Json

KeyPath = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a descriptor.

    Attributes:
        path: where it is.
        cause: what is wrong.
        remedy: what to write instead.
        names: the names it is about; a problem about a name that another mistake took away is no news.
    """

    path: KeyPath
    cause: str
    remedy: str = ""
    names: frozenset[str] = frozenset()


def dotted(path: KeyPath) -> str:
    """A path as TOML writes keys, e.g. ``commands.place.calls[0]."two words"``."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _BARE.fullmatch(step) else json.dumps(step, ensure_ascii=False))
    return text or "the whole file"


def as_written(document: Json, path: Sequence[str | int], *, absent: bool = False) -> KeyPath:
    """The steps of a model's path that the document has.

    Drops what only validation knows: the tags of unions, and the index of a single entry written without brackets.

    Args:
        document: the document.
        path: a path in the model.
        absent: whether the last step is a key that the document should have.
    """
    found: list[str | int] = []
    at = document
    for position, step in enumerate(path):
        is_last = position == len(path) - 1
        if isinstance(at, Mapping) and isinstance(step, str):
            if step in at:
                at = at[step]
                found.append(step)
            elif is_last and absent:
                found.append(step)
        elif isinstance(at, list) and isinstance(step, int) and step < len(at):
            at = at[step]
            found.append(step)
    return tuple(found)


def value_at(document: Json, path: KeyPath) -> Json:
    """What stands at a path; None where nothing does."""
    at = document
    for step in path:
        if isinstance(at, Mapping):
            at = at.get(step)
        elif isinstance(at, list) and isinstance(step, int) and step < len(at):
            at = at[step]
        else:
            return None
    return at
