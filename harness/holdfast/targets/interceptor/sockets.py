"""Listening sockets."""

from __future__ import annotations

import socket


def listening(host: str, port: int = 0) -> socket.socket:
    """A listening socket; port 0 lets the kernel pick one, so that no two processes can race for it.

    Raises:
        OSError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.set_inheritable(False)
    except OSError:
        listener.close()
        raise
    return listener
