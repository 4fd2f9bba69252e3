"""The ASGI server around MiniStack, after the patches and with the interceptor in front."""

from __future__ import annotations

import os
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

THREADS = 512
"""An invocation holds one of MiniStack's threads until its function ends, and each of the function's calls needs one.

With MiniStack's own 64, as many functions under way leave none for their calls: all wait until they time out.
"""


def intercepted(app: App) -> App:
    """An application with this process' interceptor and its control interface in front."""
    return Failing(Control(Interceptor(app, RULES, TRACER, EmulatorCallers(RULES, TRACER)), RULES, TRACER))


def serve(listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a listening socket until the process ends."""
    os.environ["MINISTACK_WORKER_THREADS"] = str(THREADS)
    apply_all()
    hypercorn_server.serve(intercepted(ministack_app.app), (listener,), ready)
