"""Answers of HTTP/1.1 in their plainest form, taken apart at once.

Most answers of a service arrive in one piece, with a length and nothing unusual. `plain_answer` takes those and no
others; for them it gives exactly what the parser would give (tests/test_load_answers.py).
"""

from __future__ import annotations

import re

Parsed = tuple[int, dict[str, str], bytes]
"""Status, headers with names in lower case, and body."""

_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-9][0-9][0-9])(?: [\t -~]*)?\r\n")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~]*?)[ \t]*", re.ASCII)
_LENGTH = re.compile(r"[0-9]{1,9}", re.ASCII)
_NOT_PLAIN = frozenset({"transfer-encoding", "connection", "trailer", "upgrade"})
_WITHOUT_BODY = frozenset({204, 304})


def plain_answer(data: bytes) -> Parsed | None:
    """A whole answer in one piece that keeps the connection; None for whatever the parser has to judge.

    Args:
        data: all that has arrived of an answer to a request that is not HEAD.
    """
    end = data.find(b"\r\n\r\n")
    found = _STATUS_LINE.match(data)
    if end < 0 or found is None or found.end() > end + 2:
        return None
    head = data[found.end() : end]
    if not head.isascii():
        return None
    fields: dict[str, str] = {}
    for line in head.decode("ascii").split("\r\n"):
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        name = field[1].lower()
        if name in fields or (name in _NOT_PLAIN and not (name == "connection" and field[2].lower() == "keep-alive")):
            return None
        fields[name] = field[2]
    length = fields.get("content-length", "")
    status = int(found[1])
    if not _LENGTH.fullmatch(length) or len(data) != end + 4 + int(length) or status in _WITHOUT_BODY:
        return None
    return status, fields, data[end + 4 :]
