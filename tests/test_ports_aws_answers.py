"""What botocore's results and exceptions say about the effect of a command."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import exceptions as boto
from urllib3.exceptions import NewConnectionError

from holdfast.errors import PortError
from holdfast.history.model import Operation, Outcome
from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from ports_rig import Stub, StubTarget, client_error, resource, stack_of, submission

QUEUE = resource("queue", "queue", url="http://127.0.0.1/q", arn="arn:aws:sqs:eu-west-1:123456789012:queue")


def sent(result: Any, **options: Any) -> Operation:
    """How a message to a queue goes whose client does this."""
    client = Stub(send_message=result)
    calls = [{"kind": "sqs", "queue": "queue", "json": {"id": "{key}"}}]
    stack = stack_of(StubTarget({"sqs": client}), QUEUE, commands={"place": {"calls": calls}})
    with Ports(stack, Recorder()) as ports:
        return ports.submit("place", submission(), **options)


def connecting(cause: Exception) -> Exception:
    """What botocore raises when it could not connect for this reason."""
    inner = NewConnectionError(None, str(cause))  # type: ignore[arg-type]
    inner.__cause__ = cause
    return boto.EndpointConnectionError(endpoint_url="http://127.0.0.1:9/", error=inner)


URL = "http://127.0.0.1:9/"


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (client_error("InvalidMessageContents", 400), Outcome.FAIL, "400 InvalidMessageContents"),
        (client_error("AccessDenied", 403), Outcome.FAIL, "403 AccessDenied"),
        (client_error("ThrottlingException", 400), Outcome.FAIL, "400 ThrottlingException"),
        (client_error("RequestThrottled", 429), Outcome.FAIL, "429 RequestThrottled"),
        (client_error("RequestTimeoutException", 408), Outcome.UNKNOWN, "408 RequestTimeoutException"),
        (client_error("InternalError", 500), Outcome.UNKNOWN, "500 InternalError"),
        (client_error("ServiceUnavailable", 503), Outcome.UNKNOWN, "503 ServiceUnavailable"),
        (boto.ReadTimeoutError(endpoint_url=URL), Outcome.UNKNOWN, "ReadTimeoutError: "),
        (boto.ConnectTimeoutError(endpoint_url=URL), Outcome.UNKNOWN, "ConnectTimeoutError: "),
        (boto.ConnectionClosedError(endpoint_url=URL), Outcome.UNKNOWN, "ConnectionClosedError: "),
        (boto.ResponseStreamingError(error="cut"), Outcome.UNKNOWN, "ResponseStreamingError: "),
        (connecting(ConnectionRefusedError(111, "refused")), Outcome.FAIL, "EndpointConnectionError: "),
        (connecting(OSError(113, "No route to host")), Outcome.UNKNOWN, "EndpointConnectionError: "),
    ],
)
def test_errors(error: Exception, outcome: Outcome, status: str) -> None:
    """A 4xx refuses, throttles too; 5xx, timeouts and cut connections are unknown; a refused connection refuses."""
    operation = sent(error)
    assert operation.outcome is outcome
    assert operation.status.startswith(status)
    assert (operation.completed_seconds is None) == isinstance(error, boto.BotoCoreError)
    assert operation.body == '{"id":"k-1"}'


def test_success() -> None:
    """A result acknowledges; the answer is recorded as JSON."""
    operation = sent({"MessageId": "m-1", "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": {"a": "b"}}})
    assert (operation.outcome, operation.status, operation.answer) == (Outcome.OK, "200", '{"MessageId": "m-1"}')


def test_lost_answers() -> None:
    """The call is performed and its result discarded."""
    operation = sent({"MessageId": "m-1", "ResponseMetadata": {"HTTPStatusCode": 200}}, lose_answer=True)
    assert (operation.outcome, operation.status) == (Outcome.UNKNOWN, "answer lost by the client")
    assert (operation.answer, operation.completed_seconds) == ("", None)


def test_an_answer_that_was_never_on_its_way() -> None:
    """Nothing is lost where nothing could be sent: that stays a refusal."""
    assert sent(connecting(ConnectionRefusedError(111, "refused")), lose_answer=True).outcome is Outcome.FAIL


def test_mistakes_of_the_client() -> None:
    """What botocore refuses to send is an error of the descriptor's or the credentials', not an outcome."""
    with pytest.raises(PortError) as caught:
        sent(boto.ParamValidationError(report="Invalid length for parameter QueueUrl"))
    assert str(caught.value) == (
        "an AWS call cannot be sent\n"
        "  cause:  Parameter validation failed: Invalid length for parameter QueueUrl\n"
        "  remedy: correct the command in the descriptor, or the credentials of the target"
    )


@pytest.mark.parametrize(
    ("code", "outcome", "status"),
    [
        ("ThrottlingException", Outcome.FAIL, "400 ThrottlingException"),
        ("InternalFailure", Outcome.UNKNOWN, "500 InternalFailure"),
        ("InternalException", Outcome.UNKNOWN, "500 InternalException"),
    ],
)
def test_failed_entries_of_an_event_bus(code: str, outcome: Outcome, status: str) -> None:
    """An event that PutEvents failed to put is no success although the call answers 200."""
    answer = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": code, "ErrorMessage": "so"}], "ResponseMetadata": {}}
    calls = [{"kind": "eventbridge", "source": "shop", "detail_type": "placed", "detail": {"id": "{key}"}}]
    stack = stack_of(StubTarget({"events": Stub(put_events=answer)}), commands={"place": {"calls": calls}})
    operation = Ports(stack, Recorder()).submit("place", submission())
    assert (operation.outcome, operation.status, operation.answer) == (outcome, status, "so")
