"""Resolving: every type of component on the embedded target, and every way in which one can be missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from every_component import COMPONENTS, deploy_all, descriptor
from holdfast.errors import DescriptorError, GuardRailError, HoldfastError, ResourceError, TargetError
from holdfast.stack.configuration import read_configuration
from holdfast.stack.descriptor import Component
from holdfast.stack.generate import Submission
from holdfast.stack.relays import Archive
from holdfast.stack.resolve import Resource, Stack, resolve
from holdfast.stack.seeding import seed
from holdfast.targets.embedded import EmbeddedTarget

ACCOUNT, REGION = "123456789012", "eu-west-1"


@pytest.fixture(scope="module")
def target() -> Iterator[EmbeddedTarget]:
    """An emulator with one stack of every type of component."""
    with EmbeddedTarget.start() as started:
        deploy_all(started)
        started.client("events").create_archive(
            ArchiveName="kept", EventSourceArn=f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/orders"
        )
        yield started


@pytest.fixture(scope="module")
def stack(target: EmbeddedTarget) -> Stack:
    """That stack, resolved."""
    components = {**COMPONENTS, "archive": {"type": "archive", "name": "kept"}}
    return resolve(descriptor(components), Path("all.stack.toml"), target, cloudformation="all")


def test_every_type_of_component_resolves_to_its_arn(stack: Stack) -> None:
    """Each component has the ARN of its own service in the target's account and region."""
    prefixes = {
        "queue": "arn:aws:sqs:eu-west-1:123456789012:",
        "function": "arn:aws:lambda:eu-west-1:123456789012:function:",
        "table": "arn:aws:dynamodb:eu-west-1:123456789012:table/",
        "bucket": "arn:aws:s3:::",
        "topic": "arn:aws:sns:eu-west-1:123456789012:",
        "bus": "arn:aws:events:eu-west-1:123456789012:event-bus/",
        "archive": "arn:aws:events:eu-west-1:123456789012:archive/",
        "machine": "arn:aws:states:eu-west-1:123456789012:stateMachine:",
        "role": "arn:aws:iam::123456789012:role/",
    }
    for name, prefix in prefixes.items():
        resource = stack.resource(name)
        assert resource.arn == prefix + resource.name
    assert stack.resource("default_rule").arn.endswith(f":rule/{stack.resource('default_rule').name}")
    assert stack.resource("bus_rule").arn.endswith(f":rule/orders/{stack.resource('bus_rule').name}")
    assert set(stack.resources) == {*COMPONENTS, "archive"}


@pytest.mark.parametrize(
    ("one_way", "another"),
    [("queue", "queue_by_url"), ("function", "function_by_arn"), ("bus", "bus_by_arn"), ("rest", "rest_by_url")],
)
def test_a_component_is_the_same_however_it_is_named(stack: Stack, one_way: str, another: str) -> None:
    """Logical id, output, name, ARN and URL of one resource resolve to equal resources."""
    first, second = stack.resource(one_way), stack.resource(another)
    assert (first.name, first.arn, first.role, first.stage) == (second.name, second.arn, second.role, second.stage)


def test_addresses_go_through_the_target(stack: Stack, target: EmbeddedTarget) -> None:
    """Queues and APIs are reached at the endpoint, never at an AWS host name; a server elsewhere as it is."""
    assert target.endpoint_url is not None
    rest, http = stack.resource("rest"), stack.resource("http")
    assert rest.url == target.api_url(rest.name, "live")
    assert (http.stage, http.url) == ("$default", target.api_url(http.name, "$default").rstrip("/"))
    assert stack.resource("queue").url.startswith(target.endpoint_url)
    assert stack.resource("elsewhere").url == "https://orders.example/v1"
    assert stack.resource("elsewhere").arn == ""
    assert ".lambda-url." in stack.resource("function").url
    # only a function whose URL a port uses is asked for it
    assert stack.resource("function_by_arn").url == ""


def test_functions_and_state_machines_name_their_role(stack: Stack) -> None:
    """The execution role is there for levers that deny."""
    role = stack.resource("role").arn
    assert stack.resource("function").role == role
    assert stack.resource("machine").role == role


def test_mappings_are_listed_with_what_levers_and_clauses_need(stack: Stack) -> None:
    """Queue and stream mappings show their source, state, batch and failure settings."""
    by_source = {mapping.source_arn.split(":")[2]: mapping for mapping in stack.mappings("function")}
    queue, stream = by_source["sqs"], by_source["dynamodb"]
    assert queue.source_arn == stack.resource("queue").arn
    assert (queue.enabled, queue.state, queue.batch_size) == (True, "Enabled", 5)
    assert queue.response_types == ("ReportBatchItemFailures",)
    assert queue.function_arn == stack.resource("function").arn
    assert not stream.enabled
    assert stream.maximum_retry_attempts == 3
    assert stream.on_failure_arn == stack.resource("queue").arn
    with pytest.raises(ResourceError, match="only functions have mappings"):
        stack.mappings("queue")


def test_values_fill_templates(stack: Stack) -> None:
    """Placeholders stand for the submission, the components, the account and the region."""
    values = stack.values(Submission("k", "v", MappingProxyType({"amount": 3})))
    assert (values["key"], values["value"], values["amount"]) == ("k", "v", 3)
    assert values["queue.url"] == stack.resource("queue").url
    assert values["table.name"] == stack.resource("table").name
    assert values["role.arn"] == stack.resource("role").arn
    assert (values["account"], values["region"]) == (ACCOUNT, REGION)
    assert "key" not in stack.values()


def test_an_unknown_component_is_one_clear_error(stack: Stack) -> None:
    """Asking for a component that the descriptor has not names the closest one."""
    with pytest.raises(ResourceError) as caught:
        stack.resource("quue")
    assert "did you mean queue?" in str(caught.value)


def refused(target: Any, component: dict[str, Any], cloudformation: str | None = "all") -> HoldfastError:
    """The error that resolving one component ends in."""
    with pytest.raises(HoldfastError) as caught:
        resolve(
            descriptor({"it": component}, commands={"c": {"calls": {"kind": "http", "url": "http://x"}}}),
            Path("bad.stack.toml"),
            target,
            cloudformation=cloudformation,
        )
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        ("queue", "missing", "NonExistentQueue"),
        ("function", "missing", "ResourceNotFoundException"),
        ("table", "missing", "ResourceNotFoundException"),
        ("bucket", "missing-bucket", "404"),
        ("topic", "missing", "NotFound"),
        ("bus", "missing", "ResourceNotFoundException"),
        ("rule", "missing", "ResourceNotFoundException"),
        ("rule", "orders/missing", "ResourceNotFoundException"),
        ("archive", "missing", "ResourceNotFoundException"),
        ("api", "abcdefghij", "NotFoundException"),
        ("state_machine", "missing", "StateMachineDoesNotExist"),
        ("role", "missing", "NoSuchEntity"),
    ],
)
def test_a_missing_component_names_itself_and_the_code(target: Any, kind: str, name: str, code: str) -> None:
    """What does not exist is one ResourceError with the component, the AWS error code and a remedy."""
    error = refused(target, {"type": kind, "name": name}, None)
    assert isinstance(error, ResourceError)
    assert f"The component it ({kind} {name}) does not exist" in error.what
    assert code in error.cause


@pytest.mark.parametrize(
    ("component", "what", "remedy"),
    [
        ({"type": "queue", "logical_id": "Qeue"}, "no resource Qeue", "did you mean Queue?"),
        ({"type": "queue", "output": "QueueURL"}, "no output QueueURL", "did you mean QueueUrl?"),
        ({"type": "queue", "logical_id": "Function"}, "is an AWS::Lambda::Function", "AWS::SQS::Queue"),
        ({"type": "api", "logical_id": "Rest", "stage": "lvie"}, "has no stage lvie", "did you mean live?"),
        ({"type": "api", "logical_id": "Url"}, "is a function URL", "function"),
    ],
)
def test_a_wrong_name_in_the_template_gets_a_suggestion(target: Any, component: Any, what: str, remedy: str) -> None:
    """A misspelt or mistyped logical id, output or stage is refused with the closest that fits."""
    error = refused(target, component)
    assert isinstance(error, ResourceError)
    assert what in error.what
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("kind", "name", "place"),
    [
        ("queue", "https://sqs.eu-west-1.amazonaws.com/999999999999/orders", "account 999999999999"),
        ("queue", "arn:aws:sqs:us-east-1:123456789012:orders", "region us-east-1"),
        ("function", "arn:aws:lambda:eu-west-1:999999999999:function:f", "account 999999999999"),
        ("role", "arn:aws:iam::999999999999:role/r", "account 999999999999"),
    ],
)
def test_nothing_outside_the_account_and_region_is_even_read(target: Any, kind: str, name: str, place: str) -> None:
    """An ARN or URL of another account or region is a guard-rail error."""
    error = refused(target, {"type": kind, "name": name}, None)
    assert isinstance(error, GuardRailError)
    assert place in error.what


def test_all_missing_components_are_told_at_once(target: Any) -> None:
    """Two missing components are two complaints in one error."""
    components = {name: {"type": "table", "name": name} for name in ("first", "second")}
    with pytest.raises(ResourceError) as caught:
        resolve(descriptor(components), Path("x"), target)
    assert "The component first" in caught.value.what
    assert "The component second" in caught.value.what


def test_a_stack_that_does_not_exist_or_is_not_named_is_one_clear_error(target: Any) -> None:
    """CloudFormation's ValidationError becomes a sentence; a missing name is the descriptor's mistake."""
    error = refused(target, COMPONENTS["queue"], "nowhere")
    assert "CloudFormation stack nowhere does not exist" in error.what
    assert "ValidationError" in error.cause
    assert isinstance(refused(target, COMPONENTS["queue"], None), DescriptorError)


class StubbedTarget:
    """A target whose clients answer what a test tells them."""

    kind = "aws"
    account = ACCOUNT
    region = REGION
    endpoint_url: str | None = "http://127.0.0.1:9"  # nothing listens on the discard port
    interceptor = interceptor_url = None

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """The client of a service, with stubbed answers or none."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,  # type: ignore[call-overload]
                region_name=REGION,
                endpoint_url=self.endpoint_url,
                aws_access_key_id="x",
                aws_secret_access_key="x",
                config=Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    def stub(self, service: str) -> Stubber:
        """What tells a client its answers."""
        stubber = Stubber(self.client(service))
        stubber.activate()
        return stubber

    def api_url(self, api_id: str, stage: str) -> str:
        """Base URL of an API."""
        return f"{self.endpoint_url}/{api_id}/{stage}"


def test_a_denied_read_names_the_permission_that_is_missing() -> None:
    """AccessDenied becomes a ResourceError whose remedy is the action to allow."""
    target = StubbedTarget()
    target.stub("lambda").add_client_error(
        "get_function_configuration", "AccessDeniedException", "not authorized", http_status_code=403
    )
    error = refused(target, {"type": "function", "name": "f"}, None)
    assert isinstance(error, ResourceError)
    assert "may not be read" in error.what
    assert "AccessDeniedException" in error.cause
    assert "GetFunctionConfiguration" in error.remedy


def test_refused_credentials_and_an_unreachable_endpoint_are_the_targets_fault() -> None:
    """Neither is blamed on the component."""
    target = StubbedTarget()
    target.stub("dynamodb").add_client_error("describe_table", "ExpiredTokenException", "expired")
    expired = refused(target, {"type": "table", "name": "t-able"}, None)
    assert isinstance(expired, TargetError)
    assert "ExpiredTokenException" in expired.cause
    unreachable = refused(StubbedTarget(), {"type": "table", "name": "t-able"}, None)
    assert isinstance(unreachable, TargetError)
    assert "http://127.0.0.1:9" in unreachable.what


def test_a_bucket_of_another_region_is_out_of_bounds() -> None:
    """S3 ARNs carry no region, so the bucket's own answer is checked."""
    target = StubbedTarget()
    target.stub("s3").add_response("head_bucket", {"BucketRegion": "us-east-1"})
    error = refused(target, {"type": "bucket", "name": "abroad"}, None)
    assert isinstance(error, GuardRailError)
    assert "region us-east-1" in error.what


def test_an_answer_that_is_not_aws_is_told_as_such() -> None:
    """A well-formed answer without what AWS promises ends in no traceback."""
    target = StubbedTarget()
    stub = target.stub("sqs")
    stub.add_response("get_queue_url", {"QueueUrl": "http://127.0.0.1:9/q"})
    stub.add_response("get_queue_attributes", {})
    error = refused(target, {"type": "queue", "name": "q"}, None)
    assert isinstance(error, TargetError)
    assert "answers what AWS would not" in error.what


def test_pages_of_resources_and_mappings_are_read_to_the_end() -> None:
    """A stack with more resources than fit a page, and a function with more mappings, are seen whole."""
    target = StubbedTarget()
    cloudformation, functions, dynamodb = (target.stub(name) for name in ("cloudformation", "lambda", "dynamodb"))
    created = {"ResourceType": "AWS::DynamoDB::Table", "ResourceStatus": "CREATE_COMPLETE", "LastUpdatedTimestamp": 0}
    stack_of = {"StackName": "big", "CreationTime": 0, "StackStatus": "CREATE_COMPLETE"}
    cloudformation.add_response("describe_stacks", {"Stacks": [stack_of]})
    for number, token in ((1, "more"), (2, None)):
        summary = {**created, "LogicalResourceId": f"T{number}", "PhysicalResourceId": f"table-{number}"}
        page = {"StackResourceSummaries": [summary], **({"NextToken": token} if token else {})}
        cloudformation.add_response("list_stack_resources", page)
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table-2"
    dynamodb.add_response("describe_table", {"Table": {"TableArn": arn}})
    components = {"it": {"type": "table", "logical_id": "T2"}}
    stack = resolve(descriptor(components), Path("x"), target, cloudformation="big")  # type: ignore[arg-type]
    assert stack.resource("it").arn == arn

    for number, marker in ((1, "more"), (2, None)):
        mapping = {"UUID": f"{number:036}", "State": "Disabled", "ScalingConfig": {"MaximumConcurrency": 2}}
        page = {"EventSourceMappings": [mapping], **({"NextMarker": marker} if marker else {})}
        functions.add_response("list_event_source_mappings", page)
    worker = Resource(component="f", type="function", name="f")
    listed = Stack(stack.descriptor, stack.path, target, {"f": worker}).mappings("f")  # type: ignore[arg-type]
    assert [mapping.uuid for mapping in listed] == [f"{1:036}", f"{2:036}"]
    assert listed[0].maximum_concurrency == 2


def test_seeds_are_put_before_a_run(target: EmbeddedTarget, stack: Stack) -> None:
    """Rows and objects of the descriptor are there afterwards, placeholders filled and fractions exact."""
    seeds = [
        {
            "table": "table",
            "item": {"pk": "stock", "count": 10, "rate": 0.1, "of": "{bucket.name}", "tags": ["a", None]},
        },
        {"bucket": "bucket", "object_key": "prices/{region}.json", "body": '{"apple": 1}'},
    ]
    seeded = descriptor(COMPONENTS, seed=seeds)
    assert seed(Stack(seeded, stack.path, target, stack.resources)) == 2
    table, bucket = stack.resource("table").name, stack.resource("bucket").name
    item = target.client("dynamodb").get_item(TableName=table, Key={"pk": {"S": "stock"}}, ConsistentRead=True)["Item"]
    assert item == {
        "pk": {"S": "stock"},
        "count": {"N": "10"},
        "rate": {"N": "0.1"},
        "of": {"S": bucket},
        "tags": {"L": [{"S": "a"}, {"NULL": True}]},
    }
    put = target.client("s3").get_object(Bucket=bucket, Key="prices/eu-west-1.json")
    assert put["Body"].read() == b'{"apple": 1}'


def test_a_seed_that_cannot_be_put_is_one_clear_error(target: EmbeddedTarget, stack: Stack) -> None:
    """A row without its key is refused with its number and the table's name."""
    seeded = descriptor(COMPONENTS, seed={"table": "table", "item": {"no": "key"}})
    with pytest.raises(ResourceError) as caught:
        seed(Stack(seeded, stack.path, target, stack.resources))
    assert f"Seed 1, a row of table {stack.resource('table').name}" in caught.value.what
    assert "ValidationException" in caught.value.cause


def test_components_are_found_in_exactly_one_way() -> None:
    """Neither none nor two of logical_id, output and name are accepted."""
    for ways in ({}, {"logical_id": "Q", "name": "q"}):
        with pytest.raises(ValueError, match="exactly one"):
            Component.model_validate({"type": "queue", **ways})


def test_the_configuration_follows_every_hop(stack: Stack, target: EmbeddedTarget) -> None:
    """Queues that feed functions are read though no component names them; rules and topics with their ends."""
    found = read_configuration(stack)
    queue = stack.resource("queue").arn
    (fed,) = [one for one in found.queues if one.arn not in {queue}]
    assert fed.component == fed.arn.rsplit(":", 1)[-1]
    assert {one.component for one in found.worked_off()} == {"queue", "queue_by_url", fed.component} - {
        one.component for one in found.queues if one.holds_dead_letters
    }
    by_component = {one.component: one for one in found.relays}
    rule, topic = by_component["bus_rule"], by_component["topic"]
    assert (rule.target_arn, rule.dead_letter_arn, rule.event_age_seconds) == (queue, fed.arn, 3600)
    assert (topic.target_arn, topic.dead_letter_arn, topic.event_age_seconds) == (queue, fed.arn, None)
    assert found.archives == (Archive(component="archive", retention_seconds=None),)
    assert found.absent == frozenset()


def test_a_queue_that_is_gone_is_known_as_absent(target: EmbeddedTarget) -> None:
    """A redrive policy may point to a queue that was deleted: that is a fact about the stack, not an error of ours."""
    sqs = target.client("sqs")
    dead = sqs.create_queue(QueueName="gone-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 3})
    sqs.create_queue(QueueName="gone-source", Attributes={"RedrivePolicy": policy})
    sqs.delete_queue(QueueUrl=dead)
    components = {"bucket": COMPONENTS["bucket"], "function": COMPONENTS["function"]}
    described = descriptor({**components, "source": {"type": "queue", "name": "gone-source"}})
    found = read_configuration(resolve(described, Path("gone.stack.toml"), target, cloudformation="all"))
    assert found.absent == {arn}
    assert found.queue(arn) is None
