"""Hypercorn around the emulator, with connections that can be cut."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config

from holdfast.targets.interceptor.asgi import App
from holdfast.targets.interceptor.cutting import CONNECTION, Connection
from holdfast.targets.interceptor.startup import announcing

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep a connection, so that none is closed under a request."""

_REQUESTS_A_CONNECTION = 1_000_000_000


class _Server(TCPServer):
    """One connection, known to the requests that come over it."""

    async def run(self) -> None:
        CONNECTION.set(Connection(self.writer.transport))
        await super().run()


def serve(app: App, listeners: tuple[socket.socket, ...], ready: Callable[[], None]) -> None:
    """Serve on listening sockets until the process ends."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    logging.getLogger("hypercorn.access").setLevel(logging.WARNING)
    running: Any = hypercorn_run
    running.TCPServer = _Server  # it has no setting for this
    config = Config()
    config.bind = [f"fd://{listener.fileno()}" for listener in listeners]
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = _REQUESTS_A_CONNECTION
    config.loglevel = "WARNING"
    served: Any = announcing(app, ready)
    asyncio.run(hypercorn_serve(served, config))
