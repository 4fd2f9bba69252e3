"""HTTP without surprises: no retries, no redirects, no cookies, no .netrc; one connection per sender, kept alive."""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from holdfast.errors import PortError
from holdfast.ports.answer import Answer
from holdfast.ports.redact import SECRET_HEADERS
from holdfast.ports.transports.signing import sign
from holdfast.targets.base import Target

CONNECT_TIMEOUT_SECONDS = 5.0
LONGEST_ANSWER_BYTES = 32 * 1024 * 1024
_CHUNK_BYTES = 65_536
LOST = "answer lost by the client"


class WebClient:
    """Sends requests for any number of threads; each request has a session to itself while it is under way."""

    def __init__(self) -> None:
        # Sessions outlive the short-lived threads of a provocation, so that connections are kept alive across them.
        self._idle: deque[requests.Session] = deque()

    def send(self, request: requests.PreparedRequest, timeout_seconds: float) -> Answer:
        """Send a request and read the whole answer.

        Args:
            request: made by `prepare`.
            timeout_seconds: for connecting (5 s at most), for the first byte, and for the whole answer after that.
        """
        session = self._take()
        try:
            with session.send(
                request,
                timeout=(min(CONNECT_TIMEOUT_SECONDS, timeout_seconds), timeout_seconds),
                allow_redirects=False,
                stream=True,
                proxies=_proxies(request),
                verify=_authorities(),
            ) as response:
                return _read(response, timeout_seconds)
        except (requests.Timeout, TimeoutError, ReadTimeoutError) as error:
            return Answer(error=f"no answer within {timeout_seconds:g} s: {_reason(error)}")
        except (requests.RequestException, HTTPError, OSError) as error:
            return Answer(error=f"connection failed: {_reason(error)}", sent=not _never_sent(error))
        finally:
            self._idle.append(session)

    def send_and_leave(self, request: requests.PreparedRequest, timeout_seconds: float) -> Answer:
        """Send a whole request, then close the connection unread as soon as the answer begins to arrive.

        Waiting for the first byte makes the fault sharp: what was asked has been done, and nobody knows.
        """
        connection = _connection(request, timeout_seconds)
        try:
            connection.connect()
        except OSError as error:
            return Answer(error=f"connection failed: {_reason(error)}", sent=not _never_sent(error))
        try:
            headers = {str(name): value for name, value in request.headers.items()}
            connection.request(str(request.method), request.path_url, request.body, headers)
            _wait_readable(connection.sock, timeout_seconds)
        except (OSError, http.client.HTTPException) as error:
            return Answer(error=f"connection failed while sending: {_reason(error)}")
        finally:
            connection.close()
        return Answer(error=LOST)

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> requests.Session:
        try:
            return self._idle.pop()
        except IndexError:
            session = requests.Session()
            session.mount("http://", HTTPAdapter(max_retries=0))
            session.mount("https://", HTTPAdapter(max_retries=0))
            return session


def prepare(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    query: Mapping[str, str] | None = None,
    body: bytes | None = None,
    sign_for: tuple[str, Target] | None = None,
) -> requests.PreparedRequest:
    """Make a request exactly as it will be sent.

    Args:
        method: HTTP method.
        url: whole URL; characters that may not stand in one are percent-encoded.
        headers: sent as UTF-8.
        query: added to the URL, percent-encoded.
        body: the exact payload.
        sign_for: signing name of a service, and the target whose credentials sign.

    Raises:
        PortError: the URL or a header cannot be sent.
    """
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query, quote_via=quote, safe="")
    try:
        request = requests.Request(method, url, headers=_header_bytes(headers), data=body).prepare()
    except (requests.RequestException, ValueError) as error:
        raise PortError(
            f"a {method} request cannot be sent",
            cause=f"{type(error).__name__}: {error}",
            remedy="correct its url and headers in the descriptor; encode text, as in {value|urlencode}",
        ) from None
    for name, value in (("User-Agent", "holdfast"), ("Accept", "*/*"), ("Accept-Encoding", "identity")):
        request.headers.setdefault(name, value)
    if sign_for is not None:
        sign(request, *sign_for)
    return request


def secret_values(request: requests.PreparedRequest) -> tuple[str, ...]:
    """The values of a request's headers that must not be recorded."""
    found = (value for name, value in request.headers.items() if name.lower() in SECRET_HEADERS)
    return tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in found)


def _header_bytes(headers: Mapping[str, str]) -> dict[str, str | bytes]:
    return {name: value.encode("utf-8", "surrogateescape") for name, value in headers.items()}


def _read(response: requests.Response, timeout_seconds: float) -> Answer:
    deadline = time.monotonic() + timeout_seconds
    received = bytearray()
    # read1 returns what has arrived; iter_content would wait for a whole chunk of an answer that trickles.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        received += chunk
        if time.monotonic() > deadline:
            return Answer(error=f"the answer did not end within {timeout_seconds:g} s")
        if len(received) > LONGEST_ANSWER_BYTES:
            return Answer(error=f"the answer is longer than {LONGEST_ANSWER_BYTES} bytes")
    return Answer(
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        text=received.decode("utf-8", "replace"),
    )


def _never_sent(error: BaseException) -> bool:
    """Whether the connection was refused or the name does not exist: then no byte of the request left."""
    seen: BaseException | None = error
    for _ in range(8):
        if seen is None:
            return False
        if isinstance(seen, ConnectionRefusedError | socket.gaierror):
            return True
        inner = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        seen = (
            seen.__cause__
            if isinstance(seen, NewConnectionError)
            else inner
            if isinstance(inner, BaseException)
            else None
        )
    return False


def _reason(error: BaseException) -> str:
    # requests wraps urllib3's MaxRetryError, whose text hides the reason behind the URL
    inner = getattr(error.args[0], "reason", error) if error.args else error
    return f"{type(error).__name__}: {inner}"


def _proxies(request: requests.PreparedRequest) -> dict[str, str]:
    if urlsplit(str(request.url)).hostname in {"127.0.0.1", "localhost", "::1"}:
        return {}
    return dict(requests.utils.get_environ_proxies(str(request.url)))


def _authorities() -> str:
    return os.environ.get("REQUESTS_CA_BUNDLE") or str(DEFAULT_CA_BUNDLE_PATH)


def _connection(request: requests.PreparedRequest, timeout_seconds: float) -> http.client.HTTPConnection:
    url = urlsplit(str(request.url))
    host = url.hostname or ""
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=_authorities())
        return http.client.HTTPSConnection(host, url.port, timeout=timeout_seconds, context=context)
    return http.client.HTTPConnection(host, url.port, timeout=timeout_seconds)


def _wait_readable(connection: socket.socket, timeout_seconds: float) -> None:
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    poller.poll(timeout_seconds * 1000)
