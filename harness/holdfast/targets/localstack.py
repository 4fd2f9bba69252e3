"""A LocalStack that runs somewhere, found through localstack-client's conventions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import urllib3

from holdfast.errors import GuardRailError, TargetError
from holdfast.targets import capabilities
from holdfast.targets.base import Capability, Interceptor, PeekedMessage, Support
from holdfast.targets.clients import Clients, Credentials, Hook, isolated_session
from holdfast.targets.interceptor.process import ProxyProcess

ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
_REACH_SECONDS = 5.0


class LocalStackTarget:
    """LocalStack at an endpoint; it is never started or stopped from here.

    Args:
        endpoint_url: its edge endpoint.
        region: the region of the stack.

    Attributes:
        interceptor_url: where functions are to be pointed at (``holdfast.levers.pointing``), so that faults can be
            aimed at their calls; None without an interceptor.
    """

    kind = "localstack"

    def __init__(self, endpoint_url: str, region: str) -> None:
        self.account = ACCOUNT
        self.region = region
        self.endpoint_url: str | None = endpoint_url
        self.interceptor: Interceptor | None = None
        self.interceptor_url: str | None = None
        self._proxy: ProxyProcess | None = None
        self._credentials = Credentials("test", "test")
        self._clients = Clients(isolated_session(region, self._credentials), endpoint_url)
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(connect=3, read=_REACH_SECONDS), retries=False)

    @classmethod
    def connect(
        cls,
        configured: str | None = None,
        *,
        region: str | None = None,
        environ: Mapping[str, str] = os.environ,
        intercept: bool = False,
    ) -> LocalStackTarget:
        """Find LocalStack and see that it answers.

        Args:
            configured: the endpoint in the descriptor, used where the environment names none.
            region: the region; else ``AWS_REGION``, ``AWS_DEFAULT_REGION`` or us-east-1.
            environ: where ``LOCALSTACK_ENDPOINT`` and ``AWS_ENDPOINT_URL`` are looked up, in this order.
            intercept: whether to start the interceptor's reverse proxy in front of it, on loopback; needs the extra
                ``proxy``, and functions that run on this machine, not in containers.

        Raises:
            GuardRailError: the endpoint is one of AWS.
            TargetError: nothing answers there, or something else than LocalStack.
        """
        endpoint = endpoint_of(configured, environ)
        host = urlsplit(endpoint).hostname or ""
        if host == "amazonaws.com" or host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".on.aws", ".api.aws")):
            raise GuardRailError(
                f"{endpoint} is an endpoint of AWS, not LocalStack",
                cause="LOCALSTACK_ENDPOINT, AWS_ENDPOINT_URL or target.localstack_endpoint names it",
                remedy="name LocalStack's endpoint, or use the target aws with its pin",
            )
        told = region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        target = cls(endpoint, told)
        try:
            health = target._get("/_localstack/health", {})
            if not isinstance(health, dict) or "services" not in health:
                raise TargetError(
                    f"what answers at {endpoint} is not LocalStack",
                    cause="/_localstack/health names no services",
                    remedy="correct LOCALSTACK_ENDPOINT or target.localstack_endpoint",
                )
            if intercept:
                target._intercept(endpoint)
        except BaseException:
            target.close()
            raise
        return target

    def client(self, service: str) -> Any:
        """A boto3 client at the endpoint."""
        return self._clients.get(service)

    def clients(self, hook: Hook) -> Clients:
        """Further clients that ask before every call."""
        return self._clients.hooked(hook)

    def credentials(self) -> tuple[str, str, str | None]:
        """LocalStack's own credentials; those of AWS are never sent to it."""
        return self._credentials.access_key, self._credentials.secret_key, None

    def api_url(self, api_id: str, stage: str) -> str:
        """Base URL of an API, through the endpoint."""
        return f"{self.endpoint_url}/_aws/execute-api/{api_id}/{stage}"

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The endpoint with the path of a function URL, and the Host header that names the function."""
        parts = urlsplit(url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.endpoint_url}{parts.path or '/'}{query}", {"Host": parts.netloc}

    def supports(self, capability: Capability) -> Support:
        """Whether LocalStack has a capability."""
        known = capabilities.LOCALSTACK if self._proxy is None else capabilities.LOCALSTACK_INTERCEPTED
        return known[capability]

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        """Every message of a queue, hidden ones too, through LocalStack's developer endpoint."""
        fields = {"QueueUrl": queue_url, "ShowInvisible": "true", "ShowDelayed": "true"}
        answer = self._get("/_aws/sqs/messages", fields)
        try:
            result = answer["ReceiveMessageResponse"]["ReceiveMessageResult"] or {}
            return tuple(_peeked(message) for message in _listed(result.get("Message")))
        except (KeyError, TypeError) as error:
            raise TargetError(
                f"LocalStack's answer about {queue_url} is not understood", cause=f"{type(error).__name__}: {error}"
            ) from error

    def close(self) -> None:
        """Close the connections, and end the interceptor."""
        if self._proxy is not None:
            self._proxy.close()
        self._clients.close()
        self._http.clear()

    def _intercept(self, endpoint: str) -> None:
        self._proxy = ProxyProcess(endpoint)
        self.interceptor = self._proxy.interceptor
        self.interceptor_url = self._proxy.url

    def _get(self, path: str, fields: Mapping[str, str]) -> Any:
        url = f"{self.endpoint_url}{path}"
        remedy = "start LocalStack, or correct LOCALSTACK_ENDPOINT, AWS_ENDPOINT_URL or target.localstack_endpoint"
        try:
            answer = self._http.request("GET", url, fields=dict(fields), headers={"accept": "application/json"})
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise TargetError(
                f"LocalStack does not answer at {self.endpoint_url}", cause=str(error), remedy=remedy
            ) from error
        if answer.status != 200:
            raise TargetError(
                f"{url} answered {answer.status}", cause=answer.data[:200].decode(errors="replace"), remedy=remedy
            )
        try:
            return answer.json()
        except ValueError as error:
            raise TargetError(f"{url} did not answer with JSON", cause=str(error), remedy=remedy) from error


def endpoint_of(configured: str | None, environ: Mapping[str, str]) -> str:
    """The endpoint of LocalStack: the environment's, else the descriptor's, else localstack-client's default.

    Raises:
        TargetError: it is no URL.
    """
    from localstack_client.config import DEFAULT_EDGE_PORT

    named = environ.get("LOCALSTACK_ENDPOINT") or environ.get("AWS_ENDPOINT_URL") or configured
    endpoint = (named or f"http://localhost:{DEFAULT_EDGE_PORT}").strip().rstrip("/")
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        raise TargetError(f"{endpoint!r} is no endpoint", remedy="write it as http://localhost:4566")
    return endpoint


def _listed(value: Any) -> Sequence[Any]:
    """XML told as JSON: nothing, one element, or a list."""
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)


def _peeked(message: Mapping[str, Any]) -> PeekedMessage:
    system = {told["Name"]: str(told["Value"]) for told in _listed(message.get("Attribute"))}
    attributes = {}
    for told in _listed(message.get("MessageAttribute")):
        value = told["Value"]
        attributes[told["Name"]] = str(value.get("StringValue") or value.get("BinaryValue") or "")
    return PeekedMessage(
        id=message["MessageId"],
        body=message["Body"] or "",
        attributes=attributes,
        visible=system.get("IsVisible", "true").lower() == "true",
        receive_count=int(system.get("ApproximateReceiveCount", "0")),
    )
