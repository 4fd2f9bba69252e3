"""boto3 clients as Holdfast wants them: bounded waits, no hidden retries, nothing taken from the user's profile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

CONNECT_SECONDS = 3
READ_SECONDS = 30
POOL_CONNECTIONS = 64

OWN = "holdfast"
"""In the user agent of every request that the harness itself makes: no function made it."""

Hook = Callable[[str, str, Mapping[str, Any]], None]
"""Told service, operation and parameters of a call before it is made; raises to refuse it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Keys that sign requests.

    Attributes:
        access_key: access key id.
        secret_key: secret access key.
        session_token: session token of temporary keys.
    """

    access_key: str
    secret_key: str
    session_token: str | None = None


def isolated_session(region: str, credentials: Credentials) -> Any:
    """A boto3 session that reads neither the user's profile nor their configuration files."""
    import boto3
    import botocore.session

    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )
    return boto3.Session(
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        aws_session_token=credentials.session_token,
        region_name=region,
        botocore_session=core,
    )


@dataclass(slots=True)
class Clients:
    """Creates each client once; may be asked from any thread.

    Attributes:
        session: the boto3 session that signs.
        endpoint_url: the endpoint of every service; None for AWS' own.
        hook: asked before every call, presigned URLs included.
    """

    session: Any
    endpoint_url: str | None = None
    hook: Hook | None = None
    _cache: dict[str, Any] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, service: str) -> Any:
        """The client of a service, one attempt a call: a hidden retry would falsify the history."""
        from botocore.config import Config

        with self._lock:  # sessions are not thread-safe, clients are
            client = self._cache.get(service)
            if client is None:
                emulated = self.endpoint_url is not None
                config = Config(
                    # tells the harness' own calls from those of functions (targets/interceptor/middleware.py)
                    user_agent_extra=OWN,
                    connect_timeout=CONNECT_SECONDS,
                    read_timeout=READ_SECONDS,
                    retries={"total_max_attempts": 1},
                    max_pool_connections=POOL_CONNECTIONS,
                    inject_host_prefix=not emulated,
                    s3={"addressing_style": "path"} if emulated else None,
                    # an AWS_ENDPOINT_URL of the user's must not lead elsewhere than the target says
                    ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]
                    proxies={} if emulated else None,  # a proxy of the user's must not see loopback traffic
                )
                client = self.session.client(service, endpoint_url=self.endpoint_url, config=config)
                if self.hook is not None:
                    _ask_before(client, service, self.hook)
                self._cache[service] = client
            return client

    def hooked(self, hook: Hook) -> Clients:
        """Clients of the same session and endpoint that ask before every call."""
        return Clients(self.session, self.endpoint_url, hook, _lock=self._lock)

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for client in self._cache.values():
                client.close()
            self._cache.clear()


def _ask_before(client: Any, service: str, hook: Hook) -> None:
    """Register a hook on botocore's event before the parameters are put into a request.

    It comes for presigned URLs too, and is the last at which the resource still has its name
    (botocore.amazonaws.com/v1/documentation/api/latest/topics/events.html).
    """

    def ask(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        hook(service, model.name, params)

    client.meta.events.register_last("before-parameter-build", ask)
