"""Probes of CloudFormation: what a template says about a function and a method is what is deployed."""

from __future__ import annotations

import json
from typing import Any

from holdfast.targets.base import Target
from holdfast.targets.probes.bench import bench, check, wait_for


def properties_kept(target: Target) -> None:
    """Reserved concurrency, the dead-letter configuration and the request validator of a template are in force."""
    with bench(target) as on:
        queue = on.queue()
        role = on.role()[1]
        template = {
            "Resources": {
                "Function": {
                    "Type": "AWS::Lambda::Function",
                    "Properties": {
                        "Code": {"ZipFile": "def handler(event, context):\n    return event\n"},
                        "Handler": "index.handler",
                        "Runtime": "python3.12",
                        "Role": role,
                        "ReservedConcurrentExecutions": 3,
                        "DeadLetterConfig": {"TargetArn": queue.arn},
                    },
                },
                "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": on.name()}},
                "Validator": {
                    "Type": "AWS::ApiGateway::RequestValidator",
                    "Properties": {"RestApiId": {"Ref": "Api"}, "Name": "body", "ValidateRequestBody": True},
                },
                "Method": {
                    "Type": "AWS::ApiGateway::Method",
                    "Properties": {
                        "RestApiId": {"Ref": "Api"},
                        "ResourceId": {"Fn::GetAtt": ["Api", "RootResourceId"]},
                        "HttpMethod": "POST",
                        "AuthorizationType": "NONE",
                        "RequestValidatorId": {"Ref": "Validator"},
                        "Integration": {"Type": "MOCK"},
                    },
                },
            }
        }
        ids = _deployed(target, on.name(), template, on.later)
        functions, api = target.client("lambda"), target.client("apigateway")
        reserved = functions.get_function_concurrency(FunctionName=ids["Function"]).get("ReservedConcurrentExecutions")
        check(reserved == 3, f"reserved concurrency 3 of the template reads back {reserved}")
        configuration = functions.get_function_configuration(FunctionName=ids["Function"])
        letters = (configuration.get("DeadLetterConfig") or {}).get("TargetArn")
        check(letters == queue.arn, f"the dead-letter queue of the template reads back {letters}")
        root = api.get_resources(restApiId=ids["Api"])["items"][0]["id"]
        method = api.get_method(restApiId=ids["Api"], resourceId=root, httpMethod="POST")
        validator = method.get("requestValidatorId")
        check(validator == ids["Validator"], f"the request validator of the template reads back {validator}")
        found = api.get_request_validators(restApiId=ids["Api"]).get("items", [])
        validating = [(one["id"], one["validateRequestBody"], one["validateRequestParameters"]) for one in found]
        check(validating == [(ids["Validator"], True, False)], f"the validators of the template read back {found}")


def _deployed(target: Target, name: str, template: dict[str, Any], later: Any) -> dict[str, str]:
    """The physical ids of a stack made from a template."""
    cloudformation = target.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    later(cloudformation.delete_stack, StackName=name)

    def complete() -> bool:
        status = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        check(status in ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"), f"the stack of the template became {status}")
        return bool(status == "CREATE_COMPLETE")

    wait_for(complete, "the stack of the template was not complete", seconds=60)
    found = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}
