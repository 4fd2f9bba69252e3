"""The relay of a channel: bytes pass unchanged, and each fault does what it says to the message it is aimed at."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from holdfast.errors import GuardRailError, Inconclusive, TargetError
from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import ChannelFault, Journal, Pin, pulled
from holdfast.relay.book import ChannelBook
from holdfast.relay.client import RelayProcess
from holdfast.relay.model import ChannelRule, RelayedChannel, problems
from holdfast.waiting import eventually
from processes_rig import Rig, components, rig, stack_with


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """An application and its sidecar, with an HTTP channel between them."""
    with rig(tmp_path_factory.mktemp("relay")) as made:
        yield made


def rule(action: str, key: str, **more: object) -> ChannelRule:
    """A rule that is aimed at one key and named after it."""
    return ChannelRule(**{"id": f"{action}-{key}", "action": action, "key": key, **more})  # type: ignore[arg-type]


def pulled_on(runs: Rig, aimed: ChannelRule, recorder: Recorder):  # type: ignore[no-untyped-def]
    """A window with one fault on the channel."""
    lever = ChannelFault.on(runs.stack, "channel", aimed)
    return pulled([lever], stack=runs.stack, journal=runs.journal, recorder=recorder)


def test_messages_pass_unchanged(runs: Rig) -> None:
    """Whatever their size and framing, requests and answers are those of the sidecar, also many on one connection."""
    with requests.Session() as session:
        for size in (0, 1, 70_000, 3_000_000):
            told = session.post(f"{runs.url('channel')}/size", data="x" * size).json()
            assert len(told["sent"]) == size
        assert session.head(f"{runs.url('channel')}/head").headers["Content-Length"] > "0"
        padded = session.get(f"{runs.url('channel')}/pad", headers={"X-Pad": "2000000"})
        assert len(padded.content) > 2_000_000
    with ThreadPoolExecutor(8) as pool:
        paths = [f"/slow{number}" for number in range(8)]
        assert [told["path"] for told in pool.map(runs.ask, paths)] == paths


def test_pipelined_requests_are_answered_in_order(runs: Rig) -> None:
    """A client may send the next request before the answer to the last one has come."""
    port = int(runs.running.addresses["channel.port"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(
            b"GET /one HTTP/1.1\r\nHost: x\r\n\r\nGET /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        content = b""
        while piece := connection.recv(65536):
            content += piece
    assert content.count(b"200 OK") == 2
    assert content.index(b"/one") < content.index(b"/two")


def test_what_is_no_http_passes_all_the_same(runs: Rig) -> None:
    """Bytes that cannot be framed go through as they are; the sidecar says what it thinks of them."""
    port = int(runs.running.addresses["channel.port"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"\x00\x01 nonsense\r\n\r\n")
        assert b"400" in connection.recv(65536)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(runs: Rig) -> None:
    """With Expect: 100-continue the body comes only when the sidecar has asked for it."""
    port = int(runs.running.addresses["channel.port"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"POST /asked HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert b"100 Continue" in connection.recv(65536)
        connection.sendall(b"body")
        assert b'"sent": "body"' in connection.recv(65536)


def test_an_answer_is_lost_after_its_request_was_delivered(runs: Rig) -> None:
    """Only the request with the key is hit; the sidecar has seen it, the application sees a closed connection."""
    recorder = Recorder()
    with pulled_on(runs, rule("drop", "k-lost", direction="answer"), recorder):
        with pytest.raises(requests.ConnectionError):
            runs.ask("/lost", sent="k-lost")
        assert runs.ask("/kept", sent="k-other")["sent"] == "k-other"
    assert "POST /lost k-lost" in runs.noted()
    (window,) = recorder.history().windows
    assert (window.bit, window.hits, window.error_class, window.key) == (True, 1, ErrorClass.LOST_ANSWER, "k-lost")
    assert window.proof == "the relay lost an answer on channel once"
    assert runs.ask("/lost", sent="k-lost")["sent"] == "k-lost"


@pytest.mark.parametrize("action", ["drop", "cut"])
def test_a_request_that_is_dropped_or_cut_is_not_delivered(action: str, runs: Rig) -> None:
    """The sidecar never sees it."""
    recorder = Recorder()
    with pulled_on(runs, rule(action, f"k-{action}"), recorder), pytest.raises(requests.ConnectionError):
        runs.ask(f"/never-{action}", sent=f"k-{action}")
    assert f"POST /never-{action} k-{action}" not in runs.noted()
    assert [(window.hits, window.error_class) for window in recorder.history().windows] == [(1, ErrorClass.TIMEOUT)]


def test_an_answer_is_cut_in_its_middle(runs: Rig) -> None:
    """The application has the beginning of it when its connection is reset."""
    with pulled_on(runs, rule("cut", "k-middle", direction="answer"), Recorder()):
        port = int(runs.running.addresses["channel.port"])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"GET /k-middle HTTP/1.1\r\nHost: x\r\nX-Pad: 1000\r\n\r\n")
            content = b""
            with suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    content += piece
    assert not content.endswith(b" " * 1000)
    assert "GET /k-middle " in runs.noted()


@pytest.mark.parametrize("direction", ["request", "answer"])
def test_a_hung_message_is_held_until_its_client_gives_up_or_the_fault_is_healed(direction: str, runs: Rig) -> None:
    """Nothing comes back and nothing is closed in the window; when it is healed the connection is, so nobody waits."""
    key = f"k-hung-{direction}"
    with pulled_on(runs, rule("hang", key, direction=direction), Recorder()) as pull:
        with pytest.raises(requests.Timeout):
            runs.ask(f"/hung/{direction}", sent=key, timeout_seconds=0.3)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(runs.ask, f"/hung/{direction}", sent=key, timeout_seconds=60)
            assert runs.running.relay is not None
            relay = runs.running.relay
            assert eventually(lambda: relay.hits(f"hang-{key}"), lambda hits: hits == 2, deadline_seconds=10).met
            pull.release()
            with pytest.raises(requests.ConnectionError):
                waiting.result(timeout=30)
    assert (f"POST /hung/{direction} {key}" in runs.noted()) == (direction == "answer")


def test_a_delay_holds_one_message_and_ends_when_it_is_healed(runs: Rig) -> None:
    """Others pass meanwhile; healing lets the held one go at once."""
    with (
        pulled_on(runs, rule("delay", "k-late", delay_seconds=600.0), Recorder()) as pull,
        ThreadPoolExecutor(1) as pool,
    ):
        late = pool.submit(runs.ask, "/late", sent="k-late", timeout_seconds=60)
        assert runs.ask("/early", sent="k-early")["path"] == "/early"
        relay = runs.running.relay
        assert relay is not None
        assert eventually(lambda: relay.hits("delay-k-late"), lambda hits: hits == 1, deadline_seconds=10).met
        assert not late.done()
        pull.release()
        assert late.result(timeout=30)["sent"] == "k-late"


def test_bandwidth_and_trickle_slow_one_answer(runs: Rig) -> None:
    """4,000 bytes at 8,000 a second take half a second at least, as do six pieces with a tenth of a second between."""
    headers = {"X-Pad": "4000"}
    slow = [
        rule("bandwidth", "k-narrow", direction="answer", bytes_per_second=8_000),
        rule("trickle", "k-drops", direction="answer", piece_bytes=700, delay_seconds=0.1),
    ]
    for each in slow:
        with pulled_on(runs, each, Recorder()):
            began = time.monotonic()
            answer = requests.get(f"{runs.url('channel')}/{each.key}", headers=headers, timeout=30)
            took_seconds = time.monotonic() - began
        assert len(answer.content) > 4_000
        assert took_seconds > 0.45


def test_counts_and_times_choose_which_messages_are_hit(runs: Rig) -> None:
    """The second of three, and no more than one of three."""
    outcomes = {}
    for name, more in {"nth": {"nth": 2}, "times": {"times": 1}}.items():
        with pulled_on(runs, rule("cut", f"k-{name}", **more), Recorder()):
            told = []
            for _ in range(3):
                try:
                    runs.ask("/counted", sent=f"k-{name}")
                    told.append("passed")
                except requests.ConnectionError:
                    told.append("cut")
        outcomes[name] = told
    assert outcomes == {"nth": ["passed", "cut", "passed"], "times": ["cut", "passed", "passed"]}


def test_a_dead_sidecar_is_seen_as_a_broken_connection(tmp_path: Path) -> None:
    """The relay takes the connection and resets it; when the sidecar is back, the same relay leads to it."""
    with rig(tmp_path) as runs:
        runs.running.end("sidecar")
        with pytest.raises(requests.ConnectionError):
            runs.ask("/")
        runs.running.start("sidecar")
        assert runs.ask("/")["path"] == "/"


def test_a_sidecar_that_closes_idle_connections_is_seen_to(tmp_path: Path) -> None:
    """When it ends, the connection that an application keeps open to it is closed, not held."""
    with rig(tmp_path) as runs:
        port = int(runs.running.addresses["channel.port"])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in connection.recv(65536)
            runs.running.end("sidecar")
            with suppress(ConnectionResetError):
                while connection.recv(65536):
                    pass


def test_a_channel_of_unix_sockets(tmp_path: Path) -> None:
    """HTTP over a socket in the run's folder, with the same faults; the socket of a killed sidecar does not stop it."""

    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(10)
            self.sock.connect(str(runs.running.addresses["channel.socket"]))

    def ask(key: str) -> int:
        connection = Connection("localhost")
        try:
            connection.request("POST", "/unix", body=key)
            return connection.getresponse().status
        finally:
            connection.close()

    with rig(tmp_path, where="socket") as runs:
        assert ask("k-1") == 200
        with pulled_on(runs, rule("drop", "k-2", direction="answer"), Recorder()):
            with pytest.raises((http.client.HTTPException, OSError)):
                ask("k-2")
            assert ask("k-3") == 200
        runs.running.end("sidecar", stop_seconds=0)
        runs.running.start("sidecar")
        assert ask("k-4") == 200
    assert "POST /unix k-2" in runs.noted()


class Echo:
    """A server of another protocol than HTTP: it answers each piece with itself."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.seen = b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while piece := connection.recv(65536):
                self.seen += piece
                connection.sendall(piece)


def test_bytes_are_relayed_chunk_by_chunk(tmp_path: Path) -> None:
    """Without framing a key is found in what was carried; earlier messages of the connection are not hit."""
    echo = Echo()
    upstream = f"127.0.0.1:{echo.port}"
    channel = RelayedChannel(name="raw", listen=str(tmp_path / "raw.sock"), upstream=upstream, protocol="bytes")
    relay = RelayProcess([channel], log=tmp_path / "relay.log", variables={})
    try:
        relay.add(rule("drop", "poison", direction="answer"))
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        connection.connect(channel.listen)
        with connection:
            connection.sendall(b"healthy")
            assert connection.recv(100) == b"healthy"
            connection.sendall(b"poison")
            assert connection.recv(100) == b""
        assert echo.seen == b"healthypoison"
        assert relay.hits("drop-poison") == 1
        assert [each.id for each in relay.rules()] == ["drop-poison"]
        relay.remove("drop-poison")
        relay.remove("drop-poison")
        assert relay.rules() == ()
        assert relay.hits("drop-poison") == 1
        with pytest.raises(TargetError, match="cannot be used"):
            relay.add(replace(rule("delay", "k"), delay_seconds=0.0))
    finally:
        relay.close()
        relay.close()
        echo.listening.close()
    with pytest.raises(TargetError, match="the relay has ended"):
        relay.rules()


def test_a_relay_that_cannot_listen_says_so(tmp_path: Path) -> None:
    """The error names the channel; no process is left."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        where = f"127.0.0.1:{busy.getsockname()[1]}"
        channel = RelayedChannel(name="taken", listen=where, upstream="127.0.0.1:9", protocol="http")
        with pytest.raises(TargetError, match=f"channel taken cannot listen on {where}"):
            RelayProcess([channel], log=tmp_path / "relay.log", variables={})


def test_the_guard_rail_admits_channels_of_the_descriptor_only(runs: Rig, tmp_path: Path) -> None:
    """A channel of another name is refused; one that was not started yet is inconclusive."""
    with pytest.raises(GuardRailError, match="no channel"):
        ChannelFault.on(runs.stack, "other", rule("cut", "k"))
    idle = stack_with(components(tmp_path / "notes"), tmp_path, channels={"channel": {"from": "app", "to": "sidecar"}})
    with pytest.raises(Inconclusive, match="has not started"):
        ChannelFault.on(idle, "channel", rule("cut", "k")).snapshot()
    lever = ChannelFault.on(runs.stack, "channel", rule("cut", "k"))
    lever.resource = "channel:other"
    with (
        Journal(tmp_path, Pin.of(runs.stack)) as journal,
        pytest.raises(GuardRailError, match="not part of component 'channel'"),
        pulled([lever], stack=runs.stack, journal=journal, recorder=Recorder()),
    ):
        pytest.fail("the window must not open")


def test_a_rule_expires_by_itself_and_lets_go_of_what_it_holds() -> None:
    """With a clock of its own: past its time it neither claims nor holds."""
    now = [100.0]
    book = ChannelBook(clock=lambda: now[0])
    aimed = rule("hang", "k", expires_seconds=101.0)
    book.add(aimed)
    assert book.claim("any", "request", b"..k..") == (aimed,)
    assert book.claim("any", "request", b"none") == ()
    assert book.claim("any", "answer", b"k") == ()
    now[0] = 101.0
    assert book.claim("any", "request", b"k") == ()
    assert book.all() == ()
    asyncio.run(asyncio.wait_for(book.hold(aimed, None), 5))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (ChannelRule(id="", action="cut"), "needs an id"),
        (ChannelRule(id="a", action="cut", nth=-1), "counts from 1"),
        (ChannelRule(id="a", action="trickle", delay_seconds=1.0, piece_bytes=0), "piece_bytes above 0"),
        (ChannelRule(id="a", action="bandwidth"), "bytes_per_second above 0"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(wrong: ChannelRule, told: str) -> None:
    """Each mistake has its sentence."""
    assert told in "; ".join(problems(wrong))
