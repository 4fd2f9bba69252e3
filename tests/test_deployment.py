"""Tests of packaging and deploying templates, on the embedded target."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from holdfast.errors import DeploymentError
from holdfast.targets.cfn_template import read_template
from holdfast.targets.deployment import artifacts_bucket_name, deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.packaging import package, zip_folder

HANDLER = "import os\n\ndef handler(event, context):\n    return {'said': os.environ.get('WORD', '')}\n"

SAM = """
AWSTemplateFormatVersion: 2010-09-09
Transform: AWS::Serverless-2016-10-31
Parameters:
  Word: {Type: String, Default: hello}
Resources:
  Speaker:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: handlers/
      Handler: speaker.handler
      Runtime: python3.12
      Environment: {Variables: {WORD: !Ref Word, HERE: !Sub "${AWS::StackName}-${Bucket}"}}
  Bucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
Outputs:
  SpeakerArn: {Value: !GetAtt Speaker.Arn}
  BucketName: {Value: !Ref Bucket}
"""

PLAIN = """
Parameters:
  Needed: {Type: String}
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
  Speaker:
    Type: AWS::Lambda::Function
    Properties:
      Code: handlers/speaker.py
      Handler: speaker.handler
      Runtime: python3.12
      Role: !GetAtt Role.Arn
      Layers: [!Ref Layer]
  Layer:
    Type: AWS::Lambda::LayerVersion
    Properties: {Content: handlers}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A SAM template, a plain one, and their code."""
    (tmp_path / "handlers" / "__pycache__").mkdir(parents=True)
    (tmp_path / "handlers" / "__pycache__" / "speaker.pyc").write_bytes(b"compiled")
    (tmp_path / "handlers" / "speaker.py").write_text(HANDLER)
    (tmp_path / "template.yaml").write_text(SAM)
    (tmp_path / "plain.yaml").write_text(PLAIN)
    return tmp_path


@pytest.fixture
def cdk_out(tmp_path: Path) -> Path:
    """What `cdk synth` writes for a stack with one function."""
    asset = tmp_path / "cdk.out" / "asset.0123"
    asset.mkdir(parents=True)
    (asset / "speaker.py").write_text(HANDLER)
    bucket = "cdk-hnb659fds-assets-${AWS::AccountId}-${AWS::Region}"
    template = {
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {
                        "Statement": [
                            {
                                "Action": "sts:AssumeRole",
                                "Effect": "Allow",
                                "Principal": {"Service": "lambda.amazonaws.com"},
                            }
                        ]
                    }
                },
            },
            "Speaker": {
                "Type": "AWS::Lambda::Function",
                "Properties": {
                    "Code": {"S3Bucket": {"Fn::Sub": bucket}, "S3Key": "0123.zip"},
                    "Handler": "speaker.handler",
                    "Runtime": "python3.12",
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                },
            },
        },
        "Outputs": {"SpeakerArn": {"Value": {"Fn::GetAtt": ["Speaker", "Arn"]}}},
        "Parameters": {
            "BootstrapVersion": {
                "Type": "AWS::SSM::Parameter::Value<String>",
                "Default": "/cdk-bootstrap/hnb659fds/version",
            }
        },
        "Rules": {
            "CheckBootstrapVersion": {
                "Assertions": [
                    {
                        "Assert": {"Fn::Not": [{"Fn::Contains": [["1", "2"], {"Ref": "BootstrapVersion"}]}]},
                        "AssertDescription": "CDK bootstrap stack version 6 required.",
                    }
                ]
            }
        },
    }
    destinations = {"current_account-current_region": {"bucketName": bucket, "objectKey": "0123.zip"}}
    own = {"current_account-current_region": {"bucketName": bucket, "objectKey": "4567.json"}}
    manifest = {
        "version": "48.0.0",
        "files": {
            "0123": {"source": {"path": "asset.0123", "packaging": "zip"}, "destinations": destinations},
            "4567": {"source": {"path": "Speaking.template.json", "packaging": "file"}, "destinations": own},
        },
        "dockerImages": {},
    }
    (tmp_path / "cdk.out" / "Speaking.template.json").write_text(json.dumps(template, indent="\t"))
    (tmp_path / "cdk.out" / "Speaking.assets.json").write_text(json.dumps(manifest))
    return tmp_path / "cdk.out"


def outputs(target: EmbeddedTarget, stack_name: str) -> dict[str, str]:
    """The outputs of a deployed stack."""
    stack = target.client("cloudformation").describe_stacks(StackName=stack_name)["Stacks"][0]
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}


def say(target: EmbeddedTarget, function: str) -> Any:
    """What a deployed function answers."""
    return json.load(target.client("lambda").invoke(FunctionName=function)["Payload"])


def buckets(target: EmbeddedTarget) -> list[str]:
    """The buckets that exist."""
    return [one["Name"] for one in target.client("s3").list_buckets()["Buckets"]]


def stacks(target: EmbeddedTarget) -> list[str]:
    """The stacks that exist."""
    return [one["StackName"] for one in target.client("cloudformation").describe_stacks()["Stacks"]]


def names_in(zipped: bytes) -> list[str]:
    """The names in a zip."""
    return zipfile.ZipFile(io.BytesIO(zipped)).namelist()


# -- reading -------------------------------------------------------------------------------------------------------


def test_short_forms_become_long_forms(tmp_path: Path) -> None:
    """Every short form of YAML reads as the long form that JSON has, nested ones too; dates and key types are text."""
    path = tmp_path / "t.yaml"
    path.write_text(
        "AWSTemplateFormatVersion: 2010-09-09\n"
        "Resources:\n  A:\n    Type: T\n    Properties:\n"
        "      a: !Ref X\n      b: !GetAtt N.Outputs.Y\n      c: !Sub ['${v}', {v: !ImportValue w}]\n"
        "      d: !If [C, !Ref 'AWS::NoValue', !Join ['', [1, !GetAtt [M, Arn]]]]\n      e: {200: x}\n"
        "Conditions:\n  C: !Not [!Condition D]\n"
    )

    read = read_template(path)

    assert read["AWSTemplateFormatVersion"] == "2010-09-09"
    assert read["Conditions"] == {"C": {"Fn::Not": [{"Condition": "D"}]}}
    assert read["Resources"]["A"]["Properties"] == {
        "a": {"Ref": "X"},
        "b": {"Fn::GetAtt": ["N", "Outputs.Y"]},
        "c": {"Fn::Sub": ["${v}", {"v": {"Fn::ImportValue": "w"}}]},
        "d": {"Fn::If": ["C", {"Ref": "AWS::NoValue"}, {"Fn::Join": ["", [1, {"Fn::GetAtt": ["M", "Arn"]}]]}]},
        "e": {"200": "x"},
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Resources: [", "not valid YAML or JSON"),
        ('{"Resources": {', "not valid YAML or JSON"),
        ("Resources: {}", "Resources is missing or empty"),
        ("just text", "Resources is missing or empty"),
        ("Resources: {A: {Properties: {}}}", "Resources.A.Type is missing"),
        ("Resources: {A: {Type: T, Properties: {x: .nan}}}", "holds what JSON does not have"),
    ],
)
def test_a_template_that_cannot_be_used_is_named(tmp_path: Path, text: str, said: str) -> None:
    """A mistake in a template is one error that names the file and what is wrong."""
    path = tmp_path / "broken.yaml"
    path.write_text(text)

    with pytest.raises(DeploymentError, match=said) as raised:
        read_template(path)

    assert str(path) in raised.value.what


# -- packaging -----------------------------------------------------------------------------------------------------


def test_equal_folders_make_equal_zips_without_caches(folder: Path, tmp_path: Path) -> None:
    """A zip depends on names and contents alone, and compiled code stays out."""
    before = zip_folder(folder / "handlers")
    (folder / "handlers" / "speaker.py").touch()
    (folder / "handlers" / "__pycache__" / "other.pyc").write_bytes(b"more")

    assert zip_folder(folder / "handlers") == before
    assert names_in(before) == ["speaker.py"]


def test_code_of_functions_and_layers_is_packaged(folder: Path) -> None:
    """A folder becomes a zip, a file a zip with that file, and the template points at them."""
    packaged = package(folder / "plain.yaml", "our-bucket")

    resources = packaged.template["Resources"]
    held = {artifact.key: names_in(artifact.content) for artifact in packaged.artifacts}
    assert resources["Speaker"]["Properties"]["Code"]["S3Bucket"] == "our-bucket"
    assert held[resources["Speaker"]["Properties"]["Code"]["S3Key"]] == ["speaker.py"]
    assert resources["Layer"]["Properties"]["Content"]["S3Key"] in held


def test_code_elsewhere_is_left_alone(folder: Path) -> None:
    """Inline code and code that is in S3 already is not touched; globals that name a folder are packaged."""
    (folder / "t.yaml").write_text(
        "Transform: AWS::Serverless-2016-10-31\n"
        "Globals: {Function: {CodeUri: handlers}}\n"
        "Resources:\n"
        "  A: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: 's3://there/code.zip'}}\n"
        "  B: {Type: 'AWS::Lambda::Function', Properties: {Code: {ZipFile: 'x = 1'}}}\n"
    )

    packaged = package(folder / "t.yaml", "our-bucket")

    assert packaged.template["Resources"]["A"]["Properties"]["CodeUri"] == "s3://there/code.zip"
    assert packaged.template["Resources"]["B"]["Properties"]["Code"] == {"ZipFile": "x = 1"}
    assert packaged.template["Globals"]["Function"]["CodeUri"]["Bucket"] == "our-bucket"


def test_a_missing_code_folder_is_named(folder: Path) -> None:
    """The error names the template, the key and the folder that is not there."""
    (folder / "template.yaml").write_text(SAM.replace("handlers/", "nowhere/"))

    with pytest.raises(DeploymentError) as raised:
        package(folder / "template.yaml", "our-bucket")

    assert str(folder / "template.yaml") in raised.value.what
    assert "Resources.Speaker.Properties.CodeUri: nowhere/ does not exist" in raised.value.what


def test_a_cdk_template_uses_our_bucket_and_needs_no_bootstrap(cdk_out: Path) -> None:
    """File assets of the manifest are packaged under their keys, their bucket is ours, the version check is gone."""
    packaged = package(cdk_out / "Speaking.template.json", "our-bucket")

    assert [artifact.key for artifact in packaged.artifacts] == ["0123.zip"]
    assert names_in(packaged.artifacts[0].content) == ["speaker.py"]
    assert packaged.template["Resources"]["Speaker"]["Properties"]["Code"] == {
        "S3Bucket": "our-bucket",
        "S3Key": "0123.zip",
    }
    assert "Rules" not in packaged.template
    assert packaged.template["Parameters"] == {}


def test_a_literal_bucket_and_a_bootstrap_parameter_in_use_are_handled(cdk_out: Path) -> None:
    """A stack with a fixed account names the bucket literally; a BootstrapVersion that a resource reads is kept."""
    path = cdk_out / "Speaking.template.json"
    for file in (path, cdk_out / "Speaking.assets.json"):
        literal = file.read_text().replace("${AWS::AccountId}-${AWS::Region}", "111122223333-eu-west-1")
        file.write_text(literal)
    template = json.loads(path.read_text())
    template["Resources"]["Speaker"]["Properties"]["Code"]["S3Bucket"] = "cdk-hnb659fds-assets-111122223333-eu-west-1"
    template["Resources"]["Speaker"]["Properties"]["Description"] = {"Fn::Sub": "made by ${BootstrapVersion}"}
    path.write_text(json.dumps(template))

    packaged = package(path, "our-bucket")

    assert packaged.template["Resources"]["Speaker"]["Properties"]["Code"]["S3Bucket"] == "our-bucket"
    assert "BootstrapVersion" in packaged.template["Parameters"]


# -- deploying -----------------------------------------------------------------------------------------------------


def test_a_sam_stack_is_there_inside_the_context_and_gone_after_it(target: EmbeddedTarget, folder: Path) -> None:
    """Its function runs with the given parameter; afterwards stack, data and artifacts are gone, kept buckets too."""
    lines: list[str] = []
    s3 = target.client("s3")
    before = buckets(target)
    with deploy(
        target,
        folder / "template.yaml",
        stack_name="speaking",
        parameters={"Word": "tak"},
        progress=lambda line, _until_seconds=0.0: lines.append(line),
    ) as deployed:
        made = outputs(target, deployed.stack_name)
        assert say(target, made["SpeakerArn"]) == {"said": "tak"}
        assert s3.list_objects_v2(Bucket=deployed.artifacts_bucket)["KeyCount"] == 1
        s3.put_object(Bucket=made["BucketName"], Key="data/1", Body=b"left by a test")
        s3.put_object(Bucket=made["BucketName"], Key="data/2", Body=b"left by a test")

    assert "speaking" not in stacks(target)
    assert buckets(target) == before
    assert lines[-1] == "speaking: DELETE_COMPLETE"
    assert "speaking: CREATE_COMPLETE" in lines


def test_a_synthesised_cdk_stack_is_deployed_from_its_folder(target: EmbeddedTarget, cdk_out: Path) -> None:
    """The folder that `cdk synth` wrote is a template: its function runs with the code of its asset."""
    with deploy(target, cdk_out, stack_name="cdk-speaking", parameters={}) as deployed:
        assert say(target, outputs(target, deployed.stack_name)["SpeakerArn"]) == {"said": ""}

    assert "cdk-speaking" not in stacks(target)


def test_two_stacks_of_one_template_stand_side_by_side(target: EmbeddedTarget, folder: Path) -> None:
    """Everything is named after the stack, so the removal of one leaves the other working."""
    template = folder / "template.yaml"
    with deploy(target, template, stack_name="first", parameters={}) as first:
        with deploy(target, template, stack_name="second", parameters={"Word": "other"}) as second:
            assert second.artifacts_bucket != first.artifacts_bucket
            assert say(target, outputs(target, "second")["SpeakerArn"]) == {"said": "other"}
        assert say(target, outputs(target, "first")["SpeakerArn"]) == {"said": "hello"}


def test_a_large_template_goes_through_the_bucket(target: EmbeddedTarget, folder: Path) -> None:
    """A template above the size that a request may have is deployed all the same."""
    rows = "".join(
        f"  Queue{n}: {{Type: 'AWS::SQS::Queue', Properties: {{Tags: [{{Key: k, Value: {'v' * 200}}}]}}}}\n"
        for n in range(220)
    )
    (folder / "large.yaml").write_text(f"Resources:\n{rows}")

    with deploy(target, folder / "large.yaml", stack_name="large", parameters={}):
        assert "large" in stacks(target)

    assert artifacts_bucket_name(target, "large") not in buckets(target)


def test_a_failed_resource_is_named_and_everything_is_removed(target: EmbeddedTarget, folder: Path) -> None:
    """The error gives the reason of the first failed resource; neither stack nor bucket stays behind."""
    (folder / "template.yaml").write_text(
        SAM.replace(
            "  Bucket:\n",
            "  Wrong: {Type: 'AWS::SQS::Queue', Properties: {VisibilityTimeout: 99999}}\n  Bucket:\n",
        )
    )
    before = buckets(target)

    with (
        pytest.raises(DeploymentError, match="failing was not created") as raised,
        deploy(target, folder / "template.yaml", stack_name="failing", parameters={}),
    ):
        pass

    assert "Wrong (AWS::SQS::Queue)" in raised.value.cause
    assert "failing" not in stacks(target)
    assert buckets(target) == before


def test_an_error_inside_the_context_still_removes_the_stack(target: EmbeddedTarget, folder: Path) -> None:
    """Whatever ends the context, the stack goes; the error is the one that ended it."""
    with (
        pytest.raises(KeyboardInterrupt),
        deploy(target, folder / "template.yaml", stack_name="interrupted", parameters={}),
    ):
        raise KeyboardInterrupt

    assert "interrupted" not in stacks(target)


def test_a_stack_that_exists_is_never_touched(target: EmbeddedTarget, folder: Path) -> None:
    """Deploying over an existing stack is refused, and that stack stays as it is."""
    template = folder / "template.yaml"
    with deploy(target, template, stack_name="taken", parameters={}) as deployed:
        with (
            pytest.raises(DeploymentError, match="taken exists already"),
            deploy(target, template, stack_name="taken", parameters={}),
        ):
            pass
        assert say(target, outputs(target, "taken")["SpeakerArn"]) == {"said": "hello"}
        assert deployed.artifacts_bucket in buckets(target)


@pytest.mark.parametrize(
    ("template", "parameters", "said"),
    [
        ("plain.yaml", {}, "Parameters.Needed has no default"),
        ("template.yaml", {"Wrod": "x"}, "Parameters.Wrod does not exist"),
        ("missing.yaml", {}, "the template does not exist"),
        ("handlers", {}, r"exactly one \*\.template\.json"),
    ],
)
def test_mistakes_are_found_before_anything_is_made(
    target: EmbeddedTarget, folder: Path, template: str, parameters: dict[str, str], said: str
) -> None:
    """A missing template or parameter is one error that names it, and no call that changes anything was made."""
    before = buckets(target)

    with (
        pytest.raises(DeploymentError, match=said) as raised,
        deploy(target, folder / template, stack_name="mistaken", parameters=parameters),
    ):
        pass

    assert str(folder / template) in raised.value.what
    assert buckets(target) == before


def test_a_name_that_is_no_stack_name_is_refused(target: EmbeddedTarget, folder: Path) -> None:
    """A name that CloudFormation would refuse is refused before the code is packaged."""
    with (
        pytest.raises(DeploymentError, match="'no_good' is not a stack name"),
        deploy(target, folder / "template.yaml", stack_name="no_good", parameters={}),
    ):
        pass


def test_on_aws_a_template_with_a_macro_goes_through_a_change_set(
    target: EmbeddedTarget, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target of kind aws deploys SAM by a change set, with the same result and the same removal."""
    monkeypatch.setattr(target, "kind", "aws", raising=False)
    cloudformation = target.client("cloudformation")

    with deploy(target, folder / "template.yaml", stack_name="changing", parameters={"Word": "set"}) as deployed:
        assert say(target, outputs(target, deployed.stack_name)["SpeakerArn"]) == {"said": "set"}
        change_sets = cloudformation.list_change_sets(StackName="changing")["Summaries"]
        assert [one["ExecutionStatus"] for one in change_sets] == ["EXECUTE_COMPLETE"]

    assert "changing" not in stacks(target)


def test_what_cannot_be_removed_is_said(target: EmbeddedTarget, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the stack cannot be deleted, the error names it and the reason; the artifacts are removed all the same."""
    cloudformation = target.client("cloudformation")

    def refuse(**_arguments: str) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not allowed to delete"}}, "DeleteStack")

    with (
        pytest.raises(DeploymentError, match="staying was not removed completely") as raised,
        deploy(target, folder / "template.yaml", stack_name="staying", parameters={}),
    ):
        monkeypatch.setattr(cloudformation, "delete_stack", refuse)
    monkeypatch.undo()

    assert "not allowed to delete" in raised.value.cause
    assert artifacts_bucket_name(target, "staying") not in buckets(target)
    cloudformation.delete_stack(StackName="staying")
