"""Before anything is injected every port is read once, and what is wrong is one clear error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from holdfast.errors import PortError, ResourceError, TargetError
from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from ports_rig import (
    ACCOUNT,
    REGION,
    Stub,
    StubTarget,
    Web,
    answers,
    client_error,
    free_port,
    resource,
    serving,
    stack_of,
)

TABLE = resource("ledger", "table", name="ledger-1", arn=f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/ledger-1")
QUEUE = resource(
    "dlq", "queue", name="dlq-1", url="http://127.0.0.1/dlq-1", arn=f"arn:aws:sqs:{REGION}:{ACCOUNT}:dlq-1"
)
QUERY = {"kind": "dynamodb-query", "table": "ledger", "partition": {"pk": "{key}"}}
DESCRIBED = {"Table": {"TableArn": TABLE.arn}}


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server."""
    with serving() as server:
        yield server


def dynamodb(**operations: Any) -> Stub:
    """A DynamoDB that has an empty table, unless told otherwise."""
    return Stub(**{"describe_table": DESCRIBED, "query": {"Items": []}, **operations})


def sqs(**operations: Any) -> Stub:
    """An SQS that has the queue."""
    attributes = {"Attributes": {"QueueArn": QUEUE.arn}}
    return Stub(**{"get_queue_url": {"QueueUrl": QUEUE.url}, "get_queue_attributes": attributes, **operations})


def checked(web_url: str, clients: dict[str, Any] | None = None, messages: Any = None, **parts: Any) -> str:
    """The whole message that a check ends with; empty when all is well."""
    target = StubTarget(clients or {"dynamodb": dynamodb()}, messages)
    commands = {"place": {"calls": [{"kind": "http", "url": f"{web_url}/orders", "json": {"id": "{key}"}}]}}
    stack = stack_of(target, TABLE, QUEUE, **{"commands": commands, **parts})
    message = ""
    try:
        with Ports(stack, Recorder()) as ports:
            ports.check()
    except (PortError, ResourceError, TargetError) as error:
        message = str(error)
    return message


def test_a_stack_that_can_be_used(web: Web) -> None:
    """A check of a sound stack passes, sends no command and changes nothing."""
    web.behaviour = answers(404)
    clients = {"dynamodb": dynamodb(), "sqs": sqs()}
    message = checked(
        web.url,
        clients,
        messages=lambda url: (),
        effects={"done": {"sources": [QUERY, {"kind": "http", "url": f"{web.url}/orders/{{key}}"}]}},
        statuses={
            "progress": {
                "source": {"kind": "http", "url": f"{web.url}/status/{{key}}"},
                "state": "state",
                "done": ["DONE"],
            }
        },
        dead_letters={"dlq": {"queue": "dlq", "key": "json.id"}},
    )
    assert message == ""
    assert [request.method for request in web.received] == ["GET", "GET"]
    operations = [name for client in clients.values() for name, _ in client.calls]
    assert set(operations) == {"describe_table", "query", "get_queue_url", "get_queue_attributes"}


def test_an_effect_that_matches_too_much(web: Web) -> None:
    """An effect that is there for a key that nobody used would hold any clause; it is refused."""
    effects = {"done": {"sources": [{**QUERY, "partition": {"pk": "orders"}}]}}
    clients = {"dynamodb": dynamodb(query={"Items": [{"pk": {"S": "orders"}}] * 3})}
    message = checked(web.url, clients, effects=effects)
    assert re.sub(r"holdfast-check-[0-9a-f]{32}", "KEY", message) == (
        "effect done already counts 3 for a key never used\n"
        "  cause:  it was read for KEY, so what it matches does not depend on the key alone\n"
        "  remedy: put {key} into its partition, prefix, path, match or equals: each key has effects of its own"
    )


def test_a_status_that_is_done_too_early(web: Web) -> None:
    """A status that says done for a key that nobody used is refused; one that says unknown is fine."""
    web.behaviour = answers(200, {"state": "DONE"})
    progress = {"source": {"kind": "http", "url": f"{web.url}/status"}, "state": "state", "done": ["DONE"]}
    message = checked(web.url, statuses={"progress": progress})
    assert re.sub(r"holdfast-check-[0-9a-f]{32}", "KEY", message) == (
        "status progress already says DONE for a key never used\n"
        "  cause:  it was read for KEY, so what it reads does not depend on the key alone\n"
        "  remedy: put {key} into its source, so that each key has a status of its own"
    )
    web.behaviour = answers(200, {"state": "UNKNOWN"})
    assert checked(web.url, statuses={"progress": progress}) == ""


def test_a_missing_table(web: Web) -> None:
    """A component that does not exist is named, with where it was looked for."""
    missing = client_error("ResourceNotFoundException", 400, "DescribeTable", "Table not found")
    message = checked(web.url, {"dynamodb": dynamodb(describe_table=missing)}, effects={"done": {"sources": [QUERY]}})
    assert message == (
        f"The component ledger (table ledger-1) does not exist in account {ACCOUNT}, region {REGION}.\n"
        "  cause:  DescribeTable answered ResourceNotFoundException: Table not found\n"
        "  remedy: deploy the stack (--deploy), or correct its name in the descriptor"
    )


def test_a_missing_permission(web: Web) -> None:
    """A read that is denied names the port, the component and the permission."""
    denied = client_error("AccessDeniedException", 400, "Query", "not authorized to perform: dynamodb:Query")
    message = checked(web.url, {"dynamodb": dynamodb(query=denied)}, effects={"done": {"sources": [QUERY]}})
    assert message == (
        "effect done: the component ledger (table ledger-1) may not be read.\n"
        "  cause:  Query answered AccessDeniedException: not authorized to perform: dynamodb:Query\n"
        "  remedy: allow Query for the identity that runs Holdfast, and check the account"
    )


def test_a_wrong_key_attribute(web: Web) -> None:
    """A query that DynamoDB does not accept is shown in DynamoDB's words."""
    wrong = client_error("ValidationException", 400, "Query", "Query condition missed key schema element: id")
    message = checked(web.url, {"dynamodb": dynamodb(query=wrong)}, effects={"done": {"sources": [QUERY]}})
    assert message == (
        "effect done: the component ledger (table ledger-1) cannot be read.\n"
        "  cause:  Query answered ValidationException: Query condition missed key schema element: id\n"
        "  remedy: see the AWS error above"
    )


def test_an_endpoint_that_does_not_answer(web: Web) -> None:
    """A target that is not there is one error of the target's."""
    gone = EndpointConnectionError(endpoint_url="http://127.0.0.1:9/")
    message = checked(web.url, {"dynamodb": dynamodb(describe_table=gone)}, effects={"done": {"sources": [QUERY]}})
    assert message == (
        f"The aws target does not answer at {REGION}.\n"
        '  cause:  Could not connect to the endpoint URL: "http://127.0.0.1:9/"\n'
        "  remedy: check the endpoint and the network, and that the target is running"
    )


def test_a_dead_letter_queue_that_may_not_be_read(web: Web) -> None:
    """Dead letters are read too, by receiving where the target cannot peek."""
    denied = client_error("AccessDenied", 403, "ReceiveMessage", "no")
    message = checked(
        web.url,
        {"sqs": sqs(receive_message=denied)},
        dead_letters={"dlq": {"queue": "dlq", "key": "json.id"}},
    )
    assert message == (
        "dead_letters dlq: the component dlq (queue dlq-1) may not be read.\n"
        "  cause:  ReceiveMessage answered AccessDenied: no\n"
        "  remedy: allow ReceiveMessage for the identity that runs Holdfast, and check the account"
    )


def test_a_command_url_where_nothing_listens() -> None:
    """A command's address is tried by connecting; nothing is sent to it."""
    port = free_port()
    assert checked(f"http://127.0.0.1:{port}") == (
        f"command place: call 1: 127.0.0.1:{port} cannot be reached\n"
        "  cause:  the name does not exist, nothing listens there, or the network is closed "
        "([Errno 111] Connection refused)\n"
        "  remedy: correct the url in the descriptor, or start what should listen there"
    )


def test_a_command_without_a_url() -> None:
    """What renders to no URL is shown as it renders."""
    assert checked("ftp://somewhere") == (
        "command place: call 1 has no usable URL\n"
        "  cause:  it renders to 'ftp://somewhere/orders'\n"
        "  remedy: give a whole http:// or https:// URL, or api and path"
    )


def test_an_http_source_where_nothing_listens(web: Web) -> None:
    """A source that nobody answers is unusable."""
    port = free_port()
    source = {"kind": "http", "url": f"http://127.0.0.1:{port}/x"}
    message = checked(web.url, effects={"done": {"sources": [source]}})
    lines = message.splitlines()
    assert lines[0] == f"effect done: GET http://127.0.0.1:{port}/x gets no answer"
    assert lines[1].startswith("  cause:  connection failed: ConnectionError: ")
    assert lines[1].endswith("Connection refused")
    assert lines[2] == "  remedy: correct the url, or start what should answer there"


@pytest.mark.parametrize(
    ("status", "body", "kind", "what", "cause", "remedy"),
    [
        (
            200,
            b"<html>Welcome</html>",
            "text/html",
            "answers no JSON",
            "text/html: '<html>Welcome</html>'",
            "point the source at a URL that answers JSON",
        ),
        (200, b"", "application/json", "answers no JSON", "application/json, empty body", "point the source at a URL"),
        (
            403,
            b'{"message":"Forbidden"}',
            "application/json",
            "answers 403",
            'application/json: \'{"message":"Forbidden"}\'',
            "give the source the headers or the sigv4 signature that the API asks for",
        ),
        (
            500,
            b"oops",
            "text/plain",
            "answers 500",
            "text/plain: 'oops'",
            "see the API's logs: it must answer before anything is broken on purpose",
        ),
        (301, b"", "text/plain", "answers 301", "text/plain, empty body", "give the URL that it redirects to"),
        (
            405,
            b"",
            "text/plain",
            "answers 405",
            "text/plain, empty body",
            "correct the source, or add the status to absent if it means that there is no effect",
        ),
        (
            200,
            b"-3",
            "application/json",
            "answers -3, which counts nothing",
            "entries = '@' yields a number that is negative or no whole number",
            "let entries yield a list, one entry, null or a count",
        ),
    ],
)
def test_an_http_source_that_answers_garbage(
    web: Web, status: int, body: bytes, kind: str, what: str, cause: str, remedy: str
) -> None:
    """What is no usable JSON answer is shown, shortened, with what to do; at run time it is incomplete instead."""
    web.behaviour = answers(status, body, kind)
    source = {"kind": "http", "url": f"{web.url}/x"}
    lines = checked(web.url, effects={"done": {"sources": [source]}}).splitlines()
    assert lines[0] == f"effect done: GET {web.url}/x {what}"
    assert lines[1] == f"  cause:  {cause}"
    assert lines[2].startswith(f"  remedy: {remedy}")


@pytest.mark.parametrize("part", ["acknowledged", "refused"])
def test_an_acknowledgement_that_is_nonsense(web: Web, part: str) -> None:
    """A rule that can never be true or false is refused."""
    commands = {"place": {"calls": [{"kind": "http", "url": web.url}], "acknowledgement": {part: "'yes'"}}}
    assert checked(web.url, commands=commands) == (
        f"commands.place.acknowledgement.{part}: \"'yes'\" can never be true or false\n"
        "  cause:  it always yields a text, a number, a list or an object\n"
        "  remedy: write a condition, e.g. json.accepted == `true`, or a list of statuses such as [200, 202]"
    )


def test_an_unknown_component(web: Web) -> None:
    """A port that names a component that is not there says so."""
    effects = {"done": {"sources": [{**QUERY, "table": "ledgr"}]}}
    assert checked(web.url, effects=effects) == (
        "The stack orders has no component ledgr.\n  remedy: did you mean ledger?"
    )


def test_calls_that_need_an_answer_are_not_tried(web: Web) -> None:
    """The address of a call that an earlier answer gives cannot be known before; the first call's can."""
    calls = [
        {"kind": "http", "url": f"{web.url}/slots", "save": {"upload": "json.url"}},
        {"kind": "http", "url": "{upload}", "body": "x"},
    ]
    assert checked(web.url, commands={"place": {"calls": calls}}) == ""
    assert web.received == []
