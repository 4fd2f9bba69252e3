"""`holdfast init` on a stack that is deployed: it is read from CloudFormation, by name or by tags, never written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from holdfast.errors import DeploymentError, DescriptorError, HoldfastError, ResourceError
from holdfast.inference import command
from holdfast.inference.command import init_command
from holdfast.inference.deployed import deployed, tagged
from holdfast.inference.expansion import settled
from holdfast.inference.inventory import inventory
from holdfast.inference.patterns import infer
from holdfast.inference.toml import marked
from holdfast.stack.loading import load_descriptor
from holdfast.stack.resolve import resolve
from holdfast.targets import localstack
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast_fixtures.catalogue import reference_stacks
from stubbed_aws import ACCOUNT, REGION, RefusedError, StubbedAws

WEBHOOKS = next(stack for stack in reference_stacks() if stack.name == "webhooks")
BY_HAND = """
# a template as people write it, with YAML's short forms and a condition
Parameters:
  Stage: {Type: String, Default: test}
  Team: {Type: String, Default: orders}
Conditions:
  Live: !Equals [!Ref Stage, live]
Resources:
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties: {Name: by-hand}
  Orders:
    Type: AWS::ApiGateway::Resource
    Properties: {RestApiId: !Ref Api, ParentId: !GetAtt Api.RootResourceId, PathPart: orders}
  Post:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Api
      ResourceId: !Ref Orders
      HttpMethod: POST
      AuthorizationType: NONE
      Integration:
        Type: AWS
        IntegrationHttpMethod: POST
        Uri: !Sub "arn:aws:apigateway:${AWS::Region}:sqs:path/${AWS::AccountId}/${Queue.QueueName}"
        Credentials: !GetAtt Role.Arn
        IntegrationResponses: [{StatusCode: "200"}]
      MethodResponses: [{StatusCode: "200"}]
  Deployment:
    Type: AWS::ApiGateway::Deployment
    DependsOn: Post
    Properties: {RestApiId: !Ref Api}
  Live:
    Type: AWS::ApiGateway::Stage
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: !Ref Stage}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      Tags: [{Key: team, Value: !Ref Team}]
      RedrivePolicy: !If
        - Live
        - !Ref AWS::NoValue
        - {deadLetterTargetArn: !GetAtt Dlq.Arn, maxReceiveCount: 3}
  Dlq: {Type: AWS::SQS::Queue}
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Allow, Principal: {Service: apigateway.amazonaws.com}, Action: sts:AssumeRole}
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmbeddedTarget]:
    """An emulator with a stack of SAM's, and one that was written in YAML by hand."""
    with (
        EmbeddedTarget.start() as target,
        deploy(target, WEBHOOKS.directory / "template.yaml", stack_name="shop", parameters={}),
    ):
        cloudformation = target.client("cloudformation")
        cloudformation.create_stack(
            StackName="by-hand",
            TemplateBody=BY_HAND,
            Parameters=[{"ParameterKey": "Stage", "ParameterValue": "beta"}],
            Capabilities=["CAPABILITY_IAM"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName="by-hand", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        yield target


@pytest.fixture
def as_localstack(emulator: EmbeddedTarget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator plays a LocalStack that runs somewhere; what is written goes into a folder of the test."""
    monkeypatch.setenv("LOCALSTACK_ENDPOINT", str(emulator.endpoint_url))
    monkeypatch.setenv("AWS_REGION", emulator.region)
    monkeypatch.setattr(localstack, "ACCOUNT", emulator.account)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("as_localstack")
def test_a_deployed_stack_is_described_as_its_template_is(emulator: EmbeddedTarget, tmp_path: Path) -> None:
    """The descriptor names stack and target, so that every component is found; at most three lines are left."""
    given = ["--cloudformation", "shop", "--target", "localstack", "--name", "orders", "--no-doctor"]
    assert init_command(given) == 0
    text = (tmp_path / "orders.stack.toml").read_text(encoding="utf-8")
    assert 1 <= len(marked(text)) <= 3
    made = load_descriptor(tmp_path / "orders.stack.toml", {})
    assert (made.cloudformation, made.target.default, made.deploy) == ("shop", "localstack", None)
    parts = infer(inventory(deployed(emulator, "shop").template))
    assert parts is not None
    assert parts.pattern in made.patterns
    found = resolve(made, tmp_path / "orders.stack.toml", emulator)
    assert found.resources.keys() == made.components.keys()


@pytest.mark.usefixtures("as_localstack")
def test_a_sample_gives_a_deployed_stack_its_command_and_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command is written as the sample has it; where its effect is stays to be filled in, and nothing is sent."""
    sent: list[object] = []
    monkeypatch.setattr(requests.Session, "request", lambda *given, **_: sent.append(given))
    sample = '{"order_id": "{key}", "amount": "12.50", "currency": "EUR", "note": "{value}", "details": {}}'
    given = ["--cloudformation", "shop", "--target", "localstack", "--no-doctor", "--sample", sample]
    assert init_command(given) == 0
    text = (tmp_path / "shop.stack.toml").read_text(encoding="utf-8")
    (call,) = tomllib.loads(text)["commands"]["submit"]["calls"]
    assert call["json"]["note"] == "{value}"
    assert len(marked(text)) == 1
    assert "a deployed stack is only read" in capsys.readouterr().err
    assert sent == []


@pytest.mark.usefixtures("as_localstack")
def test_a_template_in_yaml_is_read_with_its_short_forms(tmp_path: Path) -> None:
    """CloudFormation keeps a YAML template as it was written; parameters have their deployed values."""
    assert init_command(["--cloudformation", "by-hand", "--target", "localstack", "--no-doctor"]) == 0
    made = load_descriptor(tmp_path / "by-hand.stack.toml", {})
    pattern = made.patterns["storage-first"]
    assert made.components[pattern.store or ""].logical_id == "Queue"
    assert made.components["api"].stage == "beta"


@pytest.mark.usefixtures("as_localstack")
def test_tags_lead_to_the_stack(tmp_path: Path) -> None:
    """The stack whose resources carry the tags is read as if it were named."""
    assert init_command(["--tags", "team=orders", "--target", "localstack", "--no-doctor"]) == 0
    assert load_descriptor(tmp_path / "by-hand.stack.toml", {}).cloudformation == "by-hand"


@pytest.mark.usefixtures("as_localstack")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--cloudformation", "nothing"], "The CloudFormation stack nothing"),
        (["--tags", "team=nobody"], "0 resources carry them"),
        (["--tags", "team"], "it has no ="),
        (["--cloudformation", "shop", "--seed", "T={}"], "Parameters and rows are for a template."),
        (["--cloudformation", "shop", "--sample", "{}", "--upload", "x"], "Nothing is uploaded to a deployed stack."),
    ],
)
def test_mistakes_about_a_deployed_stack_are_said(tmp_path: Path, given: list[str], said: str) -> None:
    """One error with its cause, and nothing is written."""
    with pytest.raises(HoldfastError) as raised:
        init_command([*given, "--target", "localstack", "--no-doctor"])
    assert said in str(raised.value)
    assert list(tmp_path.iterdir()) == []


# -- as AWS documents it ---------------------------------------------------------------------------------------------


def aws(body: Any, parameters: dict[str, str] | None = None, **physical: str) -> StubbedAws:
    """CloudFormation with one stack."""
    stack = {
        "StackName": "shop",
        "CreationTime": "2026-01-01T00:00:00Z",
        "StackStatus": "CREATE_COMPLETE",
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in (parameters or {}).items()],
    }
    listed = [
        {
            "LogicalResourceId": name,
            "PhysicalResourceId": value,
            "ResourceType": "AWS::ECS::Service",
            "LastUpdatedTimestamp": "2026-01-01T00:00:00Z",
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for name, value in physical.items()
    ]
    return StubbedAws(
        {
            "GetTemplate": lambda _: {"TemplateBody": body},
            "DescribeStacks": lambda _: {"Stacks": [stack]},
            "ListStackResources": lambda _: {"StackResourceSummaries": listed},
        }
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Resources: [", "the CloudFormation stack shop: the template is not valid YAML or JSON"),
        ('{"Resources": ', "the CloudFormation stack shop: the template is not valid YAML or JSON"),
        ("- a list", "the CloudFormation stack shop: Resources is missing or empty"),
        ("Resources: {Queue: {Properties: {}}}", "Resources.Queue.Type is missing"),
        ("Resources: {T: {Type: 'AWS::DynamoDB::Table', Properties: {KeySchema: 7}}}", "shop cannot be understood"),
    ],
)
def test_a_body_that_is_no_template_is_said(
    body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever CloudFormation hands out, one message says what is wrong with it, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "open_target", lambda *_, **__: aws(body))
    with pytest.raises((DeploymentError, DescriptorError)) as raised:
        init_command(["--cloudformation", "shop", "--no-doctor"])
    assert said in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_on_aws_the_account_and_the_region_are_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The descriptor may touch the one account in which the stack was found, and no other."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "open_target", lambda *_, **__: aws(BY_HAND))
    given = ["--cloudformation", "shop", "--account", ACCOUNT, "--region", REGION, "--allow-aws", "--no-doctor"]
    assert init_command(given) == 0
    target = load_descriptor(tmp_path / "shop.stack.toml", {}).target
    assert target.default == "aws"
    assert target.aws is not None
    assert (target.aws.account, target.aws.region) == (ACCOUNT, REGION)


def test_an_account_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DescriptorError, match="There is no account 12"):
        init_command(["--cloudformation", "shop", "--account", "12", "--region", REGION, "--allow-aws"])


@pytest.mark.parametrize(
    ("stacks", "said"),
    [([], "but to 0"), (["a", "b"], "but to 2")],
)
def test_tags_that_lead_to_no_stack_or_to_several(stacks: list[str], said: str) -> None:
    """Nothing is guessed: the candidates are named."""
    listed = [
        {"ResourceARN": f"arn:{name}", "Tags": [{"Key": "aws:cloudformation:stack-name", "Value": name}]}
        for name in stacks
    ]
    target = StubbedAws({"GetResources": lambda _: {"ResourceTagMappingList": listed}})
    with pytest.raises(ResourceError, match=said) as raised:
        tagged(target, {"team": "orders"})
    assert all(name in raised.value.cause for name in stacks)


def test_tags_that_may_not_be_read() -> None:
    """A refusal names what was asked for."""

    def refuse(_: dict[str, Any]) -> dict[str, Any]:
        raise RefusedError("AccessDeniedException")

    with pytest.raises(ResourceError, match="The tags"):
        tagged(StubbedAws({"GetResources": refuse}), {"team": "orders"})


CONTAINERS = {
    "Resources": {
        "Task": {
            "Type": "AWS::ECS::TaskDefinition",
            "Properties": {
                "ContainerDefinitions": [
                    {"Name": "logs", "FirelensConfiguration": {"Type": "fluentbit"}},
                    {"Name": "state"},
                    {
                        "Name": "desk",
                        "PortMappings": [{"ContainerPort": 80}],
                        "DependsOn": [{"ContainerName": "state", "Condition": "HEALTHY"}],
                    },
                ]
            },
        },
        "Service": {
            "Type": "AWS::ECS::Service",
            "Properties": {"TaskDefinition": {"Ref": "Task"}, "Cluster": "parcels"},
        },
        "Ledger": {
            "Type": "AWS::DynamoDB::Table",
            "Properties": {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}]},
        },
    }
}


def test_containers_of_a_task_are_an_application_and_its_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container with the ports is the application, what it waits for the sidecar; the service's name is read."""
    monkeypatch.chdir(tmp_path)
    arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/parcels/shop-Service-1"
    monkeypatch.setattr(command, "open_target", lambda *_, **__: aws(json.dumps(CONTAINERS), Service=arn))
    given = ["--cloudformation", "shop", "--account", ACCOUNT, "--region", REGION, "--allow-aws", "--no-doctor"]
    assert init_command(given) == 0
    path = tmp_path / "shop.stack.toml"
    assert len(marked(path.read_text(encoding="utf-8"))) == 3
    made = load_descriptor(path, {})
    application, sidecar = made.components["application"], made.components["sidecar"]
    assert (application.type, application.name, application.cluster) == ("ecs_task", "shop-Service-1", "parcels")
    assert (application.container, sidecar.container) == ("desk", "state")


def test_a_layer_that_is_an_extension_is_a_sidecar() -> None:
    """A function with such a layer, behind an API, is its application and holds its sidecar."""
    template = json.loads(json.dumps(CONTAINERS))["Resources"]["Ledger"]
    there = inventory(
        settled(
            {
                "Resources": {
                    "Ledger": template,
                    "Desk": {
                        "Type": "AWS::Lambda::Function",
                        "Properties": {
                            "Layers": [f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:StateCacheExtension:4"],
                            "Environment": {"Variables": {"TABLE": {"Ref": "Ledger"}}},
                        },
                    },
                }
            },
            {},
        )
    )
    parts = infer(there)
    assert parts is not None
    assert (parts.pattern, parts.store) == ("sidecar", "Ledger")
    assert parts.why == "the extension StateCacheExtension of Desk"
