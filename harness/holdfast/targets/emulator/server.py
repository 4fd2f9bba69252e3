"""The ASGI server around MiniStack, after the patches and with the interceptor in front."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from ministack import app as ministack_app

from holdfast.targets.emulator.calls import Calls
from holdfast.targets.emulator.control import Control
from holdfast.targets.emulator.patches import apply_all


def _announcing(app: Any, ready: Callable[[], None]) -> Any:
    """The same application, telling when its start-up is complete."""

    async def announcing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def tell(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                ready()

        await app(scope, receive, tell)

    return announcing


def serve(listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a listening socket until the process ends."""
    apply_all()
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    logging.getLogger("hypercorn.access").setLevel(logging.WARNING)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    app = _announcing(Control(Calls(ministack_app.app)), ready)
    asyncio.run(hypercorn_serve(app, config))
