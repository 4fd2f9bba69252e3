"""Reads EDN, the notation of Clojure's data, as far as recorded histories use it.

Maps become dictionaries, vectors and lists become lists, sets frozensets, keywords and symbols text without the colon;
a tagged element is its value. Source: https://github.com/edn-format/edn
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

_TOKEN = re.compile(
    r"""(?P<space>[\s,]+|;[^\n]*)
    |(?P<text>"(?:[^"\\]|\\.)*")
    |(?P<open>\#\{|[\[({])
    |(?P<close>[\])}])
    |(?P<discard>\#_)
    |(?P<tag>\#[A-Za-z][\w.\-/*+!?$%&=<>]*)
    |(?P<char>\\(?:newline|return|space|tab|u[0-9a-fA-F]{4}|\S))
    |(?P<atom>[^\s,\[\](){}";]+)""",
    re.VERBOSE,
)
_CLOSING = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_WORDS = {"nil": None, "true": True, "false": False}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "b": "\b", "f": "\f"}
_CHARACTERS = {"newline": "\n", "return": "\r", "space": " ", "tab": "\t"}
_NUMBER = re.compile(r"[+-]?\d")


class Damage(Exception):  # noqa: N818 - where a text stops being EDN
    """The text cannot be read from here on.

    Args:
        what: what is wrong.
        at: character of the text.
    """

    def __init__(self, what: str, at: int) -> None:
        super().__init__(what)
        self.at = at


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def read_all(text: str) -> Iterator[Any]:
    """The values of a text, one after the other.

    Raises:
        Damage: after the last value that can be read, if something follows that cannot.
    """
    tokens = _tokens(text)
    for token in tokens:
        if token.kind == "discard":
            _value(next(tokens, _Token("end", "", len(text))), tokens, len(text))
            continue
        yield _value(token, tokens, len(text))


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Damage(f"{text[at : at + 20]!r} is not EDN", at)
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match.group(), at)
        at = match.end()


def _value(token: _Token, tokens: Iterator[_Token], end: int) -> Any:
    """The value that begins with a token; values within values are kept on a list, so that depth costs no recursion."""
    stack: list[tuple[_Token, list[Any]]] = []
    ignored: list[int] = []
    while True:
        if token.kind == "end":
            raise Damage("the text ends within a value", stack[0][0].at if stack else end)
        if token.kind == "open":
            stack.append((token, []))
        elif token.kind == "discard":
            ignored.append(len(stack))
        elif token.kind != "tag":
            if token.kind == "close":
                if not stack or _CLOSING[stack[-1][0].text] != token.text:
                    raise Damage(f"{token.text!r} closes nothing", token.at)
                opened, items = stack.pop()
                value = _collection(opened, items)
            else:
                value = _scalar(token)
            if ignored and ignored[-1] == len(stack):
                ignored.pop()
            elif not stack:
                return value
            else:
                stack[-1][1].append(value)
        token = next(tokens, _Token("end", "", end))


def _collection(opened: _Token, items: list[Any]) -> Any:
    if opened.text == "#{":
        return frozenset(_hashable(item) for item in items)
    if opened.text != "{":
        return items
    if len(items) % 2:
        raise Damage("a map has a key without a value", opened.at)
    return {_hashable(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(item) for item in value)
    return frozenset(value.items()) if isinstance(value, dict) else value


def _scalar(token: _Token) -> Any:
    text = token.text
    if token.kind == "text":
        return re.sub(
            r"\\(u[0-9a-fA-F]{4}|.)",
            lambda found: chr(int(found[1][1:], 16)) if len(found[1]) > 1 else _ESCAPES.get(found[1], found[1]),
            text[1:-1],
            flags=re.DOTALL,
        )
    if token.kind == "char":
        name = text[1:]
        return chr(int(name[1:], 16)) if len(name) == 5 and name[0] == "u" else _CHARACTERS.get(name, name)
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.match(text):
        try:
            return _number(text)
        except (ValueError, ZeroDivisionError) as error:
            raise Damage(f"{text!r} is no number", token.at) from error
    return text.lstrip(":")


def _number(text: str) -> int | float:
    if "/" in text:
        return float(Fraction(text))
    plain = text.rstrip("NM")
    return float(plain) if any(letter in plain for letter in ".eE") else int(plain)
