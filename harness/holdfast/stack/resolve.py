"""From a descriptor to the resources it means on a target; reads only."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from holdfast.errors import DescriptorError, ResourceError
from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.commands import HttpCall
from holdfast.stack.components import Component
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.effects import HttpSource
from holdfast.stack.generate import Submission
from holdfast.stack.readers import CLOUDFORMATION_TYPES, Located, read
from holdfast.stack.resources import Arn, Mapping, Resource, check_place
from holdfast.stack.running import Running
from holdfast.stack.templates import placeholders, render_text, suggestion
from holdfast.targets.base import Target

__all__ = ["Arn", "Mapping", "Resource", "Stack", "resolve"]


@dataclass(frozen=True, slots=True)
class Stack:
    """A descriptor together with what it means on a target.

    Attributes:
        descriptor: the descriptor.
        path: its file; Python callables and templates are beside it.
        target: where the stack is deployed.
        resources: the components by name.
        cloudformation: the CloudFormation stack in which they were found, where there is one.
        running: the processes and channels that the run has started; None where it starts nothing, or has not yet.
    """

    descriptor: Descriptor
    path: Path
    target: Target
    resources: MappingOf[str, Resource]
    cloudformation: str | None = None
    running: Running | None = None

    def resource(self, component: str) -> Resource:
        """A component by its name in the descriptor.

        Raises:
            ResourceError: the descriptor has none of that name.
        """
        try:
            return self.resources[component]
        except KeyError:
            raise ResourceError(
                f"The stack {self.descriptor.name} has no component {component}.",
                remedy=suggestion(component, self.resources),
            ) from None

    def values(self, submission: Submission | None = None) -> dict[str, Json]:
        """What placeholders stand for: key, value, fields, ``component.name|arn|url``, account and region."""
        values: dict[str, Json] = {"account": self.target.account, "region": self.target.region}
        for name, resource in self.resources.items():
            values[f"{name}.name"] = resource.name
            values[f"{name}.arn"] = resource.arn
            values[f"{name}.url"] = resource.url
        if self.running is not None:
            values.update(self.running.addresses)
        if submission is not None:
            values.update(submission.fields)
            values["key"] = submission.key
            values["value"] = submission.value
        return values

    def mappings(self, component: str) -> tuple[Mapping, ...]:
        """The event source mappings of a function as they are now, all pages of them.

        Raises:
            ResourceError: the component is missing, is no function, or its mappings may not be listed.
            TargetError: the target does not answer.
        """
        resource = self.resource(component)
        if resource.type != "function":
            raise ResourceError(f"The component {component} is a {resource.type}; only functions have mappings.")
        client = self.target.client("lambda")
        with translated(f"The event source mappings of component {component} ({resource.name})", self.target):
            pages = client.get_paginator("list_event_source_mappings").paginate(FunctionName=resource.name)
            found = [each for page in pages for each in page.get("EventSourceMappings", [])]
        for each in found:
            check_place(component, each.get("EventSourceArn", ""), self.target)
        return tuple(_mapping(each) for each in found)


def _mapping(found: MappingOf[str, Any]) -> Mapping:
    state = str(found.get("State", ""))
    return Mapping(
        uuid=str(found["UUID"]),
        source_arn=str(found.get("EventSourceArn", "")),
        function_arn=str(found.get("FunctionArn", "")),
        enabled=state in ("Creating", "Enabling", "Enabled", "Updating"),
        state=state,
        batch_size=int(found.get("BatchSize", 0)),
        response_types=tuple(found.get("FunctionResponseTypes") or ()),
        maximum_concurrency=(found.get("ScalingConfig") or {}).get("MaximumConcurrency"),
        maximum_retry_attempts=found.get("MaximumRetryAttempts"),
        maximum_record_age_seconds=found.get("MaximumRecordAgeInSeconds"),
        on_failure_arn=str(((found.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination", "")),
    )


def resolve(descriptor: Descriptor, path: Path, target: Target, *, cloudformation: str | None = None) -> Stack:
    """Find every component of a descriptor on a target; reads only, and reports all that is missing at once.

    Args:
        descriptor: the stack.
        path: the descriptor's file.
        target: where to look.
        cloudformation: the CloudFormation stack to look in, instead of the descriptor's.

    Raises:
        DescriptorError: a component needs a CloudFormation stack and none is named.
        ResourceError: components are missing, of another type, or may not be read.
        TargetError: the target does not answer.
        GuardRailError: a component lies in another account or region than the target's.
    """
    stack_name = cloudformation or descriptor.cloudformation
    needed = [
        name for name, component in descriptor.components.items() if component.name is None and component.start is None
    ]
    deployed = None
    if needed:
        if stack_name is None:
            raise DescriptorError(
                f"{path}: components.{needed[0]} is found in a CloudFormation stack, and none is named.",
                cause="it gives a logical_id or an output, and nothing was deployed by this run",
                remedy='set cloudformation = "STACK" in the descriptor, or deploy with --deploy',
            )
        deployed = _CloudFormationStack.read(stack_name, target)
    with_url = _function_urls(descriptor)
    resources: dict[str, Resource] = {}
    problems: list[ResourceError] = []
    for name, component in descriptor.components.items():
        try:
            located = _locate(name, component, deployed, target, with_url=name in with_url)
            resources[name] = read(located, target)
        except ResourceError as problem:
            problems.append(problem)
    if problems:
        raise _all_of(descriptor.name, problems)
    return Stack(descriptor, path, target, MappingProxyType(resources), stack_name)


def _all_of(stack: str, problems: list[ResourceError]) -> ResourceError:
    if len(problems) == 1:
        return problems[0]
    details = "\n".join(f"- {problem}" for problem in problems)
    return ResourceError(
        f"{len(problems)} components of the stack {stack} cannot be used:\n{details}",
        remedy="put every one of them right; nothing was changed",
    )


def _function_urls(descriptor: Descriptor) -> frozenset[str]:
    """The functions whose URL a port uses; only theirs are read, so no more permissions are needed than used."""
    parts: list[HttpCall | HttpSource] = [
        call for command in descriptor.commands.values() for call in command.calls if isinstance(call, HttpCall)
    ]
    parts += [source for source in descriptor.sources if isinstance(source, HttpSource)]
    named = {part.api for part in parts if part.api is not None}
    written = {
        name.partition(".")[0]
        for model in (*descriptor.commands.values(), *descriptor.sources)
        for name in placeholders(model.model_dump())
        if name.endswith(".url")
    }
    return frozenset(named | written)


@dataclass(frozen=True, slots=True)
class _CloudFormationStack:
    name: str
    resources: MappingOf[str, tuple[str, str]]
    """Logical id → (type, physical id)."""
    outputs: MappingOf[str, str]

    @classmethod
    def read(cls, name: str, target: Target) -> _CloudFormationStack:
        client = target.client("cloudformation")
        subject = f"The CloudFormation stack {name}"
        try:
            with translated(subject, target):
                found = client.describe_stacks(StackName=name)["Stacks"][0]
                pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
                listed = [each for page in pages for each in page["StackResourceSummaries"]]
        except ResourceError as error:
            # CloudFormation answers ValidationError for a stack that does not exist
            if "does not exist" in error.cause and "does not exist" not in error.what:
                raise ResourceError(
                    f"{subject} does not exist in account {target.account}, region {target.region}.",
                    cause=error.cause,
                    remedy="deploy it (--deploy), or correct cloudformation in the descriptor",
                ) from error
            raise
        check_place(f"cloudformation stack {name}", str(found.get("StackId", "")), target)
        return cls(
            name,
            {
                str(each["LogicalResourceId"]): (str(each["ResourceType"]), str(each["PhysicalResourceId"]))
                for each in listed
                if each.get("PhysicalResourceId") and each.get("ResourceStatus") != "DELETE_COMPLETE"
            },
            {str(each["OutputKey"]): str(each["OutputValue"]) for each in found.get("Outputs", [])},
        )

    def logical(self, name: str, component: Component, logical_id: str) -> tuple[str, str]:
        try:
            kind, physical = self.resources[logical_id]
        except KeyError:
            fitting = self._fitting(component.type)
            raise ResourceError(
                f"The component {name} is missing: the CloudFormation stack {self.name} has no resource {logical_id}.",
                remedy=f"{suggestion(logical_id, fitting or self.resources)} (components.{name}.logical_id)",
            ) from None
        allowed = CLOUDFORMATION_TYPES.get(component.type, ())
        if kind not in allowed:
            raise ResourceError(
                f"The component {name} is a {component.type}, but {logical_id} in the CloudFormation stack {self.name} "
                f"is an {kind}.",
                remedy=f"correct components.{name}.type, or name a logical_id of type {' or '.join(allowed) or 'none'}",
            )
        return kind, physical

    def output(self, name: str, output: str) -> str:
        try:
            return self.outputs[output]
        except KeyError:
            raise ResourceError(
                f"The component {name} is missing: the CloudFormation stack {self.name} has no output {output}.",
                remedy=f"{suggestion(output, self.outputs)} (components.{name}.output)",
            ) from None

    def _fitting(self, component_type: str) -> Iterable[str]:
        allowed = CLOUDFORMATION_TYPES.get(component_type, ())
        return [logical_id for logical_id, (kind, _) in self.resources.items() if kind in allowed]


def _locate(
    name: str, component: Component, deployed: _CloudFormationStack | None, target: Target, *, with_url: bool
) -> Located:
    kind = ""
    if component.start is not None:
        physical = name
    elif component.name is not None:
        physical = render_text(component.name, {"account": target.account, "region": target.region})
    else:
        assert deployed is not None
        if component.logical_id is not None:
            kind, physical = deployed.logical(name, component, component.logical_id)
        else:
            assert component.output is not None
            physical = deployed.output(name, component.output)
    return Located(
        component=name,
        type=component.type,
        physical=physical,
        stage=component.stage,
        cloudformation_type=kind,
        with_url=with_url,
    )
