"""What the tests of the reverse proxy stand on: an endpoint that keeps what it got, and a raw HTTP client."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DYNAMODB = {
    "content-type": "application/x-amz-json-1.0",
    "authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/dynamodb/aws4_request, Signature=0",
    "x-amz-target": "DynamoDB_20120810.PutItem",
}
S3 = {"authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/s3/aws4_request, Signature=0"}


@dataclass(frozen=True, slots=True)
class Got:
    """One request as it arrived.

    Attributes:
        line: the request line.
        headers: names as sent and values, in order.
        digest: SHA-256 of the body.
        size_bytes: of the body.
        chunks: how many HTTP chunks it came in; 0 when its length was announced.
    """

    line: str
    headers: tuple[tuple[str, str], ...]
    digest: str
    size_bytes: int
    chunks: int


@dataclass(slots=True)
class Endpoint:
    """An endpoint on loopback.

    Attributes:
        url: where it is.
        got: what it got, in order.
        status: what it answers.
        answer: the body it answers with.
        chunked: whether it answers in chunks.
        breaks: whether it breaks the connection in the middle of its answer.
        silent: whether it breaks the connection without an answer.
    """

    url: str = ""
    got: list[Got] = field(default_factory=list)
    status: int = 200
    answer: bytes = b"{}"
    chunked: bool = False
    breaks: bool = False
    silent: bool = False


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Run an endpoint."""
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            digest, size, chunks = hashlib.sha256(), 0, 0
            for piece in self._pieces():
                digest.update(piece)
                size += len(piece)
                chunks += "transfer-encoding" in self.headers
            headers = tuple((name, value) for name, value in self.headers.items())
            state.got.append(Got(self.requestline, headers, digest.hexdigest(), size, chunks))
            if state.silent:
                self.close_connection = True
                return
            self.send_response_only(state.status)
            self.send_header("X-Amzn-RequestId", "upstream")
            self.send_header("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
            if state.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(state.answer)))
            self.end_headers()
            if self.command == "HEAD":
                return
            if state.breaks:
                self.wfile.write(state.answer[: len(state.answer) // 2])
                self.close_connection = True
            elif state.chunked:
                middle = len(state.answer) // 2
                for piece in (state.answer[:middle], state.answer[middle:]):
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.wfile.write(state.answer)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_any  # noqa: N815 - names of the base class

        def _pieces(self) -> Iterator[bytes]:
            if "chunked" in self.headers.get("transfer-encoding", ""):
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                left = int(self.headers.get("content-length", "0"))
                while left:
                    piece = self.rfile.read(min(left, 65536))
                    if not piece:
                        return
                    left -= len(piece)
                    yield piece

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # callers that break off are part of it
        state.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def raw(url: str, content: bytes, *, wait: bool, timeout_seconds: float = 10.0) -> bytes:
    """Send bytes as they are; what comes back until the other side ends or cuts.

    Args:
        url: where to.
        content: what to send.
        wait: whether an answer is due; else the connection is closed at once.
        timeout_seconds: how long the other side may be silent.
    """
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=timeout_seconds) as connection:
        answer = b""
        try:
            connection.sendall(content)
            while wait and (piece := connection.recv(65536)):
                answer += piece
        except (ConnectionError, BrokenPipeError):
            return answer
        return answer
