"""A target that somebody else started: enough to heal what a killed run left there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from holdfast.errors import Inconclusive, TargetError
from holdfast.targets import capabilities
from holdfast.targets.base import Capability, Interceptor, PeekedMessage, Support
from holdfast.targets.clients import Clients, Credentials, Hook, isolated_session

_BY_KIND: Mapping[str, Mapping[Capability, Support]] = {
    "embedded": capabilities.EMBEDDED,
    "localstack": capabilities.LOCALSTACK,
    "aws": capabilities.AWS,
}


class AttachedTarget:
    """An endpoint that runs already, or AWS through a profile; makes no call until it is used.

    Args:
        kind: ``embedded``, ``localstack`` or ``aws``.
        endpoint_url: the endpoint of all services; None on AWS.
        account: 12-digit account id that it must be.
        region: region name.
        profile: AWS profile; only without an endpoint.
        supported: what it can do, if other than its kind.
    """

    interceptor: Interceptor | None = None
    interceptor_url: str | None = None

    def __init__(
        self,
        *,
        kind: str,
        endpoint_url: str | None,
        account: str,
        region: str,
        profile: str | None = None,
        supported: Mapping[Capability, Support] | None = None,
    ) -> None:
        self.kind = kind
        self.endpoint_url = endpoint_url
        self.account = account
        self.region = region
        self.profile = profile
        self._supported = _BY_KIND.get(kind, capabilities.AWS) if supported is None else supported
        self._lock = threading.Lock()
        self._opened: Clients | None = None

    def check(self) -> None:
        """See that it answers and is the account it must be.

        Raises:
            TargetError: it does not, or is another.
        """
        where = self.endpoint_url or f"AWS, profile {self.profile or 'default'}"
        try:
            found = self.client("sts").get_caller_identity()["Account"]
        except (BotoCoreError, ClientError) as error:
            raise TargetError(
                f"{where} cannot be used",
                cause=" ".join(str(error).split()),
                remedy="start the endpoint, or renew the credentials, and try again",
            ) from error
        if found != self.account:
            raise TargetError(
                f"{where} is account {found}, not {self.account}",
                remedy="use the credentials of the account that the journal names",
            )

    def client(self, service: str) -> Any:
        """A boto3 client: bounded waits, no SDK retries."""
        return self._clients().get(service)

    def clients(self, hook: Hook) -> Clients:
        """Further clients that ask before every call."""
        return self._clients().hooked(hook)

    def credentials(self) -> tuple[str, str, str | None]:
        """Access key, secret key and session token."""
        found = self._clients().session.get_credentials()
        if found is None:
            raise TargetError("there are no AWS credentials", remedy="set AWS_PROFILE, or sign in")
        frozen = found.get_frozen_credentials()
        return frozen.access_key, frozen.secret_key, frozen.token

    def api_url(self, api_id: str, stage: str) -> str:
        """Base URL of a REST or HTTP API."""
        if self.endpoint_url:
            return f"{self.endpoint_url}/_aws/execute-api/{api_id}/{stage}"
        suffix = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        base = f"https://{api_id}.execute-api.{self.region}.{suffix}"
        return base if stage in ("", "$default") else f"{base}/{stage}"

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        """Where to send a request for a function URL, and the headers it needs."""
        if not self.endpoint_url:
            return url, {}
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.endpoint_url}{parts.path or '/'}{query}", {"Host": parts.netloc}

    def supports(self, capability: Capability) -> Support:
        """What targets of this kind can do."""
        return self._supported[capability]

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        """Not through somebody else's endpoint."""
        raise Inconclusive(f"the messages of {queue_url} cannot be read without receiving them here")

    def close(self) -> None:
        """Close the connections; what somebody else started goes on."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def _clients(self) -> Clients:
        with self._lock:
            if self._opened is None:
                self._opened = Clients(self._session(), self.endpoint_url)
            return self._opened

    def _session(self) -> Any:
        import boto3

        if self.endpoint_url:
            # emulators take a 12-digit access key for the account to act in, and check no secret
            return isolated_session(self.region, Credentials(self.account, "test"))
        try:
            return boto3.Session(profile_name=self.profile, region_name=self.region)
        except BotoCoreError as error:
            raise TargetError(
                f"profile {self.profile} cannot be used", cause=str(error), remedy="configure it, or sign in"
            ) from error
