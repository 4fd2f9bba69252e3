"""Connections kept alive, one per request under way, in greenlets; nothing is ever sent twice.

geventhttpclient's own client is not used: it sends idempotent requests (PUT, DELETE) again when a connection breaks,
and a hidden retry falsifies a history. Its parser is (`answers`).
"""

from __future__ import annotations

import os
import time
from typing import Any, Protocol

import gevent.socket
import gevent.ssl
from gevent import get_hub
from gevent.monkey import get_original
from geventhttpclient.response import HTTPParseError
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from holdfast_load.client.answers import ParsedAnswer
from holdfast_load.client.plain import Parsed, plain_answer

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
LONGEST_ANSWER_BYTES = 32 * 1024 * 1024
_BLOCK_BYTES = 65_536
_READABLE, _WRITABLE = 1, 2


class NotSentError(Exception):
    """Nothing listens there, or the name does not exist: no byte of the request left."""


class BrokenError(Exception):
    """The connection broke, or what came is no answer: nobody knows what became of the request."""


class _Connection(Protocol):
    """One open connection."""

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of it within so many seconds."""

    def receive(self, seconds: float) -> bytes:
        """What arrives first within so many seconds; empty when the other side has closed."""

    def is_idle(self) -> bool:
        """Whether nothing arrived that nobody asked for, the other side's end included."""

    def close(self) -> None:
        """End it."""


class _Plain:
    """A connection without TLS: the socket itself, asked only when the loop says that it will answer.

    gevent's own sockets try first and wait then, with two layers of Python around each; that is a quarter of the cost
    of an operation.
    """

    def __init__(self, connected: Any) -> None:
        loop = get_hub().loop
        self._socket = get_original("socket", "socket")(fileno=connected.detach())
        self._socket.setblocking(False)  # noqa: FBT003 - of the socket
        self._poll = _poller(self._socket.fileno())
        self._readable = loop.io(self._socket.fileno(), _READABLE)
        self._writable: Any = None

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of it."""
        sent = self._sent(data)
        while sent < len(data):
            if self._writable is None:
                self._writable = get_hub().loop.io(self._socket.fileno(), _WRITABLE)
            gevent.socket.wait(self._writable, seconds, TimeoutError("sending took too long"))
            sent += self._sent(data[sent:])

    def receive(self, seconds: float) -> bytes:
        """What arrives first."""
        gevent.socket.wait(self._readable, seconds, TimeoutError("nothing arrived"))
        data: bytes = self._socket.recv(_BLOCK_BYTES)
        return data

    def is_idle(self) -> bool:
        """Whether nothing arrived."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """End it."""
        self._readable.close()
        if self._writable is not None:
            self._writable.close()
        self._socket.close()

    def _sent(self, data: bytes) -> int:
        try:
            return int(self._socket.send(data))
        except BlockingIOError:
            return 0


class _Tls:
    """A connection with TLS, by gevent's own socket."""

    def __init__(self, wrapped: Any) -> None:
        self._socket = wrapped
        self._poll = _poller(wrapped.fileno())

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of it."""
        self._socket.settimeout(seconds)
        self._socket.sendall(data)

    def receive(self, seconds: float) -> bytes:
        """What arrives first."""
        self._socket.settimeout(seconds)
        data: bytes = self._socket.recv(_BLOCK_BYTES)
        return data

    def is_idle(self) -> bool:
        """Whether nothing arrived."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """End it."""
        self._socket.close()


class Pool:
    """Connections to one place.

    Args:
        scheme: ``http`` or ``https``; the latter verifies certificate and name, always.
        hostname: name or address.
        port: port.
        connect_seconds: how long connecting may take, TLS included.
        read_seconds: how long the answer may take, from sending to its last byte.
    """

    def __init__(
        self,
        scheme: str,
        hostname: str,
        port: int,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._place = (hostname, port)
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._idle: list[_Connection] = []
        self._context = _context() if scheme == "https" else None
        self.opened = 0

    def send(self, request: bytes, method: str, read_seconds: float | None = None) -> Parsed:
        """Send a request and read the whole answer.

        Args:
            request: head and body.
            method: its method; an answer to HEAD has no body.
            read_seconds: how long the answer may take; None for as long as the pool says.

        Returns:
            Status, headers with names in lower case, and body.

        Raises:
            NotSentError: nothing was sent.
            TimeoutError: connecting or answering took too long.
            BrokenError: the connection broke, or what came is no answer.
        """
        seconds = self._read_seconds if read_seconds is None else read_seconds
        connection = self._take()
        keep = False
        try:
            end = time.monotonic() + seconds
            connection.send(request, seconds)
            data = connection.receive(seconds)
            plain = None if method == "HEAD" else plain_answer(data)
            if plain is not None:
                keep = True
                return plain
            parsed, keep = _parsed(connection, method, data, end)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {seconds:g} s") from error
        except (OSError, HTTPParseError) as error:
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        else:
            return parsed
        finally:
            if keep:
                self._idle.append(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            # What is idle and readable was closed by the other side, or said something nobody asked for.
            if connection.is_idle():
                return connection
            connection.close()
        return self._connect()

    def _connect(self) -> _Connection:
        try:
            connected: Any = gevent.socket.create_connection(self._place, timeout=self._connect_seconds)
        except (ConnectionRefusedError, gevent.socket.gaierror) as error:
            raise NotSentError(f"{type(error).__name__}: {error}") from error
        except TimeoutError as error:
            raise TimeoutError(f"no connection within {self._connect_seconds:g} s") from error
        except OSError as error:
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        try:
            connected.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if self._context is not None:
                connected = self._context.wrap_socket(connected, server_hostname=self._place[0])
        except TimeoutError as error:
            connected.close()
            raise TimeoutError(f"no connection within {self._connect_seconds:g} s") from error
        except OSError as error:
            connected.close()
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        self.opened += 1
        return _Plain(connected) if self._context is None else _Tls(connected)


def _parsed(connection: _Connection, method: str, data: bytes, end: float) -> tuple[Parsed, bool]:
    """An answer by the parser, and whether the connection may be used again."""
    answer = ParsedAnswer(method)
    got = 0
    while True:
        answer.feed(data)
        if not data and not answer.whole:  # otherwise a body that ends with the connection
            raise BrokenError("the connection was closed before the answer was whole")
        got += len(data)
        if answer.whole:
            return (answer.get_code(), answer.fields, bytes(answer.body)), not answer.should_close()
        if got > LONGEST_ANSWER_BYTES:
            raise BrokenError(f"the answer is longer than {LONGEST_ANSWER_BYTES} bytes")
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not whole in time")
        data = connection.receive(left)


def _poller(descriptor: int) -> Any:
    poller = get_original("select", "poll")()
    poller.register(descriptor, _READABLE)
    return poller


def _context() -> Any:
    authorities = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    return gevent.ssl.create_default_context(cafile=authorities)
