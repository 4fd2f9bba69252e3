"""Dead letters and their redrive against the embedded target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from holdfast.errors import GuardRailError, Inconclusive, PortError
from holdfast.ports import Ports
from holdfast.stack.resolve import Resource
from holdfast.targets.base import Capability, Support
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from ports_rig import messages, new_bucket, new_queue, ports_of


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    """An emulator for this module."""
    with EmbeddedTarget.start() as started:
        yield started


class Blind:
    """A target that cannot peek, as AWS cannot, and offers no move task."""

    def __init__(self, target: EmbeddedTarget) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def peek_messages(self, queue_url: str) -> Any:
        raise Inconclusive("AWS cannot peek")

    def supports(self, capability: Capability) -> Support:
        return Support(supported=False, reason="for a test")


def dead_letter_queues(target: EmbeddedTarget, **attributes: str) -> tuple[Resource, Resource]:
    """A queue and its dead-letter queue."""
    dlq = new_queue(target, "dlq", **attributes)
    policy = json.dumps({"deadLetterTargetArn": dlq.arn, "maxReceiveCount": 1})
    return new_queue(target, "queue", RedrivePolicy=policy, **attributes), dlq


def dead(target: Any, source: Resource | None, dlq: Resource, key: str = "json.id") -> Ports:
    """Ports with one dead-letter queue."""
    call = {"kind": "http", "url": f"{target.endpoint_url}/"}
    resources = [dlq] if source is None else [source, dlq]
    return ports_of(target, call, *resources, dead_letters={"dlq": {"queue": "dlq", "key": key}})


def put(target: EmbeddedTarget, where: Resource, *keys: str, **more: Any) -> None:
    """Put one message for each key."""
    for key in keys:
        target.client("sqs").send_message(
            QueueUrl=where.url,
            MessageBody=json.dumps({"id": key}),
            MessageAttributes={
                "trace": {"DataType": "String", "StringValue": f"t-{key}"},
                "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
                "n": {"DataType": "Number", "StringValue": "7"},
            },
            **{name: value.format(key=key) for name, value in more.items()},
        )


@pytest.mark.parametrize("blind", [False, True], ids=["peeked", "received"])
def test_dead_letters(target: EmbeddedTarget, blind: bool) -> None:
    """All dead letters are found, with key and original, and stay where they are, also where they must be received."""
    source, dlq = dead_letter_queues(target)
    keys = [f"k-{index}" for index in range(12)]
    put(target, dlq, *keys)
    target.client("sqs").send_message(QueueUrl=dlq.url, MessageBody="no json")
    opened = dead(Blind(target) if blind else target, source, dlq)
    for _ in range(2):
        letters = opened.dead_letters("dlq")
        assert sorted(letter.key for letter in letters) == sorted([*keys, ""])
        assert {letter.body: letter.original for letter in letters}['{"id": "k-3"}'] == '{"id": "k-3"}'
        assert len({letter.id for letter in letters}) == 13
    assert sum(message.visible for message in target.peek_messages(dlq.url)) == 13


def test_keys_in_attributes_and_wrapped_bodies(target: EmbeddedTarget) -> None:
    """Key and original are found in attributes, and in JSON inside the text of JSON."""
    _, dlq = dead_letter_queues(target)
    inner = json.dumps({"id": "k-9"})
    target.client("sqs").send_message(
        QueueUrl=dlq.url,
        MessageBody=json.dumps({"Message": inner}),
        MessageAttributes={"key": {"DataType": "String", "StringValue": "k-8"}},
    )
    call = {"kind": "http", "url": f"{target.endpoint_url}/"}
    letters = {
        "by_attribute": {"queue": "dlq", "key": "attributes.key", "original": ""},
        "by_body": {"queue": "dlq", "key": "from_json(json.Message).id", "original": "json.Message"},
    }
    opened = ports_of(target, call, dlq, dead_letters=letters)
    (by_attribute,), (by_body,) = opened.dead_letters("by_attribute"), opened.dead_letters("by_body")
    assert (by_attribute.key, by_attribute.original) == ("k-8", None)
    assert (by_body.key, by_body.original) == ("k-9", inner)


def test_dead_letters_in_a_bucket(target: EmbeddedTarget) -> None:
    """Objects are dead letters too; they cannot be redriven, and that is said."""
    where = new_bucket(target)
    target.client("s3").put_object(Bucket=where.name, Key="failed/1", Body=b'{"request": {"id": "k-1"}}')
    call = {"kind": "http", "url": f"{target.endpoint_url}/"}
    place = {"bucket": "bucket", "key": "json.request.id", "original": "json.request"}
    opened = ports_of(target, call, where, dead_letters={"failures": place})
    (letter,) = opened.dead_letters("failures")
    assert (letter.id, letter.key, letter.original) == ("failed/1", "k-1", '{"id":"k-1"}')
    with pytest.raises(PortError) as caught:
        opened.redrive("failures", ["k-1"])
    assert str(caught.value) == (
        "dead_letters failures: objects in a bucket cannot be redriven\n"
        "  cause:  S3 has no redrive, and how they are processed again is the stack's own affair\n"
        "  remedy: waive the clause that redrives (ES-9) with the reason"
    )


def test_redrive_of_some(target: EmbeddedTarget) -> None:
    """Only the messages of the keys that are asked for move, with their bodies and attributes; the others stay."""
    source, dlq = dead_letter_queues(target)
    put(target, dlq, "k-1", "k-2", "k-3")
    opened = dead(target, source, dlq)
    assert opened.redrive("dlq", ["k-1", "k-3", "k-unknown"]) == 2
    moved = sorted(messages(target, source), key=lambda message: message["Body"])
    assert [message["Body"] for message in moved] == ['{"id": "k-1"}', '{"id": "k-3"}']
    attributes = moved[0]["MessageAttributes"]
    assert attributes["trace"] == {"DataType": "String", "StringValue": "t-k-1"}
    assert attributes["raw"] == {"DataType": "Binary", "BinaryValue": b"\x00\xff"}
    assert attributes["n"] == {"DataType": "Number", "StringValue": "7"}
    (left,) = target.peek_messages(dlq.url)
    assert (left.body, left.visible) == ('{"id": "k-2"}', True)


def kill(target: EmbeddedTarget, source: Resource, dlq: Resource, count: int) -> None:
    """Receive every message of a queue until SQS dead-letters it."""

    def dead_lettered() -> int:
        target.client("sqs").receive_message(QueueUrl=source.url, MaxNumberOfMessages=10, VisibilityTimeout=0)
        return len(target.peek_messages(dlq.url))

    assert eventually(dead_lettered, lambda dead_: dead_ == count, deadline_seconds=10).met


@pytest.mark.parametrize("directly", [False, True], ids=["dead-lettered", "sent directly"])
def test_redrive_of_all(target: EmbeddedTarget, directly: bool) -> None:
    """Where every dead letter is asked for, all are back at their source in the end and none is left."""
    source, dlq = dead_letter_queues(target)
    put(target, dlq if directly else source, *(f"k-{index}" for index in range(12)))
    if not directly:
        kill(target, source, dlq, 12)
    assert dead(target, source, dlq).redrive("dlq", {f"k-{index}" for index in range(20)}) == 12
    waited = eventually(
        lambda: (len(target.peek_messages(source.url)), len(target.peek_messages(dlq.url))),
        lambda counts: counts == (12, 0),
        deadline_seconds=10,
    )
    assert waited.met, waited.value


@pytest.mark.parametrize("blind", [False, True], ids=["task", "one by one"])
def test_redrive_of_a_fifo_queue(target: EmbeddedTarget, blind: bool) -> None:
    """A message goes back to its group although its deduplication id is still remembered."""
    source, dlq = dead_letter_queues(target, FifoQueue="true")
    put(target, source, "k-1", MessageGroupId="g-{key}", MessageDeduplicationId="d-{key}")
    kill(target, source, dlq, 1)
    assert dead(Blind(target) if blind else target, source, dlq).redrive("dlq", ["k-1"]) == 1
    (back,) = messages(target, source)
    assert (back["Body"], back["Attributes"]["MessageGroupId"]) == ('{"id": "k-1"}', "g-k-1")
    assert target.peek_messages(dlq.url) == ()


def test_redrive_by_task_of_two_sources(target: EmbeddedTarget) -> None:
    """Each message goes back to the queue it came from, also one by one where SQS says which that is."""
    source, dlq = dead_letter_queues(target)
    policy = json.dumps({"deadLetterTargetArn": dlq.arn, "maxReceiveCount": 1})
    other = new_queue(target, "other", RedrivePolicy=policy)
    put(target, source, "k-1")
    put(target, other, "k-2")
    kill(target, source, dlq, 1)
    kill(target, other, dlq, 2)
    call = {"kind": "http", "url": f"{target.endpoint_url}/"}
    letters = {"dlq": {"queue": "dlq", "key": "json.id"}}
    assert ports_of(target, call, source, other, dlq, dead_letters=letters).redrive("dlq", ["k-1", "k-2"]) == 2
    assert [message["Body"] for message in messages(target, source)] == ['{"id": "k-1"}']
    assert [message["Body"] for message in messages(target, other)] == ['{"id": "k-2"}']


def test_redrive_of_nothing(target: EmbeddedTarget) -> None:
    """Nothing asked for, nothing moved."""
    source, dlq = dead_letter_queues(target)
    put(target, dlq, "k-1")
    assert dead(target, source, dlq).redrive("dlq", []) == 0
    assert len(target.peek_messages(dlq.url)) == 1


def test_redrive_without_a_source(target: EmbeddedTarget) -> None:
    """A queue that nobody redrives to has nowhere to send its messages."""
    dlq = new_queue(target, "dlq")
    put(target, dlq, "k-1")
    with pytest.raises(PortError) as caught:
        dead(target, None, dlq).redrive("dlq", ["k-1"])
    assert str(caught.value) == (
        f"dead_letters dlq: no queue redrives to {dlq.name}\n"
        "  cause:  no queue names it in its redrive policy, so nothing says where its messages came from\n"
        "  remedy: name the dead-letter queue of a queue, or waive the clause that redrives (ES-9) with the reason"
    )


def test_redrive_out_of_the_stack(target: EmbeddedTarget) -> None:
    """Nothing is sent to a queue that the descriptor does not name."""
    source, dlq = dead_letter_queues(target)
    put(target, dlq, "k-1")
    with pytest.raises(GuardRailError) as caught:
        dead(target, None, dlq).redrive("dlq", ["k-1"])
    assert str(caught.value) == (
        f"dead_letters dlq: the source queue {source.name} is no component of the stack\n"
        "  cause:  a redrive sends messages to it, and nothing outside the descriptor may be changed\n"
        "  remedy: add it to components"
    )
    assert len(target.peek_messages(dlq.url)) == 1
