"""Cutting the connection of a request, so that its caller sees it break."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass

from holdfast.targets.interceptor.asgi import Send


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Connection:
    """One connection, from its first request to its last.

    Attributes:
        transport: asyncio's side of it.
    """

    transport: asyncio.WriteTransport


CONNECTION: ContextVar[Connection | None] = ContextVar("holdfast_connection", default=None)
"""The connection of the request at hand; ASGI has no word for it, so the servers set it."""


async def cut(send: Send) -> None:
    """End the connection at once, in the middle of the exchange."""
    connection = CONNECTION.get()
    if connection is not None:
        connection.transport.abort()
        return
    # a server that shows no connection: an answer that ends before its announced length breaks it too
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000000")]})
