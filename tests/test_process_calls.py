"""Calls of a process to the target: the interceptor knows whose they are, so that a fault can be aimed at them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from holdfast.history.model import ErrorClass
from holdfast.history.recorder import Recorder
from holdfast.levers import InvocationFault, Journal, Pin, launched, pulled
from holdfast.stack.resolve import Stack
from holdfast.stack.running import Running
from holdfast.targets.base import Interceptor, Rule
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from processes_rig import stack_with

SIDECAR = """
import http.server, json, os, sys
import boto3, botocore.config
{before}
settings = botocore.config.Config(retries={{"total_max_attempts": 1}}, read_timeout=2, connect_timeout=2{more})
table = boto3.client("dynamodb", config=settings)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        key = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status, said = 200, "stored"
        try:
            table.put_item(TableName="rows", Item={{"pk": {{"S": key}}}})
        except Exception as error:
            status, said = 503, type(error).__name__
        self.send_response(status)
        self.end_headers()
        self.wfile.write(said.encode())

    def log_message(self, *told):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Calls:
    """Two sidecars with the same code, and the table they write to."""

    def __init__(self, stack: Stack, journal: Journal, running: Running, interceptor: Interceptor) -> None:
        self.stack = stack
        self.journal = journal
        self.running = running
        self.interceptor = interceptor

    def put(self, component: str, key: str) -> tuple[int, str]:
        """Have a sidecar write a row."""
        answer = requests.post(str(self.running.addresses[f"{component}.url"]), data=key, timeout=20)
        return answer.status_code, answer.text

    def stored(self, key: str) -> bool:
        """Whether the row is there."""
        table = self.stack.target.client("dynamodb")
        return "Item" in table.get_item(TableName="rows", Key={"pk": {"S": key}})


def sidecar(name: str, *, before: str = "", more: str = "") -> dict[str, Any]:
    """A component that writes rows."""
    command = ["{python}", "-c", SIDECAR.format(before=before, more=more), f"{{{name}.port}}"]
    return {"type": "process", "start": {"command": command, "ready": {"port": True, "seconds": 60}}}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    """Three sidecars of an embedded target; one of them tells no application id."""
    directory = tmp_path_factory.mktemp("calls")
    anonymous = "del os.environ['AWS_SDK_UA_APP_ID']"
    described = {"one": sidecar("one"), "two": sidecar("two"), "silent": sidecar("silent", before=anonymous)}
    with EmbeddedTarget.start() as target:
        target.client("dynamodb").create_table(
            TableName="rows",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        stack = stack_with(described, directory, target)
        with Journal(directory, Pin.of(stack)) as journal, launched(stack, journal, logs=directory) as runs:
            assert runs.running is not None
            assert target.interceptor is not None
            yield Calls(runs, journal, runs.running, target.interceptor)


def test_calls_are_traced_under_the_name_of_their_component(calls: Calls) -> None:
    """Each call of a process is found by the key that it carries, with the component that made it."""
    assert calls.put("one", "k-traced") == (200, "stored")
    (call,) = [each for each in calls.interceptor.calls("k-traced") if each.operation == "PutItem"]
    assert (call.function, call.service, call.resource) == ("one", "dynamodb", "rows")


@pytest.mark.parametrize("component", ["one", "silent"])
def test_a_fault_hits_the_calls_of_one_process_about_one_key(component: str, calls: Calls) -> None:
    """Neither another process nor another key is hit; without an application id the environment tells."""
    key = f"k-{component}"
    refuse = Rule(id=f"refuse-{component}", action="refuse", key=key, error="AccessDeniedException")
    recorder = Recorder()
    lever = InvocationFault.on(calls.stack, component, refuse)
    with pulled([lever], stack=calls.stack, journal=calls.journal, recorder=recorder):
        assert calls.put(component, key) == (503, "ClientError")
        assert calls.put("two", key) == (200, "stored")
        assert calls.put(component, "k-other") == (200, "stored")
    (window,) = recorder.history().windows
    assert (window.hits, window.error_class, window.component) == (1, ErrorClass.DENIED, component)
    assert calls.put(component, key) == (200, "stored")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_is_killed_at_its_call_and_started_again(when: str, calls: Calls) -> None:
    """The call took effect or not, as the rule says; its caller is gone, and runs again when the fault is healed."""
    key, before = f"k-kill-{when}", calls.running.process("one")
    kill = Rule(id=f"kill-{when}", action="kill", when=when, key=key, operation="PutItem")  # type: ignore[arg-type]
    lever = InvocationFault.on(calls.stack, "one", kill)
    with pulled([lever], stack=calls.stack, journal=calls.journal, recorder=Recorder()):
        with pytest.raises(requests.ConnectionError):
            calls.put("one", key)
        assert eventually(
            lambda: calls.running.exit_code("one"), lambda code: code == -signal.SIGKILL, deadline_seconds=10
        ).met
    assert calls.stored(key) == (when == "after")
    after = calls.running.process("one")
    assert after is not None
    assert after != before
    assert calls.put("one", key) == (200, "stored")


def test_a_lost_answer_and_a_hung_store(calls: Calls) -> None:
    """The row is there although the process saw its connection break; a delayed call runs into its timeout."""
    rules = [
        Rule(id="lose", action="drop", key="k-lose"),
        Rule(id="hang", action="delay", key="k-hang", delay_seconds=3.0),
    ]
    levers = [InvocationFault.on(calls.stack, "two", each) for each in rules]
    with pulled(levers, stack=calls.stack, journal=calls.journal, recorder=Recorder()):
        assert calls.put("two", "k-lose")[0] == 503
        assert calls.stored("k-lose")
        assert calls.put("two", "k-hang") == (503, "ReadTimeoutError")
