"""AWS itself: only with a pin in the descriptor, only when opted into, and only if both agree with who is calling."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from holdfast.errors import GuardRailError, Inconclusive, TargetError
from holdfast.targets import capabilities
from holdfast.targets.base import Capability, Interceptor, PeekedMessage, Pin, Support
from holdfast.targets.clients import Clients, Hook

_OPT_IN = "add --allow-aws (or allow_aws=True) if you mean to break parts of this stack"


class AwsTarget:
    """One account and region of AWS; make it with :meth:`connect`, which checks the guard rails.

    Args:
        session: a boto3 session of the pinned account and region.
        pin: the account and region.
    """

    kind = "aws"
    endpoint_url: str | None = None

    def __init__(self, session: Any, pin: Pin) -> None:
        self._session = session
        self._clients = Clients(session)
        self.account = pin.account
        self.region = pin.region
        self.interceptor: Interceptor | None = None
        self.interceptor_url: str | None = None

    @classmethod
    def connect(cls, pin: Pin | None, *, allowed: bool, session: Any = None) -> AwsTarget:
        """Check every guard rail; the only call made is STS GetCallerIdentity.

        Args:
            pin: account, region and profile of the descriptor.
            allowed: whether the person opted into AWS.
            session: a boto3 session; by default one of the pin's profile.

        Raises:
            GuardRailError: no pin, no opt-in, or another account or region than the pin's.
            TargetError: AWS cannot be asked who is calling.
        """
        if pin is None:
            raise GuardRailError(
                "the descriptor does not pin an AWS account and region",
                remedy='add target.aws = { account = "123456789012", region = "eu-west-1" }',
            )
        if not allowed:
            raise GuardRailError(
                f"nothing is run on AWS account {pin.account} without an explicit opt-in", remedy=_OPT_IN
            )
        if session is None:
            session = _session(pin)
        _check_region(session, pin)
        target = cls(session, pin)
        try:
            _check_account(target, pin)
        except BaseException:
            target.close()
            raise
        return target

    def client(self, service: str) -> Any:
        """A boto3 client of the pinned region; configured endpoint URLs are ignored."""
        return self._clients.get(service)

    def clients(self, hook: Hook) -> Clients:
        """Further clients that ask before every call."""
        return self._clients.hooked(hook)

    def credentials(self) -> tuple[str, str, str | None]:
        """The session's keys as they are now: temporary ones change."""
        found = self._session.get_credentials()
        if found is None:
            raise TargetError("there are no AWS credentials any more", remedy="sign in again")
        frozen = found.get_frozen_credentials()
        return frozen.access_key, frozen.secret_key, frozen.token

    def api_url(self, api_id: str, stage: str) -> str:
        """Base URL of an API: the default stage of an HTTP API has no path."""
        suffix = "com.cn" if self.region.startswith("cn-") else "com"
        base = f"https://{api_id}.execute-api.{self.region}.amazonaws.{suffix}"
        return base if stage == "$default" else f"{base}/{stage}"

    def function_url(self, url: str) -> tuple[str, Mapping[str, str]]:
        """The function URL itself."""
        return url, {}

    def supports(self, capability: Capability) -> Support:
        """Whether a capability can be had on AWS without touching the stack's code."""
        return capabilities.AWS[capability]

    def peek_messages(self, queue_url: str) -> tuple[PeekedMessage, ...]:
        """SQS has no such call.

        Raises:
            Inconclusive: always.
        """
        raise Inconclusive(f"{queue_url} cannot be read: {capabilities.AWS[Capability.QUEUE_PEEK].reason}")

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()


def _session(pin: Pin) -> Any:
    import boto3
    from botocore.exceptions import ProfileNotFound

    try:
        configured = boto3.Session(profile_name=pin.profile).region_name
    except ProfileNotFound as error:
        raise TargetError(
            str(error), cause="target.aws.profile or AWS_PROFILE names it", remedy="aws configure list-profiles"
        ) from error
    if configured and configured != pin.region:
        raise GuardRailError(
            f"the descriptor pins {pin.region}, but your AWS configuration says {configured}",
            cause="AWS_DEFAULT_REGION or the profile",
            remedy="make both say the same region",
        )
    return boto3.Session(profile_name=pin.profile, region_name=pin.region)


def _check_region(session: Any, pin: Pin) -> None:
    if session.region_name != pin.region:
        raise GuardRailError(f"the descriptor pins {pin.region}, but the session is of {session.region_name}")


def _check_account(target: AwsTarget, pin: Pin) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        caller = target.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise TargetError(
            "AWS cannot be asked who is calling",
            cause=re.sub(r"\s+", " ", str(error)),
            remedy=f"sign in, for example: aws sso login{f' --profile {pin.profile}' if pin.profile else ''}",
        ) from error
    if caller.get("Account") != pin.account:
        raise GuardRailError(
            f"the descriptor pins account {pin.account}, but the credentials are of {caller.get('Account')}",
            cause=f"the caller is {caller.get('Arn')}",
            remedy="use the credentials of the pinned account, or correct target.aws.account",
        )
