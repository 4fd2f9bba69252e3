"""HTTP commands against a server that misbehaves on request."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from holdfast.errors import DescriptorError, PortError
from holdfast.history.model import Outcome
from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from holdfast.waiting import eventually
from ports_rig import (
    REGION,
    SECRET,
    StubTarget,
    Web,
    answer,
    answers,
    certificate,
    cut,
    free_port,
    garbage,
    half,
    http_ports,
    resource,
    serving,
    stack_of,
    submission,
)


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server."""
    with serving() as server:
        yield server


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(202, Outcome.OK), (400, Outcome.FAIL), (408, Outcome.UNKNOWN), (429, Outcome.FAIL), (503, Outcome.UNKNOWN)],
)
def test_statuses(web: Web, status: int, outcome: Outcome) -> None:
    """The status of a real answer decides, and is recorded with the answer and the time it came."""
    web.behaviour = answers(status, {"said": status})
    with http_ports(web.url) as ports:
        operation = ports.submit("place", submission(), provocation="p", role="poison", group="g", sequence=3)
    assert operation.outcome is outcome
    assert operation.status == str(status)
    assert operation.answer == f'{{"said": {status}}}'
    assert operation.completed_seconds is not None
    assert (operation.key, operation.value, operation.body) == ("k-1", "v-1", '{"id":"k-1"}')
    assert (operation.command, operation.provocation, operation.role) == ("place", "p", "poison")
    assert (operation.group, operation.sequence) == ("g", 3)


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [(cut, "connection failed"), (half, "connection failed"), (garbage, "connection failed")],
    ids=["cut", "half", "garbage"],
)
def test_broken_answers(web: Web, behaviour: Any, said: str) -> None:
    """A connection cut before or within the answer, and an answer that is no HTTP, are unknown; none is retried."""
    web.behaviour = behaviour
    with http_ports(web.url) as ports:
        operation = ports.submit("place", submission())
    assert (operation.outcome, operation.completed_seconds, operation.answer) == (Outcome.UNKNOWN, None, "")
    assert operation.status.startswith(said)
    assert len(web.received) == 1


@pytest.mark.parametrize("started", [False, True], ids=["silent", "trickling"])
def test_slow_answers(web: Web, started: bool) -> None:
    """An answer that does not begin, or does not end, within the command's timeout is unknown."""
    give_up = threading.Event()

    def slowly(handler: Any) -> None:
        if started:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
        while not give_up.wait(0.02):
            if started:
                handler.wfile.write(b" " * 10)
        handler.close_connection = True

    web.behaviour = slowly
    try:
        with http_ports(web.url, timeout_seconds=0.3) as ports:
            operation = ports.submit("place", submission())
    finally:
        give_up.set()
    assert operation.outcome is Outcome.UNKNOWN
    assert "within 0.3 s" in operation.status
    assert operation.completed_seconds is None


@pytest.mark.parametrize("lose_answer", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_connections_that_are_refused(host: str, lose_answer: bool) -> None:
    """Where nothing listens, or the name does not exist, nothing was sent: that is a refusal."""
    with http_ports(f"http://{host}:{free_port()}") as ports:
        operation = ports.submit("place", submission(), lose_answer=lose_answer)
    assert operation.outcome is Outcome.FAIL
    assert operation.status.startswith("connection failed: ")
    assert operation.completed_seconds is None


def test_redirects_are_not_followed(web: Web) -> None:
    """A redirect is an answer of its own: unknown, and nothing is sent elsewhere."""

    def redirect(handler: Any) -> None:
        handler.send_response(307)
        handler.send_header("Location", f"{web.url}/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    web.behaviour = redirect
    with http_ports(web.url) as ports:
        assert ports.submit("place", submission()).outcome is Outcome.UNKNOWN
    assert [request.path for request in web.received] == ["/orders"]


def test_lost_answers(web: Web) -> None:
    """A lost answer was asked for with the whole request, is never read, and leaves the outcome unknown."""
    broke = threading.Event()

    def large(handler: Any) -> None:
        answer(handler, 200, b"[" + b"1," * 4_000_000 + b"1]")

    web.behaviour = large
    finished = web.behaviour

    def watched(handler: Any) -> None:
        try:
            finished(handler)
        except (BrokenPipeError, ConnectionResetError):
            broke.set()
            raise

    web.behaviour = watched
    with http_ports(web.url) as ports:
        operation = ports.submit("place", submission(value="lost"), lose_answer=True)
    assert (operation.outcome, operation.status) == (Outcome.UNKNOWN, "answer lost by the client")
    assert (operation.completed_seconds, operation.answer) == (None, "")
    assert web.received[0].body.decode() == operation.body == '{"id":"k-1"}'
    assert broke.wait(5), "the server could send its whole answer: the connection was not dropped"


def test_chunked_answers(web: Web) -> None:
    """An answer that comes in chunks is read whole, and its connection is kept."""

    def chunked(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in (b'{"a":', b" 1}"):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        handler.wfile.write(b"0\r\n\r\n")

    web.behaviour = chunked
    with http_ports(web.url, acknowledgement={"acknowledged": "json.a == `1`"}) as ports:
        assert [ports.submit("place", submission()).outcome for _ in range(2)] == [Outcome.OK] * 2
    assert len({request.connection for request in web.received}) == 1


def test_connections_are_kept_alive(web: Web) -> None:
    """Commands one after another share a connection, from whichever thread they come."""
    with http_ports(web.url) as ports:
        for _ in range(3):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(ports.submit, "place", submission()).result()
    assert len({request.connection for request in web.received}) == 1


def test_many_at_once(web: Web) -> None:
    """64 threads submit at the same moment: each command arrives once with its own body, and all are recorded."""
    recorder = Recorder()
    calls = [{"kind": "http", "url": f"{web.url}/", "json": {"id": "{key}"}}]
    with Ports(stack_of(StubTarget(), commands={"place": {"calls": calls}}), recorder) as ports:
        barrier = threading.Barrier(64)

        def submit(index: int) -> Outcome:
            barrier.wait(10)
            return ports.submit("place", submission(f"k-{index}")).outcome

        with ThreadPoolExecutor(64) as pool:
            assert list(pool.map(submit, range(64))) == [Outcome.OK] * 64
    assert {request.body.decode() for request in web.received} == {f'{{"id":"k-{index}"}}' for index in range(64)}
    assert len(web.received) == len({operation.id for operation in recorder.history().operations}) == 64


NASTY = "a&b=c+d%20e \"\\' \u00e9\u2028\U0001f600 \x00\x1b\r\n"


def test_bodies_are_exact(web: Web) -> None:
    """JSON travels as the compact UTF-8 that is recorded, with any text in it."""
    with http_ports(web.url, {"json": {"n": 1, "v": "{value}", "f": "{amount}"}}) as ports:
        operation = ports.submit("place", submission(value=NASTY, amount=12.5))
    assert operation.body is not None
    assert web.received[0].body == operation.body.encode()
    assert web.received[0].headers["content-type"] == "application/json"
    assert operation.body.startswith('{"n":1,"v":"a&b=c+d%20e ')
    assert operation.body.endswith(',"f":12.5}')


def test_lone_surrogates_travel_as_escapes(web: Web) -> None:
    """Text that UTF-8 cannot carry is escaped in JSON, not refused and not damaged."""
    with http_ports(web.url, {"json": ["{value}"]}) as ports:
        ports.submit("place", submission(value="\ud800x"))
    assert web.received[0].body == b'["\\ud800x"]'


def test_texts_and_forms(web: Web) -> None:
    """A text body is sent as it is and without a content type; a form is percent-encoded."""
    with http_ports(web.url, {"json": None, "body": "<{value}>"}) as ports:
        assert ports.submit("place", submission(value="é")).body == "<é>"
    with http_ports(web.url, {"json": None, "form": {"v": "{value}", "n": "{n}"}}) as ports:
        assert ports.submit("place", submission(value="a&b é", n=7)).body == "v=a%26b+%C3%A9&n=7"
    first, second = web.received
    assert (first.body, "content-type" in first.headers) == ("<é>".encode(), False)
    assert second.headers["content-type"] == "application/x-www-form-urlencoded"


def test_addresses(web: Web) -> None:
    """Key, value and fields reach path, query and headers; the base URL is the component's."""
    api = resource("api", "api", url=f"{web.url}/base/live", arn="arn:api")
    calls = [
        {
            "kind": "http",
            "method": "PUT",
            "api": "api",
            "path": "/orders/{key}/{value|urlencode}",
            "query": {"note": "{value}", "n": "{n}"},
            "headers": {"X-Key": "{key}", "content-type": "application/vnd.orders+json"},
            "json": {},
        }
    ]
    with Ports(stack_of(StubTarget(), api, commands={"place": {"calls": calls}}), Recorder()) as ports:
        ports.submit("place", submission(value="a/b é&", n=3))
    request = web.received[0]
    assert request.method == "PUT"
    assert request.path == "/base/live/orders/k-1/a%2Fb%20%C3%A9%26?note=a%2Fb%20%C3%A9%26&n=3"
    assert (request.headers["x-key"], request.headers["content-type"]) == ("k-1", "application/vnd.orders+json")


def test_function_urls(web: Web) -> None:
    """A function URL is resolved through the target, with the Host header that the target asks for."""
    target = StubTarget()
    target.function_url = lambda url: (f"{web.url}/", {"Host": url.split("/")[2]})  # type: ignore[method-assign]
    worker = resource("worker", "function", url="https://abc.lambda-url.eu-west-1.on.aws/")
    calls = [{"kind": "http", "api": "worker", "path": "/x", "json": {}}]
    for lose_answer in (False, True):
        with Ports(stack_of(target, worker, commands={"place": {"calls": calls}}), Recorder()) as ports:
            ports.submit("place", submission(), lose_answer=lose_answer)
    for request in web.received:
        assert (request.headers["host"], request.path) == ("abc.lambda-url.eu-west-1.on.aws", "/x")


def test_signatures(web: Web) -> None:
    """A signed request carries the signature that botocore makes of the request as it was received."""
    call = {"url": f"{web.url}/live/orders/{{key}}", "sigv4": "execute-api", "query": {"b": "ü /", "a": "1"}}
    with http_ports("", call) as ports:
        assert ports.submit("place", submission("k é")).outcome is Outcome.OK
    request = web.received[0]
    signed = request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    again = AWSRequest(
        method="POST",
        url=f"{web.url}{request.path}",
        data=request.body,
        headers={name: request.headers[name] for name in signed if name != "host"},
    )
    again.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE0000", SECRET), "execute-api", REGION)
    canonical = signer.canonical_request(again)
    expected = signer.signature(signer.string_to_sign(again, canonical), again)
    assert request.headers["authorization"].endswith(f"Signature={expected}")
    assert signed == ["content-type", "host", "x-amz-date"]


def test_nothing_is_added_from_the_environment(web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Neither .netrc nor a proxy variable nor a cookie changes what a loopback server gets."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")

    def with_cookie(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Set-Cookie", "session=1; Path=/")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    web.behaviour = with_cookie
    with http_ports(web.url) as ports:
        assert [ports.submit("place", submission()).outcome for _ in range(2)] == [Outcome.OK] * 2
    assert sorted(web.received[1].headers) == [
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ]


def test_echoed_secrets(web: Web) -> None:
    """An answer that echoes the request shows neither its API key nor its signature."""
    sent: list[str] = []

    def echo(handler: Any) -> None:
        sent.append(handler.headers["Authorization"])
        text = f"key {handler.headers['X-Api-Key']} auth {handler.headers['Authorization']}"
        answer(handler, 403, text.encode(), "text/plain")

    web.behaviour = echo
    with http_ports(web.url, {"headers": {"X-Api-Key": "my-api-key-1"}, "sigv4": "execute-api"}) as ports:
        operation = ports.submit("place", submission())
    assert operation.answer == "key [redacted] auth [redacted]"
    assert sent[0].startswith("AWS4-HMAC-SHA256 ")


def test_long_answers_are_shortened(web: Web) -> None:
    """The history keeps 500 characters of an answer; rules and saves see all of it."""
    web.behaviour = answers(200, {"pad": "x" * 2_000, "ok": True})
    with http_ports(web.url, acknowledgement={"acknowledged": "json.ok"}) as ports:
        operation = ports.submit("place", submission())
    assert (operation.outcome, len(operation.answer), operation.answer[-1]) == (Outcome.OK, 500, "…")


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        ({"headers": {"X-Value": "{value}"}}, "InvalidHeader: "),
        ({"url": "orders/{key}"}, "MissingSchema: "),
    ],
)
def test_requests_that_cannot_be_sent(web: Web, call: dict[str, Any], cause: str) -> None:
    """A mistake of the descriptor's is an error with a remedy, not an outcome of the stack's."""
    with http_ports(web.url, call) as ports, pytest.raises(PortError) as caught:
        ports.submit("place", submission(value="two\r\nlines"))
    assert str(caught.value).splitlines()[0] == "a POST request cannot be sent"
    assert caught.value.cause.startswith(cause)
    assert caught.value.remedy == "correct its url and headers in the descriptor; encode text, as in {value|urlencode}"
    assert web.received == []


# -- several calls in a row ----------------------------------------------------------------------------------------


def two_calls(web: Web, **command: Any) -> Ports:
    """Get a place to upload to, then upload."""
    calls = [
        {
            "kind": "http",
            "url": f"{web.url}/slots",
            "json": {"id": "{key}"},
            "save": {"upload": "json.url", "token": 'headers."x-token"'},
        },
        {
            "kind": "http",
            "method": "PUT",
            "url": "{upload}",
            "headers": {"X-Token": "{token}"},
            "json": None,
            "body": "content of {value}",
        },
    ]
    return Ports(stack_of(StubTarget(), commands={"place": {"calls": calls, **command}}), Recorder())


def slots(web: Web, first: int = 200, second: int = 200, url: str | None = None) -> Any:
    """The behaviour that such commands meet."""

    def behave(handler: Any) -> None:
        if handler.path == "/slots":
            body = f'{{"url": "{url or web.url}/upload"}}' if url != "" else "{}"
            handler.send_response(first)
            handler.send_header("X-Token", "t-1")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body.encode())
        else:
            answer(handler, second, b"{}")

    return behave


def test_calls_in_a_row(web: Web) -> None:
    """What one answer says is used in the next call; the operation's body is that of the last call."""
    web.behaviour = slots(web, first=201, second=204)
    with two_calls(web, acknowledgement={"acknowledged": [204]}) as ports:
        operation = ports.submit("place", submission())
    assert (operation.outcome, operation.status, operation.body) == (Outcome.OK, "204", "content of v-1")
    assert [(r.method, r.path, r.headers.get("x-token"), r.body) for r in web.received] == [
        ("POST", "/slots", None, b'{"id":"k-1"}'),
        ("PUT", "/upload", "t-1", b"content of v-1"),
    ]


@pytest.mark.parametrize(
    ("first", "outcome"), [(400, Outcome.FAIL), (500, Outcome.UNKNOWN), (408, Outcome.UNKNOWN), (302, Outcome.UNKNOWN)]
)
def test_a_first_call_that_is_not_acknowledged(web: Web, first: int, outcome: Outcome) -> None:
    """It ends the command and decides its outcome; the last call is not made, so there is no body."""
    web.behaviour = slots(web, first=first)
    with two_calls(web) as ports:
        operation = ports.submit("place", submission())
    assert (operation.outcome, operation.status, operation.body) == (outcome, str(first), None)
    assert len(web.received) == 1


def test_a_first_answer_without_the_value(web: Web) -> None:
    """An acknowledged answer that lacks what is to be saved leaves the outcome unknown, saying what is missing."""
    web.behaviour = slots(web, url="")
    with two_calls(web) as ports:
        operation = ports.submit("place", submission())
    assert operation.outcome is Outcome.UNKNOWN
    assert len(web.received) == 1
    assert operation.status == "200, but the answer has no value for upload"


def test_only_the_last_answer_is_lost(web: Web) -> None:
    """Losing the answer of a command of two calls reads the first and loses the second."""
    web.behaviour = slots(web)
    with two_calls(web) as ports:
        operation = ports.submit("place", submission(), lose_answer=True)
    assert (operation.outcome, operation.status) == (Outcome.UNKNOWN, "answer lost by the client")
    assert operation.body == "content of v-1"
    waited = eventually(lambda: len(web.received), lambda count: count == 2, deadline_seconds=5)
    assert waited.met


def test_names_that_do_not_exist(web: Web) -> None:
    """An unknown port is an error with a suggestion; an unknown placeholder is the descriptor's."""
    with http_ports(web.url, {"json": {"id": "{oops}"}}) as ports:
        with pytest.raises(PortError) as caught:
            ports.submit("plaice", submission())
        assert str(caught.value) == "the stack orders has no command plaice\n  remedy: did you mean place?"
        with pytest.raises(DescriptorError):
            ports.submit("place", submission())


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, and a server context that shows it."""
    return certificate(tmp_path)


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("lose_answer", [False, True])
def test_tls(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch, trusted: bool, lose_answer: bool
) -> None:
    """Over TLS the same holds; a certificate that is not trusted gets nothing, and leaves the outcome unknown."""
    public, context = authority
    if trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(public))
    with serving(context) as web, http_ports(web.url) as ports:
        operation = ports.submit("place", submission(), lose_answer=lose_answer)
        assert operation.outcome is (Outcome.OK if trusted and not lose_answer else Outcome.UNKNOWN)
        if trusted:
            waited = eventually(lambda: len(web.received), lambda count: count == 1, deadline_seconds=5)
            assert waited.met
        else:
            assert web.received == []
            assert "certificate verify failed" in operation.status
