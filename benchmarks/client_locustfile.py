"""The Locust users of benchmarks/client.py: the same task with boto3 and with the cheap client, recording on.

    HOLDFAST_BENCHMARK='{"client": "cheap", ...}' locust -f benchmarks/client_locustfile.py --headless

All users report to Locust and record every operation in the history format. Those of boto3 and of the cheap client
differ in nothing else; those of a descriptor's command also draw its values and render its templates.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from load import stack_at
from locust import User, constant, events, task

from holdfast.history.model import Outcome
from holdfast.redaction import cleaning
from holdfast_load.client.calls import reply
from holdfast_load.client.cheap import CheapClient
from holdfast_load.client.signing import Keys
from holdfast_load.plan import LoadPlan
from holdfast_load.recorder import Command, Recorder, Reply
from holdfast_load.submitting import Submitter
from holdfast_load.worker import cheap

SETTINGS = json.loads(os.environ["HOLDFAST_BENCHMARK"])
REGION = "eu-west-1"
PARAMETERS: dict[str, dict[str, Any]] = {
    "dynamodb": {"TableName": "orders", "Item": {"pk": {"S": ""}, "note": {"S": "x" * 200}}},
    "sqs": {"QueueUrl": f"{SETTINGS['endpoint']}/123456789012/orders", "MessageBody": ""},
}
OPERATION = {"dynamodb": "PutItem", "sqs": "SendMessage"}[SETTINGS["service"]]
SESSION = boto3.Session("AKIDEXAMPLE", "secret", region_name=REGION)


def boto3_client(service: str) -> Any:
    """A boto3 client with one attempt a call, as the history needs it."""
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=SETTINGS["users"] + 1)
    return SESSION.client(service, endpoint_url=SETTINGS["endpoint"], config=config)


class State:
    """What the users of the process share."""

    recorder: Recorder | None = None
    started_cpu_seconds = 0.0
    recording_seconds = 0.0
    operations = 0
    failures = 0
    keys = Keys(SESSION.get_credentials(), REGION)
    cheap = CheapClient(boto3_client, keys)
    plain = boto3_client(SETTINGS["service"])


def with_boto3(parameters: dict[str, Any]) -> Reply:
    """What a Locust user with boto3 does."""
    try:
        if OPERATION == "PutItem":
            State.plain.put_item(**parameters)
        else:
            State.plain.send_message(**parameters)
    except (BotoCoreError, ClientError) as error:
        return Reply(Outcome.UNKNOWN, str(error), answered=False)
    return Reply(Outcome.OK, "200")


def cheaply(parameters: dict[str, Any]) -> Reply:
    """The same with the cheap client."""
    return reply(State.cheap.call(SETTINGS["service"], OPERATION, parameters))


def submitter() -> Submitter:
    """What submits the command of benchmarks/load.py's descriptor."""
    stack = stack_at(SETTINGS["endpoint"], Path(SETTINGS["history"]).parent)
    plan = LoadPlan(descriptor=stack.path, commands=("place_order",), duration_seconds=1, users=1, prefix="hfbench")
    return Submitter(stack, plan, transports=cheap(stack.target, on_aws=False), clean=cleaning(stack.descriptor))


SEND = with_boto3 if SETTINGS["client"] == "boto3" else cheaply
SUBMITTER = submitter() if SETTINGS["client"] == "command" else None


@events.test_start.add_listener
def started(**_: Any) -> None:
    """Begin to record and to count."""
    State.recorder = Recorder(SETTINGS["history"], recorder="w0")
    State.started_cpu_seconds = time.process_time()


@events.test_stop.add_listener
def stopped(**_: Any) -> None:
    """Write what was counted."""
    assert State.recorder is not None
    cpu_seconds = time.process_time() - State.started_cpu_seconds
    State.recorder.close()
    figures = {
        "operations": State.operations,
        "failures": State.failures,
        "cpu_seconds": cpu_seconds,
        "problem": str(State.recorder.problem or ""),
    }
    Path(SETTINGS["result"]).write_text(json.dumps(figures), encoding="utf-8")


class Client(User):  # type: ignore[misc, unused-ignore]
    """One user: an operation, its record, and Locust's own statistics."""

    wait_time = constant(0)

    @task
    def operate(self) -> None:
        """One operation."""
        State.operations += 1
        recorder = State.recorder
        assert recorder is not None
        if SUBMITTER is not None:
            command = SUBMITTER.command(State.operations)
            sent_ns = time.monotonic_ns()
            got = SUBMITTER.send(command)
            done_ns = time.monotonic_ns()
        else:
            command, got, sent_ns, done_ns = self.call(f"order-{State.operations}")
        if SETTINGS["record"]:
            recorder.add(command, got, sent_ns, sent_ns, done_ns)
        State.failures += got.outcome is not Outcome.OK
        self.environment.events.request.fire(
            request_type="aws",
            name=OPERATION,
            response_time=(done_ns - sent_ns) / 1e6,
            response_length=0,
            exception=None,
            context={},
        )

    @staticmethod
    def call(key: str) -> tuple[Command, Reply, int, int]:
        """One AWS call, and when it was sent and done."""
        if OPERATION == "PutItem":
            parameters = {"TableName": "orders", "Item": {"pk": {"S": key}, "note": {"S": "x" * 200}}}
        else:
            parameters = {**PARAMETERS["sqs"], "MessageBody": key}
        sent_ns = time.monotonic_ns()
        got = SEND(parameters)
        return Command("submit", key, key), got, sent_ns, time.monotonic_ns()
