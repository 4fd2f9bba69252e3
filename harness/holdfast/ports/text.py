"""One way to turn JSON, and bytes into text, so that what is sent and what is seen compare equal."""

from __future__ import annotations

import json

from holdfast.stack.base import Json

_LONGEST_QUOTED_CHARACTERS = 300

# json.dumps would make an encoder for every text
_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_COMPACT_ASCII = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)


def text_of(value: Json) -> str:
    """Strings as they are; other JSON as compact JSON in its own key order."""
    return value if isinstance(value, str) else json_text(value)


def quoted(value: Json) -> str:
    """A value in quotes, for a message; never cut, since of a secret that is cut nobody could tell the rest."""
    text = text_of(value)
    return repr(text) if len(text) <= _LONGEST_QUOTED_CHARACTERS else f"a text of {len(text)} characters"


def json_text(value: Json) -> str:
    """Compact JSON; non-ASCII characters stay, unless a lone surrogate makes that impossible in UTF-8."""
    text = _COMPACT.encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _COMPACT_ASCII.encode(value)
    return text


def decoded(data: bytes) -> str:
    """Bytes as UTF-8; bytes that are none survive as lone surrogates."""
    return data.decode("utf-8", "surrogateescape")


def encoded(text: str) -> bytes:
    """The reverse of `decoded`; other lone surrogates are sent as they are."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
