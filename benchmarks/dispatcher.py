"""How late the open dispatcher sends, and what it costs: one worker, the cheap client, recording on.

    python benchmarks/dispatcher.py [--rates 200 500 1000 2000] [--seconds 4]

A server in another process answers DynamoDB PutItem at once; arrivals are Poisson. Slip is how late an operation was
sent; the processor time is this process's own, per operation. On a machine with neighbours slip is theirs as well.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from client import server

from holdfast_load.client.calls import reply
from holdfast_load.client.cheap import CheapClient
from holdfast_load.client.signing import Keys
from holdfast_load.dispatcher import on_gevent
from holdfast_load.latency import percentiles, read_timings
from holdfast_load.recorder import Command, Recorder, Reply
from holdfast_load.schedule import arrivals, constant, share

REGION = "eu-west-1"


class Puts:
    """One PutItem an arrival."""

    def __init__(self, endpoint: str) -> None:
        session = boto3.Session("AKIDEXAMPLE", "secret", region_name=REGION)
        config = Config(retries={"total_max_attempts": 1})

        def client_of(service: str) -> Any:
            return session.client(service, endpoint_url=endpoint, config=config)  # type: ignore[call-overload]

        self._client = CheapClient(client_of, Keys(session.get_credentials(), REGION))

    def command(self, number: int) -> Command:
        """A key of its own."""
        return Command("submit", number, number)

    def send(self, command: Command) -> Reply:
        """Put it."""
        item = {"pk": {"S": f"order-{command.key}"}, "note": {"S": "x" * 200}}
        return reply(self._client.call("dynamodb", "PutItem", {"TableName": "orders", "Item": item}))


def main() -> None:
    """Measure at each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=float, nargs="+", default=[200.0, 500.0, 1_000.0, 2_000.0])
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    with server() as endpoint, tempfile.TemporaryDirectory() as folder:
        puts = Puts(endpoint)
        puts.send(puts.command(-1))
        for rate in arguments.rates:
            path = Path(folder) / f"{rate:g}.jsonl"
            recorder = Recorder(path, recorder="w0")
            begin = time.process_time()
            result = on_gevent(puts, recorder).run(share(arrivals(constant(rate, arguments.seconds), 1), 0, 1))
            cpu_us = (time.process_time() - begin) / max(1, result.sent) * 1e6
            recorder.close()
            timings = read_timings(path)
            slip, latency = percentiles(timings.slip_ns), percentiles(timings.latency_ns)
            print(
                f"{rate:6g}/s  sent {result.sent:6}  refused {result.refused}"
                f"  slip p50 {slip[50]:.2f} p99 {slip[99]:.2f} ms"
                f"  latency p50 {latency[50]:.2f} p99 {latency[99]:.2f} ms"
                f"  {cpu_us:.0f} us of processor an operation  {result.invalid and 'invalid: ' + result.invalid}",
                flush=True,
            )


if __name__ == "__main__":
    main()
