"""One stack with a component of every type, for tests that must meet each of them."""

from __future__ import annotations

import json
from typing import Any

from holdfast.stack.descriptor import Descriptor
from holdfast.targets.base import Target
from holdfast.waiting import eventually

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
PASS_STATE = json.dumps({"StartAt": "a", "States": {"a": {"Type": "Pass", "End": True}}})


def one(kind: str, **properties: Any) -> dict[str, Any]:
    """A resource of a CloudFormation template."""
    return {"Type": kind, "Properties": properties}


TEMPLATE = {
    "Resources": {
        "Queue": one("AWS::SQS::Queue"),
        "Role": one("AWS::IAM::Role", AssumeRolePolicyDocument=TRUST),
        "Function": one(
            "AWS::Lambda::Function",
            Runtime="python3.12",
            Handler="index.handle",
            Role={"Fn::GetAtt": ["Role", "Arn"]},
            Code={"ZipFile": "def handle(event, context): return {}"},
        ),
        "Url": one("AWS::Lambda::Url", TargetFunctionArn={"Ref": "Function"}, AuthType="NONE"),
        "QueueMapping": one(
            "AWS::Lambda::EventSourceMapping",
            FunctionName={"Ref": "Function"},
            EventSourceArn={"Fn::GetAtt": ["Queue", "Arn"]},
            BatchSize=5,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        ),
        "StreamMapping": one(
            "AWS::Lambda::EventSourceMapping",
            FunctionName={"Ref": "Function"},
            EventSourceArn={"Fn::GetAtt": ["Table", "StreamArn"]},
            StartingPosition="LATEST",
            MaximumRetryAttempts=3,
            DestinationConfig={"OnFailure": {"Destination": {"Fn::GetAtt": ["Queue", "Arn"]}}},
        ),
        "Table": one(
            "AWS::DynamoDB::Table",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamViewType": "NEW_IMAGE"},
        ),
        "Bucket": one("AWS::S3::Bucket"),
        "Topic": one("AWS::SNS::Topic"),
        "Bus": one("AWS::Events::EventBus", Name="orders"),
        "BusRule": one(
            "AWS::Events::Rule",
            EventBusName={"Ref": "Bus"},
            EventPattern={"source": ["a"]},
            Targets=[
                {
                    "Id": "queue",
                    "Arn": {"Fn::GetAtt": ["Queue", "Arn"]},
                    "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 5},
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Fed", "Arn"]}},
                },
            ],
        ),
        "Fed": one("AWS::SQS::Queue"),
        "FedMapping": one(
            "AWS::Lambda::EventSourceMapping",
            FunctionName={"Ref": "Function"},
            EventSourceArn={"Fn::GetAtt": ["Fed", "Arn"]},
            Enabled=False,
        ),
        "Subscription": one(
            "AWS::SNS::Subscription",
            TopicArn={"Ref": "Topic"},
            Protocol="sqs",
            Endpoint={"Fn::GetAtt": ["Queue", "Arn"]},
            RedrivePolicy={"deadLetterTargetArn": {"Fn::GetAtt": ["Fed", "Arn"]}},
        ),
        "DefaultRule": one("AWS::Events::Rule", EventPattern={"source": ["a"]}),
        "Machine": one(
            "AWS::StepFunctions::StateMachine",
            RoleArn={"Fn::GetAtt": ["Role", "Arn"]},
            DefinitionString=PASS_STATE,
        ),
        "Rest": one("AWS::ApiGateway::RestApi", Name="rest"),
        "Method": one(
            "AWS::ApiGateway::Method",
            RestApiId={"Ref": "Rest"},
            ResourceId={"Fn::GetAtt": ["Rest", "RootResourceId"]},
            HttpMethod="GET",
            AuthorizationType="NONE",
            Integration={"Type": "MOCK"},
        ),
        "Deployment": {
            **one("AWS::ApiGateway::Deployment", RestApiId={"Ref": "Rest"}),
            "DependsOn": "Method",
        },
        "Live": one(
            "AWS::ApiGateway::Stage",
            RestApiId={"Ref": "Rest"},
            DeploymentId={"Ref": "Deployment"},
            StageName="live",
        ),
        "Http": one("AWS::ApiGatewayV2::Api", Name="http", ProtocolType="HTTP"),
        "HttpStage": one("AWS::ApiGatewayV2::Stage", ApiId={"Ref": "Http"}, StageName="$default", AutoDeploy=True),
    },
    "Outputs": {
        "QueueUrl": {"Value": {"Ref": "Queue"}},
        "ApiUrl": {"Value": {"Fn::Sub": "https://${Rest}.execute-api.${AWS::Region}.amazonaws.com/live/"}},
        "FunctionArn": {"Value": {"Fn::GetAtt": ["Function", "Arn"]}},
    },
}
COMPONENTS = {
    "queue": {"type": "queue", "logical_id": "Queue"},
    "queue_by_url": {"type": "queue", "output": "QueueUrl"},
    "function": {"type": "function", "logical_id": "Function"},
    "function_by_arn": {"type": "function", "output": "FunctionArn"},
    "table": {"type": "table", "logical_id": "Table"},
    "bucket": {"type": "bucket", "logical_id": "Bucket"},
    "topic": {"type": "topic", "logical_id": "Topic"},
    "bus": {"type": "bus", "logical_id": "Bus"},
    "bus_by_arn": {"type": "bus", "name": "arn:aws:events:{region}:{account}:event-bus/orders"},
    "bus_rule": {"type": "rule", "logical_id": "BusRule"},
    "default_rule": {"type": "rule", "logical_id": "DefaultRule"},
    "machine": {"type": "state_machine", "logical_id": "Machine"},
    "rest": {"type": "api", "logical_id": "Rest"},
    "rest_by_url": {"type": "api", "output": "ApiUrl"},
    "http": {"type": "api", "logical_id": "Http"},
    "elsewhere": {"type": "api", "name": "https://orders.example/v1/"},
    "role": {"type": "role", "logical_id": "Role"},
    "sidecar": {"type": "process", "name": "sidecar"},
}


def descriptor(components: dict[str, Any], **more: Any) -> Descriptor:
    """A descriptor of these components; its ports use the function's URL."""
    return Descriptor.model_validate(
        {
            "name": "all-types",
            "components": components,
            "commands": {"c": {"calls": {"kind": "http", "api": "function", "path": "/{key}"}}},
            "effects": {"e": {"sources": {"kind": "s3-object", "bucket": "bucket", "object_key": "{key}"}}},
            "patterns": {"storage-first": {"command": "c", "effect": "e"}},
            **more,
        }
    )


def deploy_all(target: Target, name: str = "all") -> None:
    """Deploy the stack under a name; its stream mapping and its fed queue's are off, so nothing runs by itself."""
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(TEMPLATE), Capabilities=["CAPABILITY_IAM"])
    status = eventually(
        lambda: cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"],
        lambda found: not found.endswith("IN_PROGRESS"),
        deadline_seconds=30,
    )
    assert status.value == "CREATE_COMPLETE"
    functions = target.client("lambda")
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        if ":dynamodb:" in mapping["EventSourceArn"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
