"""JSON and YAML text as a tree of nodes that know their lines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from holdfast.errors import DefinitionError

DEEPEST_NESTING = 100
"""Levels of objects and lists; far beyond any state machine, far below what Python's recursion bears."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | list["Node"] | dict[str, "Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a document.

    Attributes:
        value: a scalar, a list of nodes, or nodes by key.
        line: the line it starts on, from 1; for an entry of an object, the line of its key.
    """

    value: Value
    line: int

    def get(self, key: str) -> Node | None:
        """The entry of an object by its key; nothing when this is no object or has no such key."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    @property
    def entries(self) -> Mapping[str, Node]:
        """The entries of an object; none when this is none."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def items(self) -> list[Node]:
        """The items of a list; none when this is none."""
        return self.value if isinstance(self.value, list) else []

    @property
    def text(self) -> str | None:
        """The value when it is text."""
        return self.value if isinstance(self.value, str) else None


def read_json(text: str, name: str, *, first_line: int = 1) -> Node:
    """Read JSON text.

    Args:
        text: the document.
        name: what it is called in messages, usually its path.
        first_line: the line of the text's first line in its file.

    Raises:
        DefinitionError: the text is not JSON, has a key twice, or is nested too deeply; names the line.
    """
    if not text.strip():
        raise _empty(name)
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        remedy = "correct it at that place"
        if re.match(r"\$\{", text[error.pos :]):
            remedy = "put the substitution in quotes, or name the template that fills it in instead of this file"
        raise DefinitionError(
            f"{name}:{error.lineno + first_line - 1}: this is not JSON.",
            cause=f"{error.msg}, column {error.colno}",
            remedy=remedy,
        ) from None
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:  # a number of more digits than Python converts
        raise DefinitionError(f"{name}: a number cannot be read.", cause=str(error), remedy="shorten it") from None
    return _JsonReader(text, name, first_line).read()


class _JsonReader:
    """Builds nodes from text that is known to be JSON, so that no token can be out of place."""

    def __init__(self, text: str, name: str, first_line: int) -> None:
        self._name = name
        self._tokens: list[tuple[str, int]] = []
        line, seen = first_line, 0
        for match in _TOKEN.finditer(text):
            line += text.count("\n", seen, match.start())
            seen = match.start()
            self._tokens.append((match[0], line))
        self._at = 0

    def read(self) -> Node:
        return self._value(0)

    def _value(self, depth: int) -> Node:
        if depth > DEEPEST_NESTING:
            raise _too_deep(self._name)
        token, line = self._take()
        if token == "{":  # noqa: S105 - a token of JSON
            return Node(self._entries(depth), line)
        if token == "[":  # noqa: S105 - a token of JSON
            items: list[Node] = []
            while self._tokens[self._at][0] != "]":
                items.append(self._value(depth + 1))
                self._skip(",")
            self._at += 1
            return Node(items, line)
        return Node(json.loads(token), line)

    def _entries(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while self._tokens[self._at][0] != "}":
            token, line = self._take()
            key: str = json.loads(token)
            self._skip(":")
            value = self._value(depth + 1)
            if key in entries:
                raise _twice(self._name, key, line, entries[key].line)
            entries[key] = Node(value.value, line)
            self._skip(",")
        self._at += 1
        return entries

    def _take(self) -> tuple[str, int]:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _skip(self, token: str) -> None:
        if self._tokens[self._at][0] == token:
            self._at += 1


def read_yaml(text: str, name: str) -> Node:
    """Read YAML text; CloudFormation's short forms (``!Sub``, ``!Ref`` ...) become their long forms.

    Args:
        text: the document.
        name: what it is called in messages, usually its path.

    Raises:
        DefinitionError: the text is not one YAML document, has a key twice, or is nested too deeply; names the line.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DefinitionError(
            f"{name}{line}: this is not YAML.", cause=str(error.problem), remedy="correct it at that place"
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # of an escape such as "\\UFFFFFFFF", PyYAML's own
        raise DefinitionError(
            f"{name}: this is not YAML.", cause=" ".join(str(error).split()), remedy="correct it"
        ) from None
    except RecursionError:
        raise _too_deep(name) from None
    if root is None:
        raise _empty(name)
    return _YamlReader(name).node(root, 0)


class _YamlReader:
    """Builds nodes from composed YAML. What an alias repeats is counted, so that no document can explode."""

    LARGEST = 200_000

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0

    def node(self, given: yaml.Node, depth: int) -> Node:
        self._count += 1
        if depth > DEEPEST_NESTING or self._count > self.LARGEST:
            raise _too_deep(self._name)
        line = given.start_mark.line + 1
        if isinstance(given, yaml.MappingNode):
            plain = Node(self._entries(given, depth), line)
        elif isinstance(given, yaml.SequenceNode):
            plain = Node([self.node(item, depth + 1) for item in given.value], line)
        else:
            assert isinstance(given, yaml.ScalarNode)
            plain = self._scalar(given, line)
        if given.tag.startswith("!") and given.tag != "!":
            return Node({_long_form(given.tag[1:]): plain}, line)
        return plain

    def _scalar(self, given: yaml.ScalarNode, line: int) -> Node:
        if given.style in ("|", ">"):
            line += 1  # the text of a block begins on the line after its mark
        if given.tag.startswith("!") or given.tag.rpartition(":")[2] not in ("int", "float", "bool", "null"):
            return Node(str(given.value), line)
        try:
            value: Value = yaml.SafeLoader("").construct_object(given)
        except (yaml.YAMLError, ValueError, OverflowError, LookupError):
            value = str(given.value)  # a tag that the text is none of, such as `!!bool maybe`
        return Node(value, line)

    def _entries(self, given: yaml.MappingNode, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key_node, value_node in given.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else ""
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise DefinitionError(
                    f"{self._name}:{line}: a key is not text.", remedy="write the key as plain text or in quotes"
                )
            value = self.node(value_node, depth + 1)
            if key in entries:
                raise _twice(self._name, key, line, entries[key].line)
            # text keeps the line where it begins: a definition may be embedded in it
            entries[key] = Node(value.value, value.line if isinstance(value.value, str) else line)
        return entries


def _long_form(short: str) -> str:
    return short if short in ("Ref", "Condition") else f"Fn::{short}"


def _twice(name: str, key: str, line: int, first: int) -> DefinitionError:
    return DefinitionError(
        f"{name}:{line}: {key} is there twice.",
        cause=f"the first is on line {first}; readers keep one of them, not always the same",
        remedy="remove or rename one",
    )


def _empty(name: str) -> DefinitionError:
    return DefinitionError(f"{name}: the file is empty.", remedy="name a state machine's definition")


def _too_deep(name: str) -> DefinitionError:
    return DefinitionError(
        f"{name}: the document is nested deeper than {DEEPEST_NESTING} levels, or repeats too much.",
        remedy="name a state machine's definition",
    )
