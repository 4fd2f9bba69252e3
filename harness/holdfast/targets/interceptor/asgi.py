"""The few ASGI pieces that the interceptor is made of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from tempfile import SpooledTemporaryFile
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

IN_MEMORY_BYTES = 8 * 1024 * 1024
"""A body that must be kept whole is kept in memory up to here, beyond it in a temporary file."""

_PIECE_BYTES = 256 * 1024


async def read_ahead(receive: Receive, limit_bytes: int) -> tuple[bytes, Receive]:
    """The beginning of a body, and a receiver that gives all of it; what is read is held once.

    Args:
        receive: gives the request's messages.
        limit_bytes: reading stops when so much is there; the rest stays with the sender.
    """
    pieces: list[bytes] = []
    size = 0
    more = True
    broken: Message | None = None
    while more and size < limit_bytes:
        message = await receive()
        if message["type"] != "http.request":
            broken = message  # its caller is gone; so is the rest of the body
            break
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = bool(message.get("more_body"))
    beginning = b"".join(pieces)
    pieces.clear()
    waiting: list[Message] = [{"type": "http.request", "body": beginning, "more_body": more}]
    waiting += [] if broken is None else [broken]

    async def again() -> Message:
        return waiting.pop(0) if waiting else await receive()

    return beginning, again


async def read_all(receive: Receive) -> bytes:
    """A whole body."""
    pieces = []
    more = True
    while more:
        message = await receive()
        pieces.append(message.get("body", b""))
        more = message["type"] == "http.request" and bool(message.get("more_body"))
    return b"".join(pieces)


async def drain(receive: Receive) -> None:
    """Read a body to its end and forget it: who still sends would not see the answer."""
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and bool(message.get("more_body"))


class KeptBody:
    """A body that is sent on more than once; use it as a context manager."""

    def __init__(self) -> None:
        self._file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115

    async def take(self, receive: Receive) -> bool:
        """Read it; whether all of it came."""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return False
            self._file.write(message.get("body", b""))
            if not message.get("more_body"):
                return True

    def receiver(self, then: Receive) -> Receive:
        """A receiver that gives it from its beginning, and after its end what ``then`` gives."""
        self._file.seek(0)
        ended = False

        async def again() -> Message:
            nonlocal ended
            if ended:
                return await then()
            piece = self._file.read(_PIECE_BYTES)
            ended = len(piece) < _PIECE_BYTES
            return {"type": "http.request", "body": piece, "more_body": not ended}

        return again

    def __enter__(self) -> KeptBody:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


async def answer(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Send a whole answer."""
    told = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    told.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
