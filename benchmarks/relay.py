"""What the relay of a channel costs: latency added to requests over one kept connection.

    python benchmarks/relay.py [--requests 3000]

A server of this process answers at once; the same client asks it directly and through the relay, in turns of a hundred,
so that a busy machine slows both. It prints p50 and p99 of each in milliseconds, and what the relay adds.
"""

from __future__ import annotations

import argparse
import http.client
import statistics
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from holdfast.drivers.plan import free_port
from holdfast.relay.client import RelayProcess
from holdfast.relay.model import ChannelRule, RelayedChannel

TURN = 100


class Answer(BaseHTTPRequestHandler):
    """Answers every request with two bytes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        """Answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def turn(connection: http.client.HTTPConnection, into_ms: list[float]) -> None:
    """A hundred requests."""
    for _ in range(TURN):
        began = time.perf_counter()
        connection.request("POST", "/", body=b"x" * 200)
        connection.getresponse().read()
        into_ms.append((time.perf_counter() - began) * 1000)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=3000)
    requests = parser.parse_args().requests
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    upstream, port = f"127.0.0.1:{server.server_address[1]}", free_port(set())
    channel = RelayedChannel(name="channel", listen=f"127.0.0.1:{port}", upstream=upstream, protocol="http")
    with tempfile.TemporaryDirectory() as folder:
        relay = RelayProcess([channel], log=Path(folder) / "log", variables={})
        relay.add(ChannelRule(id="never", action="cut", key="a key that never comes"))
        direct_ms: list[float] = []
        relayed_ms: list[float] = []
        direct = http.client.HTTPConnection("127.0.0.1", server.server_address[1])
        relayed = http.client.HTTPConnection("127.0.0.1", port)
        for warm in (True, False):
            for _ in range(1 if warm else requests // TURN):
                turn(direct, direct_ms)
                turn(relayed, relayed_ms)
            if warm:
                direct_ms.clear()
                relayed_ms.clear()
        relay.close()
    server.shutdown()
    for name, found_ms in (("direct", direct_ms), ("relayed", relayed_ms)):
        cuts = statistics.quantiles(found_ms, n=100)
        print(f"{name:8} p50 {cuts[49]:.3f} ms  p99 {cuts[98]:.3f} ms")
    added_ms = statistics.median(relayed_ms) - statistics.median(direct_ms)
    print(f"added    p50 {added_ms:.3f} ms  ({statistics.median(relayed_ms) / statistics.median(direct_ms):.1f} times)")


if __name__ == "__main__":
    main()
