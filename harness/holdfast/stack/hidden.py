"""Values that must not be shown, found in text in whatever form they stand there: plain, escaped, or encoded.

- A value of 8 characters or more is removed wherever it stands.
- One of 4 to 7 characters is removed as a whole word only: within longer words it would shred ordinary text.
- A shorter one is left alone; an empty one has nothing to show.
"""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST_ANYWHERE = 8
"""Characters from which on a value is removed wherever it stands."""
SHORTEST_WORD = 4
"""Characters from which on a value is removed where it stands as a whole word."""

_WIDTHS = (8, 4)
_LONG_CHARACTERS = 2_000  # of longer values only the usual forms are looked for
_Span = tuple[int, int, str]


class Hidden:
    """Finds values in texts, for any number of threads.

    Args:
        shown: what stands in place of a value.
    """

    def __init__(self, shown: Callable[[str], str]) -> None:
        self._shown = shown
        # looked up by what a text holds, so that it is read once however many values there are, and also where all of
        # them begin alike, as values that are made in a row do
        self._forms: dict[str, tuple[str, bool]] = {}
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._values: set[str] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, value: object) -> bool:
        return value in self._values

    def add(self, values: Iterable[str]) -> None:
        """Look for further values."""
        with self._lock:
            for value in values:
                if len(value) < SHORTEST_WORD or value in self._values:
                    continue
                self._values.add(value)
                whole = len(value) < SHORTEST_ANYWHERE
                for form in {form for form in forms(value) if len(form) >= SHORTEST_WORD}:
                    if form not in self._forms or (self._forms[form][1] and not whole):
                        self._forms[form] = (value, whole)
                    start = form[: _WIDTHS[0] if len(form) >= _WIDTHS[0] else _WIDTHS[1]]
                    lengths = self._lengths.get(start, ())
                    if len(form) not in lengths:
                        self._lengths[start] = (*lengths, len(form))

    def remove(self, text: str) -> str:
        """The text without the values; where several overlap, all of what they cover goes."""
        spans = sorted(self._spans(text), key=lambda span: (span[0], -span[1])) if self._values else []
        if not spans:
            return text
        parts: list[str] = []
        done = 0
        for start, end, value in spans:
            if start >= done:
                parts += (text[done:start], self._shown(value))
            done = max(done, end)
        return "".join((*parts, text[done:]))

    def _spans(self, text: str) -> Iterator[_Span]:
        for width in _WIDTHS:
            for at in range(len(text) - width + 1):
                for length in self._lengths.get(text[at : at + width], ()):
                    form = text[at : at + length]
                    value, whole = self._forms.get(form, ("", False))
                    if value and not (whole and _within_word(text, at, at + len(form))):
                        yield at, at + len(form), value


def _within_word(text: str, start: int, end: int) -> bool:
    return any(one.isalnum() or one == "_" for one in (text[start - 1 : start], text[end : end + 1]) if one)


def forms(value: str) -> set[str]:
    """A value as it may stand in text: as it is, in JSON once or twice, in `repr`, URLs, HTML, and base64."""
    escaped = {one for escape in _ESCAPES for one in (escape(value),)}
    if len(value) > _LONG_CHARACTERS:
        return {value} | escaped
    twice = {escape(one) for escape in _ESCAPES for one in escaped}
    encoded = {encode(one) for encode in _ENCODINGS for one in {value} | escaped}
    percent = {one for form in encoded for one in (form, _lower_percent(form))}
    return {value, value.upper(), value.lower()} | escaped | twice | percent | set(_base64(value))


def _json_ascii(value: str) -> str:
    return json.dumps(value)[1:-1]


def _json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _repr(value: str) -> str:
    return repr(value)[1:-1]


def _ascii(value: str) -> str:
    return ascii(value)[1:-1]


def _single_quoted(value: str) -> str:
    return repr(value + '"')[1:-2]  # both kinds of quotes: then repr escapes the single ones


def _quote(value: str) -> str:
    return quote(value, safe="", errors="surrogatepass")


def _quote_path(value: str) -> str:
    return quote(value, errors="surrogatepass")


def _quote_plus(value: str) -> str:
    return quote_plus(value, errors="surrogatepass")


_ESCAPES = (_json_ascii, _json, _repr, _ascii, _single_quoted)
_ENCODINGS = (_quote, _quote_path, _quote_plus, html.escape)


def _lower_percent(text: str) -> str:
    parts = text.split("%")
    return "%".join((parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])))


def _base64(value: str) -> Iterator[str]:
    """What base64 makes of a value, alone and inside of something longer, at whatever place that begins."""
    data = value.encode("utf-8", "surrogatepass")
    for ahead in range(3):
        text = base64.b64encode(bytes(ahead) + data).decode("ascii")
        # characters that also depend on what stands before or after
        start, end = (0, 2, 3)[ahead], len(text) if (ahead + len(data)) % 3 == 0 else text.index("=") - 1
        if end - start >= SHORTEST_ANYWHERE:
            yield text[start:end]
            yield text[start:end].replace("+", "-").replace("/", "_")
