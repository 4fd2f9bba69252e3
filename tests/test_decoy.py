"""A whole verification beside a decoy: the same stack deployed twice, and only one of them is the descriptor's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from holdfast.stack.allowed_calls import is_read
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict import Verdict
from holdfast.verification import Options, verify
from recording_proxy import Recorded, Recording, recording
from verify_runs import copy_of

VOLATILE = {"ResponseMetadata", "RevisionId", "LastModified", "LastUpdateStatus", "LastProcessingResult"}
LEAST_CHANGES = 100
"""A verification of any stack sends more commands and puts more faults in place than this."""


def operation(request: Recorded) -> str:
    """Which AWS operation a request is; empty for one that is no AWS call."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    if "x-amz-target" in headers:
        return headers["x-amz-target"].rpartition(".")[2]
    fields = [part.partition("=") for part in request.body.decode("latin-1").split("&")]
    action = next((unquote(value) for name, _, value in fields if name == "Action"), "")
    return action or ("Get" if request.method in ("GET", "HEAD") else request.method)


def changes(requests: list[Recorded]) -> list[Recorded]:
    """The requests that may change something."""
    return [request for request in requests if not is_read(operation(request))]


def physical_names(target: EmbeddedTarget, stack_name: str) -> set[str]:
    """What is unique about the resources of a CloudFormation stack: names made from its own, and random ids."""
    found = {
        urlsplit(name).path.rpartition("/")[2] if "://" in name else name.rpartition(":")[2]
        for kind, name in resources(target, stack_name)
        if stack_name in name or kind in ("AWS::ApiGateway::RestApi", "AWS::Lambda::EventSourceMapping")
    }
    assert len(found) > 5
    return found


def resources(target: EmbeddedTarget, stack_name: str) -> list[tuple[str, str]]:
    """Type and physical id of every resource of a CloudFormation stack."""
    pages = target.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack_name)
    listed = [each for page in pages for each in page["StackResourceSummaries"]]
    return sorted((each["ResourceType"], each["PhysicalResourceId"]) for each in listed)


def stable(value: Any) -> Any:
    """An answer without what changes by itself."""
    if isinstance(value, dict):
        return {name: stable(each) for name, each in value.items() if name not in VOLATILE}
    return [stable(each) for each in value] if isinstance(value, list) else value


def configuration(target: EmbeddedTarget, stack_name: str, *, data: bool = True) -> str:
    """Everything of a stack that a fault could change, with all its data or without it, as text."""
    read = [
        [kind, name, [stable(answer) for answer in answers(target, kind, name, data=data)]]
        for kind, name in resources(target, stack_name)
    ]
    return json.dumps(read, default=str, sort_keys=True, indent=1)


def answers(target: EmbeddedTarget, kind: str, name: str, *, data: bool) -> Iterator[Any]:
    """What the target says about one resource."""
    if kind == "AWS::Lambda::Function":
        functions = target.client("lambda")
        yield functions.get_function_configuration(FunctionName=name)
        yield functions.get_function_concurrency(FunctionName=name)
        yield functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    elif kind == "AWS::SQS::Queue":
        found = target.client("sqs").get_queue_attributes(QueueUrl=name, AttributeNames=["All"])["Attributes"]
        yield {one: value for one, value in found.items() if data or not one.startswith("Approximate")}
    elif kind == "AWS::DynamoDB::Table":
        table = target.client("dynamodb").describe_table(TableName=name)["Table"]
        yield {one: value for one, value in table.items() if data or one not in ("ItemCount", "TableSizeBytes")}
        yield target.client("dynamodb").scan(TableName=name)["Items"] if data else []
    elif kind == "AWS::IAM::Role":
        roles = target.client("iam")
        names = roles.list_role_policies(RoleName=name)["PolicyNames"]
        yield {one: roles.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in names}
    elif kind == "AWS::S3::Bucket":
        yield target.client("s3").list_objects_v2(Bucket=name).get("Contents", []) if data else []


@pytest.fixture
def watched() -> Iterator[tuple[EmbeddedTarget, EmbeddedTarget, Recording]]:
    """One emulator, seen twice: directly, and through a proxy that writes down all that the harness sends."""
    with EmbeddedTarget.start() as direct, recording(direct.endpoint_url or "") as seen:
        through = EmbeddedTarget(direct._process, direct.directory, urlsplit(seen.url).port or 0, direct.region)
        through.interceptor = direct.interceptor
        yield direct, through, seen
        through._clients.close()
        through._http.close()


@pytest.mark.parametrize("name", ["webhooks", "notifications"])
def test_a_verification_never_touches_a_stack_beside_it(
    name: str, watched: tuple[EmbeddedTarget, EmbeddedTarget, Recording], tmp_path: Path
) -> None:
    """Of all calls of a whole verification that change something, none names the decoy, which reads back equal."""
    direct, through, seen = watched
    descriptor = copy_of(name, tmp_path / "stack")
    parameters = {"WorkerTimeoutSeconds": "1", "VisibilitySeconds": "6"}
    with deploy(direct, descriptor.parent / "template.yaml", stack_name="decoy", parameters=parameters):
        before, names = configuration(direct, "decoy"), physical_names(direct, "decoy")
        report = verify(descriptor, options=Options(folder=tmp_path / "run"), target=through)
        after = configuration(direct, "decoy")
    assert Verdict.VIOLATED not in {clause.verdict for clause in report.clauses}
    assert after == before
    made = changes(seen.requests)
    assert len(made) > LEAST_CHANGES
    assert {"PutRolePolicy", "DeleteRolePolicy"} <= {operation(request) for request in made}
    touched = [(operation(request), request.path) for request in made for one in names if request.mentions(one)]
    assert touched == []


def test_the_watch_would_see_it(watched: tuple[EmbeddedTarget, EmbeddedTarget, Recording]) -> None:
    """A call on the decoy that slips past the guard rail is recorded, recognised as a change, and names the decoy."""
    _, through, seen = watched
    url = through.client("sqs").create_queue(QueueName="decoy-queue")["QueueUrl"]
    through.client("sqs").purge_queue(QueueUrl=url)
    through.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    through.client("lambda").list_functions()
    assert [operation(request) for request in changes(seen.requests)] == ["CreateQueue", "PurgeQueue"]
    assert all(request.mentions("decoy-queue") for request in changes(seen.requests))
