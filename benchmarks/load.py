"""A million operations on two cores: driven by two workers, recorded, merged and judged, in one run.

    python benchmarks/load.py [--operations 1000000] [--workers 2] [--users 64]

A server in another process takes SQS messages at once and keeps what is in them. `holdfast load`'s own processes send a
descriptor's command as fast as closed users can, every operation is recorded, the workers' files are merged with their
clock uncertainty, and every message is judged: sent and acknowledged exactly once in what the server kept. It exits 1
when that is not so. Peak memory is of this process, which merges and judges, and of the largest of its children.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from holdfast import check
from holdfast.history.opening import open_history
from holdfast.history.writing import HistoryFile
from holdfast.stack.loading import load_descriptor
from holdfast.stack.resolve import Stack
from holdfast.stack.resources import Resource
from holdfast.targets.attached import AttachedTarget
from holdfast_load.latency import percentiles, read_timings
from holdfast_load.plan import LoadPlan, LoadProgress, RunClock, RunRecord
from holdfast_load.running import Launch, run
from holdfast_load.show import Shown

ACCOUNT, REGION = "123456789012", "eu-west-1"
LONGEST_SECONDS = 1_800.0
DESCRIPTOR = """
name = "orders"

[components]
queue  = { type = "queue", name = "orders" }
worker = { type = "function", name = "orders" }
ledger = { type = "table", name = "ledger" }

[commands.place_order]
calls = [{ kind = "sqs", queue = "queue", json = { id = "{key}", note = "{value}" } }]

[effects.entered]
sources = [{ kind = "dynamodb-query", table = "ledger", partition = { id = "{key}" }, value = "note" }]

[patterns.storage-first]
command = "place_order"
effect = "entered"
workers = ["worker"]
store = "queue"
"""
BODY = b'{"MD5OfMessageBody":"0","MessageId":"7f1c0b8e-0000-4000-8000-000000000000"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
VALUE = re.compile(rb"v-[0-9a-z]+-[0-9]+-[0-9a-f]{8}")


class Keeping(asyncio.Protocol):
    """Answers every message at once, and keeps the value in it."""

    values: list[str]

    def __init__(self) -> None:
        self._waiting = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is whole."""
        self._waiting += data
        while True:
            end = self._waiting.find(b"\r\n\r\n")
            length = LENGTH.search(self._waiting, 0, end) if end >= 0 else None
            if length is None:
                return
            whole = end + 4 + int(length[1])
            if len(self._waiting) < whole:
                return
            value = VALUE.search(self._waiting, end, whole)
            self._waiting = self._waiting[whole:]
            if value is not None:
                self.values.append(value[0].decode())
            self._transport.write(ANSWER)


def serve(path: str) -> None:
    """The other process: answer until standard input ends, then write what was kept as one read of the effects."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        Keeping.values = []
        server = await loop.create_server(Keeping, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.buffer.read)
        with HistoryFile(path, recorder="server") as history:
            history.add("effect", None, Keeping.values, 0, 1, "ok")

    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(main())


@contextlib.contextmanager
def server(path: Path) -> Iterator[str]:
    """The endpoint of a server process, which has written what it kept when this ends."""
    command = [sys.executable, __file__, "--serve", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


class Counting:
    """Ends the run when enough was sent."""

    def __init__(self, operations: int) -> None:
        self._operations = operations
        self._stop: Callable[[str], None] = print

    def on_start(self, clock: RunClock, stop: Callable[[str], None]) -> None:
        """Keep what stops the run."""
        del clock
        self._stop = stop

    def on_tick(self, progress: LoadProgress) -> str:
        """Look whether it is enough."""
        if progress.sent >= self._operations:
            self._stop("enough was sent")
        return ""

    def on_over(self) -> None:
        """Nothing to heal."""

    def on_end(self, record: RunRecord) -> int:
        """Not asked."""
        del record
        return 0


def stack_at(url: str, folder: Path) -> Stack:
    """The benchmark's stack."""
    path = folder / "orders.stack.toml"
    path.write_text(DESCRIPTOR, encoding="utf-8")
    descriptor = load_descriptor(path, {})
    resources = {
        name: Resource(component=name, type=one.type, name=str(one.name), url=f"{url}/{ACCOUNT}/orders")
        for name, one in descriptor.components.items()
    }
    target: Any = AttachedTarget(kind="localstack", endpoint_url=url, account=ACCOUNT, region=REGION)
    return Stack(descriptor, path, target, MappingProxyType(resources))


def memory_mb(who: int) -> float:
    """Peak memory."""
    return resource.getrusage(who).ru_maxrss / 1024


def main() -> None:
    """Drive, merge, judge, and say how long each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--users", type=int, default=64)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history = folder / "history"
        history.mkdir()
        with server(folder / "effects.jsonl") as url:
            stack = stack_at(url, folder)
            plan = LoadPlan(
                descriptor=stack.path,
                commands=("place_order",),
                duration_seconds=LONGEST_SECONDS,
                users=arguments.users,
                workers=arguments.workers,
                prefix="hfbench",
            )
            record = run(
                plan,
                stack,
                folder=folder,
                history=history,
                hooks=Counting(arguments.operations),
                launch=Launch(local_workers=arguments.workers, expected_workers=arguments.workers),
                shown=Shown(sys.stderr),
            )
        if record.missing:
            sys.exit(f"not everything was recorded: {record.missing}")
        sent = sum(worker.sent for worker in record.workers)
        megabytes = sum(path.stat().st_size for path in record.files) / 1e6
        print(
            f"driven    {sent} operations in {record.seconds:.1f} s, {sent / record.seconds:.0f}/s, {megabytes:.0f} MB"
        )
        begin = time.monotonic()
        columns = open_history([*record.files, folder / "effects.jsonl"], uncertainty_ns=record.uncertainty_ns)
        merged = time.monotonic()
        # a row of a load run is named after its command; that of this model is a submission
        columns = replace(columns, kinds=tuple("submit" if kind == "place_order" else kind for kind in columns.kinds))
        result = check.effects(columns)
        judged = time.monotonic()
        print(
            f"merged    {len(columns)} rows of {len(record.files)} workers in {merged - begin:.1f} s,"
            f" clocks within {record.uncertainty_ns / 1e6:.2f} ms"
        )
        print(f"judged    {result.verdict}: {result.reason} ({judged - merged:.1f} s)")
        latency = percentiles(read_timings(record.files[0]).latency_ns)
        print(f"latency   p50 {latency[50]:.1f} p95 {latency[95]:.1f} p99 {latency[99]:.1f} ms, of closed users")
        print(
            f"memory    {memory_mb(resource.RUSAGE_SELF):.0f} MB to merge and judge,"
            f" {memory_mb(resource.RUSAGE_CHILDREN):.0f} MB the largest child"
        )
    sys.exit(0 if result.verdict == "holds" else 1)


if __name__ == "__main__":
    main()
