"""The cheap signer signs as botocore does, byte for byte, and knows the time as AWS does."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials

from holdfast.errors import PortError
from holdfast_load.client.signing import Keys, Route, SignedRoute, plain_request

NOW = 1_767_607_200.0  # 2026-01-05T10:00:00Z
SERVICES = ("dynamodb", "sqs", "events", "states", "sns", "lambda", "execute-api", "s3")
CHARACTERS = "abcXYZ019-._~ /+=&%:@,'()*!$é漢"


class Clock:
    """A wall clock that stands still until it is told otherwise."""

    def __init__(self, seconds: float = NOW) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def parsed(request: bytes) -> tuple[str, dict[str, str], bytes]:
    """Request line, headers and body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    return line, dict(field.split(": ", 1) for field in fields), body


def text(generator: random.Random, longest: int) -> str:
    """A short text with all that needs encoding."""
    return "".join(generator.choice(CHARACTERS) for _ in range(generator.randint(1, longest)))


def generated(seed: int) -> tuple[Route, Credentials, bytes]:
    """A request of any service: odd paths, queries, headers, tokens, bodies."""
    generator = random.Random(seed)
    service = generator.choice(SERVICES)
    path = generator.choice(
        ["/", "/a/b", f"/{quote(text(generator, 12))}", "/a//b/../c/./d", f"/%2F/{quote(text(generator, 5), safe='')}/"]
    )
    pairs = [
        f"{quote(text(generator, 6), safe='')}={quote(text(generator, 6), safe='')}"
        for _ in range(generator.randint(0, 4))
    ]
    headers = [("content-type", generator.choice(["application/json", "application/x-amz-json-1.0", "text/plain "]))]
    headers += [(f"x-amz-{name}", f"v  {generator.random()}  w") for name in generator.sample(["b", "target", "a"], 2)]
    token = generator.choice([None, "FwoGZXIvYXdzE/+=="])
    host = generator.choice(["dynamodb.eu-west-1.amazonaws.com", "127.0.0.1:4566", "h"])
    route = Route(generator.choice(["POST", "PUT", "GET"]), host, path, "&".join(pairs), tuple(headers), service)
    return (
        route,
        Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", token),
        generator.randbytes(generator.randint(0, 80)),
    )


def signed_by_botocore(route: Route, credentials: Credentials, body: bytes) -> dict[str, str]:
    """The headers that botocore's own signer makes of the same request."""
    url = f"http://{route.host}{route.path}" + (f"?{route.query}" if route.query else "")
    request = AWSRequest(method=route.method, url=url, data=body, headers=dict(route.headers))
    signer = botocore.auth.S3SigV4Auth if route.service == "s3" else botocore.auth.SigV4Auth
    signer(credentials, route.service, "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@pytest.fixture
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *_, **__: datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    )


@pytest.mark.usefixtures("_still")
def test_signatures_equal_botocores() -> None:
    """On 500 generated requests every header that botocore adds is the same, in the same words."""
    services = set()
    for seed in range(500):
        route, credentials, body = generated(seed)
        services.add(route.service)
        line, headers, sent = parsed(SignedRoute(route, Keys(credentials, "eu-west-1", clock=Clock())).request(body))
        expected = signed_by_botocore(route, credentials, body)
        assert {name: headers.get(name) for name in expected} == expected, (seed, route)
        assert headers["content-length"] == str(len(body))
        assert headers["host"] == route.host
        assert sent == body
        target = route.path + (f"?{route.query}" if route.query else "")
        assert line == f"{route.method} {target} HTTP/1.1"
    assert services == set(SERVICES)


@pytest.mark.usefixtures("_still")
def test_a_route_signs_each_body_anew() -> None:
    """Requests of one route in one second share everything but the signature of their bodies."""
    route = Route("POST", "h", service="sqs")
    credentials = Credentials("AKIDEXAMPLE", "secret")
    signed = SignedRoute(route, Keys(credentials, "eu-west-1", clock=Clock()))
    for body in (b"one", b"two", b"one", b""):
        authorization = parsed(signed.request(body))[1]["authorization"]
        assert authorization == signed_by_botocore(route, credentials, body)["authorization"]


def test_the_date_moves_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that was used yesterday is signed for today, with today's key."""
    clock = Clock()
    route, credentials = Route("POST", "h", service="sqs"), Credentials("AKIDEXAMPLE", "secret")
    signed = SignedRoute(route, Keys(credentials, "eu-west-1", clock=clock))
    for seconds in (NOW, NOW + 1, NOW + 86_400, NOW + 86_401):
        clock.seconds = seconds
        monkeypatch.setattr(
            botocore.auth,
            "get_current_datetime",
            lambda *_, at=seconds, **__: datetime.fromtimestamp(at, UTC).replace(tzinfo=None),
        )
        headers = parsed(signed.request(b"x"))[1]
        expected = signed_by_botocore(route, credentials, b"x")
        assert (headers["x-amz-date"], headers["authorization"]) == (expected["x-amz-date"], expected["authorization"])


def test_credentials_are_refreshed_before_they_expire() -> None:
    """Botocore's refreshable credentials are asked every second, and refresh while the old ones are still good."""
    made: list[datetime] = []
    expiry = datetime.now(UTC) + timedelta(minutes=5)  # botocore refreshes from 15 minutes before

    def refreshed() -> dict[str, Any]:
        made.append(datetime.now(UTC))
        return {
            "access_key": f"AKID{len(made)}",
            "secret_key": "secret",
            "token": f"token-{len(made)}",
            "expiry_time": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        }

    credentials = RefreshableCredentials("AKID0", "old", "token-0", expiry, refreshed, "test")
    clock = Clock()
    signed = SignedRoute(Route("POST", "h", service="sqs"), Keys(credentials, "eu-west-1", clock=clock))
    headers = parsed(signed.request(b""))[1]
    assert headers["x-amz-security-token"] == "token-1"
    assert "Credential=AKID1/" in headers["authorization"]
    assert made
    assert made[0] < expiry
    clock.seconds += 1
    signed.request(b"")
    assert len(made) == 1


def test_the_clock_is_taken_from_a_refusal() -> None:
    """The Date of an answer that blames the time is followed, once for all that were refused together."""
    clock = Clock()
    keys = Keys(Credentials("AKIDEXAMPLE", "secret"), "eu-west-1", clock=clock)
    signed = SignedRoute(Route("POST", "h", service="sqs"), keys)
    assert parsed(signed.request(b""))[1]["x-amz-date"] == "20260105T100000Z"
    ahead = "Mon, 05 Jan 2026 11:00:00 GMT"
    assert keys.correct("InvalidSignatureException", ahead)
    assert not keys.correct("InvalidSignatureException", ahead)
    assert keys.skew_corrections == 1
    assert parsed(signed.request(b""))[1]["x-amz-date"] == "20260105T110000Z"
    assert keys.correct("RequestTimeTooSkewed", "Mon, 05 Jan 2026 10:00:00 GMT")
    assert (keys.skew_corrections, keys.skew_seconds) == (2, 0)


@pytest.mark.parametrize(
    ("code", "date"),
    [
        ("ThrottlingException", "Mon, 05 Jan 2026 11:00:00 GMT"),
        ("InvalidSignatureException", "Mon, 05 Jan 2026 10:00:30 GMT"),
        ("RequestTimeTooSkewed", None),
        ("RequestTimeTooSkewed", "yesterday"),
    ],
)
def test_other_refusals_leave_the_clock_alone(code: str, date: str | None) -> None:
    """A throttle, a wrong key while the clocks agree, and an answer without a date say nothing of the time."""
    keys = Keys(Credentials("AKIDEXAMPLE", "secret"), "eu-west-1", clock=Clock())
    assert not keys.correct(code, date)
    assert (keys.skew_corrections, keys.skew_seconds) == (0, 0)


def test_an_unsigned_request_has_no_signature() -> None:
    """A plain request is what was given, with its length."""
    route = Route("POST", "h", "/a", "b=c", (("content-type", "text/plain"),), unsigned=(("user-agent", "holdfast"),))
    assert plain_request(route, b"body") == (
        b"POST /a?b=c HTTP/1.1\r\nhost: h\r\ncontent-type: text/plain\r\nuser-agent: holdfast\r\n"
        b"content-length: 4\r\n\r\nbody"
    )


@pytest.mark.parametrize(
    "route",
    [
        {"path": "/a b"},
        {"path": "/a\r\nx: y"},
        {"query": "é"},
        {"host": "h\r\n"},
        {"headers": (("x-amz-a", "1\r\nx: y"),)},
        {"unsigned": (("bad name", "1"),)},
    ],
)
def test_nothing_can_be_smuggled_into_a_request(route: dict[str, Any]) -> None:
    """Line ends and what is not encoded are refused before anything is sent."""
    with pytest.raises(PortError):
        Route("POST", **{"host": "h", **route})
