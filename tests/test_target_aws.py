"""Nothing runs on AWS without pin, opt-in and agreement about who is calling."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from holdfast.errors import GuardRailError, Inconclusive, TargetError
from holdfast.stack.descriptor import AwsPin
from holdfast.targets.aws import AwsTarget
from holdfast.targets.base import Capability

PIN = AwsPin(account="111122223333", region="eu-west-1")


class _Session:
    """A boto3 session whose clients are stubbed and counted."""

    def __init__(self, region: str = "eu-west-1") -> None:
        self._session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="s", region_name=region)
        self.region_name = region
        self.made: list[str] = []
        self.stubs: dict[str, Stubber] = {}

    def client(self, service: str, **settings: object) -> object:
        self.made.append(service)
        client = self._session.client(service, **settings)  # type: ignore[call-overload]
        stub = self.stubs[service] = Stubber(client)
        if service == "sts":
            self.identify(stub)
        stub.activate()
        return client

    def identify(self, stub: Stubber) -> None:
        stub.add_response(
            "get_caller_identity", {"Account": "111122223333", "Arn": "arn:aws:iam::111122223333:user/me"}
        )

    def get_credentials(self) -> object:
        return self._session.get_credentials()


class _Stranger(_Session):
    def identify(self, stub: Stubber) -> None:
        stub.add_response(
            "get_caller_identity", {"Account": "999999999999", "Arn": "arn:aws:iam::999999999999:user/me"}
        )


class _Expired(_Session):
    def identify(self, stub: Stubber) -> None:
        stub.add_client_error("get_caller_identity", "ExpiredToken", "the token has expired")


def test_the_pinned_account_is_a_target() -> None:
    """With pin, opt-in and matching identity there is a target, after one call."""
    session = _Session()
    target = AwsTarget.connect(PIN, allowed=True, session=session)
    assert session.made == ["sts"]
    session.stubs["sts"].assert_no_pending_responses()
    assert (target.kind, target.account, target.region, target.endpoint_url) == (
        "aws",
        "111122223333",
        "eu-west-1",
        None,
    )
    assert target.credentials() == ("a", "s", None)
    assert target.interceptor is None
    target.close()


def test_without_a_pin_nothing_is_called() -> None:
    """A descriptor without target.aws is refused before any client exists."""
    session = _Session()
    with pytest.raises(GuardRailError, match="does not pin"):
        AwsTarget.connect(None, allowed=True, session=session)
    assert session.made == []


def test_without_opt_in_nothing_is_called() -> None:
    """A pin alone is not enough."""
    session = _Session()
    with pytest.raises(GuardRailError, match="opt-in") as caught:
        AwsTarget.connect(PIN, allowed=False, session=session)
    assert "--allow-aws" in caught.value.remedy
    assert session.made == []


def test_another_region_is_refused_before_any_call() -> None:
    """A session of another region than the pin's is refused."""
    session = _Session("us-east-1")
    with pytest.raises(GuardRailError, match="us-east-1"):
        AwsTarget.connect(PIN, allowed=True, session=session)
    assert session.made == []


def test_another_account_is_refused() -> None:
    """Credentials of another account than the pin's are refused, after GetCallerIdentity and nothing else."""
    session = _Stranger()
    with pytest.raises(GuardRailError, match="999999999999"):
        AwsTarget.connect(PIN, allowed=True, session=session)
    assert session.made == ["sts"]


def test_expired_credentials_are_explained() -> None:
    """An STS error becomes a TargetError with a remedy."""
    with pytest.raises(TargetError, match="who is calling") as caught:
        AwsTarget.connect(PIN, allowed=True, session=_Expired())
    assert "expired" in caught.value.cause
    assert "sso login" in caught.value.remedy


def test_a_configured_region_that_differs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own region and the pin must not disagree."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(GuardRailError, match="your AWS configuration says us-east-1"):
        AwsTarget.connect(PIN, allowed=True)


def test_an_unknown_profile_is_explained() -> None:
    """A profile that does not exist is a TargetError."""
    pin = AwsPin(account="111122223333", region="eu-west-1", profile="no-such-profile-of-holdfast")
    with pytest.raises(TargetError, match="no-such-profile-of-holdfast"):
        AwsTarget.connect(pin, allowed=True)


def test_addresses_are_those_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """APIs and function URLs are called where AWS has them, whatever endpoint the environment names."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    target = AwsTarget(_Session(), PIN)
    assert target.api_url("abc", "live") == "https://abc.execute-api.eu-west-1.amazonaws.com/live"
    assert target.api_url("abc", "$default") == "https://abc.execute-api.eu-west-1.amazonaws.com"
    assert target.function_url("https://x.lambda-url.eu-west-1.on.aws/") == (
        "https://x.lambda-url.eu-west-1.on.aws/",
        {},
    )
    assert target.client("sqs").meta.endpoint_url == "https://sqs.eu-west-1.amazonaws.com"
    target.close()


def test_messages_cannot_be_peeked() -> None:
    """Peeking is inconclusive with its reason, never an empty answer."""
    target = AwsTarget(_Session(), PIN)
    assert not target.supports(Capability.QUEUE_PEEK).supported
    with pytest.raises(Inconclusive, match="without receiving"):
        target.peek_messages("https://queue")
