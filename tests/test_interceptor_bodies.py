"""Reading a body ahead changes nothing of it, and holds it once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.targets.interceptor.asgi import Message, Receive, read_ahead


def _sender(messages: Iterable[Message]) -> Receive:
    left = iter(messages)

    async def receive() -> Message:
        return next(left)

    return receive


def _body(pieces: list[bytes], *, broken: bool) -> list[Message]:
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": broken or at < len(pieces)}
        for at, piece in enumerate(pieces, start=1)
    ]
    return [*messages, {"type": "http.disconnect"}]


async def _read(messages: list[Message], limit_bytes: int) -> tuple[bytes, bytes, str]:
    """What was read ahead, the whole body as it is received afterwards, and how it ended."""
    beginning, receive = await read_ahead(_sender(messages), limit_bytes)
    whole = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return beginning, whole, "broken"
        whole += message.get("body", b"")
        if not message.get("more_body"):
            assert (await receive())["type"] == "http.disconnect"
            return beginning, whole, "whole"


@given(
    pieces=st.lists(st.binary(max_size=8), min_size=1, max_size=6), limit_bytes=st.integers(1, 40), broken=st.booleans()
)
def test_a_body_that_is_read_ahead_is_received_whole(pieces: list[bytes], limit_bytes: int, *, broken: bool) -> None:
    """However it comes and wherever reading stops or breaks, the receiver gives the body that was sent."""
    sent = b"".join(pieces)
    beginning, whole, ended = asyncio.run(_read(_body(pieces, broken=broken), limit_bytes))
    assert whole == sent
    assert ended == ("broken" if broken else "whole")
    assert sent.startswith(beginning)
    assert len(beginning) >= min(limit_bytes, len(sent))


@pytest.mark.parametrize("pieces", [1, 16])
def test_what_is_read_ahead_is_held_once(pieces: int) -> None:
    """The receiver gives the very bytes that were read, not the pieces they came in."""

    async def first() -> tuple[bytes, Message]:
        beginning, receive = await read_ahead(_sender(_body([bytes(1000)] * pieces, broken=False)), 1_000_000)
        return beginning, await receive()

    beginning, message = asyncio.run(first())
    assert message["body"] is beginning
    assert len(beginning) == 1000 * pieces
