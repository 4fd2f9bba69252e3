"""``${NAME}``, ``${NAME:-default}`` and ``$${`` in the texts of a descriptor.

What comes from the environment is secret: it is kept out of every message, and it is literal text, never a template.
A default is text of the descriptor: it may hold placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.stack.base import Json
from holdfast.stack.keypath import KeyPath, Problem
from holdfast.stack.templates import literal

_TOKEN = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:[^{}]|\{[^{}]*\})*))?\})?")
_SHORTEST_TELLING = 4  # a shorter value is part of ordinary words


@dataclass(slots=True)
class Environment:
    """Substitutes variables in a document and remembers which key got what.

    Attributes:
        variables: the environment.
        marks: names of fields that the document marks as secret; what stands in them is never shown either.
        problems: variables that are missing.
        taken: the variables and their values by the key they went to; the value is None when it is missing.
    """

    variables: Mapping[str, str]
    marks: frozenset[str] = frozenset()
    problems: list[Problem] = field(default_factory=list)
    taken: dict[KeyPath, list[tuple[str, str | None]]] = field(default_factory=dict)

    def substitute(self, document: Json, path: KeyPath = ()) -> Json:
        """The document with every variable replaced; keys are left alone."""
        if isinstance(document, str):
            return _TOKEN.sub(lambda match: self._replace(match, path), document)
        if isinstance(document, Mapping):
            return {key: self.substitute(value, (*path, key)) for key, value in document.items()}
        if isinstance(document, list):
            return [self.substitute(value, (*path, index)) for index, value in enumerate(document)]
        return document

    @property
    def secrets(self) -> frozenset[str]:
        """Every value that came from the environment."""
        return frozenset(value for taken in self.taken.values() for _, value in taken if value)

    def is_missing(self, path: KeyPath) -> bool:
        """Whether a variable that this key needs is missing."""
        return any(value is None for _, value in self.taken.get(path, ()))

    def is_secret(self, path: KeyPath) -> bool:
        """Whether this key, or something within it, came from the environment, or it is within a marked field."""
        if not self.marks.isdisjoint(path):
            return True
        return any(taken[: len(path)] == path for taken in self.taken)

    def scrub(self, text: str, path: KeyPath) -> str:
        """The text with every value from the environment replaced by the name of its variable."""
        values = {
            (value, name)
            for at, taken in self.taken.items()
            for name, value in taken
            if value and (len(value) >= _SHORTEST_TELLING or at[: len(path)] == path)
        }
        for value, name in sorted(values, key=lambda pair: (-len(pair[0]), pair[1])):
            for shown in (value, literal(value), repr(value)[1:-1]):
                bounded = re.escape(shown) if len(value) >= _SHORTEST_TELLING else rf"(?<!\w){re.escape(shown)}(?!\w)"
                text = re.sub(bounded, lambda _: f"${{{name}}}", text)  # noqa: B023 - used at once
        return text

    def _replace(self, match: re.Match[str], path: KeyPath) -> str:
        if match[0] == "$${":
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            self.problems.append(
                Problem(path, "${ begins no variable", "write ${NAME}, ${NAME:-default}, or $${ for the text ${ itself")
            )
            return match[0]
        value = self.variables.get(name)
        if default is not None and not value:
            return default
        if value is None:
            self.problems.append(
                Problem(
                    path,
                    f"the environment variable {name} is not set",
                    f"set {name}, or give a default: ${{{name}:-...}}",
                )
            )
        self.taken.setdefault(path, []).append((name, value))
        return match[0] if value is None else literal(value)
