"""Deploying a template with its code for one run, and taking all of it away again.

Everything that is made is named after the stack, so runs side by side never share anything: the CloudFormation stack
itself and one bucket with the packaged code.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

from holdfast.errors import DeploymentError
from holdfast.progress import Say, unheard
from holdfast.targets.base import Target
from holdfast.targets.cfn_template import check_parameters, find_template, read_template, uses_transform
from holdfast.targets.packaging import Artifact, package
from holdfast.waiting import eventually

_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
# CloudFormation quota "Template body size in a request"; larger templates go through S3.
_LARGEST_BODY_BYTES = 51_200
_TEMPLATE_KEY = "template.json"
# A worker in flight may write into a bucket between the emptying and the deletion of the stack.
_REMOVAL_ATTEMPTS = 3
_THROTTLES = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack that is there until the context ends.

    Attributes:
        stack_name: name of the CloudFormation stack.
        target: where it is deployed.
        artifacts_bucket: the bucket with its packaged code.
    """

    stack_name: str
    target: Target
    artifacts_bucket: str


@contextmanager
def deploy(
    target: Target,
    template: Path,
    *,
    stack_name: str,
    parameters: Mapping[str, str],
    timeout_seconds: float = 300.0,
    progress: Say = unheard,
) -> Iterator[Deployed]:
    """Package and deploy a template; remove everything when the context ends, however it ends.

    Args:
        target: where to deploy.
        template: CloudFormation or SAM template, a template that `cdk synth` wrote, or its ``cdk.out`` folder.
        stack_name: name of the stack; it must not exist yet.
        parameters: values of the template's parameters.
        timeout_seconds: how long creation, and removal, may take each.
        progress: told whenever the stack's state has changed.

    Raises:
        DeploymentError: the template cannot be used, the stack exists already, a resource failed (with its reason), or
            something could not be removed.
    """
    deployment = _Deployment(target, stack_name, timeout_seconds, progress)
    path = find_template(template)
    check_parameters(path, read_template(path), parameters)
    packaged = package(path, deployment.bucket)
    deployment.refuse_existing()
    try:
        deployment.upload(packaged.artifacts)
        deployment.create(packaged.template, parameters)
        yield Deployed(stack_name, target, deployment.bucket)
    except BaseException as error:
        try:
            deployment.remove()
        except DeploymentError as left:
            error.add_note(f"While the stack was removed: {left}")
        raise
    deployment.remove()


def artifacts_bucket_name(target: Target, stack_name: str) -> str:
    """The name of the bucket that holds a stack's packaged code; bucket names are global, hence the digest.

    Args:
        target: where the stack is deployed.
        stack_name: name of the stack.
    """
    digest = hashlib.sha256(f"{target.account}/{target.region}/{stack_name}".encode()).hexdigest()[:12]
    return f"holdfast-{stack_name.lower()[:36].rstrip('-')}-{digest}"


class _Deployment:
    """The steps of one deployment; what has been made so far decides what is removed."""

    def __init__(self, target: Target, stack_name: str, timeout_seconds: float, progress: Say) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,127}", stack_name):
            raise DeploymentError(
                f"{stack_name!r} is not a stack name",
                cause="a stack name starts with a letter and holds letters, digits and hyphens, 128 at most",
            )
        self.bucket = artifacts_bucket_name(target, stack_name)
        self._target = target
        self._stack_name = stack_name
        self._stack_id = ""
        self._bucket_made = False
        self._timeout_seconds = timeout_seconds
        self._progress = progress
        self._cloudformation = target.client("cloudformation")
        self._s3 = target.client("s3")

    def refuse_existing(self) -> None:
        """A stack that is there already belongs to somebody: never touch it."""
        found = self._describe(self._stack_name)
        if found is not None:
            raise DeploymentError(
                f"The stack {self._stack_name} exists already ({found['StackStatus']})",
                cause="another run uses this name, or a killed run left it",
                remedy="choose another name, or remove it: "
                f"aws cloudformation delete-stack --stack-name {self._stack_name}",
            )

    def upload(self, artifacts: tuple[Artifact, ...]) -> None:
        """Make the bucket and put the packaged code into it."""
        if artifacts:
            self._make_bucket()
        for artifact in artifacts:
            self._progress(f"{self._stack_name}: uploading {artifact.key} ({len(artifact.content):,} bytes)")
            self._put(artifact.key, artifact.content)

    def create(self, template: dict[str, Any], parameters: Mapping[str, str]) -> None:
        """Create the stack and wait until it is complete."""
        request: dict[str, Any] = {
            "StackName": self._stack_name,
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            "Capabilities": _CAPABILITIES,
            "Tags": [{"Key": "holdfast", "Value": "deployed for one run"}],
            **self._template_argument(template),
        }
        self._progress(f"the creation of {self._stack_name}", self._timeout_seconds)
        if self._target.kind == "aws" and uses_transform(template):
            # A change set shows what a macro made of the template before anything is created (AWS: "to create a
            # stack from a template with macros, create a change set, then execute it").
            self._create_through_change_set(request)
        else:
            self._begin(
                "create the stack", lambda: self._cloudformation.create_stack(**request, OnFailure="DO_NOTHING")
            )
        status = self._wait(lambda state: not state.endswith("_IN_PROGRESS"), "created")
        if status != "CREATE_COMPLETE":
            raise DeploymentError(
                f"The stack {self._stack_name} was not created: {status}",
                cause=self._first_failure() or "CloudFormation gave no reason",
                remedy="correct the template or its parameters; what had been made was removed",
            )

    def remove(self) -> None:
        """Delete the stack and the bucket, and make sure that they are gone."""
        problems: list[str] = []
        if self._stack_id:
            problems += self._remove_stack()
        if self._bucket_made:
            problems += self._remove_bucket(self.bucket)
        if problems:
            raise DeploymentError(
                f"The stack {self._stack_name} was not removed completely",
                cause="; ".join(problems),
                remedy=f"remove it by hand: the stack {self._stack_name} and the bucket {self.bucket}",
            )

    # -- creation ------------------------------------------------------------------------------------------------

    def _make_bucket(self) -> None:
        if self._bucket_made:
            return
        place = {} if self._target.region == "us-east-1" else {"LocationConstraint": self._target.region}
        arguments: dict[str, Any] = {"Bucket": self.bucket, **({"CreateBucketConfiguration": place} if place else {})}
        try:
            self._call("create the artifacts bucket", lambda: self._s3.create_bucket(**arguments))
        except DeploymentError as error:
            # The name is derived from account, region and stack: one that is ours was left by a killed run.
            if _code(error.__cause__) != "BucketAlreadyOwnedByYou":
                raise
        self._bucket_made = True

    def _put(self, key: str, content: bytes) -> None:
        self._call(f"upload {key}", lambda: self._s3.put_object(Bucket=self.bucket, Key=key, Body=content))

    def _template_argument(self, template: dict[str, Any]) -> dict[str, str]:
        body = json.dumps(template, separators=(",", ":"), ensure_ascii=False)
        if len(body.encode()) <= _LARGEST_BODY_BYTES:
            return {"TemplateBody": body}
        self._make_bucket()
        self._put(_TEMPLATE_KEY, body.encode())
        if self._target.endpoint_url:
            return {"TemplateURL": f"{self._target.endpoint_url}/{self.bucket}/{_TEMPLATE_KEY}"}
        return {"TemplateURL": f"https://{self.bucket}.s3.{self._target.region}.amazonaws.com/{_TEMPLATE_KEY}"}

    def _begin(self, what: str, call: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Make the call that brings the stack into being; from here on it is ours, unless AWS refused."""
        self._stack_id = self._stack_name
        try:
            answer: dict[str, Any] = self._call(what, call)
        except DeploymentError as error:
            if isinstance(error.__cause__, ClientError):
                self._stack_id = ""
            raise
        self._stack_id = answer["StackId"]
        return answer

    def _create_through_change_set(self, request: dict[str, Any]) -> None:
        name = "holdfast-create"
        answer = self._begin(
            "create the change set",
            lambda: self._cloudformation.create_change_set(**request, ChangeSetName=name, ChangeSetType="CREATE"),
        )
        change_set = {"ChangeSetName": answer["Id"], "StackName": self._stack_id}
        self._progress(f"the change set of {self._stack_name}", self._timeout_seconds)
        waited = eventually(
            lambda: self._tolerant(lambda: self._cloudformation.describe_change_set(**change_set)),
            lambda found: found is not None and found["Status"] in ("CREATE_COMPLETE", "FAILED"),
            deadline_seconds=self._timeout_seconds,
            longest_interval_seconds=5.0,
        )
        found = waited.value or {}
        if found.get("Status") != "CREATE_COMPLETE":
            raise DeploymentError(
                f"The change set of the stack {self._stack_name} was not made",
                cause=str(found.get("StatusReason", f"not ready after {self._timeout_seconds:.0f} s")),
                remedy="correct the template or its parameters; what had been made was removed",
            )
        self._call(
            "execute the change set",
            lambda: self._cloudformation.execute_change_set(**change_set, DisableRollback=True),
        )

    def _first_failure(self) -> str:
        """The reason of the resource that failed first; later ones are mostly cancelled because of it."""
        failures: list[str] = []
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self._stack_id)
        try:
            for page in pages:
                for event in page["StackEvents"]:
                    reason = event.get("ResourceStatusReason", "")
                    if event.get("ResourceStatus", "").endswith("_FAILED") and "cancelled" not in reason:
                        failures.append(f"{event['LogicalResourceId']} ({event.get('ResourceType', '')}): {reason}")
        except (ClientError, BotoCoreError) as error:
            return str(error)
        return failures[-1] if failures else ""

    # -- removal -------------------------------------------------------------------------------------------------

    def _remove_stack(self) -> list[str]:
        problem = ""
        for _attempt in range(_REMOVAL_ATTEMPTS):
            try:
                if self._describe(self._stack_id) is None:
                    return []
                for bucket in self._buckets(self._stack_id):
                    self._empty(bucket)
                self._call("delete the stack", lambda: self._cloudformation.delete_stack(StackName=self._stack_id))
                status = self._wait(lambda state: state in ("DELETE_COMPLETE", "DELETE_FAILED"), "removed")
            except DeploymentError as error:
                return [f"{error.what}: {error.cause}"]
            if status == "DELETE_COMPLETE":
                return []
            problem = self._first_failure()
        return [problem or "the stack is in DELETE_FAILED"]

    def _buckets(self, stack: str) -> list[str]:
        """The buckets that are resources of the stack, or of stacks nested in it."""
        found: list[str] = []
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
        resources = self._call(
            "list the stack's resources", lambda: [one for page in pages for one in page["StackResourceSummaries"]]
        )
        for resource in resources:
            physical_id = resource.get("PhysicalResourceId", "")
            if physical_id and not resource["ResourceStatus"].startswith("DELETE_COMPLETE"):
                if resource["ResourceType"] == "AWS::S3::Bucket":
                    found.append(physical_id)
                elif resource["ResourceType"] == "AWS::CloudFormation::Stack":
                    found += self._buckets(physical_id)
        return found

    def _empty(self, bucket: str) -> None:
        while True:
            try:
                page = self._call("list a bucket", lambda: self._s3.list_object_versions(Bucket=bucket))
            except DeploymentError as error:
                if _code(error.__cause__) == "NoSuchBucket":
                    return
                raise
            objects = [
                {"Key": one["Key"], "VersionId": one["VersionId"]}
                for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
            ]
            if not objects:
                return
            answer = self._delete_objects(bucket, objects)
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise DeploymentError(
                    f"Could not empty the bucket {bucket}", cause=f"{first.get('Key')}: {first.get('Message')}"
                )

    def _delete_objects(self, bucket: str, objects: list[dict[str, str]]) -> dict[str, Any]:
        deletion = {"Objects": objects, "Quiet": True}
        answer: dict[str, Any] = self._call(
            "empty a bucket", lambda: self._s3.delete_objects(Bucket=bucket, Delete=deletion)
        )
        return answer

    def _remove_bucket(self, bucket: str) -> list[str]:
        try:
            self._empty(bucket)
            self._call("delete the artifacts bucket", lambda: self._s3.delete_bucket(Bucket=bucket))
        except DeploymentError as error:
            if _code(error.__cause__) != "NoSuchBucket":
                return [f"{error.what}: {error.cause}"]
        return []

    # -- calls ---------------------------------------------------------------------------------------------------

    def _describe(self, stack: str) -> dict[str, Any] | None:
        try:
            answer = self._call("describe the stack", lambda: self._cloudformation.describe_stacks(StackName=stack))
        except DeploymentError as error:
            if _code(error.__cause__) == "ValidationError" and "does not exist" in error.cause:
                return None
            raise
        found: dict[str, Any] = answer["Stacks"][0]
        return None if found["StackStatus"] == "DELETE_COMPLETE" else found

    def _wait(self, until: Callable[[str], bool], what: str) -> str:
        last = ""

        def look() -> str:
            nonlocal last
            found = self._tolerant(lambda: {"stack": self._describe(self._stack_id)})
            if found is None:
                return "UNKNOWN_IN_PROGRESS"
            status = str((found["stack"] or {"StackStatus": "DELETE_COMPLETE"})["StackStatus"])
            if status != last:
                last = status
                self._progress(
                    f"{self._stack_name}: {status}", self._timeout_seconds if status.endswith("_IN_PROGRESS") else 0.0
                )
            return status

        waited = eventually(
            look, until, deadline_seconds=self._timeout_seconds, interval_seconds=0.05, longest_interval_seconds=5.0
        )
        if not waited.met:
            raise DeploymentError(
                f"The stack {self._stack_name} was not {what} within {self._timeout_seconds:.0f} s",
                cause=f"it is in {waited.value}",
                remedy="give it more time, or look at the stack's events",
            )
        return waited.value

    def _tolerant(self, call: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        """The call's answer; None when it was throttled or its connection broke, so that a wait goes on."""
        try:
            return call()
        except (ClientError, BotoCoreError, DeploymentError) as error:
            cause = error.__cause__ if isinstance(error, DeploymentError) else error
            broken = isinstance(cause, HTTPClientError) and self._target.kind == "aws"
            if broken or _code(cause) in _THROTTLES:
                return None
            if isinstance(error, DeploymentError):
                raise
            raise _failed(self._stack_name, "look at the stack", error) from error

    def _call(self, what: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (ClientError, BotoCoreError) as error:
            raise _failed(self._stack_name, what, error) from error


def _failed(stack_name: str, what: str, error: Exception) -> DeploymentError:
    denied = _code(error) in ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
    return DeploymentError(
        f"Stack {stack_name}: could not {what}",
        cause=str(error),
        remedy="give the credentials this permission" if denied else "",
    )


def _code(error: BaseException | None) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
