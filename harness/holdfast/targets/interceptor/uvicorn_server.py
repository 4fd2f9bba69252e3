"""Uvicorn around the reverse proxy, with connections that can be cut.

With httptools and uvloop one core passes about twice as many calls (``python benchmarks/interceptor.py``) as with
hypercorn, which parses HTTP in Python. The emulator stays on hypercorn, which it is made for and whose time is small
beside its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from holdfast.targets.interceptor.asgi import App
from holdfast.targets.interceptor.cutting import CONNECTION, Connection
from holdfast.targets.interceptor.startup import announcing

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep a connection, so that none is closed under a request."""


class _Protocol(HttpToolsProtocol):
    """One connection, known to the requests that come over it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection."""
        self._connection = Connection(transport)
        super().connection_made(transport)

    def on_headers_complete(self) -> None:
        """Tell it to the task of the request, which begins here."""
        CONNECTION.set(self._connection)
        super().on_headers_complete()


def serve(app: App, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a listening socket until the process ends."""
    served: Any = announcing(app, ready)
    config = uvicorn.Config(
        served,
        http=_Protocol,
        ws="none",
        lifespan="on",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        backlog=1024,
    )
    uvicorn.Server(config).run(sockets=[listener])
