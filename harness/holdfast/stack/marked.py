"""Fields that a descriptor marks as secret: where they stand in JSON, and the values that they were seen to have.

A mark is a name, or names joined by dots, e.g. ``card_number`` or ``customer.ssn``. It marks that field in every JSON
object, however deep it lies and whatever lists are in between: in what a command sends, what is answered, what is read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from urllib.parse import parse_qsl

from holdfast.errors import DescriptorError
from holdfast.stack.base import Json
from holdfast.stack.commands import Command
from holdfast.stack.generate import VALUE, Submission
from holdfast.stack.hidden import Hidden
from holdfast.stack.templates import parse, render, text_of

Steps = tuple[str, ...]

_MOST_VALUES = 20_000
_DEEPEST = 64
_PAYLOADS = ("json_body", "form", "query", "headers", "attributes", "detail", "payload", "input", "body")
"""Attributes of calls that hold what is sent."""
_UNQUOTED = re.compile(r'(?P<before>[:,\[]\s*)(?P<placeholder>\{[A-Za-z][^{}"\s]*\})')  # a number's place in JSON text


class Known(Hidden):
    """Values of marked fields that were seen so far, each shown by its fingerprint.

    A fingerprint is the same for the same value throughout a run, so that equal can be told from different. Its key is
    drawn for each run and written nowhere, so that it cannot be tried out against guesses.
    """

    def __init__(self) -> None:
        super().__init__(self.shown)
        self._key = secrets.token_bytes(32)

    def __eq__(self, other: object) -> bool:
        # what was seen is no part of what a descriptor says, and two that say the same are equal
        return isinstance(other, Known)

    __hash__ = object.__hash__

    def shown(self, value: str) -> str:
        """What is shown in place of a value."""
        digest = hmac.new(self._key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f"[redacted {digest[:8]}]"

    def add(self, values: Iterable[str]) -> None:
        """Remember values; beyond 20,000 no further ones, which are then known by their fields' names alone."""
        if len(self) < _MOST_VALUES:
            super().add(values)


class Marked:
    """The marks of one descriptor, applied to JSON.

    Args:
        marks: as the descriptor gives them.
        commands: its commands, by name.
        known: takes the values that are found.
    """

    def __init__(self, marks: Iterable[str], commands: Mapping[str, Command], known: Known) -> None:
        self.marks: tuple[Steps, ...] = tuple(tuple(mark.split(".")) for mark in marks)
        self.known = known
        self._commands = commands
        for name, command in commands.items() if self.marks else ():
            known.add(text for template in self.of_command(command) if not parse(template) for text in texts(template))
            for field in self.fields(name):
                known.add(text for value in getattr(command.fields[field], "values", ()) for text in texts(value))

    def __bool__(self) -> bool:
        return bool(self.marks)

    def is_at(self, path: Steps) -> bool:
        """Whether the field at a path of names is marked."""
        return any(path[-len(mark) :] == mark for mark in self.marks)

    def within(self, document: Json) -> Iterator[Json]:
        """What stands in the marked fields of JSON; JSON inside of text is looked into as well."""
        if self.marks:
            yield from self._within(document, (), 0)

    def _within(self, document: Json, path: Steps, depth: int) -> Iterator[Json]:
        if depth > _DEEPEST:
            return
        if isinstance(document, Mapping):
            for name, value in document.items():
                at = (*path, str(name))
                if self.is_at(at):
                    yield value
                else:
                    yield from self._within(value, at, depth + 1)
        elif isinstance(document, list | tuple):
            for one in document:
                yield from self._within(one, path, depth + 1)
        elif isinstance(document, str) and (inner := _inside(document)) is not None:
            yield from self._within(inner, path, depth + 1)

    def learn(self, document: Json, *, but: str = "") -> None:
        """Remember the values of the marked fields of JSON, or of text that is JSON or a form.

        Args:
            document: the JSON.
            but: a text that is no secret wherever it stands: the key of the command.
        """
        self.known.add(text for value in self.within(document) for text in texts(value) if text != but)

    @cached_property
    def hides_value(self) -> bool:
        """Whether the unique value of a command goes to a marked field, so that what effects show is secret too."""
        return any(VALUE in self._placeholders(name) for name in self._commands)

    def fields(self, command: str) -> frozenset[str]:
        """The generated fields of a command whose values are secret: marked themselves, or sent in a marked field."""
        known = self._commands.get(command)
        if known is None or not self.marks:
            return frozenset()
        named = {name for name in known.fields if self.is_at((name,))}
        return frozenset(named | (self._placeholders(command) & known.fields.keys()))

    @cached_property
    def hidden_fields(self) -> frozenset[str]:
        """The generated fields of all commands whose values are secret."""
        return frozenset(name for command in self._commands for name in self.fields(command))

    def learn_fields(self, fields: Mapping[str, Json], *, but: str = "") -> None:
        """Remember the values of the generated fields that are secret, and of the unique value where that is."""
        if not self.marks:
            return
        hidden = self.hidden_fields | ({VALUE} if self.hides_value else set())
        for name, value in fields.items():
            if name in hidden:
                self.known.add(text for text in texts(value) if text != but)
            else:
                self.learn({name: value}, but=but)

    def learn_submission(self, submission: Submission, values: Mapping[str, Json]) -> None:
        """Remember what a submission carries in marked fields.

        Args:
            submission: the submission.
            values: what placeholders stand for.
        """
        if not self.marks:
            return
        self.learn_fields({**submission.fields, VALUE: submission.value}, but=submission.key)
        for template in self._templates:
            try:
                rendered = render(template, values)
            except DescriptorError:  # it needs what an earlier call of its command saves; the sent body tells it then
                continue
            self.known.add(text for text in texts(rendered) if text != submission.key)

    @cached_property
    def _templates(self) -> tuple[Json, ...]:
        found = (template for command in self._commands.values() for template in self.of_command(command))
        return tuple(template for template in found if parse(template))

    def of_command(self, command: Command) -> Iterator[Json]:
        """The templates of what a command sends in marked fields."""
        for call in command.calls:
            for name in _PAYLOADS:
                template = getattr(call, name, None)
                if isinstance(template, str) and _inside(template) is None:
                    template = _UNQUOTED.sub(r'\g<before>"\g<placeholder>"', template)
                yield from self.within(template)

    def _placeholders(self, command: str) -> frozenset[str]:
        found = (parse(template) for template in self.of_command(self._commands[command]))
        return frozenset(one.name.partition(".")[0] for many in found for one in many)


def texts(value: Json) -> Iterator[str]:
    """The texts that stand for a value: itself, and the leaves of what is nested; truth values tell nothing."""
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, Mapping):
        yield text_of(value)
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list | tuple):
        yield text_of(list(value))
        for one in value:
            yield from texts(one)
    elif text := text_of(value) if isinstance(value, str | int | float) else str(value):
        yield text


def names_in(document: Json) -> Iterator[str]:
    """The names of all objects in JSON, and in JSON inside of text."""
    if isinstance(document, str):
        document = _inside(document)
    if isinstance(document, Mapping):
        for name, value in document.items():
            yield str(name)
            yield from names_in(value)
    elif isinstance(document, list | tuple):
        for one in document:
            yield from names_in(one)


def _inside(text: str) -> Json:
    """JSON inside of text, or a form; None where it is neither."""
    if text[:1] in {"{", "["}:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None
    if "=" in text[:200] and not any(mark in text for mark in " \n\"'<"):
        return dict(parse_qsl(text))
    return None
