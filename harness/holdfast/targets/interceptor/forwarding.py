"""The reverse proxy: an ASGI application that passes every request on to one endpoint, byte for byte.

Bodies stream in both directions, a piece at a time, with backpressure. The path, the query and all end-to-end headers
go as they came, ``Host`` too: signatures cover them. What belongs to a single connection stays behind
(https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from holdfast.targets.interceptor.asgi import Message, Receive, Send, answer
from holdfast.targets.interceptor.cutting import cut

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NOT_SENT = _HOP_BY_HOP | {b"expect"}
"""An ``Expect: 100-continue`` is met by the proxy itself, as soon as the body is asked for."""

_TEXT = {"content-type": "text/plain; charset=utf-8"}
_PIECE_BYTES = 256 * 1024
_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 2.0
"""How long an idle connection to the endpoint is kept: less than servers keep theirs, or a request met its end."""


class Forwarding:
    """Passes requests on to an endpoint.

    Args:
        endpoint_url: where to, e.g. ``http://127.0.0.1:4566``; without a path.
    """

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint = endpoint_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer back."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._pass(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            read_bufsize=_PIECE_BYTES,
        )
        # aiohttp would send a PUT or DELETE once more when the endpoint breaks off, and has no setting against it:
        # whether it took effect is not known then, and a call that nobody made would look like a bug of the stack
        self._session._retry_connection = False  # noqa: SLF001
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._session.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _pass(self, scope: Message, receive: Receive, send: Send) -> None:
        assert self._session is not None, "the server has not begun its lifespan"
        query = scope["query_string"]
        path = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
        if not path.startswith("/"):  # ``OPTIONS *`` and the like are for the server itself
            await answer(send, 400, _TEXT, b"the interceptor passes on paths only")
            return
        headers = _told(scope["headers"], _NOT_SENT)
        begun = False
        try:
            async with self._session.request(
                scope["method"],
                URL(self._endpoint + path, encoded=True),
                headers=headers,
                data=await _body(scope, receive),
                allow_redirects=False,
            ) as response:
                begun = True
                raw = [(name.lower(), value) for name, value in response.raw_headers]
                kept = [(name, value) for name, value in raw if name not in _HOP_BY_HOP]
                await send({"type": "http.response.start", "status": response.status, "headers": kept})
                small = response.content_length is not None and response.content_length <= _PIECE_BYTES
                if not small:
                    async for piece in response.content.iter_any():
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": await response.read() if small else b""})
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if begun or not isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
                await cut(send)  # the endpoint broke the exchange: so it looks to the caller
            else:
                told = f"the interceptor cannot reach {self._endpoint}: {error}"
                await answer(send, 502, _TEXT, told.encode())


def _told(headers: list[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> CIMultiDict[str]:
    told: CIMultiDict[str] = CIMultiDict()
    for name, value in headers:
        if name.lower() not in dropped:
            told.add(name.decode("latin-1"), value.decode("utf-8", errors="surrogateescape"))
    return told


async def _body(scope: Message, receive: Receive) -> bytes | AsyncIterator[bytes] | None:
    """A request's body: what has come at once, or a stream; None without one."""
    announced = {name.lower(): value for name, value in scope["headers"] if name.lower() in _FRAMING}
    if not announced:
        return None
    if announced.get(b"content-length") == b"0":
        return b""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if b"transfer-encoding" not in announced:
            return body
    return _stream(message, receive)


_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


async def _stream(first: Message, receive: Receive) -> AsyncIterator[bytes]:
    message = first
    while True:
        if message["type"] != "http.request":
            raise aiohttp.ClientConnectionError("the caller went away in the middle of its request")
        body = message.get("body", b"")
        if body:
            yield body
        if not message.get("more_body"):
            return
        message = await receive()
