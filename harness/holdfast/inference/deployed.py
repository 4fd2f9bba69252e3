"""A deployed stack as CloudFormation keeps it: its template, its parameters, its physical names. It is only read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from holdfast.errors import ResourceError
from holdfast.stack.aws_errors import translated
from holdfast.targets.base import Target
from holdfast.targets.cfn_template import parsed_template

_STACK_TAG = "aws:cloudformation:stack-name"
"""docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-properties-resource-tags.html: CloudFormation puts its
stack's name into this tag of every resource that has tags."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What CloudFormation knows of a stack.

    Attributes:
        name: of the stack.
        template: the processed template, without SAM's resources.
        parameters: their values.
        physical: physical ids by logical id.
    """

    name: str
    template: Mapping[str, Any]
    parameters: Mapping[str, str]
    physical: Mapping[str, str]


def deployed(target: Target, stack: str) -> Deployed:
    """Read a deployed stack; nothing is sent to it.

    Args:
        target: where it is deployed.
        stack: its name.

    Raises:
        ResourceError: there is no such stack, or it may not be read.
        DeploymentError: its template is none that can be read.
    """
    cloudformation = target.client("cloudformation")
    with translated(f"The CloudFormation stack {stack}", target):
        body = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
        (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        listed = [one for page in pages for one in page["StackResourceSummaries"]]
    # botocore parses JSON; a template that was written in YAML comes as it was written
    text = body if isinstance(body, str) else json.dumps(body)
    return Deployed(
        name=stack,
        template=parsed_template(text, f"the CloudFormation stack {stack}"),
        parameters={one["ParameterKey"]: one.get("ParameterValue", "") for one in described.get("Parameters", ())},
        physical={one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in listed},
    )


def tagged(target: Target, tags: Mapping[str, str]) -> str:
    """The one CloudFormation stack whose resources carry all the tags.

    Args:
        target: where it is deployed.
        tags: values by name.

    Raises:
        ResourceError: they lead to no stack or to several, or may not be read.
    """
    filters = [{"Key": name, "Values": [value]} for name, value in tags.items()]
    with translated("The tags", target):
        pages = target.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(TagFilters=filters)
        found = [one.get("Tags", ()) for page in pages for one in page["ResourceTagMappingList"]]
    return _one(found)


def _one(tags_of_resources: Sequence[Sequence[Mapping[str, str]]]) -> str:
    stacks = {tag["Value"] for tags in tags_of_resources for tag in tags if tag["Key"] == _STACK_TAG}
    if len(stacks) == 1:
        return stacks.pop()
    raise ResourceError(
        f"The tags do not lead to one CloudFormation stack, but to {len(stacks)}.",
        cause=", ".join(sorted(stacks))
        or f"{len(tags_of_resources)} resources carry them, and none belongs to a stack",
        remedy="name the stack with --cloudformation",
    )
