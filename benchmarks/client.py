"""What one operation of a Locust user costs: boto3 against the cheap client, recording on, side by side.

    python benchmarks/client.py [--seconds 6] [--users 20] [--rounds 2]

A server in another process answers DynamoDB PutItem and SQS SendMessage at once. Locust runs headless in a process of
its own, in turn with boto3, with the cheap client, and (SendMessage) with the command of a descriptor, whose values are
drawn and whose templates are rendered as `holdfast load` does; operations per *its own* processor second are compared,
so that neighbours on the machine do not count. It exits 1 when one of them is not at least 8 times as fast as boto3, or
when recording takes more than 5 % of an operation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

FEWEST_TIMES = 8.0
MOST_RECORDING = 0.05
SERVICES = {"dynamodb": "PutItem", "sqs": "SendMessage"}
ANSWERS = {
    b"DynamoDB": b"{}",
    b"AmazonSQS": b'{"MD5OfMessageBody":"0","MessageId":"7f1c0b8e-0000-4000-8000-000000000000"}',
}


class Answering(asyncio.Protocol):
    """Answers every request at once, as DynamoDB or SQS would."""

    def __init__(self) -> None:
        self._waiting = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        assert self._transport is not None
        self._waiting += data
        while True:
            end = self._waiting.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._waiting[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._waiting) < end + 4 + length:
                return
            self._waiting = self._waiting[end + 4 + length :]
            body = ANSWERS[b"AmazonSQS" if b"amazonsqs" in head else b"DynamoDB"]
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Mon, 05 Jan 2026 10:00:00 GMT\r\n"
                b"Content-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\n"
                b"x-amzn-RequestId: 7F1C0B8E000040008000000000000000\r\nx-amz-crc32: 2745614147\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )


def serve() -> None:
    """The other process: answer until standard input ends."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Answering, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.buffer.read)

    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The endpoint of a server process."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def locust(endpoint: str, *, client: str, service: str, record: bool, users: int, seconds: float) -> float:
    """Processor microseconds of one operation of a Locust process.

    Raises:
        SystemExit: Locust failed, or operations did.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "endpoint": endpoint,
            "client": client,
            "service": service,
            "record": record,
            "users": users,
            "history": f"{folder}/w0.jsonl",
            "result": f"{folder}/result.json",
        }
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "locust", "-f", Path(__file__).with_name("client_locustfile.py")),
                *("--headless", "-u", str(users), "-r", str(users), "-t", f"{seconds:g}s", "--only-summary"),
                *("--exit-code-on-error", "0", "--loglevel", "ERROR"),
            ],
            env={**os.environ, "HOLDFAST_BENCHMARK": json.dumps(settings)},
            capture_output=True,
            text=True,
            timeout=seconds + 120,
            check=False,
        )
        result = Path(settings["result"])
        if ended.returncode or not result.exists():
            sys.exit(f"Locust ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
        figures = json.loads(result.read_text(encoding="utf-8"))
    if figures["failures"] or figures["problem"]:
        sys.exit(f"{figures['failures']} of {figures['operations']} operations failed. {figures['problem']}")
    return float(figures["cpu_seconds"]) / int(figures["operations"]) * 1e6


def recording_us(rounds: int = 5, rows: int = 40_000) -> float:
    """Processor microseconds to record one operation."""
    from holdfast.history.model import Outcome
    from holdfast_load.recorder import Command, Recorder, Reply

    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            recorder = Recorder(f"{folder}/w0.jsonl", recorder="w0")
            now_ns = time.monotonic_ns()
            begin = time.process_time()
            for number in range(rows):
                key = f"order-{number}"
                recorder.add(Command("submit", key, key), Reply(Outcome.OK, "200"), now_ns, now_ns, now_ns + 1_000_000)
            found.append((time.process_time() - begin) / rows * 1e6)
            recorder.close()
    return min(found)


def main() -> None:
    """Measure and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--users", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return
    held = True
    with server() as endpoint:
        for service, operation in SERVICES.items():
            costs: dict[str, list[float]] = {"boto3": [], "cheap": []} | ({"command": []} if service == "sqs" else {})
            for _ in range(arguments.rounds):
                for client, found in costs.items():
                    found.append(
                        locust(
                            endpoint,
                            client=client,
                            service=service,
                            record=True,
                            users=arguments.users,
                            seconds=arguments.seconds,
                        )
                    )
            medians = {client: statistics.median(found) for client, found in costs.items()}
            boto3_us = medians.pop("boto3")
            record_us = recording_us()
            for client, microseconds in medians.items():
                share, times = record_us / microseconds, boto3_us / microseconds
                held = held and times >= FEWEST_TIMES and share <= MOST_RECORDING
                print(
                    f"{service:<9} {operation:<12} boto3 {boto3_us:6.0f} us   {client:<7} {microseconds:5.1f} us"
                    f"   {times:5.1f} times   recording {record_us:.2f} us, {share:.1%}",
                    flush=True,
                )
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
