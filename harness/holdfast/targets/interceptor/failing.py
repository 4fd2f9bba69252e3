"""A request on which an application fails is answered all the same, and told in one line of the log."""

from __future__ import annotations

import logging
import traceback

from holdfast.targets.interceptor.asgi import App, Message, Receive, Send, answer
from holdfast.targets.interceptor.cutting import cut

_LOG = logging.getLogger(__name__)


class Failing:
    """Catches what an application raises.

    A malformed request can make an emulator raise anything; its caller gets a 500, or a broken connection when the
    answer has begun, and the log says what failed where.

    Args:
        app: the application.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let the application handle a request."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if scope["type"] != "http":
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            _LOG.warning("%s failed: %r in %s, line %s", scope["method"], error, where.filename, where.lineno)
            if begun:
                await cut(send)
            else:
                await answer(send, 500, {"content-type": "text/plain"}, b"InternalFailure")
