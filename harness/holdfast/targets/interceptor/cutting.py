"""Cutting the connection of a request, so that its caller sees it break."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from holdfast.targets.interceptor.asgi import Send

CONNECTION: ContextVar[asyncio.StreamWriter | None] = ContextVar("holdfast_connection", default=None)
"""The connection of the request at hand; ASGI has no word for it, so ``serving`` sets it."""


async def cut(send: Send) -> None:
    """End the connection at once, in the middle of the exchange."""
    connection = CONNECTION.get()
    if connection is not None:
        connection.transport.abort()
        return
    # a server that shows no connection: an answer that ends before its announced length breaks it too
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000000")]})
