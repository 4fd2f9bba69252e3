"""Whether a started process says that it is ready."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

from holdfast.stack.components import Readiness

LOOK_SECONDS = 2.0
"""How long one look may take; a process that is slower is not ready."""


def is_ready(readiness: Readiness, *, port: int, unix_socket: Path, folder: Path) -> bool:
    """Look once.

    Args:
        readiness: how it says so.
        port: its port on the loopback address.
        unix_socket: its Unix socket.
        folder: where its files are.
    """
    if readiness.file is not None:
        return (folder / readiness.file).exists()
    try:
        if readiness.socket:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(LOOK_SECONDS)
                connection.connect(str(unix_socket))
            return True
        if readiness.http is None:
            socket.create_connection(("127.0.0.1", port), timeout=LOOK_SECONDS).close()
            return True
        return _answers(port, readiness.http)
    except (OSError, http.client.HTTPException):
        return False


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LOOK_SECONDS)
    try:
        connection.request("GET", path)
        return 200 <= connection.getresponse().status < 300
    finally:
        connection.close()
