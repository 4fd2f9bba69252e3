"""A small stack of processes that the run starts: an application, its sidecar, and the channel between them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from holdfast.levers import Journal, Pin, launched
from holdfast.stack.resolve import Resource, Stack
from holdfast.stack.running import Running
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Target
from lever_stack import stack_of

SERVER = """
import http.server, json, os, signal, socket, sys, time

where, notes = sys.argv[1], sys.argv[2]


def note(what):
    with open(notes, "a") as file:
        file.write(what + "\\n")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = "/" not in where

    def do_GET(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if self.path != "/ready":
            note(self.command + " " + self.path + " " + sent)
        if self.path.startswith("/slow"):
            time.sleep(0.3)
        told = json.dumps({"pid": os.getpid(), "path": self.path, "sent": sent}).encode()
        told += b" " * int(self.headers.get("X-Pad") or 0)
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    do_POST = do_HEAD = do_GET

    def log_message(self, *told):
        pass

    def address_string(self):
        return "somebody"


class OverUnix(http.server.ThreadingHTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self):
        self.socket.bind(self.server_address)

    def get_request(self):
        return self.socket.accept()[0], ("somebody", 0)


def end(number, frame):
    note("ending")
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
note("started")
over_tcp = http.server.ThreadingHTTPServer
server = OverUnix(where, Handler) if "/" in where else over_tcp(("127.0.0.1", int(where)), Handler)
print("listening on", where, flush=True)
server.serve_forever()
"""


def nowhere() -> AttachedTarget:
    """A target that answers nobody: these processes do not need one."""
    return AttachedTarget(
        kind="embedded", endpoint_url="http://127.0.0.1:9", account="123456789012", region="eu-west-1"
    )


def start_of(name: str, notes: str, *, where: str = "port", **more: Any) -> dict[str, Any]:
    """How a server of this rig is started.

    Args:
        name: its component.
        notes: where it writes what happens to it.
        where: ``port`` or ``socket``.
        more: further keys of its start table.
    """
    ready: dict[str, Any] = {"http": "/ready"} if where == "port" else {"socket": True}
    return {
        "command": ["{python}", "-c", SERVER, f"{{{name}.{where}}}", notes],
        "ready": ready,
        "stop_seconds": 5,
        **more,
    }


def components(notes: Path, *, where: str = "port") -> dict[str, Any]:
    """An application and its sidecar."""
    return {
        "app": {"type": "process", "start": start_of("app", str(notes), after="sidecar")},
        "sidecar": {"type": "process", "start": start_of("sidecar", str(notes), where=where)},
    }


def stack_with(described: dict[str, Any], directory: Path, target: Target | None = None, **more: Any) -> Stack:
    """A stack of these processes.

    Args:
        described: the components.
        directory: where its descriptor would be.
        target: where its calls go.
        more: further keys of the descriptor.
    """
    resources = [Resource(component=name, type="process", name=name) for name in described]
    made = stack_of(target or nowhere(), *resources, components=described, **more)
    return Stack(made.descriptor, directory / "levers.stack.toml", made.target, made.resources)


@dataclass(frozen=True)
class Rig:
    """The processes while they run.

    Attributes:
        stack: the stack, with what runs.
        running: its processes.
        journal: the run's journal.
        notes: what happened to them.
    """

    stack: Stack
    running: Running
    journal: Journal
    notes: Path

    def url(self, name: str) -> str:
        """Base URL of a process or a channel."""
        return str(self.running.addresses[f"{name}.url"])

    def ask(self, path: str, *, name: str = "channel", sent: str = "", timeout_seconds: float = 5.0) -> dict[str, Any]:
        """Send a request over a new connection, through the channel by default."""
        answer = requests.post(self.url(name) + path, data=sent, timeout=timeout_seconds)
        return dict(answer.json())

    def noted(self) -> list[str]:
        """What happened so far."""
        return self.notes.read_text().splitlines()


@contextmanager
def rig(directory: Path, *, where: str = "port", protocol: str = "http") -> Iterator[Rig]:
    """Have the application, the sidecar and the channel between them running."""
    notes = directory / "notes"
    channel = {
        "from": "app",
        "to": "sidecar",
        "protocol": protocol,
        "transport": "tcp" if where == "port" else "unix",
    }
    stack = stack_with(components(notes, where=where), directory, channels={"channel": channel})
    with Journal(directory / "journal", Pin.of(stack)) as journal, launched(stack, journal, logs=directory) as runs:
        assert runs.running is not None
        yield Rig(runs, runs.running, journal, notes)
