"""Telling when a server is ready."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.targets.interceptor.asgi import App, Message, Receive, Send


def announcing(app: App, ready: Callable[[], None]) -> App:
    """The same application, telling when its start-up is complete."""

    async def announced(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                ready()

        await app(scope, receive, tell)

    return announced
