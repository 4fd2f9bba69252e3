"""The ASGI server around MiniStack, after the patches and with the interceptor in front."""

from __future__ import annotations

import socket
from collections.abc import Callable

from ministack import app as ministack_app

from holdfast.targets.emulator.callers import EmulatorCallers
from holdfast.targets.emulator.interception import RULES, TRACER
from holdfast.targets.emulator.patches import apply_all
from holdfast.targets.interceptor import hypercorn_server
from holdfast.targets.interceptor.asgi import App
from holdfast.targets.interceptor.control import Control
from holdfast.targets.interceptor.failing import Failing
from holdfast.targets.interceptor.middleware import Interceptor


def intercepted(app: App) -> App:
    """An application with this process' interceptor and its control interface in front."""
    return Failing(Control(Interceptor(app, RULES, TRACER, EmulatorCallers(RULES, TRACER)), RULES, TRACER))


def serve(listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a listening socket until the process ends."""
    apply_all()
    hypercorn_server.serve(intercepted(ministack_app.app), (listener,), ready)
