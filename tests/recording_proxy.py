"""A proxy that writes down every request before it passes it on: what a client really sends, seen from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

_NOT_PASSED = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Recorded:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def mentions(self, text: str) -> bool:
        """Whether it says a text anywhere."""
        return text in self.path or text.encode() in self.body or any(text in value for value in self.headers.values())


@dataclass
class Recording:
    """All that came through a proxy.

    Attributes:
        url: where the proxy is.
        requests: what came, in the order of arrival.
    """

    url: str
    requests: list[Recorded] = field(default_factory=list)


@contextmanager
def recording(endpoint: str) -> Iterator[Recording]:
    """Have a proxy in front of an endpoint."""
    pool = urllib3.connection_from_url(endpoint, maxsize=32, retries=False, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_PASSED}
            seen.requests.append(Recorded(self.command, self.path, dict(self.headers.items()), body))
            answer = pool.request(
                self.command, self.path, body=body, headers=headers, decode_content=False, redirect=False
            )
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_PASSED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.data)

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.pass_on)

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """A client that goes away early is no mistake."""

    server = Server(("127.0.0.1", 0), Handler)
    seen = Recording(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        pool.close()
