"""A stack with one of everything that the levers of services change, on an emulator and on fakes where it has none."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import psutil
from botocore import xform_name

from holdfast.stack.guarded import guarded
from holdfast.stack.resolve import Resource, Stack
from holdfast.targets import capabilities
from holdfast.targets.attached import AttachedTarget
from holdfast.targets.base import Capability, Support, Target
from holdfast.targets.clients import Hook
from lever_stack import Deployed, deploy, stack_of
from modelled_clients import Experiments, ModelledClient, Workflows

ACCOUNT, REGION = "123456789012", "eu-west-1"
SECRET = "the-secret-of-the-function"
FIS_ROLE = f"arn:aws:iam::{ACCOUNT}:role/fis"
PREFIX = "m3x9k2p7q"


class AbleTarget(AttachedTarget):
    """The emulator as if it could do everything, with clients in memory for what it has not."""

    def __init__(self, endpoint_url: str, fakes: dict[str, Any]) -> None:
        super().__init__(
            kind="localstack",
            endpoint_url=endpoint_url,
            account=ACCOUNT,
            region=REGION,
            supported={**capabilities.EMBEDDED, **dict.fromkeys(Capability, Support(supported=True))},
        )
        self.fakes = fakes

    def forget(self, capability: Capability) -> None:
        """Be as a target that lacks a capability."""
        self._supported = {**self._supported, capability: Support(supported=False, reason="for a reason")}

    def client(self, service: str) -> Any:
        """The fake of a service, or the emulator's client."""
        return self.fakes.get(service) or super().client(service)

    def clients(self, hook: Hook) -> Any:
        """Clients that ask before every call, those of fakes too."""
        hooked = super().clients(hook)

        def get(service: str) -> Any:
            fake = self.fakes.get(service)
            return hooked.get(service) if fake is None else Asking(service, fake, hook)

        return SimpleNamespace(get=get, close=hooked.close)


class Asking:
    """A fake that asks before every call.

    Args:
        service: as boto3 names its client.
        fake: the fake.
        hook: what is asked.
    """

    def __init__(self, service: str, fake: ModelledClient, hook: Hook) -> None:
        self._service, self._fake, self._hook = service, fake, hook

    def __getattr__(self, name: str) -> Any:
        """A method of the fake; the pages of one are of a read, so nobody is asked."""
        method = getattr(self._fake, name)
        operations = {xform_name(one): one for one in self._fake.model.operation_names}
        if name not in operations:
            return method

        def call(**request: Any) -> Any:
            self._hook(self._service, operations[name], request)
            return method(**request)

        return call


@dataclass
class Bed:
    """The stack behind its guard rail, and ways to look at it and to meddle with it around that."""

    deployed: Deployed
    stack: Stack
    target: AbleTarget
    workflows: Workflows
    experiments: Experiments
    marker: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def function(self) -> str:
        """Name of the function."""
        return self.deployed.function

    def configuration(self) -> dict[str, Any]:
        """The function's limits and variables."""
        found = self.deployed.lambda_.get_function_configuration(FunctionName=self.function)
        return {
            "timeout": found["Timeout"],
            "memory": found["MemorySize"],
            "variables": found["Environment"]["Variables"],
        }

    def set_variables(self, **variables: str) -> None:
        """Change variables as somebody else would, keeping the others."""
        now = self.configuration()["variables"]
        self.deployed.lambda_.update_function_configuration(
            FunctionName=self.function, Environment={"Variables": {**now, **variables}}
        )

    def statements(self) -> dict[str, Any]:
        """The statements of the function's resource policy by Sid."""
        policy = json.loads(self.deployed.lambda_.get_policy(FunctionName=self.function)["Policy"])
        return {each["Sid"]: each for each in policy["Statement"]}

    def rest_settings(self) -> Any:
        """The settings of the REST API's stage."""
        found = self.target.client("apigateway").get_stage(**self.rest_place)
        return found.get("methodSettings") or {}

    def limit_rest(self, method: str, rate: str, burst: str) -> None:
        """Set limits as somebody else would."""
        patch = [
            {"op": "replace", "path": f"/{method}/throttling/{name}", "value": value}
            for name, value in (("rateLimit", rate), ("burstLimit", burst))
        ]
        self.target.client("apigateway").update_stage(**self.rest_place, patchOperations=patch)

    @property
    def rest_place(self) -> dict[str, str]:
        """How API Gateway is told which stage."""
        return {"restApiId": self.stack.resource("rest").name, "stageName": "live"}

    def http_settings(self) -> Any:
        """The settings of the HTTP API's stage."""
        return self.target.client("apigatewayv2").get_stage(**self.http_place).get("DefaultRouteSettings") or {}

    def limit_http(self, **settings: Any) -> None:
        """Set the settings as somebody else would."""
        self.target.client("apigatewayv2").update_stage(**self.http_place, DefaultRouteSettings=settings)

    @property
    def http_place(self) -> dict[str, str]:
        """How API Gateway is told which stage."""
        return {"ApiId": self.stack.resource("http").name, "StageName": "$default"}

    def start_process(self) -> subprocess.Popen[bytes]:
        """A process that fits the description of the component."""
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", self.marker])
        self.processes.append(process)
        return process

    def running(self) -> list[str]:
        """For each process of the component that has not ended, whether it is stopped."""
        alive = [psutil.Process(each.pid) for each in self.processes if each.poll() is None]
        return ["stopped" if each.status() == psutil.STATUS_STOPPED else "runs" for each in alive]

    def kill_processes(self) -> None:
        """End every process of the component."""
        for process in self.processes:
            process.kill()
            process.wait()


@contextmanager
def bed(embedded: Target) -> Iterator[Bed]:
    """The stack, for as long as it is needed."""
    deployed = deploy(embedded)
    lambda_ = deployed.lambda_
    lambda_.update_function_configuration(FunctionName=deployed.function, MemorySize=256)
    for sid, source in (("api", "a"), ("api-2", "b")):
        lambda_.add_permission(
            FunctionName=deployed.function,
            StatementId=sid,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{source}/*/*/*",
            SourceAccount=ACCOUNT,
        )
    rest = rest_api(embedded)
    http = embedded.client("apigatewayv2").create_api(Name=deployed.function, ProtocolType="HTTP")["ApiId"]
    embedded.client("apigatewayv2").create_stage(ApiId=http, StageName="$default", AutoDeploy=True)
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{deployed.function}"
    marker = f"holdfast-{secrets.token_hex(8)}"
    workflows, experiments = Workflows(machine), Experiments()
    target = AbleTarget(str(embedded.endpoint_url), {"stepfunctions": workflows, "fis": experiments})
    base = f"arn:aws:apigateway:{REGION}::"
    role = deployed.stack.resource("role").arn
    stack = stack_of(
        target,
        *deployed.stack.resources.values(),
        Resource(
            component="rest",
            type="api",
            name=rest,
            arn=f"{base}/restapis/{rest}",
            stage="live",
            url=target.api_url(rest, "live"),
        ),
        Resource(component="http", type="api", name=http, arn=f"{base}/apis/{http}", stage="$default"),
        Resource(component="machine", type="state_machine", name=deployed.function, arn=machine, role=role),
        Resource(component="sidecar", type="process", name=program()),
        components={"sidecar": {"type": "process", "name": program(), "command_line": marker}},
    )
    made = Bed(deployed, guarded(stack), target, workflows, experiments, marker)
    made.start_process()
    try:
        yield made
    finally:
        made.kill_processes()
        target.close()


def program() -> str:
    """The name of the program that a Python started by this one is."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        return psutil.Process(process.pid).name()


def rest_api(target: Target) -> str:
    """A REST API with one method that answers by itself; its id."""
    api = target.client("apigateway")
    made: str = api.create_rest_api(name="levers")["id"]
    root = api.get_resources(restApiId=made)["items"][0]["id"]
    place = {"restApiId": made, "resourceId": root, "httpMethod": "GET"}
    api.put_method(**place, authorizationType="NONE")
    api.put_integration(**place, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    api.put_method_response(**place, statusCode="200")
    api.put_integration_response(**place, statusCode="200")
    api.create_deployment(restApiId=made, stageName="live")
    return made
