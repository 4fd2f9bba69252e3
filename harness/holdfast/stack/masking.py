"""Marked fields in text of any kind: JSON at any depth of escaping, Python's `repr`, forms and URLs, XML, log lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from holdfast.stack.marked import Known, Steps

_STRING = re.compile(r"(?P<escapes>\\*)(?P<quote>[\"'])")
_BARE = re.compile(r"\d+(?: \d+)+|[^\s,;&\"'<>{}\[\]()|\\]+")  # a card's number in groups is one value
_NOTHING = re.compile(r"(?:null|None)\b|(?P<escapes>\\*)(?P<quote>[\"'])(?P=escapes)(?P=quote)")
_DONE = "[redacted"
_Span = tuple[int, int, str]


class Masking:
    """Hides the values of marked fields in text by the names of the fields, also values that nobody has seen before.

    A mark of several names hides the last one where the others stand before it in the text: a text may be cut, so it is
    not parsed, and rather too much is hidden than too little.

    Args:
        marks: the marks.
        known: says what stands in place of a value.
    """

    def __init__(self, marks: Iterable[Steps], known: Known) -> None:
        self._known = known
        self._marks = [(mark[:-1], _lead(mark[-1]), _element(mark[-1])) for mark in marks]

    def mask(self, text: str) -> str:
        """The text without the values of marked fields."""
        spans = sorted({span for mark in self._marks for span in self._spans(text, *mark)})
        parts: list[str] = []
        done = 0
        for start, end, shown in spans:
            if start >= done:
                parts += (text[done:start], shown)
                done = end
        return "".join((*parts, text[done:])) if parts else text

    def _spans(self, text: str, above: Steps, lead: re.Pattern[str], element: re.Pattern[str]) -> Iterator[_Span]:
        for match in element.finditer(text):
            if _stand_before(above, text, match.start()):
                yield match.start("value"), match.end("value"), self._known.shown(match["value"])
        for match in lead.finditer(text):
            at = match.end()
            if text.startswith(_DONE, at) or _NOTHING.match(text, at) or not _stand_before(above, text, match.start()):
                continue
            yield from self._value(text, at, match[1] + match["quote"])

    def _value(self, text: str, at: int, quote: str) -> Iterator[_Span]:
        if opened := _STRING.match(text, at):
            inside, end = opened.end(), _closing(text, opened)
            if not text.startswith(_DONE, inside):
                yield inside, end, self._known.shown(_unescaped(text[inside:end], len(opened["escapes"])))
        else:
            bare = _BARE.match(text, at)
            end = at if bare is None else bare.end()
            if text[end : end + 1] in ({"{", "[", "("} if bare is None else {"("}):  # as in Decimal('1')
                end = _balanced(text, end)
            if end > at:
                # where the name is in quotes a text stands in place of a number, a list or an object
                yield at, end, f"{quote}{self._known.shown(text[at:end])}{quote}"


def _lead(name: str) -> re.Pattern[str]:
    """The name of a field up to its value: in quotes that are escaped any number of times, or in none."""
    begins = r"(?:(?<![\w\\-])|(?<=\\[nrt]))"  # also after a line break that is escaped
    return re.compile(rf"{begins}(\\*)(?P<quote>[\"']?){re.escape(name)}\1(?P=quote)\s*[:=]\s*")


def _element(name: str) -> re.Pattern[str]:
    return re.compile(rf"<{re.escape(name)}(?:\s[^>]*)?>(?!\[redacted)(?P<value>[^<]+)")


def _stand_before(above: Steps, text: str, end: int) -> bool:
    at = 0
    for name in above:
        found = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])").search(text, at, end)
        if found is None:
            return False
        at = found.end()
    return True


def _closing(text: str, opened: re.Match[str]) -> int:
    """Where a string ends: before its closing quote, or at the end of a text that was cut.

    Each time that JSON is put into JSON, n backslashes before a quote become 2n + 1; a quote of the string itself is
    preceded by that many, beyond the pairs that stand for backslashes of its value.
    """
    many = len(opened["escapes"])
    for run in re.compile(rf"(?<!\\)\\*{opened['quote']}").finditer(text, opened.end()):
        backslashes = len(run[0]) - 1
        if backslashes % (2 * (many + 1)) == many:
            return run.end() - 1 - many
    return len(text)


def _balanced(text: str, at: int) -> int:
    depth, here = 0, at
    while here < len(text):
        if opened := _STRING.match(text, here):
            closing = _closing(text, opened)
            here = closing + len(opened[0]) if closing < len(text) else closing
            continue
        depth += {"{": 1, "[": 1, "(": 1, "}": -1, "]": -1, ")": -1}.get(text[here], 0)
        here += 1
        if depth == 0:
            break
    return here


def _unescaped(text: str, escapes: int) -> str:
    """What a string stands for, so that it is shown as its value is where it stands by itself."""
    for _ in range(escapes.bit_length() + 1):
        try:
            text = str(json.loads(f'"{text}"', strict=False))
        except ValueError:
            break
    return text
