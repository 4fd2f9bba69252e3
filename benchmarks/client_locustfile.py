"""The Locust users of benchmarks/client.py: the same task with boto3 and with the cheap client, recording on.

    HOLDFAST_BENCHMARK='{"client": "cheap", ...}' locust -f benchmarks/client_locustfile.py --headless

Both users report to Locust and record every operation in the history format; nothing but the client differs.
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
from locust import User, constant, events, task

from holdfast.history.model import Outcome
from holdfast_load.client.calls import reply
from holdfast_load.client.cheap import CheapClient
from holdfast_load.client.signing import Keys
from holdfast_load.recorder import Command, Recorder, Reply

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


SEND = with_boto3 if SETTINGS["client"] == "boto3" else cheaply


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
        key = f"order-{State.operations}"
        if OPERATION == "PutItem":
            parameters = {"TableName": "orders", "Item": {"pk": {"S": key}, "note": {"S": "x" * 200}}}
        else:
            parameters = {**PARAMETERS["sqs"], "MessageBody": key}
        sent_ns = time.monotonic_ns()
        got = SEND(parameters)
        done_ns = time.monotonic_ns()
        recorder = State.recorder
        assert recorder is not None
        if SETTINGS["record"]:
            recorder.add(Command("submit", key, key), got, sent_ns, sent_ns, done_ns)
        State.failures += got.outcome is not Outcome.OK
        self.environment.events.request.fire(
            request_type="aws",
            name=OPERATION,
            response_time=(done_ns - sent_ns) / 1e6,
            response_length=0,
            exception=None,
            context={},
        )
