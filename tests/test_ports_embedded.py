"""Every AWS transport and source against the embedded target."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import PortError
from holdfast.history.model import Outcome
from holdfast.history.recorder import Recorder
from holdfast.ports import Ports
from holdfast.stack.generate import Submission
from holdfast.stack.resolve import Resource
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually
from ports_rig import fresh, messages, new_bucket, new_ledger, new_queue, ports_of, resource, stack_of, submission

HANDLER = """
def handler(event, context):
    if event.get("fail"):
        raise ValueError("asked to fail")
    return {"got": event["id"]}
"""
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    """An emulator for this module."""
    with EmbeddedTarget.start() as started:
        yield started


# -- ways in -------------------------------------------------------------------------------------------------------


def test_sqs(target: EmbeddedTarget) -> None:
    """A message arrives with the recorded body and its attributes."""
    where = new_queue(target)
    call = {"kind": "sqs", "queue": "queue", "json": {"id": "{key}", "n": "{n}"}, "attributes": {"trace": "t-{key}"}}
    operation = ports_of(target, call, where).submit("place", submission(n=7))
    assert (operation.outcome, operation.status, operation.body) == (Outcome.OK, "200", '{"id":"k-1","n":7}')
    (message,) = messages(target, where)
    assert message["Body"] == operation.body
    assert message["MessageAttributes"]["trace"]["StringValue"] == "t-k-1"


def test_fifo(target: EmbeddedTarget) -> None:
    """Group and deduplication ids are rendered; the second submission of a key is swallowed by the queue."""
    where = new_queue(target, FifoQueue="true")
    call = {"kind": "sqs", "queue": "queue", "body": "{value}", "group_id": "{g}", "deduplication_id": "{key}"}
    with ports_of(target, call, where) as opened:
        assert [opened.submit("place", submission(g="a")).outcome for _ in range(2)] == [Outcome.OK] * 2
    (message,) = messages(target, where)
    assert (message["Body"], message["Attributes"]["MessageGroupId"]) == ("v-1", "a")


def test_refusals_of_a_queue(target: EmbeddedTarget) -> None:
    """A queue that does not exist, and a message without its group, are refused."""
    gone = resource("queue", "queue", name="gone", url=f"{target.endpoint_url}/{target.account}/gone")
    call = {"kind": "sqs", "queue": "queue", "body": "x"}
    assert ports_of(target, call, gone).submit("place", submission()).outcome is Outcome.FAIL
    fifo = new_queue(target, FifoQueue="true")
    operation = ports_of(target, call, fifo).submit("place", submission())
    assert (operation.outcome, operation.status) == (Outcome.FAIL, "400 MissingParameter")


def test_a_lost_answer_of_a_queue(target: EmbeddedTarget) -> None:
    """The message is there, and the client does not know."""
    where = new_queue(target)
    call = {"kind": "sqs", "queue": "queue", "body": "{value}"}
    operation = ports_of(target, call, where).submit("place", submission(), lose_answer=True)
    assert (operation.outcome, operation.status) == (Outcome.UNKNOWN, "answer lost by the client")
    assert [message["Body"] for message in messages(target, where)] == ["v-1"]


def test_sns(target: EmbeddedTarget) -> None:
    """A message to a topic reaches its subscribers with its attributes."""
    where = new_queue(target)
    arn = target.client("sns").create_topic(Name=fresh("topic"))["TopicArn"]
    target.client("sns").subscribe(
        TopicArn=arn, Protocol="sqs", Endpoint=where.arn, Attributes={"RawMessageDelivery": "true"}
    )
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": where.arn}],
    }
    target.client("sqs").set_queue_attributes(QueueUrl=where.url, Attributes={"Policy": json.dumps(policy)})
    call = {"kind": "sns", "topic": "topic", "json": {"id": "{key}"}, "attributes": {"kind": "order"}}
    operation = ports_of(target, call, resource("topic", "topic", arn=arn)).submit("place", submission())
    assert (operation.outcome, operation.body) == (Outcome.OK, '{"id":"k-1"}')
    waited = eventually(lambda: target.peek_messages(where.url), bool, deadline_seconds=10)
    assert waited.value[0].body == operation.body
    assert waited.value[0].attributes == {"kind": "order"}


def test_eventbridge(target: EmbeddedTarget) -> None:
    """An event is put on the bus that is named, and matched there."""
    where = new_queue(target)
    events = target.client("events")
    bus = fresh("bus")
    arn = events.create_event_bus(Name=bus)["EventBusArn"]
    rule = fresh("rule")
    rule_arn = events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps({"source": ["shop"]}))["RuleArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": where.arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
            }
        ],
    }
    target.client("sqs").set_queue_attributes(QueueUrl=where.url, Attributes={"Policy": json.dumps(policy)})
    events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "q", "Arn": where.arn}])
    call = {
        "kind": "eventbridge",
        "bus": "bus",
        "source": "shop",
        "detail_type": "placed by {value}",
        "detail": {"id": "{key}"},
    }
    operation = ports_of(target, call, resource("bus", "bus", name=bus, arn=arn)).submit("place", submission())
    assert (operation.outcome, operation.body) == (Outcome.OK, '{"id":"k-1"}')
    waited = eventually(lambda: target.peek_messages(where.url), bool, deadline_seconds=10)
    event = json.loads(waited.value[0].body)
    assert (event["detail"], event["detail-type"]) == ({"id": "k-1"}, "placed by v-1")


@pytest.fixture(scope="module")
def worker(target: EmbeddedTarget) -> Resource:
    """A function that answers, or fails when the event asks for it."""
    role = target.client("iam").create_role(RoleName=fresh("role"), AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", HANDLER)
    name = fresh("worker")
    made = target.client("lambda").create_function(
        FunctionName=name, Runtime="python3.12", Role=role, Handler="app.handler", Code={"ZipFile": packed.getvalue()}
    )
    return resource("worker", "function", name=name, arn=made["FunctionArn"])


def test_invocations(target: EmbeddedTarget, worker: Resource) -> None:
    """A function that answers acknowledges; one that fails is unknown, for it may have done its work before."""
    call = {"kind": "lambda", "function": "worker", "payload": {"id": "{key}", "fail": "{fail}"}}
    with ports_of(target, call, worker) as opened:
        good = opened.submit("place", submission(fail=False))
        bad = opened.submit("place", submission(fail=True))
    assert (good.outcome, good.status, json.loads(good.answer)) == (Outcome.OK, "200", {"got": "k-1"})
    assert good.body == '{"id":"k-1","fail":false}'
    assert (bad.outcome, bad.status) == (Outcome.UNKNOWN, "FunctionError")
    assert "asked to fail" in bad.answer


def test_asynchronous_invocations(target: EmbeddedTarget, worker: Resource) -> None:
    """An asynchronous invocation is acknowledged when it is queued."""
    call = {"kind": "lambda", "function": "worker", "payload": {"id": "{key}"}, "asynchronous": True}
    operation = ports_of(target, call, worker).submit("place", submission())
    assert (operation.outcome, operation.status) == (Outcome.OK, "202")


def test_executions(target: EmbeddedTarget) -> None:
    """An execution starts with its name and input; a name taken by another input is refused."""
    role = target.client("iam").create_role(RoleName=fresh("role"), AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    arn = target.client("stepfunctions").create_state_machine(
        name=fresh("saga"), definition=json.dumps(definition), roleArn=role
    )["stateMachineArn"]
    call = {"kind": "execution", "state_machine": "saga", "name": "run-{key}", "input": {"id": "{key}", "v": "{value}"}}
    with ports_of(target, call, resource("saga", "state_machine", arn=arn)) as opened:
        first = opened.submit("place", submission())
        waited = eventually(
            lambda: target.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"][0]["status"],
            lambda status: status == "SUCCEEDED",
            deadline_seconds=10,
        )
        second = opened.submit("place", submission(value="other"))
    assert waited.met
    assert (first.outcome, first.body) == (Outcome.OK, '{"id":"k-1","v":"v-1"}')
    assert (second.outcome, second.status) == (Outcome.FAIL, "400 ExecutionAlreadyExists")


@pytest.mark.parametrize("presigned", [False, True])
def test_objects(target: EmbeddedTarget, presigned: bool) -> None:
    """An object is put with its bytes and type, by the API or a presigned URL, whose signature is not recorded."""
    where = new_bucket(target)
    call = {
        "kind": "s3",
        "bucket": "bucket",
        "object_key": "in/{key}.csv",
        "body": "é;{value}\n",
        "content_type": "text/csv",
        "presigned": presigned,
    }
    operation = ports_of(target, call, where).submit("place", submission("a b"))
    assert (operation.outcome, operation.status, operation.body) == (Outcome.OK, "200", "é;v-1\n")
    assert "Signature" not in operation.answer
    found = target.client("s3").get_object(Bucket=where.name, Key="in/a b.csv")
    assert (found["Body"].read().decode(), found["ContentType"]) == ("é;v-1\n", "text/csv")


def test_a_lost_answer_of_an_upload(target: EmbeddedTarget) -> None:
    """An upload by presigned URL whose answer is lost is stored all the same."""
    where = new_bucket(target)
    call = {"kind": "s3", "bucket": "bucket", "object_key": "{key}", "body": "{value}", "presigned": True}
    operation = ports_of(target, call, where).submit("place", submission(), lose_answer=True)
    assert operation.outcome is Outcome.UNKNOWN
    waited = eventually(
        lambda: target.client("s3").list_objects_v2(Bucket=where.name).get("KeyCount"),
        lambda count: count == 1,
        deadline_seconds=10,
    )
    assert waited.met


def test_a_refused_upload(target: EmbeddedTarget) -> None:
    """A bucket that does not exist refuses."""
    call = {"kind": "s3", "bucket": "bucket", "object_key": "{key}", "body": "x"}
    operation = ports_of(target, call, resource("bucket", "bucket", name=fresh("gone"))).submit("place", submission())
    assert (operation.outcome, operation.status) == (Outcome.FAIL, "404 NoSuchBucket")


def test_many_messages_at_once(target: EmbeddedTarget) -> None:
    """32 threads that submit and observe at once see each their own."""
    where = new_queue(target)
    call = {"kind": "sqs", "queue": "queue", "json": {"id": "{key}"}}
    source = {"kind": "sqs-messages", "queue": "queue", "match": "id"}
    with ports_of(target, call, where, effects={"done": {"sources": [source]}}) as opened:

        def both(index: int) -> int:
            opened.submit("place", submission(f"k-{index}"))
            return opened.observe("done", submission(f"k-{index}")).count

        with ThreadPoolExecutor(32) as pool:
            assert list(pool.map(both, range(32))) == [1] * 32


# -- ways out ------------------------------------------------------------------------------------------------------


def effect(target: EmbeddedTarget, source: dict[str, Any], *resources: Resource) -> Ports:
    """Ports with one effect of one source."""
    return ports_of(
        target, {"kind": "http", "url": f"{target.endpoint_url}/"}, *resources, effects={"done": {"sources": [source]}}
    )


def test_tables(target: EmbeddedTarget) -> None:
    """A query counts the items of one key, over pages and through an index; a get finds one."""
    ledger, dynamodb = new_ledger(target), target.client("dynamodb")
    pad = "x" * 300_000  # five of these make two pages of 1 MB
    for index in range(5):
        item = {"pk": {"S": "k-1"}, "sk": {"S": f"e#{index}"}, "by": {"S": "v-1"}, "pad": {"S": pad}}
        dynamodb.put_item(TableName=ledger.name, Item=item)
    dynamodb.put_item(TableName=ledger.name, Item={"pk": {"S": "k-1"}, "sk": {"S": "other"}})
    query = {"kind": "dynamodb-query", "table": "ledger", "partition": {"pk": "{key}"}, "value": "sk"}
    prefixed = effect(target, {**query, "sort_prefix": {"sk": "e#"}}, ledger)
    assert prefixed.observe("done", submission()).values == ("e#0", "e#1", "e#2", "e#3", "e#4")
    assert effect(target, query, ledger).observe("done", submission()).count == 6
    by = {"kind": "dynamodb-query", "table": "ledger", "index": "by-value", "partition": {"by": "{value}"}}
    assert effect(target, by, ledger).observe("done", submission()).count == 5
    get = {"kind": "dynamodb-get", "table": "ledger", "item_key": {"pk": "{key}", "sk": "other"}}
    assert effect(target, get, ledger).observe("done", submission()).count == 1
    assert effect(target, get, ledger).observe("done", submission("k-2")).count == 0
    effect(target, query, ledger).check()


def test_objects_as_effects(target: EmbeddedTarget) -> None:
    """An object is one effect whose body is its bytes, or whose JSON shows value and body; a prefix counts objects."""
    where = new_bucket(target)
    s3 = target.client("s3")
    s3.put_object(Bucket=where.name, Key="k-1/a", Body=b'{"v": "v-1", "b": {"x": 1}}')
    s3.put_object(Bucket=where.name, Key="k-1/b", Body=b'{"v": "v-2"}')
    s3.put_object(Bucket=where.name, Key="raw", Body=b"\xff\x00 raw")
    one = {"kind": "s3-object", "bucket": "bucket"}
    as_bytes = effect(target, {**one, "object_key": "raw"}, where).observe("done", submission())
    assert (as_bytes.count, as_bytes.bodies) == (1, (b"\xff\x00 raw".decode("utf-8", "surrogateescape"),))
    as_json = effect(target, {**one, "object_key": "{key}/a", "content": "json", "value": "v", "body": "b"}, where)
    seen = as_json.observe("done", submission())
    assert (seen.values, seen.bodies) == (("v-1",), ('{"x":1}',))
    whole = effect(target, {**one, "object_key": "{key}/a", "content": "json", "body": "@"}, where)
    assert whole.observe("done", submission()).bodies == ('{"v": "v-1", "b": {"x": 1}}',)
    assert as_json.observe("done", submission("k-2")).count == 0
    prefix = {"kind": "s3-prefix", "bucket": "bucket", "prefix": "{key}/", "content": "json", "value": "v"}
    assert sorted(effect(target, prefix, where).observe("done", submission()).values) == ["v-1", "v-2"]
    garbage = effect(target, {**one, "object_key": "raw", "content": "json"}, where)
    with pytest.raises(PortError) as caught:
        garbage.check()
    assert caught.value.what == f"effect done: object raw in bucket {where.name} is no JSON"
    assert caught.value.remedy == "set content = 'bytes' on the source, or correct its key"
    assert not garbage.observe("done", submission()).complete


def test_messages_as_effects(target: EmbeddedTarget) -> None:
    """Messages of a key are counted where they lie, in flight or not, with their exact bodies."""
    where = new_queue(target)
    sqs = target.client("sqs")
    for body in ('{"id": "k-1", "v": 1}', '{"id": "k-2"}', "no json", '{"id": "k-1", "v": 2}'):
        sqs.send_message(QueueUrl=where.url, MessageBody=body)
    sqs.receive_message(QueueUrl=where.url, VisibilityTimeout=60)
    source = {"kind": "sqs-messages", "queue": "queue", "match": "id", "value": "v", "body": "@"}
    with effect(target, source, where) as opened:
        for _ in range(2):
            seen = opened.observe("done", submission())
            assert (seen.count, seen.values) == (2, ("1", "2"))
            assert seen.bodies == ('{"id": "k-1", "v": 1}', '{"id": "k-1", "v": 2}')
    text = effect(target, {**source, "match": "@", "equals": "no json"}, where)
    assert text.observe("done", submission()).count == 1


def test_a_whole_check(target: EmbeddedTarget, worker: Resource) -> None:
    """A check of every kind of component passes and leaves every queue as it was."""
    source, dlq = new_queue(target), new_queue(target, "dlq")
    target.client("sqs").send_message(QueueUrl=dlq.url, MessageBody="{}")
    where = new_bucket(target)
    effects = {
        "stored": {"sources": [{"kind": "s3-object", "bucket": "bucket", "object_key": "{key}"}]},
        "queued": {"sources": [{"kind": "sqs-messages", "queue": "queue", "match": "id"}]},
    }
    commands = {
        "place": {"calls": [{"kind": "lambda", "function": "worker", "payload": {}}]},
        "send": {
            "calls": [{"kind": "sqs", "queue": "queue", "body": "{amount}"}],
            "fields": {"amount": {"type": "money"}},
        },
    }
    stack = stack_of(
        target,
        source,
        dlq,
        where,
        worker,
        path=Path("orders.stack.toml"),
        commands=commands,
        effects=effects,
        dead_letters={"dlq": {"queue": "dlq", "key": "json.id"}},
    )
    Ports(stack, Recorder()).check()
    assert [message.receive_count for message in target.peek_messages(dlq.url)] == [0]
    assert target.peek_messages(source.url) == ()


def test_a_lost_answer_of_a_signed_request(target: EmbeddedTarget) -> None:
    """What a signed request asked for is done although the client never reads the answer."""
    where = new_queue(target)
    sqs_url = f"{target.endpoint_url}/"
    body = f"Action=SendMessage&MessageBody=lost&QueueUrl={where.url}&Version=2012-11-05"
    call = {
        "kind": "http",
        "url": sqs_url,
        "body": body,
        "headers": {"Content-Type": "application/x-www-form-urlencoded"},
        "sigv4": "sqs",
    }
    operation = ports_of(target, call).submit("place", Submission("k-1", "v-1"), lose_answer=True)
    assert operation.outcome is Outcome.UNKNOWN
    waited = eventually(lambda: target.peek_messages(where.url), bool, deadline_seconds=10)
    assert [message.body for message in waited.value] == ["lost"]
