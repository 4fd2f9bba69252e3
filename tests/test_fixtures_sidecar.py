"""The programs of the sidecar's reference stack, each by itself: the log, the cache, the backlog, the channel."""

from __future__ import annotations

import importlib
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from holdfast.waiting import eventually
from holdfast_fixtures.catalogue import reference_stacks

PROGRAMS = next(stack for stack in reference_stacks() if stack.name == "parcels").directory / "programs"


@pytest.fixture(scope="module")
def programs() -> Iterator[Callable[[str], ModuleType]]:
    """Loads a module of the programs as the programs themselves do."""
    before = set(sys.modules)
    sys.path.insert(0, str(PROGRAMS))
    yield importlib.import_module
    sys.path.remove(str(PROGRAMS))
    for name in set(sys.modules) - before:
        if str(PROGRAMS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


Load = Callable[[str], Any]


def entry(key: str) -> dict[str, object]:
    return {"parcel_id": key, "entry_id": key, "note": "n", "grams": 1}


def test_what_the_log_took_is_there_after_a_crash(programs: Load, tmp_path: Path) -> None:
    """An entry that was appended and not stored is waiting again, a stored one is not, and a torn line is none."""
    path = tmp_path / "entries.log"
    log = programs("durable_log").DurableLog(str(path))
    log.append(entry("a"))
    log.append(entry("b"))
    log.stored(entry("a"))
    with path.open("a") as file:
        file.write('{"put": {"entry_id": "c", ')
    again = programs("durable_log").DurableLog(str(path))
    assert again.waiting() == [entry("b")]
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"put": entry("b")}]


def test_the_log_is_synced_before_it_is_acknowledged(
    programs: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When `append` returns, the file was synced after its line was written."""
    module = programs("durable_log")
    path = tmp_path / "entries.log"
    log = module.DurableLog(str(path))
    at_sync: list[str] = []
    monkeypatch.setattr(module.os, "fdatasync", lambda _: at_sync.append(path.read_text()))
    log.append(entry("a"))
    assert [json.loads(text) for text in at_sync] == [{"put": entry("a")}]


def test_the_cache_forgets(programs: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer expires, absence included; what was read before a write is not kept after it."""
    module = programs("expiring_cache")
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    cache = module.ExpiringCache(1.0)
    cache.keep("a", [], cache.begin())
    assert cache.get("a") == []
    now[0] = 101.0
    assert cache.get("a") is None
    begun = cache.begin()
    cache.wrote("a")
    cache.keep("a", [], begun)
    assert cache.get("a") is None


class HeldStore:
    """A table that stores when it is told to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.stored: list[str] = []

    def put(self, one: dict[str, str]) -> None:
        self.open.wait()
        self.stored.append(one["entry_id"])


def test_the_backlog_is_bounded_and_drains(programs: Load, tmp_path: Path) -> None:
    """Beyond the limit nothing is taken, what waits already is, and in the end all that was taken is stored once."""
    module, store = programs("write_behind"), HeldStore()
    cache = programs("expiring_cache").ExpiringCache(1.0)
    log = programs("durable_log").DurableLog(str(tmp_path / "entries.log"))
    entries = module.WriteBehind(log, store, cache, 2)
    entries.accept(entry("a"))
    entries.accept(entry("b"))
    with pytest.raises(module.FullError):
        entries.accept(entry("c"))
    entries.accept(entry("a"))
    assert entries.of("b") == [entry("b")]
    store.open.set()
    entries.drain(10)
    assert sorted(store.stored) == ["a", "b"]
    assert entries.of("b") == []


@contextmanager
def answering(*pieces: bytes, pause: threading.Event) -> Iterator[str]:
    """A sidecar that answers every request with these pieces, the last of which it holds until it may go on."""
    server = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # whoever asked has given up
                asked.append(connection.recv(65536))
                for at, piece in enumerate(pieces):
                    if at:
                        pause.wait(5)
                    connection.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        pause.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


HEAD = b"HTTP/1.0 202 Accepted\r\nContent-Length: 2\r\n\r\n"


def test_the_channel_reads_an_answer(programs: Load) -> None:
    """Status and document of a whole answer."""
    with answering(HEAD + b"{}", pause=threading.Event()) as address:
        assert programs("channel").Channel(address, 5.0).ask("POST", "/entries", {}) == (202, {})


@pytest.mark.parametrize("pieces", [(HEAD,), (b"",), (HEAD, b"{}")], ids=["cut", "nothing", "hanging"])
def test_the_channel_gives_up_what_is_cut_or_hangs(pieces: tuple[bytes, ...], programs: Load) -> None:
    """No answer that is not whole, or not there in time, passes for one."""
    module = programs("channel")
    with answering(*pieces, pause=threading.Event()) as address, pytest.raises(module.SidecarError):
        module.Channel(address, 0.1).ask("GET", "/parcels/a")


def test_the_program_ends_in_order(programs: Load, tmp_path: Path) -> None:
    """A server that is closed finishes what is under way, and takes its socket away."""
    module = programs("serving")
    reached, going = threading.Event(), threading.Event()

    def slow(*_: object) -> tuple[int, dict[str, str], dict[str, str]]:
        reached.set()
        going.wait(5)
        return 200, {}, {"done": "yes"}

    path = tmp_path / "s"
    server = module.Server(str(path), slow)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    answers: list[object] = []
    asking = threading.Thread(
        target=lambda: answers.append(programs("channel").Channel(str(path), 5.0).ask("GET", "/"))
    )
    asking.start()
    assert reached.wait(5)
    server.shutdown()
    closing = threading.Thread(target=server.server_close)
    closing.start()
    going.set()
    for thread in (closing, serving, asking):
        thread.join(5)
    assert answers == [(200, {"done": "yes"})]
    assert eventually(path.exists, lambda there: not there, deadline_seconds=5).met
