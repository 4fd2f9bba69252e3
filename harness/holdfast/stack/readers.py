"""One read per component: from what the descriptor names to a `Resource`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from holdfast.errors import ResourceError
from holdfast.stack.aws_errors import is_missing, translated
from holdfast.stack.components import DRIVEN
from holdfast.stack.resources import Arn, Resource, check_place, partition, refuse_place
from holdfast.stack.templates import suggestion
from holdfast.targets.base import Target

CLOUDFORMATION_TYPES = {
    "function": ("AWS::Lambda::Function", "AWS::Serverless::Function"),
    "queue": ("AWS::SQS::Queue",),
    "table": ("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable", "AWS::Serverless::SimpleTable"),
    "bucket": ("AWS::S3::Bucket",),
    "topic": ("AWS::SNS::Topic",),
    "bus": ("AWS::Events::EventBus",),
    "rule": ("AWS::Events::Rule",),
    "archive": ("AWS::Events::Archive",),
    "api": (
        "AWS::ApiGateway::RestApi",
        "AWS::ApiGatewayV2::Api",
        "AWS::Serverless::Api",
        "AWS::Serverless::HttpApi",
        "AWS::Lambda::Url",
    ),
    "state_machine": ("AWS::StepFunctions::StateMachine", "AWS::Serverless::StateMachine"),
    "role": ("AWS::IAM::Role",),
    "stream": ("AWS::Kinesis::Stream",),
    "cluster": ("AWS::RDS::DBCluster",),
}
"""The CloudFormation resource types that a component's type may name by its logical id."""

_API_HOST = re.compile(r"^(?P<id>[a-z0-9]+)\.execute-api[.-]")
_API_PATH = re.compile(r"^/(?:_aws/execute-api|restapis)/(?P<id>[A-Za-z0-9]+)/(?P<stage>[^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A component and what its descriptor or CloudFormation says it is.

    Attributes:
        component: its name in the descriptor.
        type: its type in the descriptor.
        physical: physical name, id, ARN or URL.
        stage: stage of an API; None when the descriptor leaves it out.
        cloudformation_type: e.g. ``AWS::SQS::Queue``; empty when it was named otherwise.
        with_url: whether a function's URL is needed.
    """

    component: str
    type: str
    physical: str
    stage: str | None = None
    cloudformation_type: str = ""
    with_url: bool = False

    @property
    def subject(self) -> str:
        """How messages call it."""
        return f"The component {self.component} ({self.type} {self.physical})"


def read(located: Located, target: Target) -> Resource:
    """Ask the target for one component.

    Raises:
        ResourceError: it is missing or may not be read.
        TargetError: the target does not answer.
        GuardRailError: it lies in another account or region.
    """
    check_place(located.component, located.physical, target)
    with translated(located.subject, target):
        resource = _READERS[located.type](located, target)
    check_place(located.component, resource.arn, target)
    check_place(located.component, resource.role, target)
    return resource


def _resource(located: Located, name: str, **attributes: str) -> Resource:
    return Resource(component=located.component, type=located.type, name=name, **attributes)


def _function(located: Located, target: Target) -> Resource:
    client = target.client("lambda")
    found = client.get_function_configuration(FunctionName=located.physical)
    name = str(found["FunctionName"])
    # a qualified name answers with the version's ARN; levers act on the function
    arn = ":".join(str(found["FunctionArn"]).split(":")[:7])
    url = ""
    if located.with_url:
        try:
            url = str(client.get_function_url_config(FunctionName=name)["FunctionUrl"])
        except ClientError as error:
            if not is_missing(error):
                raise
            raise ResourceError(
                f"{located.subject} has no function URL, but a port of the descriptor uses it.",
                cause="GetFunctionUrlConfig found none",
                remedy="give the function a URL, or point the port at an api component",
            ) from error
    return _resource(located, name, arn=arn, url=url, role=str(found.get("Role", "")))


def _queue(located: Located, target: Target) -> Resource:
    client = target.client("sqs")
    name = located.physical
    if "://" in name:
        owner, name = ["", *urlsplit(name).path.strip("/").split("/")][-2:]
        if re.fullmatch(r"\d{12}", owner) and owner != target.account:
            refuse_place(located.component, "account", owner, target.account)
    elif (arn := Arn.parse(name)) is not None:
        name = arn.resource
    # always asked for: a URL that CloudFormation or a person wrote down may name another host than the target's
    url = str(client.get_queue_url(QueueName=name)["QueueUrl"])
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return _resource(located, name, arn=str(attributes["QueueArn"]), url=url)


def _table(located: Located, target: Target) -> Resource:
    name = _last(located.physical, "/")
    found = target.client("dynamodb").describe_table(TableName=name)["Table"]
    return _resource(located, name, arn=str(found["TableArn"]))


def _bucket(located: Located, target: Target) -> Resource:
    name = _last(located.physical, ":::")
    found = target.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=target.account)
    headers = found.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = str(found.get("BucketRegion") or headers.get("x-amz-bucket-region") or target.region)
    if region != target.region:
        refuse_place(located.component, "region", region, target.region)
    return _resource(located, name, arn=f"arn:{partition(target.region)}:s3:::{name}")


def _topic(located: Located, target: Target) -> Resource:
    arn = _arn(located.physical, "sns", target)
    found = target.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]
    return _resource(located, _last(arn, ":"), arn=str(found.get("TopicArn", arn)))


def _bus(located: Located, target: Target) -> Resource:
    found = target.client("events").describe_event_bus(Name=_last(located.physical, "event-bus/"))
    return _resource(located, str(found["Name"]), arn=str(found["Arn"]))


def _rule(located: Located, target: Target) -> Resource:
    # an ARN ends in rule/BUS/NAME, CloudFormation writes BUS|NAME; a name alone is on the default bus
    path = _last(located.physical, ":rule/").replace("|", "/")
    bus, _, name = path.rpartition("/")
    client = target.client("events")
    try:
        found = client.describe_rule(Name=name, EventBusName=bus or "default")
    except ClientError as error:
        if bus or not located.cloudformation_type or not is_missing(error):
            raise
        # emulators' CloudFormation leaves the bus out
        found = _rule_on_any_bus(client, name, error)
    return _resource(located, name, arn=str(found["Arn"]))


def _rule_on_any_bus(client: Any, name: str, error: ClientError) -> Any:
    for bus in client.list_event_buses()["EventBuses"]:
        try:
            return client.describe_rule(Name=name, EventBusName=bus["Name"])
        except ClientError as again:
            if not is_missing(again):
                raise
    raise error


def _archive(located: Located, target: Target) -> Resource:
    found = target.client("events").describe_archive(ArchiveName=_last(located.physical, ":archive/"))
    return _resource(located, str(found["ArchiveName"]), arn=str(found["ArchiveArn"]))


def _state_machine(located: Located, target: Target) -> Resource:
    arn = located.physical
    if Arn.parse(arn) is None:
        arn = _arn(f"stateMachine:{arn}", "states", target)
    found = target.client("stepfunctions").describe_state_machine(stateMachineArn=arn)
    return _resource(located, str(found["name"]), arn=str(found["stateMachineArn"]), role=str(found.get("roleArn", "")))


def _role(located: Located, target: Target) -> Resource:
    found = target.client("iam").get_role(RoleName=_last(located.physical, "/"))["Role"]
    return _resource(located, str(found["RoleName"]), arn=str(found["Arn"]))


def _driven(located: Located, target: Target) -> Resource:  # noqa: ARG001 - these are found by their driver
    return _resource(located, located.physical)


def _api(located: Located, target: Target) -> Resource:
    if located.cloudformation_type == "AWS::Lambda::Url":
        raise ResourceError(
            f"{located.subject} is a function URL.",
            remedy="make it a component of type function and name that as the api",
        )
    api_id, stage = _api_id(located.physical)
    if not api_id:
        # a custom domain or any other server: used as it is, nothing to read and nothing that could be broken
        return _resource(located, located.physical, url=located.physical.rstrip("/"), stage=located.stage or "")
    stage = located.stage or stage
    # HTTP APIs and REST APIs share their ids' form and differ in their control plane
    http = located.cloudformation_type in ("AWS::ApiGatewayV2::Api", "AWS::Serverless::HttpApi")
    if not http:
        client = target.client("apigateway")
        try:
            client.get_rest_api(restApiId=api_id)
            stage = _stage(
                located, stage, [str(each["stageName"]) for each in client.get_stages(restApiId=api_id)["item"]]
            )
        except ClientError as error:
            if not is_missing(error) or located.cloudformation_type:
                raise
            http = True
    if http:
        client = target.client("apigatewayv2")
        client.get_api(ApiId=api_id)
        pages = client.get_paginator("get_stages").paginate(ApiId=api_id)
        names = [str(each["StageName"]) for page in pages for each in page["Items"]]
        stage = _stage(located, stage or ("$default" if "$default" in names else ""), names)
    arn = f"arn:{partition(target.region)}:apigateway:{target.region}::/{'apis' if http else 'restapis'}/{api_id}"
    return _resource(located, api_id, arn=arn, url=target.api_url(api_id, stage).rstrip("/"), stage=stage)


def _api_id(physical: str) -> tuple[str, str]:
    """Id and stage of an API in an ARN, a URL or an id; an empty id for a server elsewhere."""
    arn = Arn.parse(physical)
    if arn is not None:
        steps = arn.resource.strip("/").split("/")
        return steps[1] if len(steps) > 1 else steps[0], steps[3] if len(steps) > 3 else ""
    if "://" not in physical:
        return physical, ""
    parts = urlsplit(physical)
    local = _API_PATH.match(parts.path)
    if local is not None:
        return local["id"], unquote(local["stage"])
    host = _API_HOST.match(parts.netloc)
    if host is not None:
        return host["id"], unquote(parts.path.strip("/").split("/")[0])
    return "", ""


def _stage(located: Located, stage: str, names: Iterable[str]) -> str:
    known = sorted(names)
    if stage in known:
        return stage
    if not stage and len(known) == 1:
        return known[0]
    if stage:
        raise ResourceError(f"{located.subject} has no stage {stage}.", remedy=suggestion(stage, known))
    raise ResourceError(
        f"{located.subject} has {len(known)} stages, and the descriptor names none.",
        remedy=f"set components.{located.component}.stage to one of: {', '.join(known)}" if known else "deploy a stage",
    )


def _stream(located: Located, target: Target) -> Resource:
    arn = _arn(located.physical, "kinesis", target)
    name = _last(_last(arn, ":"), "/")
    found = target.client("kinesis").describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    return _resource(located, str(found["StreamName"]), arn=str(found["StreamARN"]))


def _cluster(located: Located, target: Target) -> Resource:
    found = target.client("rds").describe_db_clusters(DBClusterIdentifier=located.physical)["DBClusters"][0]
    return _resource(located, str(found["DBClusterIdentifier"]), arn=str(found["DBClusterArn"]))


def _last(text: str, separator: str) -> str:
    return text.rpartition(separator)[2]


def _arn(text: str, service: str, target: Target) -> str:
    if Arn.parse(text) is not None:
        return text
    return f"arn:{partition(target.region)}:{service}:{target.region}:{target.account}:{text}"


_READERS: dict[str, Callable[[Located, Target], Resource]] = {
    "function": _function,
    "queue": _queue,
    "table": _table,
    "bucket": _bucket,
    "topic": _topic,
    "bus": _bus,
    "rule": _rule,
    "archive": _archive,
    "api": _api,
    "state_machine": _state_machine,
    "role": _role,
    "stream": _stream,
    "cluster": _cluster,
    **dict.fromkeys(DRIVEN, _driven),
}
