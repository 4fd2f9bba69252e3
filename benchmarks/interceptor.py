"""What the interceptor costs: latency added on the embedded target, and calls a second through the reverse proxy.

    python benchmarks/interceptor.py [--calls 4000] [--proxy-calls 20000]

The embedded figure: one process serves the emulator on two ports, bare and with the interceptor, and the same client
makes the same calls at both in turn, as a function that is traced, with a rule in force that never matches. The
proxy's figure: 16 connections make small calls through the proxy to an endpoint that answers at once; calls a second
per core are calls per second of the *proxy's own* processor time, user and system, so that neighbours on the machine do
not count. It exits 1 when 1 ms or more is added, or fewer than 1,000 calls a second per core pass, so it can serve as a
gate.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from holdfast.targets.base import Rule
from holdfast.targets.embedded import ACCOUNT, _environment
from holdfast.targets.interceptor.process import ProxyProcess
from holdfast.targets.interceptor.sockets import listening

MOST_ADDED_MS = 1.0
FEWEST_CALLS_PER_SECOND = 1_000.0
CONNECTIONS = 16
WARM_UP = 200
SCOPE = "20260101/eu-west-1/dynamodb/aws4_request"
HEADERS = {
    "content-type": "application/x-amz-json-1.0",
    "authorization": f"AWS4-HMAC-SHA256 Credential={ACCOUNT}/{SCOPE}, SignedHeaders=host, Signature=0",
    "user-agent": "benchmark",
}
TABLE = "benchmark"
NEVER = Rule(id="never", action="refuse", point="call", key="a key that no call has", operation="PutItem")


def target_of(operation: str) -> dict[str, str]:
    """The header that names an operation of DynamoDB."""
    return {**HEADERS, "x-amz-target": f"DynamoDB_20120810.{operation}"}


PUT_ITEM = json.dumps({"TableName": TABLE, "Item": {"pk": {"S": "key"}, "note": {"S": "x" * 200}}}).encode()


def serve_both() -> None:
    """The child process: the emulator on two ports, bare and intercepted."""
    bare, intercepted_listener = listening("127.0.0.1"), listening("127.0.0.1")
    ports = bare.getsockname()[1], intercepted_listener.getsockname()[1]
    os.environ["GATEWAY_PORT"] = str(ports[0])  # MiniStack reads it while it is imported
    from ministack import app as ministack_app

    from holdfast.targets.emulator.interception import RULES, TRACER
    from holdfast.targets.emulator.patches import apply_all
    from holdfast.targets.emulator.server import intercepted
    from holdfast.targets.interceptor.asgi import Message, Receive, Send
    from holdfast.targets.interceptor.hypercorn_server import serve

    apply_all()
    RULES.add(NEVER)
    invocation = TRACER.begin("benchmark", "request", '{"order": "key"}')
    with_interceptor = intercepted(ministack_app.app)

    async def both(scope: Message, receive: Receive, send: Send) -> None:
        chosen = with_interceptor
        if scope["type"] == "lifespan" or scope["server"][1] == ports[0]:
            chosen = ministack_app.app
        await chosen(scope, receive, send)

    def ready() -> None:
        print(json.dumps({"ports": ports, "root": invocation.trace_root}), flush=True)

    serve(both, (bare, intercepted_listener), ready)


@contextmanager
def both_served() -> Iterator[tuple[tuple[int, int], str]]:
    """Ports without and with the interceptor, and the trace root of an invocation."""
    with tempfile.TemporaryDirectory(prefix="holdfast-benchmark-") as folder:
        child = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).resolve()), "--serve"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(Path(folder), region="eu-west-1", auth=True),
            start_new_session=True,
        )
        try:
            assert child.stdout is not None
            told = json.loads(child.stdout.readline())
            yield tuple(told["ports"]), told["root"]
        finally:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def embedded_latency(calls: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each call, without and with the interceptor."""
    with both_served() as (ports, root):
        headers = {**target_of("PutItem"), "x-amzn-trace-id": f"Root={root};Parent=0123456789abcdef;Sampled=0"}
        connections = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
        table = {
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        }
        _call(connections[0], json.dumps(table).encode(), target_of("CreateTable"))
        took: tuple[list[float], list[float]] = ([], [])
        for at in range(WARM_UP + calls):
            order = (0, 1) if at % 2 else (1, 0)
            for which in order:
                started = time.perf_counter()
                _call(connections[which], PUT_ITEM, headers)
                if at >= WARM_UP:
                    took[which].append((time.perf_counter() - started) * 1000)
        for connection in connections:
            connection.close()
        return took


def _call(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]) -> None:
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        sys.exit(f"the endpoint answered {answer.status}: {content.decode(errors='replace')}")


class Endpoint(asyncio.Protocol):
    """Answers every request at once; fast enough not to be what is measured."""

    ANSWER = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n"
        b"x-amzn-requestid: 00000000-0000-0000-0000-000000000000\r\ncontent-length: 2\r\n\r\n{}"
    )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._waiting = transport, b""

    def data_received(self, data: bytes) -> None:
        """Answer each request of the benchmark; all of them end with the same body."""
        self._waiting += data
        while PUT_ITEM in self._waiting:
            self._waiting = self._waiting.partition(PUT_ITEM)[2]
            self._transport.write(self.ANSWER)


def serve_endpoint() -> None:
    """The child process: an endpoint on a free port."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Endpoint, "127.0.0.1", 0)
        print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def endpoint() -> Iterator[str]:
    """The URL of an endpoint that answers at once."""
    child = subprocess.Popen([sys.executable, str(Path(__file__).resolve()), "--endpoint"], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        yield f"http://127.0.0.1:{json.loads(child.stdout.readline())['port']}"
    finally:
        child.kill()
        child.wait()


async def _drive(port: int, calls: int) -> None:
    """Make calls over several connections at once."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in target_of("PutItem").items())
    request = f"POST / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {len(PUT_ITEM)}\r\n{lines}\r\n".encode()

    async def one(count: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(count):
            writer.write(request + PUT_ITEM)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                sys.exit(f"the proxy answered {head.decode(errors='replace')}")
            await reader.readexactly(2)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(calls // CONNECTIONS) for _ in range(CONNECTIONS)))


def proxy_calls(calls: int) -> tuple[float, float]:
    """Wall seconds, and processor seconds of the proxy, for so many calls."""
    with endpoint() as url, ProxyProcess(url) as proxy:
        proxy.interceptor.add(NEVER)
        port = int(proxy.url.rpartition(":")[2])
        asyncio.run(_drive(port, WARM_UP * CONNECTIONS))
        process = psutil.Process(proxy.process_id)
        before, started = process.cpu_times(), time.perf_counter()
        asyncio.run(_drive(port, calls))
        wall, after = time.perf_counter() - started, process.cpu_times()
        return wall, (after.user + after.system) - (before.user + before.system)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--proxy-calls", type=int, default=20_000)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--endpoint", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve_both()
    if given.endpoint:
        serve_endpoint()
    bare, intercepted = embedded_latency(given.calls)
    without, having = statistics.median(bare), statistics.median(intercepted)
    added = having - without
    print(
        f"embedded, p50 of {given.calls} PutItem: {without:.3f} ms bare, {having:.3f} ms intercepted: "
        f"{added:.3f} ms added, ratio {having / without:.2f} (bound: {MOST_ADDED_MS:g} ms)"
    )
    calls = given.proxy_calls // CONNECTIONS * CONNECTIONS
    wall, processor = proxy_calls(calls)
    per_core = calls / processor
    print(
        f"reverse proxy, {calls} calls, {CONNECTIONS} connections: {calls / wall:.0f} calls/s on the clock, "
        f"{per_core:.0f} calls/s per core (bound: {FEWEST_CALLS_PER_SECOND:.0f})"
    )
    return 0 if added < MOST_ADDED_MS and per_core >= FEWEST_CALLS_PER_SECOND else 1


if __name__ == "__main__":
    sys.exit(main())
