"""A small stack made without a template: a queue, its worker, and the role they run as."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from holdfast.stack.descriptor import Descriptor
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets.base import Target
from holdfast.waiting import eventually

HANDLER = """
import os
import boto3
from botocore.exceptions import ClientError

sqs = boto3.client("sqs")

def handler(event, context):
    if "Records" in event:
        for record in event["Records"]:
            sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=record["body"])
        return None
    try:
        sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=event.get("say", "nothing"))
    except ClientError as error:
        return {"error": error.response["Error"]["Code"]}
    return {"sent": True}
"""
_NUMBERS = itertools.count(1)


def descriptor(**extra: Any) -> Descriptor:
    """The least descriptor that is valid, claiming nothing that these tests rest on."""
    return Descriptor.model_validate(
        {
            "name": "levers",
            "commands": {"say": {"calls": [{"kind": "sqs", "queue": "inbox", "body": "{key}"}]}},
            "patterns": {"storage-first": {"command": "say", "effect": "said"}},
            **extra,
        }
    )


def stack_of(at: Target, *resources: Resource, **extra: Any) -> Stack:
    """A stack of these resources, with extra keys in its descriptor."""
    return Stack(descriptor(**extra), Path("levers.stack.toml"), at, {r.component: r for r in resources})


@dataclass(frozen=True)
class Deployed:
    """The stack on an emulator, and the clients to look at it with."""

    stack: Stack
    inbox: str
    done: str
    role: str
    function: str

    @property
    def lambda_(self) -> Any:
        """Client of Lambda."""
        return self.stack.target.client("lambda")

    @property
    def sqs(self) -> Any:
        """Client of SQS."""
        return self.stack.target.client("sqs")

    @property
    def iam(self) -> Any:
        """Client of IAM."""
        return self.stack.target.client("iam")

    def concurrency(self) -> int | None:
        """The function's reserved concurrency."""
        found: int | None = self.lambda_.get_function_concurrency(FunctionName=self.function).get(
            "ReservedConcurrentExecutions"
        )
        return found

    def say(self, text: str) -> dict[str, Any]:
        """Invoke the function and wait for its answer."""
        answer = self.lambda_.invoke(FunctionName=self.function, Payload=json.dumps({"say": text}).encode())
        return dict(json.loads(answer["Payload"].read()))

    def send(self, text: str) -> None:
        """Put a message on the queue that feeds the function."""
        self.sqs.send_message(QueueUrl=self.inbox, MessageBody=text)

    def said(self, text: str, *, within_seconds: float) -> int:
        """How often a text came out, once it has, or when the time is over."""
        seen: list[str] = []

        def look() -> int:
            for message in self.sqs.receive_message(QueueUrl=self.done, MaxNumberOfMessages=10).get("Messages", []):
                seen.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.done, ReceiptHandle=message["ReceiptHandle"])
            return seen.count(text)

        return eventually(look, lambda count: count > 0, deadline_seconds=within_seconds).value

    def configuration(self) -> dict[str, Any]:
        """All that the levers of these tests may change."""
        states = {m.uuid: m.enabled for m in self.stack.mappings("worker")}
        names = self.iam.list_role_policies(RoleName=self.role)["PolicyNames"]
        policies = {n: self.iam.get_role_policy(RoleName=self.role, PolicyName=n)["PolicyDocument"] for n in names}
        return {"concurrency": self.concurrency(), "mappings": states, "policies": policies}

    def resources(self) -> str:
        """The resources as JSON, for a run in another process."""
        return json.dumps([asdict(resource) for resource in self.stack.resources.values()])


def deploy(target: Target, *, reserved: int | None = None) -> Deployed:
    """Make the stack under names of its own."""
    name = f"levers-{next(_NUMBERS)}"
    iam, sqs, lambda_ = (target.client(service) for service in ("iam", "sqs", "lambda"))
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]
    allow = {"Effect": "Allow", "Action": ["sqs:*", "logs:*"], "Resource": "*"}
    iam.put_role_policy(
        RoleName=name,
        PolicyName="own",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    inbox = sqs.create_queue(QueueName=f"{name}-inbox", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    done = sqs.create_queue(QueueName=f"{name}-done")["QueueUrl"]
    inbox_arn = sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", HANDLER)
    function = lambda_.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="app.handler",
        Role=role["Arn"],
        Code={"ZipFile": code.getvalue()},
        Timeout=10,
        Environment={"Variables": {"DONE": done, "PASSWORD": "the-secret-of-the-function"}},
    )
    if reserved is not None:
        lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    lambda_.create_event_source_mapping(EventSourceArn=inbox_arn, FunctionName=name, BatchSize=1)
    arn = function["FunctionArn"]
    stack = stack_of(
        target,
        Resource(component="worker", type="function", name=name, arn=arn, role=role["Arn"]),
        Resource(component="role", type="role", name=name, arn=role["Arn"]),
        Resource(component="inbox", type="queue", name=f"{name}-inbox", arn=inbox_arn, url=inbox),
    )
    return Deployed(stack=stack, inbox=inbox, done=done, role=name, function=name)
