"""The components of a descriptor: what is read, broken, counted or started, and the channels between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from holdfast.stack.base import ListOf, Name, Part, Template

ComponentType = Literal[
    "function",
    "queue",
    "table",
    "bucket",
    "topic",
    "bus",
    "rule",
    "archive",
    "api",
    "state_machine",
    "role",
    "stream",
    "cluster",
    "process",
    "container",
    "ecs_task",
    "pod",
]
DRIVEN: tuple[ComponentType, ...] = ("process", "container", "ecs_task", "pod")
"""Types whose components are killed, stopped and started by a driver (`holdfast.drivers`)."""
_KEYS_OF: Mapping[str, tuple[ComponentType, ...]] = {
    "stage": ("api",),
    "pid_file": ("process",),
    "port": ("process",),
    "command_line": ("process", "ecs_task", "pod"),
    "start": ("process",),
    "restart": DRIVEN,
    "container": ("ecs_task", "pod"),
    "cluster": ("ecs_task",),
    "namespace": ("pod",),
    "context": ("pod",),
}
"""Keys that only some types have."""


class Readiness(Part):
    """How a started process says that it is ready; exactly one way."""

    http: Annotated[str | None, Field(pattern=r"^/", description="Path on its port that answers 2xx.")] = None
    port: Annotated[bool, Field(description="Its port takes connections.")] = False
    socket: Annotated[bool, Field(description="Its Unix socket takes connections.")] = False
    file: Annotated[str | None, Field(description="A file in its folder that is there.")] = None
    seconds: Annotated[float, Field(gt=0, description="How long it may take.")] = 15.0

    @model_validator(mode="after")
    def _one_way(self) -> Readiness:
        if sum((self.http is not None, self.port, self.socket, self.file is not None)) != 1:
            raise ValueError("give exactly one of http, port, socket and file")
        return self


class Start(Part):
    """How the harness starts a process for the length of a run, and ends it."""

    command: Annotated[ListOf[Template], Field(min_length=1, description="Program and arguments; no shell.")]
    environment: Annotated[dict[str, Template], Field(description="Beside the target's endpoint and credentials.")] = (
        Field(default_factory=dict)
    )
    after: Annotated[
        ListOf[Name], Field(description="Components that are ready before it is started, and ended after it.")
    ] = Field(default_factory=list)
    ready: Annotated[Readiness | None, Field(description="When it is ready; at once when left out.")] = None
    stop_seconds: Annotated[
        float, Field(ge=0, description="From SIGTERM to SIGKILL when it is ended: what it has to drain in.")
    ] = 10.0
    nice: Annotated[int, Field(ge=0, le=19, description="Added to its scheduling priority.")] = 0
    cpus: Annotated[ListOf[int], Field(description="Processors it may run on (Linux); all when left out.")] = Field(
        default_factory=list
    )


class Component(Part):
    """Something of the stack that is read, broken or counted; found by exactly one of its three ways, or started."""

    type: ComponentType
    logical_id: Annotated[str | None, Field(description="Logical id in the CloudFormation stack.")] = None
    output: Annotated[str | None, Field(description="Output of the CloudFormation stack (a name, ARN or URL).")] = None
    name: Annotated[Template | None, Field(description="Physical name, ARN or URL.")] = None
    stage: Annotated[str | None, Field(description="Stage of an API.")] = None
    pid_file: Annotated[str | None, Field(description="File with a process' id; beside the descriptor.")] = None
    port: Annotated[int | None, Field(ge=1, le=65535, description="Port that a process listens on.")] = None
    command_line: Annotated[str | None, Field(min_length=1, description="Part of a process' command line.")] = None
    start: Annotated[Start | None, Field(description="The harness starts this process itself.")] = None
    restart: Annotated[
        ListOf[str], Field(description="Command that starts it again after a kill, where no supervisor does.")
    ] = Field(default_factory=list)
    container: Annotated[str | None, Field(description="Container within the task or pod.")] = None
    cluster: Annotated[str | None, Field(description="ECS cluster of a task; the default one when left out.")] = None
    namespace: Annotated[str | None, Field(description="Kubernetes namespace of a pod.")] = None
    context: Annotated[str | None, Field(description="Context of the kubeconfig; needed for a pod.")] = None

    @model_validator(mode="after")
    def _one_way(self) -> Component:
        for key, types in _KEYS_OF.items():
            if self.type not in types and getattr(self, key) not in (None, []):
                holders = " or ".join(f"an {kind}" if kind[0] in "ae" else f"a {kind}" for kind in types)
                raise ValueError(f"only {holders} has {key}")
        ways = sum(way is not None for way in (self.logical_id, self.output, self.name))
        if self.start is not None:
            if ways or self.pid_file is not None or self.command_line is not None:
                raise ValueError("a process that is started is not looked for: leave out name, pid_file, command_line")
            return self
        if ways != 1:
            raise ValueError("give exactly one of logical_id, output and name")
        if self.type in DRIVEN and self.name is None:
            raise ValueError(f"a {self.type} is found by its name")
        if self.type == "pod" and self.context is None:
            raise ValueError("a pod needs the context of its cluster: nothing is done in whichever is current")
        return self


class Channel(Part):
    """A connection between two components that leads through the harness' relay, so that it can be disturbed."""

    source: Annotated[Name, Field(alias="from", description="Who connects.")]
    to: Annotated[Name, Field(description="Who is connected to.")]
    transport: Annotated[Literal["tcp", "unix"], Field(description="What both ends are.")] = "tcp"
    protocol: Annotated[
        Literal["http", "bytes"], Field(description="http: HTTP/1.1, so that one request can be aimed at.")
    ] = "http"
    listen: Annotated[
        str | None, Field(description="127.0.0.1:PORT or socket that the relay listens on; a free one when left out.")
    ] = None
    upstream: Annotated[
        Template | None, Field(description="HOST:PORT or socket it leads to; that of the component when left out.")
    ] = None
