"""Locust processes as children of the command: one socket to each, a log each, none left behind."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from holdfast.errors import HoldfastError
from holdfast.extras import install
from holdfast_load import messages

END_SECONDS = 15.0
"""A process that was told to end has so long to close its file."""
_BLOCK_BYTES = 65_536
_LOG_LINES = 12
LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def check_installed() -> None:
    """See that Locust is there, without importing it.

    Raises:
        HoldfastError: it is not.
    """
    missing = [name for name in ("locust", "geventhttpclient") if find_spec(name) is None]
    if missing:
        raise HoldfastError(
            "Load runs are not installed.",
            cause=f"no package {', '.join(missing)}",
            remedy=install("load"),
        )


class Child:
    """One Locust process.

    Args:
        name: for messages, e.g. ``master``.
        arguments: of Locust.
        environ: what it sees beside its socket.
        log: where its output goes.
    """

    def __init__(self, name: str, arguments: Sequence[str], *, environ: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.socket, theirs = socket.socketpair()
        self._lines = messages.Lines()
        try:
            with theirs, log.open("wb") as output:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "locust", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**environ, messages.CHANNEL: str(theirs.fileno())},
                    pass_fds=(theirs.fileno(),),
                    # Ctrl-C is the command's to hear: it ends the run in order
                    start_new_session=True,
                )
        except OSError as error:
            self.socket.close()
            raise HoldfastError(
                f"The Locust {name} cannot be started.", cause=str(error), remedy="see the cause, and try again"
            ) from error

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def tell(self, **document: Any) -> None:
        """Tell the process; nobody listens when it has ended."""
        with suppress(OSError):
            self.socket.sendall(messages.line(**document))

    def receive(self) -> Iterator[dict[str, Any]] | None:
        """What it said, when its socket is readable; None when it says nothing any more."""
        try:
            data = self.socket.recv(_BLOCK_BYTES)
        except OSError:
            data = b""
        return self._lines.feed(data) if data else None

    def tail(self) -> str:
        """The end of its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return "\n".join(lines[-_LOG_LINES:]) or "its log is empty"

    def terminate(self) -> None:
        """Ask it to end."""
        if not self.ended:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)

    def close(self) -> None:
        """See that it has ended."""
        try:
            self.process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.socket.close()


class Children:
    """The Locust processes of one command; a context manager that leaves none behind."""

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()

    def start(self, name: str, arguments: Sequence[str], *, environ: Mapping[str, str], log: Path) -> Child:
        """Start one more.

        Raises:
            HoldfastError: it cannot be started.
        """
        child = Child(name, arguments, environ=environ, log=log)
        self._children.append(child)
        self._selector.register(child.socket, selectors.EVENT_READ, child)
        return child

    @property
    def speaking(self) -> list[Child]:
        """Those whose socket is open."""
        return [key.data for key in self._selector.get_map().values()]

    def heard(self, seconds: float) -> Iterator[tuple[Child, dict[str, Any] | None]]:
        """What the processes say within so many seconds; None once for each that says nothing any more."""
        for key, _ in self._selector.select(seconds):
            child: Child = key.data
            documents = child.receive()
            if documents is None:
                self._selector.unregister(child.socket)
                yield child, None
            else:
                for document in documents:
                    yield child, document

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.terminate()
        for child in self._children:
            child.close()
        self._selector.close()
