"""Connections kept alive, one per request under way, in greenlets; nothing is ever sent twice.

Answers are parsed by geventhttpclient's binding of llhttp. Its own client is not used: it sends idempotent requests
(PUT, DELETE) again when a connection breaks, and a hidden retry falsifies a history.
"""

from __future__ import annotations

import os
import time
from typing import Any, cast

import gevent.socket
import gevent.ssl
from gevent.monkey import get_original
from geventhttpclient.header import Headers
from geventhttpclient.response import HTTPParseError, HTTPResponse
from requests.utils import DEFAULT_CA_BUNDLE_PATH

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
LONGEST_ANSWER_BYTES = 32 * 1024 * 1024
_BLOCK_BYTES = 65_536


class NotSentError(Exception):
    """Nothing listens there, or the name does not exist: no byte of the request left."""


class BrokenError(Exception):
    """The connection broke, or what came is no answer: nobody knows what became of the request."""


class _Fields(Headers):
    """Headers of an answer as a plain dictionary, names in lower case."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: dict[str, str] = {}

    def add(self, key: str, value: Any) -> None:
        name = key.lower()
        self.plain[name] = f"{self.plain[name]}, {value}" if name in self.plain else value

    def clear(self) -> None:
        self.plain.clear()


class _Answer(HTTPResponse):
    """One answer, as it comes in."""

    def __init__(self, method: str) -> None:
        super().__init__(method, headers_type=_Fields)
        self.body = b""

    @property
    def fields(self) -> dict[str, str]:
        """The headers."""
        return cast("_Fields", self.info()).plain

    @property
    def whole(self) -> bool:
        """Whether it ended; an interim one (100, 103) is followed by another."""
        return self.message_complete and self.get_code() >= 200

    def _on_body(self, buf: bytes | bytearray) -> None:
        self.body += buf


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
        self._idle: list[tuple[Any, Any]] = []
        self._poll = get_original("select", "poll")
        self._context = _context() if scheme == "https" else None
        self.opened = 0

    def send(self, request: bytes, method: str, read_seconds: float | None = None) -> tuple[int, dict[str, str], bytes]:
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
        read_seconds = self._read_seconds if read_seconds is None else read_seconds
        connection, poller = self._take()
        keep = False
        try:
            end = time.monotonic() + read_seconds
            connection.settimeout(read_seconds)
            connection.sendall(request)
            answer = _Answer(method)
            got = 0
            while not answer.whole:
                data = connection.recv(_BLOCK_BYTES)
                answer.feed(data)
                if not data:
                    if answer.whole:
                        break  # a body that ends with the connection
                    raise BrokenError("the connection was closed before the answer was whole")
                got += len(data)
                if got > LONGEST_ANSWER_BYTES:
                    raise BrokenError(f"the answer is longer than {LONGEST_ANSWER_BYTES} bytes")
                if not answer.whole:
                    left = end - time.monotonic()
                    if left <= 0:
                        raise TimeoutError("the answer was not whole in time")
                    connection.settimeout(left)
            keep = not answer.should_close()
            return answer.get_code(), answer.fields, bytes(answer.body)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {read_seconds:g} s") from error
        except (OSError, HTTPParseError) as error:
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        finally:
            if keep:
                self._idle.append((connection, poller))
            else:
                connection.close()

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop()[0].close()

    def _take(self) -> tuple[Any, Any]:
        while self._idle:
            connection, poller = self._idle.pop()
            # What is idle and readable was closed by the other side, or said something nobody asked for.
            if not poller.poll(0):
                return connection, poller
            connection.close()
        return self._connect()

    def _connect(self) -> tuple[Any, Any]:
        try:
            connection: Any = gevent.socket.create_connection(self._place, timeout=self._connect_seconds)
        except (ConnectionRefusedError, gevent.socket.gaierror) as error:
            raise NotSentError(f"{type(error).__name__}: {error}") from error
        except TimeoutError as error:
            raise TimeoutError(f"no connection within {self._connect_seconds:g} s") from error
        except OSError as error:
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        try:
            connection.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_hostname=self._place[0])
        except TimeoutError as error:
            connection.close()
            raise TimeoutError(f"no connection within {self._connect_seconds:g} s") from error
        except OSError as error:
            connection.close()
            raise BrokenError(f"{type(error).__name__}: {error}") from error
        poller = self._poll()
        poller.register(connection.fileno(), 1)
        self.opened += 1
        return connection, poller


def _context() -> Any:
    authorities = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    return gevent.ssl.create_default_context(cafile=authorities)
