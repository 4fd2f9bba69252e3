"""What a probe builds: uniquely named resources that are removed afterwards, and waiting for something to come true."""

from __future__ import annotations

import io
import json
import secrets
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from holdfast.targets.base import Target

T = TypeVar("T")
_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.25
"""Probes that wait side by side must not keep a single-threaded emulator from what they wait for."""

_TRUSTED = ("lambda.amazonaws.com", "apigateway.amazonaws.com", "states.amazonaws.com")

HANDLER = '''"""One handler for all probes: the event, or each record's body, says what to do."""
import json
import os
import time

import boto3

seen = []
dynamodb = boto3.client("dynamodb")


def put(key, context):
    dynamodb.put_item(
        TableName=os.environ["TABLE"],
        Item={"pk": {"S": key}, "sk": {"S": context.aws_request_id + str(time.time())}},
    )


def act(order, context):
    if "log" in order:
        print(order["log"])
    if "begin" in order:
        put(order["begin"], context)
    if "sleep" in order:
        time.sleep(order["sleep"])
    if "put" in order:
        put(order["put"], context)
    if "raise" in order:
        raise ValueError(order["raise"])
    if "exit" in order:
        os._exit(order["exit"])


def handler(event, context):
    seen.append(1)
    if "environment" in event:
        return dict(os.environ)
    failures = []
    for record in event.get("Records", [event]):
        order = record
        if "body" in record:
            order = json.loads(record["body"])
        elif "dynamodb" in record:
            image = record["dynamodb"].get("NewImage") or {}
            order = json.loads(image["order"]["S"]) if "order" in image else {}
        elif "Sns" in record:
            order = json.loads(record["Sns"]["Message"])
        order = order.get("detail", order)
        if order.get("report"):
            identifier = record.get("messageId") or record["dynamodb"]["SequenceNumber"]
            failures.append({"itemIdentifier": identifier if order["report"] is True else order["report"]})
        else:
            act(order, context)
    if failures:
        return {"batchItemFailures": failures}
    return {"pid": os.getpid(), "invocation": len(seen), "request_id": context.aws_request_id}
'''


class ProbeFailedError(AssertionError):
    """The target does not behave as AWS does; the message says how it behaved."""


def check(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    """Raise unless something holds."""
    if not holds:
        raise ProbeFailedError(otherwise)


def wait_for(probe: Callable[[], T], otherwise: str, *, seconds: float = 30.0) -> T:
    """The first true answer of a probe.

    Raises:
        ProbeFailedError: there was none in that time.
    """
    end, pause_seconds = time.monotonic() + seconds, _PAUSE_SECONDS
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise ProbeFailedError(f"{otherwise} within {seconds:g} s")
        time.sleep(pause_seconds)
        pause_seconds = min(1.2 * pause_seconds, _LONGEST_PAUSE_SECONDS)


def zipped(code: str = HANDLER) -> bytes:
    """A deployment package of one Python module."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("index.py", code)
    return packed.getvalue()


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of a probe."""

    url: str
    arn: str
    name: str


@dataclass(slots=True)
class Bench:
    """Builds resources for one probe."""

    target: Target
    _undo: ExitStack
    prefix: str = field(default_factory=lambda: f"probe-{secrets.token_hex(4)}")
    _count: int = 0

    def name(self) -> str:
        """A name nothing else has."""
        self._count += 1
        return f"{self.prefix}-{self._count}"

    def later(self, undo: Callable[..., Any], **arguments: Any) -> None:
        """Undo something in the end; what is gone already is no mistake."""

        def quietly() -> None:
            with suppress(ClientError, BotoCoreError):
                undo(**arguments)

        self._undo.callback(quietly)

    def role(self, actions: Sequence[str] = ("*",)) -> tuple[str, str]:
        """A role that functions and APIs may take on; its name and ARN."""
        iam = self.target.client("iam")
        name = self.name()
        trust = {"Effect": "Allow", "Principal": {"Service": list(_TRUSTED)}, "Action": "sts:AssumeRole"}
        arn: str = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        self.later(iam.delete_role, RoleName=name)
        allow = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        iam.put_role_policy(
            RoleName=name,
            PolicyName="probe",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
        )
        self.later(iam.delete_role_policy, RoleName=name, PolicyName="probe")
        return name, arn

    def function(self, *, table: str = "", timeout_seconds: int = 5, code: str = HANDLER, **settings: Any) -> str:
        """A function with the probes' handler; its name."""
        functions = self.target.client("lambda")
        name = self.name()
        functions.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=self.role()[1],
            Handler="index.handler",
            Code={"ZipFile": zipped(code)},
            Timeout=timeout_seconds,
            Environment={"Variables": {"TABLE": table, **self._pointed()}},
            **settings,
        )
        self.later(functions.delete_function, FunctionName=name)
        wait_for(
            lambda: functions.get_function(FunctionName=name)["Configuration"].get("State", "Active") == "Active",
            f"function {name} did not become active",
            seconds=30,
        )
        return name

    def _pointed(self) -> dict[str, str]:
        """Where the target's interceptor is, if functions have to be pointed there."""
        url = self.target.interceptor_url
        return {} if url is None else {"AWS_ENDPOINT_URL": url}

    def invoke(self, function: str, order: Mapping[str, Any], **options: Any) -> tuple[str, Any]:
        """Invoke a function; the kind of error, empty without one, and the answer."""
        answer = self.target.client("lambda").invoke(FunctionName=function, Payload=json.dumps(order), **options)
        text = answer["Payload"].read()
        return answer.get("FunctionError", ""), json.loads(text) if text else None

    def queue(self, **attributes: str) -> Queue:
        """A queue, with ``FifoQueue="true"`` one that keeps order."""
        sqs = self.target.client("sqs")
        name = self.name() + (".fifo" if attributes.get("FifoQueue") == "true" else "")
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.later(sqs.delete_queue, QueueUrl=url)
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return Queue(url, arn, name)

    def send(self, queue: Queue, order: Mapping[str, Any], **options: Any) -> str:
        """Send an order; the message id."""
        sent = self.target.client("sqs").send_message(QueueUrl=queue.url, MessageBody=json.dumps(order), **options)
        return str(sent["MessageId"])

    def send_all(self, queue: Queue, orders: Sequence[Mapping[str, Any]]) -> None:
        """Send up to ten orders at once."""
        entries = [{"Id": str(at), "MessageBody": json.dumps(order)} for at, order in enumerate(orders)]
        self.target.client("sqs").send_message_batch(QueueUrl=queue.url, Entries=entries)

    def mapping(self, function: str, source: str, **settings: Any) -> str:
        """An event source mapping; its UUID."""
        functions = self.target.client("lambda")
        uuid: str = functions.create_event_source_mapping(FunctionName=function, EventSourceArn=source, **settings)[
            "UUID"
        ]
        self.later(functions.delete_event_source_mapping, UUID=uuid)
        return uuid

    def allow(self, queue: Queue, service: str) -> None:
        """Let an AWS service send to a queue."""
        allowed = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": queue.arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.target.client("sqs").set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": policy})

    def rule(self, source: str, arn: str, **settings: Any) -> str:
        """A rule that sends the events of a source to a target; its name."""
        events = self.target.client("events")
        name = self.name()
        events.put_rule(Name=name, EventPattern=json.dumps({"source": [source]}))
        self.later(events.delete_rule, Name=name)
        events.put_targets(Rule=name, Targets=[{"Id": "one", "Arn": arn, **settings}])
        self.later(events.remove_targets, Rule=name, Ids=["one"])
        return name

    def put_event(self, source: str, detail: Mapping[str, Any]) -> None:
        """Put an event on the default bus."""
        entry = {"Source": source, "DetailType": "order", "Detail": json.dumps(detail)}
        self.target.client("events").put_events(Entries=[entry])

    def topic(self, **attributes: str) -> str:
        """A topic; its ARN."""
        sns = self.target.client("sns")
        name = self.name() + (".fifo" if attributes.get("FifoTopic") == "true" else "")
        arn: str = sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
        self.later(sns.delete_topic, TopicArn=arn)
        return arn

    def subscribe(self, topic: str, protocol: str, endpoint: str, **attributes: str) -> str:
        """A subscription of a topic; its ARN."""
        subscribed = self.target.client("sns").subscribe(
            TopicArn=topic, Protocol=protocol, Endpoint=endpoint, Attributes=attributes, ReturnSubscriptionArn=True
        )
        return str(subscribed["SubscriptionArn"])

    def function_arn(self, function: str) -> str:
        """The ARN of a function."""
        told = self.target.client("lambda").get_function(FunctionName=function)
        return str(told["Configuration"]["FunctionArn"])

    def table(self, *, stream: bool = False) -> tuple[str, str]:
        """A table with the keys pk and sk; its name and the ARN of its stream."""
        dynamodb = self.target.client("dynamodb")
        name = self.name()
        settings: dict[str, Any] = {}
        if stream:
            settings["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        told = dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
            **settings,
        )
        self.later(dynamodb.delete_table, TableName=name)
        wait_for(
            lambda: dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "ACTIVE",
            f"table {name} did not become active",
            seconds=30,
        )
        return name, told["TableDescription"].get("LatestStreamArn", "")

    def puts(self, table: str, key: str) -> int:
        """How often a handler has put a key into a table."""
        found = self.target.client("dynamodb").query(
            TableName=table,
            KeyConditionExpression="pk = :key",
            ExpressionAttributeValues={":key": {"S": key}},
            ConsistentRead=True,
        )
        return int(found["Count"])

    def bodies(self, queue: Queue) -> list[str]:
        """The bodies in a queue."""
        return [message.body for message in self.target.peek_messages(queue.url)]


@contextmanager
def bench(target: Target) -> Iterator[Bench]:
    """A bench whose resources are removed in the end."""
    with ExitStack() as undo:
        yield Bench(target, undo)
