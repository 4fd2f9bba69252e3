"""Where HTTP/1.1 messages end, told by h11; their bytes are passed on as they came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import h11

PIECE_BYTES = 65_536
SEARCHED_BYTES = 8 * 1024 * 1024
"""How much of a request is read before it is passed on; beyond it nothing is searched."""
_LARGEST_HEAD_BYTES = 1024 * 1024


class NotHttp(Exception):  # noqa: N818 - what it is, no error of ours
    """What came is no HTTP/1.1 that can be framed; the bytes so far are in ``content``."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.content = content


class Source:
    """One side's bytes, read at most one piece ahead, so that its end is seen while the other side is waited for.

    Args:
        reader: asyncio's stream.

    Attributes:
        broken: whether it ended in an error.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._ahead: asyncio.Task[bytes] | None = None
        self._left = b""
        self.broken = False

    def ahead(self) -> asyncio.Task[bytes]:
        """The read that is under way or done; its result still comes from :meth:`next`."""
        if self._ahead is None:
            self._ahead = asyncio.create_task(self._read())
        return self._ahead

    async def next(self) -> bytes:
        """The next bytes; empty at the end."""
        if self._left:
            left, self._left = self._left, b""
            return left
        piece = await asyncio.shield(self.ahead())
        if piece:
            self._ahead = None
        return piece

    def give_back(self, content: bytes) -> None:
        """Have bytes come again, before all others."""
        self._left = content + self._left

    @property
    def has_left(self) -> bool:
        """Whether bytes were given back."""
        return bool(self._left)

    def close(self) -> None:
        """Stop reading."""
        if self._ahead is not None:
            self._ahead.cancel()

    async def _read(self) -> bytes:
        try:
            return await self._reader.read(PIECE_BYTES)
        except OSError:
            self.broken = True
            return b""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What the framing of the answer depends on.

    Attributes:
        method: e.g. ``HEAD``, whose answer has no body.
        target: as in the request line.
        waits: whether the client waits for ``100 Continue`` before it sends the body.
    """

    method: bytes
    target: bytes
    waits: bool


async def request(source: Source) -> tuple[RequestHead, bytes, bool] | None:
    """Read one request: its head, its bytes, and whether these are all; None when the side ended before it.

    Not all are read when the body is larger than what is searched, or when the client waits to be asked for it.

    Raises:
        NotHttp: it cannot be framed.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_HEAD_BYTES)
    content = b""
    head: RequestHead | None = None
    while True:
        piece = await source.next()
        if not piece:
            if not content:
                return None
            raise NotHttp(content)
        content += piece
        ended = False
        try:
            parser.receive_data(piece)
            while not ended and (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Request):
                    head = RequestHead(event.method, event.target, parser.they_are_waiting_for_100_continue)
                ended = isinstance(event, h11.EndOfMessage)
        except h11.RemoteProtocolError:
            raise NotHttp(content) from None
        if head is not None and ended:
            rest = parser.trailing_data[0]
            source.give_back(rest)
            return head, content[: len(content) - len(rest)], True
        if head is not None and (head.waits or len(content) >= SEARCHED_BYTES):
            return head, content, False


async def answer(source: Source, head: RequestHead) -> AsyncIterator[bytes]:
    """The bytes of one answer as they come, to its end.

    Args:
        source: the side that answers.
        head: of the request.

    Raises:
        NotHttp: it cannot be framed, or another protocol begins; what was read is in ``content``.
        ConnectionError: the side ended before the answer did.
    """
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD_BYTES)
    parser.send(h11.Request(method=head.method, target=head.target, headers=[("Host", "relay")]))
    parser.send(h11.EndOfMessage())
    while True:
        piece = await source.next()
        try:
            parser.receive_data(piece)
            ended = False
            while not ended and (event := parser.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.ConnectionClosed):
                    break
                ended = isinstance(event, h11.EndOfMessage)
        except h11.RemoteProtocolError:
            if not piece:
                raise ConnectionError("the answer broke off") from None
            raise NotHttp(piece) from None
        if ended:
            rest = parser.trailing_data[0]
            source.give_back(rest)
            if len(piece) > len(rest):
                yield piece[: len(piece) - len(rest)]
            return
        if parser.their_state is h11.SWITCHED_PROTOCOL:
            raise NotHttp(piece)
        if not piece:
            raise ConnectionError("the answer broke off")
        yield piece
