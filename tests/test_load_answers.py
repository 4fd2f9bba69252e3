"""Answers taken apart at once: for what `plain_answer` takes, it gives what the parser gives; all else it leaves."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from holdfast_load.client.plain import plain_answer

PLAIN = b"HTTP/1.1 200 OK\r\nDate: Mon, 05 Jan 2026 10:00:00 GMT\r\nContent-Length: 2\r\nX-A: \tb c \r\n\r\n{}"
LEFT = {
    "not whole": PLAIN[:-1],
    "more than whole": PLAIN + b"H",
    "head not whole": PLAIN[:40],
    "nothing": b"",
    "HTTP/1.0 closes": PLAIN.replace(b"/1.1", b"/1.0"),
    "interim": b"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
    "no body by status": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n{}",
    "no headers": b"HTTP/1.1 200 OK\r\n\r\n",
    "two lengths": PLAIN.replace(b"X-A: \tb c ", b"Content-Length: 2"),
    "a header twice": PLAIN.replace(b"Date: M", b"X-A: a\r\nDate: M"),
    "a length with a sign": PLAIN.replace(b"Length: 2", b"Length: +2"),
    "chunked": PLAIN.replace(b"X-A: \tb c ", b"Transfer-Encoding: chunked"),
    "closing": PLAIN.replace(b"X-A: \tb c ", b"Connection: close"),
    "folded": PLAIN.replace(b"X-A: \tb c ", b"X-A: a\r\n b"),
    "a blank in a name": PLAIN.replace(b"X-A:", b"X A:"),
    "no name": PLAIN.replace(b"X-A:", b":"),
    "bare line feed": PLAIN.replace(b"OK\r\n", b"OK\n"),
    "line feed in a value": PLAIN.replace(b"b c", b"b\nc"),
    "not ASCII": PLAIN.replace(b"b c", "é".encode()),
    "garbage": b"\x00\x01 this is no HTTP\r\n\r\n",
}


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
def test_anything_unusual_is_left_to_the_parser(data: bytes) -> None:
    """An answer that is not whole, closes the connection or is malformed is not judged here."""
    assert plain_answer(data) is None


def test_a_plain_answer() -> None:
    """Status, headers with names in lower case and values without blanks around them, and body."""
    date = "Mon, 05 Jan 2026 10:00:00 GMT"
    assert plain_answer(PLAIN) == (200, {"date": date, "content-length": "2", "x-a": "b c"}, b"{}")
    kept = PLAIN.replace(b"X-A: \tb c ", b"Connection: Keep-Alive")
    assert plain_answer(kept) == (200, {"date": date, "content-length": "2", "connection": "Keep-Alive"}, b"{}")


PARSE = """
import json, sys
from geventhttpclient.response import HTTPParseError
from holdfast_load.client.answers import ParsedAnswer
found = []
for text in json.load(sys.stdin):
    answer = ParsedAnswer("POST")
    try:
        answer.feed(text.encode("latin-1"))
        whole = answer.whole and not answer.should_close()
        found.append([answer.get_code(), answer.fields, answer.body.decode("latin-1")] if whole else None)
    except HTTPParseError:
        found.append(None)
json.dump(found, sys.stdout)
"""


def test_it_gives_what_the_parser_gives() -> None:
    """Of ten thousand answers with a few bytes changed, each that is taken is what llhttp makes of it."""
    rng = random.Random(7)
    pieces = [b"\r\n", b"\n", b"\r", b": ", b":", b" ", b"\t", b"0", b"2", b"Content-Length: 2", b"Connection", b"\x00"]
    kinds = [PLAIN, *LEFT.values()]
    cases = list(kinds)
    for _ in range(10_000):
        data = bytearray(PLAIN if rng.random() < 0.7 else rng.choice(kinds))
        for _ in range(rng.randint(0, 2)):
            at, cut = rng.randint(0, len(data)), rng.randint(0, 3)
            data[at : at + cut] = rng.choice([b"", rng.choice(pieces), bytes([rng.randrange(256)])])
        cases.append(bytes(data))
    ended = subprocess.run(
        [sys.executable, "-c", PARSE],
        input=json.dumps([case.decode("latin-1") for case in cases]),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    taken = 0
    for case, parsed in zip(cases, json.loads(ended.stdout), strict=True):
        found = plain_answer(case)
        if found is not None:
            taken += 1
            assert [found[0], found[1], found[2].decode("latin-1")] == parsed, case
    assert taken > 1_000
