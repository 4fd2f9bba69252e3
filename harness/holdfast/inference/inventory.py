"""What a CloudFormation template deploys, as far as a descriptor speaks of it: who calls, feeds and writes what. Pure.

SAM's own resources are translated to CloudFormation's first, so that a source template and the one that CloudFormation
keeps (``Processed``) are read alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from holdfast.targets.cfn_template import references

Json = Any

_SERVICE_URI = re.compile(r"apigateway:[^:]*:(?P<service>[a-z0-9-]+):(?P<what>.*)", re.DOTALL)
"""The ``Uri`` of an AWS integration (docs.aws.amazon.com/apigateway/latest/api/API_Integration.html)."""

_EXTENSION = re.compile(r"[A-Za-z0-9_-]*extension[A-Za-z0-9_-]*", re.IGNORECASE)

_OF_A_FUNCTION = ("AWS::Lambda::Alias", "AWS::Lambda::Version")

_WRITES = re.compile(
    r":(\*|Put|Update|Delete|Send|Publish|Start|TransactWrite|BatchWrite|ExecuteStatement|Invoke)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A DynamoDB table: names of its key's attributes."""

    partition: str
    sort: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of an API.

    Attributes:
        api: logical id of the API.
        method: HTTP method, in capitals.
        path: with its parameters in braces.
        service: what it calls: ``lambda``, ``sqs``, ``events``, ``states``, ``dynamodb``...; empty when unknown.
        targets: logical ids that the integration names.
        role: logical id of the role it calls them with; empty for none.
    """

    api: str
    method: str
    path: str
    service: str
    targets: tuple[str, ...]
    role: str = ""

    @property
    def parameter(self) -> str:
        """The name of the last parameter of the path; empty for none."""
        return self.path.rpartition("{")[2].partition("}")[0] if "{" in self.path else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function: its role, all it knows by its environment, what its role may write, and the layer of an extension."""

    role: str = ""
    knows: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    timeout_seconds: float | None = None
    extension: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A state machine: its definition where the template holds it, and the role it works with."""

    express: bool
    definition: Json = None
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An ECS service whose task has several containers.

    Attributes:
        id: its logical id.
        name: its name; empty where the template does not say it.
        cluster: name of its cluster; empty where the template does not say it.
        containers: names of its containers, the one that clients talk to first.
    """

    id: str
    name: str
    cluster: str
    containers: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What there is, by logical id.

    Attributes:
        types: the CloudFormation type of every resource.
        feeds: a queue or table and the function that gets its messages or records.
        dead_letters: the queue that takes what another one gives up.
        failures: where a mapping sends what it gives up, by the function.
        rules: what a rule sends events to.
        stages: the stage of an API.
        notifies: what a bucket sends its events to.
        role_writes: what a role may write or invoke.
        services: ECS services whose tasks have several containers.
    """

    types: Mapping[str, str]
    tables: Mapping[str, Table] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)
    machines: Mapping[str, Machine] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    feeds: tuple[tuple[str, str], ...] = ()
    dead_letters: Mapping[str, str] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    notifies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    role_writes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)

    def of_type(self, ending: str) -> tuple[str, ...]:
        """Logical ids of the resources whose type ends so, e.g. ``SQS::Queue``."""
        return tuple(name for name, kind in self.types.items() if kind.endswith(ending))

    def fed_by(self, source: str) -> tuple[str, ...]:
        """The functions that a queue or table feeds."""
        return tuple(function for fed, function in self.feeds if fed == source)


def inventory(template: Mapping[str, Json], physical: Mapping[str, str] | None = None) -> Inventory:
    """Read a template.

    Args:
        template: CloudFormation's own form: long functions, no SAM resources, no conditions.
        physical: physical ids by logical id, where it is deployed.
    """
    resources: Mapping[str, Mapping[str, Json]] = template["Resources"]
    properties = {name: one.get("Properties") or {} for name, one in resources.items()}
    types = {name: str(one["Type"]) for name, one in resources.items()}

    named = _naming(types, properties)

    def of(kind: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
        return ((name, properties[name]) for name in types if types[name] == f"AWS::{kind}")

    routes = [route for name, body in of("ApiGateway::RestApi") for route in _routes(name, body.get("Body"), named)]
    routes += [route for name, body in of("ApiGatewayV2::Api") for route in _routes(name, body.get("Body"), named)]
    routes += _methods(resources, dict(of("ApiGateway::Method")), named)
    writes = {name: _written(body, named) for name, body in of("IAM::Role")}
    return Inventory(
        types=types,
        tables={name: _table(body) for name, body in of("DynamoDB::Table")},
        functions={name: _function(body, writes, named) for name, body in of("Lambda::Function")},
        machines={name: _machine(body, named) for name, body in of("StepFunctions::StateMachine")},
        routes=tuple(sorted(routes, key=lambda one: (one.api, one.path, one.method))),
        feeds=tuple(
            (source, function)
            for _, body in of("Lambda::EventSourceMapping")
            for source in named(body.get("EventSourceArn"))
            for function in named(body.get("FunctionName"))
            if types[function] == "AWS::Lambda::Function"
        ),
        dead_letters={
            name: target
            for name, body in of("SQS::Queue")
            for target in named((_parsed(body.get("RedrivePolicy")) or {}).get("deadLetterTargetArn"))
        },
        failures={
            function: target
            for _, body in of("Lambda::EventSourceMapping")
            for function in named(body.get("FunctionName"))
            for target in named(body.get("DestinationConfig"))
        },
        rules={name: tuple(named(body.get("Targets"))) for name, body in of("Events::Rule")},
        stages={
            api: str(body["StageName"])
            for kind in ("ApiGateway::Stage", "ApiGatewayV2::Stage")
            for _, body in of(kind)
            for api in named(body.get("RestApiId") or body.get("ApiId"))
            if isinstance(body.get("StageName"), str)
        },
        notifies={name: tuple(named(body.get("NotificationConfiguration"))) for name, body in of("S3::Bucket")},
        role_writes=writes,
        services=_services(dict(of("ECS::Service")), dict(of("ECS::TaskDefinition")), physical or {}, named),
    )


_Named = Callable[[Json], list[str]]
"""The logical ids that a value names, each once."""


def _naming(types: Mapping[str, str], properties: Mapping[str, Mapping[str, Json]]) -> _Named:
    """Pseudo parameters, and parameters that have no value here, name no resource; an alias stands for its function."""
    stands_for = {
        name: next((one for one in references(properties[name].get("FunctionName")) if one in types), name)
        for name, kind in types.items()
        if kind in _OF_A_FUNCTION
    }

    def named(node: Json) -> list[str]:
        return list(dict.fromkeys(stands_for.get(name, name) for name in references(node) if name in types))

    return named


def _parsed(value: Json) -> Json:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError:  # with variables in it that are no JSON
        return None


def _table(body: Mapping[str, Json]) -> Table:
    keys = {key["KeyType"]: str(key["AttributeName"]) for key in body.get("KeySchema", ())}
    return Table(partition=keys.get("HASH", ""), sort=keys.get("RANGE", ""))


def _function(body: Mapping[str, Json], writes: Mapping[str, tuple[str, ...]], named: _Named) -> Function:
    role = next(iter(named(body.get("Role"))), "")
    timeout = body.get("Timeout")
    return Function(
        role=role,
        knows=tuple(named(body.get("Environment"))),
        writes=writes.get(role, ()),
        timeout_seconds=float(timeout) if isinstance(timeout, int | float) else None,
        extension=next(filter(None, map(_extension, body.get("Layers") or ())), ""),
    )


def _extension(layer: Json) -> str:
    """The name of a layer that is called an extension; nothing in a template tells what a layer does."""
    text = layer if isinstance(layer, str) else json.dumps(layer)
    found = _EXTENSION.search(text)
    return found[0] if found else ""


def _services(
    services: Mapping[str, Mapping[str, Json]],
    tasks: Mapping[str, Mapping[str, Json]],
    physical: Mapping[str, str],
    named: _Named,
) -> dict[str, Service]:
    """The services whose tasks have several containers."""
    found = {}
    for name, body in services.items():
        task = next(iter(named(body.get("TaskDefinition"))), "")
        containers = _containers(tasks.get(task, {}).get("ContainerDefinitions") or (), body)
        if len(containers) > 1:
            cluster = body.get("Cluster")
            known = cluster if isinstance(cluster, str) else physical.get(next(iter(named(cluster)), ""), "")
            said = body.get("ServiceName")
            # Ref of a service is its ARN, whose last part is its name
            own = physical.get(name, said if isinstance(said, str) else "").rpartition("/")[2]
            found[name] = Service(id=name, name=own, cluster=known.rpartition("/")[2], containers=containers)
    return found


def _containers(definitions: Sequence[Mapping[str, Json]], service: Mapping[str, Json]) -> tuple[str, ...]:
    """Names of the containers: first the one that clients talk to, then what it depends on, log routers never."""
    balanced = [one.get("ContainerName") for one in service.get("LoadBalancers") or ()]
    parts = {str(one["Name"]): one for one in definitions if "FirelensConfiguration" not in one}
    if not parts:
        return ()
    needed = {one.get("ContainerName") for part in parts.values() for one in part.get("DependsOn") or ()}
    first = max(parts, key=lambda name: (name in balanced, name not in needed, bool(parts[name].get("PortMappings"))))
    waited = [one.get("ContainerName") for one in parts[first].get("DependsOn") or ()]
    return (first, *sorted((name for name in parts if name != first), key=lambda name: name not in waited))


def _written(role: Mapping[str, Json], named: _Named) -> tuple[str, ...]:
    """What the inline policies of a role let it write."""
    found: dict[str, None] = {}
    for policy in role.get("Policies") or ():
        statements = policy.get("PolicyDocument", {}).get("Statement", ())
        for statement in [statements] if isinstance(statements, Mapping) else statements:
            actions = statement.get("Action", ())
            listed = [actions] if isinstance(actions, str) else actions
            if statement.get("Effect") == "Allow" and any(_WRITES.search(str(action)) for action in listed):
                found.update(dict.fromkeys(named(statement.get("Resource"))))
    return tuple(found)


def _machine(body: Mapping[str, Json], named: _Named) -> Machine:
    definition = _parsed(body["DefinitionString"]) if isinstance(body.get("DefinitionString"), str) else None
    return Machine(
        express=body.get("StateMachineType") == "EXPRESS",
        definition=body.get("Definition") or definition,
        role=next(iter(named(body.get("RoleArn"))), ""),
    )


def _routes(api: str, body: Json, named: _Named) -> Iterator[Route]:
    """The routes of an OpenAPI document with API Gateway's extensions."""
    for path, methods in ((body or {}).get("paths") or {}).items():
        for method, operation in methods.items():
            integration = operation.get("x-amazon-apigateway-integration") if isinstance(operation, dict) else None
            if integration is None or method.lower() == "options":
                continue
            yield _route(api, method, path, integration, named)


def _methods(
    resources: Mapping[str, Mapping[str, Json]], methods: Mapping[str, Mapping[str, Json]], named: _Named
) -> list[Route]:
    found = []
    for body in methods.values():
        integration = body.get("Integration") or {}
        api = next(iter(named(body.get("RestApiId"))), "")
        path = _path(resources, body.get("ResourceId"), named)
        if str(body.get("HttpMethod")) != "OPTIONS" and integration and api:
            found.append(_route(api, body["HttpMethod"], path, integration, named))
    return found


def _path(resources: Mapping[str, Mapping[str, Json]], resource: Json, named: _Named) -> str:
    """The path of an ``ApiGateway::Resource``, from its parents."""
    parts: list[str] = []
    met: set[str] = set()
    name = next(iter(named(resource)), "")
    while name not in met and resources.get(name, {}).get("Type") == "AWS::ApiGateway::Resource":
        met.add(name)  # one that is its own parent ends there
        body = resources[name]["Properties"]
        parts.insert(0, str(body.get("PathPart")))
        name = next(iter(named(body.get("ParentId"))), "")
    return "/" + "/".join(parts)


def _route(api: str, method: str, path: str, integration: Mapping[str, Json], named: _Named) -> Route:
    """One route; OpenAPI writes the members of an integration small, CloudFormation in capitals."""
    uri, credentials = (integration.get(name) or integration.get(name.title()) for name in ("uri", "credentials"))
    text = uri if isinstance(uri, str) else json.dumps(uri)
    found = _SERVICE_URI.search(text.replace("${AWS::Region}", "").replace("${AWS::Partition}", "aws"))
    return Route(
        api=api,
        method=str(method).upper(),
        path=path,
        service=found["service"] if found else "",
        # a state machine, a bus or a table stands in the request's template, not in the Uri
        targets=tuple(dict.fromkeys([*named(uri), *named(integration)])),
        role=next(iter(named(credentials)), ""),
    )
