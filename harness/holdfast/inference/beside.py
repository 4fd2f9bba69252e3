"""An application and what runs beside it: processes by the commands that start them, an extension, containers. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.errors import DescriptorError
from holdfast.inference.inventory import Inventory
from holdfast.stack.lifecycle import CHANNEL_ATTRIBUTES
from holdfast.stack.templates import placeholders

APPLICATION, SIDECAR = "application", "sidecar"
"""Names of the components in the descriptor, where they are no functions."""

_ASSIGNED = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that a run starts: program and arguments, and its environment, both with placeholders."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container in the one task of an ECS service.

    Attributes:
        service: logical id of the service.
        name: name of the service; empty where the template does not say it.
        cluster: name of the cluster; empty where the template does not say it, or for the default one.
        container: its name in the task definition.
    """

    service: str
    name: str
    cluster: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """An application and its sidecar; a text is the logical id of a function, which holds both then."""

    application: Process | Container | str
    sidecar: Process | Container | str

    @property
    def started(self) -> bool:
        """Whether a run starts them."""
        return isinstance(self.application, Process)


def told(there: Inventory, sidecar: str, application: str) -> Beside:
    """What a person says of an application and its sidecar.

    Args:
        there: what the template deploys.
        sidecar: the command that starts it, or the function whose extension it is.
        application: the command that starts it; empty where the function is the application.

    Raises:
        DescriptorError: a command is none, or one of the two is missing.
    """
    if not application and sidecar in there.functions:
        return Beside(application=sidecar, sidecar=sidecar)
    if not application or not sidecar:
        raise DescriptorError(
            "An application and its sidecar are two.",
            cause="--application is missing" if sidecar else "--sidecar is missing",
            remedy="give both commands; where the sidecar is an extension, --sidecar names its function alone"
            + (f": {', '.join(there.functions)}" if there.functions else ""),
        )
    return Beside(application=_process(application, "--application"), sidecar=_process(sidecar, "--sidecar"))


def _process(text: str, option: str) -> Process:
    """A command as a shell has it, with its environment in front: ``PORT=80 python app.py``."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _refused(option, text, str(error).lower()) from None
    environment: dict[str, str] = {}
    while words and (found := _ASSIGNED.fullmatch(words[0])):
        environment[found["name"]] = found["value"]
        words.pop(0)
    if not words:
        raise _refused(option, text, "it names no program")
    return Process(command=tuple(words), environment=environment)


def _refused(option: str, text: str, why: str) -> DescriptorError:
    return DescriptorError(
        f"{option} {text} cannot be used.",
        cause=why,
        remedy=f"{option} 'LISTEN={{{option[2:]}.address}} python {option[2:]}.py'",
    )


def found(there: Inventory) -> tuple[Beside, str] | None:
    """The application and the sidecar that a template shows, and what speaks for them; None where it shows none."""
    for name, function in there.functions.items():
        if function.extension:
            return Beside(application=name, sidecar=name), f"the extension {function.extension} of {name}"
    for service in there.services.values():
        first, second = service.containers[:2]
        return (
            Beside(
                application=Container(service=service.id, name=service.name, cluster=service.cluster, container=first),
                sidecar=Container(service=service.id, name=service.name, cluster=service.cluster, container=second),
            ),
            f"the containers {first} and {second} of the service {service.id}",
        )
    return None


def channels(process: Process, taken: Collection[str]) -> Iterator[str]:
    """Names in a command that are no components: the channels through which the application reaches its sidecar.

    Args:
        process: the application.
        taken: names of the components.
    """
    named = placeholders([*process.command, *process.environment.values()])
    for name, _, attribute in sorted(one.partition(".") for one in named):
        if attribute in CHANNEL_ATTRIBUTES and name not in taken:
            yield name


def listens(process: Process, name: str) -> str:
    """How a process says that it is ready, by what it is told of its own address: ``port``, ``socket`` or nothing."""
    named = placeholders([*process.command, *process.environment.values()])
    if named & {f"{name}.{attribute}" for attribute in ("address", "port", "url")}:
        return "port"
    return "socket" if f"{name}.socket" in named else ""
