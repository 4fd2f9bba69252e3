"""A Locust process's socket to the command that started it; when it ends, so did the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import gevent.socket

from holdfast_load.messages import CHANNEL, Lines, line

_BLOCK_BYTES = 65_536


class Channel:
    """One end of the socket.

    Args:
        descriptor: of the socket.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = gevent.socket.socket(fileno=descriptor)

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Channel | None:
        """The socket to the command; None where no command started this process."""
        number = environ.get(CHANNEL)
        return None if number is None else cls(int(number))

    def tell(self, **document: Any) -> None:
        """Tell the command; nobody listens when it has ended."""
        try:
            self._socket.sendall(line(**document))
        except OSError:
            return

    def listen(self, told: Callable[[dict[str, Any]], None], ended: Callable[[], None]) -> None:
        """Pass on what the command says, in a greenlet, until it ends."""
        gevent.spawn(self._listen, told, ended)

    def _listen(self, told: Callable[[dict[str, Any]], None], ended: Callable[[], None]) -> None:
        lines = Lines()
        while True:
            try:
                data = self._socket.recv(_BLOCK_BYTES)
            except OSError:
                data = b""
            if not data:
                ended()
                return
            for document in lines.feed(data):
                told(document)
