"""A stack of every kind of resource that a service's lever changes, made without a template under names of its own."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from holdfast.levers import (
    ArchiveReplay,
    BucketDeny,
    QueueDelay,
    QueueDeny,
    QueueRedrive,
    QueueVisibility,
    RuleDisable,
    SubscriptionFilter,
    TableCap,
    TableCapacity,
    TableDeny,
)
from holdfast.levers.base import Lever
from holdfast.stack.guarded import guarded
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.base import Target
from lever_stack import stack_of

HANDLER = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    try:
        if "queue" in event:
            boto3.client("sqs").send_message(QueueUrl=event["queue"], MessageBody="x")
        if "bucket" in event:
            boto3.client("s3").put_object(Bucket=event["bucket"], Key="x", Body=b"x")
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "accepted"
"""
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Services:
    """The stack behind its guard rail, and how to look at it and use it around that."""

    stack: Stack
    name: str
    target: Target

    def client(self, service: str) -> Any:
        """A client of a service."""
        return self.target.client(service)

    def arn(self, component: str) -> str:
        """ARN of a component."""
        return self.stack.resource(component).arn

    def url(self, component: str) -> str:
        """URL of a queue."""
        return self.stack.resource(component).url

    def call(self, **order: str) -> str:
        """Have the function send to a queue or put into a bucket; ``accepted`` or the error's code."""
        answer = self.client("lambda").invoke(FunctionName=self.name, Payload=json.dumps(order))
        return str(json.loads(answer["Payload"].read()))

    def attribute(self, component: str, name: str) -> str:
        """An attribute of a queue; empty when it is absent."""
        found = self.client("sqs").get_queue_attributes(QueueUrl=self.url(component), AttributeNames=[name])
        return str(found.get("Attributes", {}).get(name, ""))

    def set_attribute(self, component: str, name: str, value: str) -> None:
        """Set an attribute of a queue."""
        self.client("sqs").set_queue_attributes(QueueUrl=self.url(component), Attributes={name: value})

    def received(self, component: str) -> list[str]:
        """The bodies that one receive gets."""
        found = self.client("sqs").receive_message(QueueUrl=self.url(component), MaxNumberOfMessages=10)
        return [message["Body"] for message in found.get("Messages", [])]

    def bodies(self, component: str) -> list[str]:
        """The bodies in a queue, none received."""
        return [message.body for message in self.stack.target.peek_messages(self.url(component))]

    def rule(self) -> dict[str, Any]:
        """The rule as it is."""
        return dict(self.client("events").describe_rule(Name=self.name, EventBusName=self.name))

    def put_event(self) -> None:
        """Send an event that the rule matches."""
        entry = {"EventBusName": self.name, "Source": "levers", "DetailType": "test", "Detail": "{}"}
        self.client("events").put_events(Entries=[entry])

    def table(self, component: str) -> dict[str, Any]:
        """What a table serves, and its policy."""
        client = self.client("dynamodb")
        table = client.describe_table(TableName=self.stack.resource(component).name)["Table"]
        cap = table.get("OnDemandThroughput") or {}
        units = table["ProvisionedThroughput"]
        try:
            policy = json.loads(client.get_resource_policy(ResourceArn=table["TableArn"])["Policy"])
        except client.exceptions.PolicyNotFoundException:
            policy = None
        return {
            "cap": [cap.get("MaxReadRequestUnits", -1), cap.get("MaxWriteRequestUnits", -1)],
            "units": [units["ReadCapacityUnits"], units["WriteCapacityUnits"]],
            "policy": policy,
        }

    def bucket_policy(self) -> Any:
        """The bucket's policy; None without one."""
        client = self.client("s3")
        try:
            return json.loads(client.get_bucket_policy(Bucket=self.name)["Policy"])
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
                raise
            return None

    def subscription(self, endpoint: str) -> str:
        """ARN of a component's subscription to the topic."""
        found = self.client("sns").list_subscriptions_by_topic(TopicArn=self.arn("topic"))["Subscriptions"]
        return next(str(each["SubscriptionArn"]) for each in found if each["Endpoint"] == self.arn(endpoint))

    def filter_policy(self, endpoint: str) -> Any:
        """The filter policy of a subscription; empty without one."""
        found = self.client("sns").get_subscription_attributes(SubscriptionArn=self.subscription(endpoint))
        return json.loads(found["Attributes"].get("FilterPolicy", "") or "{}")


def statement(sid: str, resource: str, action: str, principal: object) -> dict[str, Any]:
    """An Allow, as somebody else writes it."""
    return {"Sid": sid, "Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}


def document(*statements: dict[str, Any]) -> str:
    """A policy of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def deploy(target: Target) -> Services:
    """Make everything on the given target."""
    name = f"services-{next(_NUMBERS)}"
    iam, sqs, sns, events = (target.client(service) for service in ("iam", "sqs", "sns", "events"))
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    everything = {"Effect": "Allow", "Action": ["sqs:*", "s3:*", "logs:*"], "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(everything))
    resources = [Resource(component="role", type="role", name=name, arn=role)]

    def queue(component: str, **attributes: str) -> str:
        url = sqs.create_queue(QueueName=f"{name}-{component}", Attributes=attributes)["QueueUrl"]
        arn = str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])
        resources.append(Resource(component=component, type="queue", name=f"{name}-{component}", arn=arn, url=url))
        return arn

    dead = queue("dead")
    queue("queue", RedrivePolicy=json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 5}))
    services = {"Service": ["sns.amazonaws.com", "events.amazonaws.com"]}
    for component in ("filtered", "other"):
        arn = queue(component)
        opened = document(statement("Open", arn, "sqs:SendMessage", services))
        sqs.set_queue_attributes(QueueUrl=resources[-1].url, Attributes={"Policy": opened})
    resources += [_function(target, name, role), _bucket(target, name), *_tables(target, name)]
    found = {each.component: each.arn for each in resources}
    topic = sns.create_topic(Name=name)["TopicArn"]
    for component in ("filtered", "other"):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=found[component])
    bus = events.create_event_bus(Name=name)["EventBusArn"]
    rule = events.put_rule(Name=name, EventBusName=name, EventPattern='{"source": ["levers"]}')["RuleArn"]
    ends = [{"Id": "queue", "Arn": found["other"]}, {"Id": "function", "Arn": found["worker"]}]
    events.put_targets(Rule=name, EventBusName=name, Targets=ends)
    archive = events.create_archive(ArchiveName=name, EventSourceArn=bus)["ArchiveArn"]
    resources += [
        Resource(component="topic", type="topic", name=name, arn=topic),
        Resource(component="rule", type="rule", name=name, arn=rule),
        Resource(component="archive", type="archive", name=name, arn=archive),
    ]
    return Services(guarded(stack_of(target, *resources)), name, target)


def _function(target: Target, name: str, role: str) -> Resource:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", HANDLER)
    made = target.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="app.handler",
        Role=role,
        Code={"ZipFile": code.getvalue()},
        Timeout=10,
    )
    return Resource(component="worker", type="function", name=name, arn=made["FunctionArn"], role=role)


def _bucket(target: Target, name: str) -> Resource:
    target.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": target.region})
    return Resource(component="bucket", type="bucket", name=name, arn=f"arn:aws:s3:::{name}")


def _tables(target: Target, name: str) -> list[Resource]:
    made = []
    for component, billing in (
        ("table", {"BillingMode": "PAY_PER_REQUEST"}),
        ("provisioned", {"ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}}),
    ):
        table = f"{name}-{component}"
        told = target.client("dynamodb").create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "at", "AttributeType": "N"},
            ],
            **billing,
        )
        arn = told["TableDescription"]["TableArn"]
        made.append(Resource(component=component, type="table", name=table, arn=arn))
    return made


@dataclass(frozen=True)
class Case:
    """A lever, how to read what it changes, and what somebody else may change meanwhile.

    Attributes:
        lever: makes it.
        read: what it changes, comparable.
        meddle: somebody else's change while the fault is in place.
        kept: what must read back after healing then.
    """

    lever: Callable[[Services], Lever]
    read: Callable[[Services], Any]
    meddle: Callable[[Services], object]
    kept: Callable[[Any], Any]


def _with_theirs(policy: Any, arn: str, action: str) -> str:
    theirs = statement("Theirs", arn, action, {"AWS": "123456789012"})
    return document(*policy["Statement"], theirs)


def _queue_policy(services: Services) -> Any:
    text = services.attribute("queue", "Policy")
    return json.loads(text) if text else None


def _replays(services: Services) -> list[str]:
    """The replays that are somebody else's or still run."""
    found = services.client("events").list_replays(EventSourceArn=services.arn("archive"))["Replays"]
    return [
        each["ReplayName"]
        for each in found
        if not each["ReplayName"].startswith("holdfast-") or each["State"] not in ("COMPLETED", "CANCELLED")
    ]


def _start_theirs(services: Services) -> None:
    client = services.client("events")
    bus = client.describe_event_bus(Name=services.name)["Arn"]
    client.start_replay(
        ReplayName="theirs",
        EventSourceArn=services.arn("archive"),
        EventStartTime=LONG_AGO,
        EventEndTime=LONG_AGO,
        Destination={"Arn": bus},
    )


def _update(services: Services, component: str, **change: Any) -> None:
    services.client("dynamodb").update_table(TableName=services.stack.resource(component).name, **change)


def _theirs_alone(before: Any) -> list[str]:
    return [each["Sid"] for each in (before or {"Statement": []})["Statement"]] + ["Theirs"]


def _sids(policy: Any) -> list[str]:
    return [str(each["Sid"]) for each in policy["Statement"]] if policy else []


OPEN_POLICY = "Open"
CASES: dict[str, Case] = {
    "queue-deny": Case(
        lever=lambda s: QueueDeny.on(s.stack, "queue"),
        read=_queue_policy,
        meddle=lambda s: s.set_attribute(
            "queue", "Policy", _with_theirs(_queue_policy(s), s.arn("queue"), "sqs:SendMessage")
        ),
        kept=_theirs_alone,
    ),
    "queue-deny-beside-others": Case(
        lever=lambda s: QueueDeny.on(s.stack, "other"),
        read=lambda s: json.loads(s.attribute("other", "Policy")),
        meddle=lambda s: s.set_attribute(
            "other",
            "Policy",
            _with_theirs(json.loads(s.attribute("other", "Policy")), s.arn("other"), "sqs:SendMessage"),
        ),
        kept=_theirs_alone,
    ),
    "queue-visibility": Case(
        lever=lambda s: QueueVisibility.on(s.stack, "queue", seconds=0),
        read=lambda s: s.attribute("queue", "VisibilityTimeout"),
        meddle=lambda s: s.set_attribute("queue", "VisibilityTimeout", "77"),
        kept=lambda before: "77",
    ),
    "queue-delay": Case(
        lever=lambda s: QueueDelay.on(s.stack, "queue", seconds=900),
        read=lambda s: s.attribute("queue", "DelaySeconds"),
        meddle=lambda s: s.set_attribute("queue", "DelaySeconds", "7"),
        kept=lambda before: "7",
    ),
    "queue-redrive": Case(
        lever=lambda s: QueueRedrive.on(s.stack, "queue"),
        read=lambda s: json.loads(s.attribute("queue", "RedrivePolicy")),
        meddle=lambda s: s.set_attribute(
            "queue",
            "RedrivePolicy",
            json.dumps({"deadLetterTargetArn": s.arn("dead"), "maxReceiveCount": 9}),
        ),
        kept=lambda before: {**before, "maxReceiveCount": 9},
    ),
    "subscription-filter": Case(
        lever=lambda s: SubscriptionFilter.on(s.stack, "topic", to="filtered"),
        read=lambda s: s.filter_policy("filtered"),
        meddle=lambda s: s.client("sns").set_subscription_attributes(
            SubscriptionArn=s.subscription("filtered"), AttributeName="FilterPolicy", AttributeValue='{"a": ["b"]}'
        ),
        kept=lambda before: {"a": ["b"]},
    ),
    "rule-disable": Case(
        lever=lambda s: RuleDisable.on(s.stack, "rule"),
        read=lambda s: s.rule()["State"],
        meddle=lambda s: s.client("events").put_rule(
            Name=s.name,
            EventBusName=s.name,
            EventPattern=s.rule()["EventPattern"],
            State="ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
        ),
        kept=lambda before: "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS",
    ),
    "archive-replay": Case(
        lever=lambda s: ArchiveReplay.on(s.stack, "archive", since=LONG_AGO),
        read=_replays,
        meddle=_start_theirs,
        kept=lambda before: ["theirs"],
    ),
    "table-cap": Case(
        lever=lambda s: TableCap.on(s.stack, "table"),
        read=lambda s: s.table("table")["cap"],
        meddle=lambda s: _update(
            s, "table", OnDemandThroughput={"MaxReadRequestUnits": 70, "MaxWriteRequestUnits": 71}
        ),
        kept=lambda before: [70, 71],
    ),
    "table-capacity": Case(
        lever=lambda s: TableCapacity.on(s.stack, "provisioned"),
        read=lambda s: s.table("provisioned")["units"],
        meddle=lambda s: _update(
            s, "provisioned", ProvisionedThroughput={"ReadCapacityUnits": 70, "WriteCapacityUnits": 71}
        ),
        kept=lambda before: [70, 71],
    ),
    "table-deny": Case(
        lever=lambda s: TableDeny.on(s.stack, "table"),
        read=lambda s: s.table("table")["policy"],
        meddle=lambda s: s.client("dynamodb").put_resource_policy(
            ResourceArn=s.arn("table"),
            Policy=_with_theirs(s.table("table")["policy"], s.arn("table"), "dynamodb:GetItem"),
        ),
        kept=_theirs_alone,
    ),
    "bucket-deny": Case(
        lever=lambda s: BucketDeny.on(s.stack, "bucket"),
        read=lambda s: s.bucket_policy(),
        meddle=lambda s: s.client("s3").put_bucket_policy(
            Bucket=s.name, Policy=_with_theirs(s.bucket_policy(), f"{s.arn('bucket')}/*", "s3:GetObject")
        ),
        kept=_theirs_alone,
    ),
}
"""Every lever of this part."""


def said(value: Any) -> Any:
    """What is compared after somebody else's change: of a policy the Sids, of all else the value."""
    return _sids(value) if isinstance(value, dict) and "Statement" in value else value
