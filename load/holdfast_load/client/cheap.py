"""The cheap client: what boto3 does for one call, with everything reused that can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from holdfast.errors import PortError
from holdfast.ports.answer import Answer
from holdfast.ports.transports.aws import perform
from holdfast_load.client.connection import CONNECT_SECONDS, READ_SECONDS, BrokenError, NotSentError, Pool
from holdfast_load.client.operations import Service, place
from holdfast_load.client.signing import Keys, Route, SignedRoute, plain_request

_SIGNED_HEADERS = ("content-type",)
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "expect"})
_MOST_ROUTES = 1_000


class CheapClient:
    """Makes calls in greenlets; any number may be under way.

    Args:
        client_of: gives a boto3 client of a service, once, for its models and its endpoint.
        keys: credentials, region and clock.
        connect_seconds: how long connecting may take.
        read_seconds: how long an answer may take.
    """

    def __init__(
        self,
        client_of: Callable[[str], Any],
        keys: Keys,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self.keys = keys
        self._client_of = client_of
        self._timeouts = {"connect_seconds": connect_seconds, "read_seconds": read_seconds}
        self._services: dict[str, tuple[Service, Pool]] = {}
        self._pools: dict[tuple[str, str, int], Pool] = {}
        self._http_routes: dict[Route, SignedRoute] = {}

    @property
    def skew_corrections(self) -> int:
        """How often AWS refused a call for its time and the clock was corrected; no such call was repeated."""
        return self.keys.skew_corrections

    def call(self, service: str, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """Make one AWS call (`LoadClient.call`)."""
        known = self._services.get(service)
        if known is None:
            of = Service(self._client_of(service), self.keys)
            known = self._services[service] = (of, self._pool(of.scheme, of.hostname, of.port))
        return perform(lambda: self._call(*known, operation, parameters))

    def http(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        sign_for: str = "",
        read_seconds: float | None = None,
    ) -> Answer:
        """Make one HTTP request (`LoadClient.http`)."""
        return perform(
            lambda: self._http(method.upper(), url, headers or {}, body, sign_for=sign_for, read_seconds=read_seconds)
        )

    def close(self) -> None:
        """Close idle connections."""
        for pool in self._pools.values():
            pool.close()

    def _call(self, service: Service, pool: Pool, operation: str, parameters: Mapping[str, Any]) -> Answer:
        request = service.request(operation, parameters)
        sent = _exchanged(pool, request, request[: request.index(b" ")].decode())
        if isinstance(sent, Answer):
            return sent
        status, headers, body = sent
        answer = service.answer(operation, status, headers, body)
        if answer.code:
            self.keys.correct(answer.code, headers.get("date"))
        return answer

    def _http(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        sign_for: str,
        read_seconds: float | None,
    ) -> Answer:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise PortError(
                f"a {method} request cannot be sent: {url!r} is no URL of http or https", remedy="correct it"
            )
        scheme, hostname, port, host = place(url)
        given = {name.lower(): value for name, value in headers.items()}
        host = given.pop("host", host)
        if own := _OWN_HEADERS & given.keys():
            raise PortError(f"the header {min(own)} is set by the client itself", remedy="leave it out")
        signed = {name for name in given if name in _SIGNED_HEADERS or name.startswith("x-amz-")} if sign_for else set()
        others = {"user-agent": "holdfast", "accept": "*/*", "accept-encoding": "identity"} | given
        route = Route(
            method,
            host,
            parts.path or "/",
            parts.query,
            tuple((name, given[name]) for name in given if name in signed),
            sign_for,
            tuple((name, value) for name, value in others.items() if name not in signed),
        )
        request = self._signed(route).request(body) if sign_for else plain_request(route, body)
        sent = _exchanged(self._pool(scheme, hostname, port), request, method, read_seconds)
        if isinstance(sent, Answer):
            return sent
        status, fields, payload = sent
        return Answer(status=status, headers=fields, text=payload.decode("utf-8", "replace"))

    def _signed(self, route: Route) -> SignedRoute:
        signed = self._http_routes.get(route)
        if signed is None:
            if len(self._http_routes) >= _MOST_ROUTES:  # every command has a URL of its own
                self._http_routes.clear()
            signed = self._http_routes[route] = SignedRoute(route, self.keys)
        return signed

    def _pool(self, scheme: str, hostname: str, port: int) -> Pool:
        pool = self._pools.get((scheme, hostname, port))
        if pool is None:
            pool = self._pools[scheme, hostname, port] = Pool(scheme, hostname, port, **self._timeouts)
        return pool


def _exchanged(
    pool: Pool, request: bytes, method: str, read_seconds: float | None = None
) -> tuple[int, dict[str, str], bytes] | Answer:
    """What came back; an answer with the reason when nothing whole did."""
    try:
        return pool.send(request, method, read_seconds)
    except NotSentError as error:
        return Answer(error=f"connection failed: {error}", sent=False)
    except TimeoutError as error:
        return Answer(error=str(error))
    except BrokenError as error:
        return Answer(error=f"connection failed: {error}")
