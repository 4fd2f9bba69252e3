"""What a run is about to start: commands, environments, addresses and folders, all decided before anything starts."""

from __future__ import annotations

import os
import random
import site
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.drivers.strays import marks
from holdfast.errors import TargetError
from holdfast.relay.model import RelayedChannel
from holdfast.stack.base import Json
from holdfast.stack.components import Channel, Readiness, Start
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.lifecycle import general_values, order, started
from holdfast.stack.resolve import Stack
from holdfast.stack.templates import placeholders, render_text
from holdfast.targets.base import Target
from holdfast.targets.interceptor.processes import APP_ID_VARIABLE, app_id

PORTS = range(15_000, 32_000)
"""Below the ports that systems give to outgoing connections: one of these could take a chosen port before its process
does (Linux: net.ipv4.ip_local_port_range, 32768 by default; IANA's dynamic ports begin at 49152)."""

_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV")
"""All that a started process sees of the environment of the run; what it needs beside that, its descriptor says."""

_LONGEST_SOCKET = 100
"""Bytes; the kernels' limit is 104 to 108 (unix(7))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a started process or a channel listens.

    Attributes:
        port: on the loopback address.
        socket: path of the Unix socket.
    """

    port: int
    socket: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """One process to start.

    Attributes:
        component: its name in the descriptor.
        command: program and arguments.
        environment: all of its environment.
        directory: its working directory, the descriptor's.
        folder: for its files; removed after the run.
        log: takes its standard output and error; kept after the run.
        address: where it listens.
        ready: how it says that it is ready; None when it does not.
        stop_seconds: from SIGTERM to SIGKILL.
        nice: added to its scheduling priority.
        cpus: the processors it may run on; empty for all.
    """

    component: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path
    folder: Path
    log: Path
    address: Address
    ready: Readiness | None
    stop_seconds: float
    nice: int
    cpus: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """All that a run starts.

    Attributes:
        run: mark of the run.
        folder: of all its files; removed after the run.
        processes: in the order in which they are started.
        channels: of the relay.
        relay_log: what the relay writes to its standard error.
        addresses: what templates say of them.
    """

    run: str
    folder: Path
    processes: tuple[ProcessPlan, ...]
    channels: tuple[RelayedChannel, ...]
    relay_log: Path
    addresses: Mapping[str, str | int]


def plan(stack: Stack, *, run: str, folder: Path, logs: Path, environ: Mapping[str, str] = os.environ) -> LaunchPlan:
    """Decide what to start for a stack; starts nothing.

    Args:
        stack: the resolved stack.
        run: mark of the run.
        folder: a short path that does not exist yet.
        logs: where logs are kept.
        environ: the environment of the run.

    Raises:
        TargetError: no port is free, or the folder's path is too long for a socket.
    """
    descriptor = stack.descriptor
    starts = started(descriptor)
    taken: set[int] = set()
    places = {name: _address(name, component.port, folder, taken) for name, component in starts.items()}
    for name in _with_sockets(descriptor):
        _need_short(places[name].socket)
    channels = {name: _channel_address(name, channel, folder, taken) for name, channel in descriptor.channels.items()}
    addresses: dict[str, str | int] = {}
    for name, place in {**places, **channels}.items():
        addresses |= _said(name, place)
    addresses |= {f"{name}.folder": str(folder / name) for name in starts}
    values = {**stack.values(), **general_values(), **addresses}
    processes = tuple(
        _process(stack, name, start, values, places[name], run=run, folder=folder / name, logs=logs, environ=environ)
        for name in order(descriptor)
        if (start := starts[name].start) is not None
    )
    return LaunchPlan(
        run=run,
        folder=folder,
        processes=processes,
        channels=tuple(
            RelayedChannel(
                name=name,
                listen=_listening(channel, channels[name]),
                upstream=_listening(channel, places[channel.to])
                if channel.upstream is None
                else render_text(channel.upstream, values),
                protocol=channel.protocol,
            )
            for name, channel in descriptor.channels.items()
        ),
        relay_log=logs / f"{descriptor.name}-relay.log",
        addresses=addresses,
    )


def _process(
    stack: Stack,
    name: str,
    start: Start,
    values: Mapping[str, Json],
    address: Address,
    *,
    run: str,
    folder: Path,
    logs: Path,
    environ: Mapping[str, str],
) -> ProcessPlan:
    return ProcessPlan(
        component=name,
        command=tuple(render_text(word, values) for word in start.command),
        environment={
            **_inherited(environ),
            **marks(run, name),
            **aws_environment(stack.target, name),
            **{key: render_text(text, values) for key, text in start.environment.items()},
        },
        directory=stack.path.parent.absolute(),
        folder=folder,
        log=logs / f"{stack.descriptor.name}-{name}.log",
        address=address,
        ready=start.ready,
        stop_seconds=start.stop_seconds,
        nice=start.nice,
        cpus=tuple(start.cpus),
    )


def aws_environment(target: Target, component: str) -> dict[str, str]:
    """What points the SDKs of a process at the target, and tells its calls from those of others.

    The SDKs put the application id into their user agent, by which the interceptor knows the caller:
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-appid.html.

    Args:
        target: where its calls go.
        component: its name in the descriptor.
    """
    access_key, secret_key, token = target.credentials()
    endpoint = target.interceptor_url or target.endpoint_url
    return {
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        **({"AWS_SESSION_TOKEN": token} if token else {}),
        "AWS_REGION": target.region,
        "AWS_DEFAULT_REGION": target.region,
        APP_ID_VARIABLE: app_id(component),
        "AWS_EC2_METADATA_DISABLED": "true",
        **({"AWS_ENDPOINT_URL": endpoint} if endpoint else {}),
    }


def free_port(taken: set[int], *, draw: Callable[[range], int] = random.choice) -> int:
    """A port on the loopback address that nobody listens on; noted as taken.

    Raises:
        TargetError: none was found.
    """
    for _ in range(200):
        port = draw(PORTS)
        if port not in taken and _is_free(port):
            taken.add(port)
            return port
    raise TargetError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free", remedy="end what listens on them")


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    own = {name: environ[name] for name in _INHERITED if name in environ}
    if site.ENABLE_USER_SITE:
        own["PYTHONUSERBASE"] = site.getuserbase()
    return {**own, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _address(name: str, port: int | None, folder: Path, taken: set[int]) -> Address:
    if port is not None:
        taken.add(port)
    return Address(port=port if port is not None else free_port(taken), socket=folder / f"{name}.sock")


def _with_sockets(descriptor: Descriptor) -> Iterator[str]:
    """The started components that listen on a Unix socket."""
    named = {channel.to for channel in descriptor.channels.values() if channel.transport == "unix"}
    for name, component in started(descriptor).items():
        assert component.start is not None
        ready = component.start.ready
        templates = [*component.start.command, *component.start.environment.values()]
        if name in named or (ready is not None and ready.socket) or f"{name}.socket" in placeholders(templates):
            yield name


def _need_short(path: Path) -> None:
    if len(os.fsencode(path)) > _LONGEST_SOCKET:
        raise TargetError(
            f"the path {path} is too long for a Unix socket",
            cause=f"kernels take at most {_LONGEST_SOCKET} bytes or little more",
            remedy="set TMPDIR to a shorter folder, or give the component a shorter name",
        )


def _channel_address(name: str, channel: Channel, folder: Path, taken: set[int]) -> Address:
    listen = channel.listen or ""
    if channel.transport == "unix":
        return Address(port=0, socket=Path(listen) if listen else folder / f"{name}.sock")
    port = int(listen.rpartition(":")[2]) if listen else free_port(taken)
    return Address(port=port, socket=folder / f"{name}.sock")


def _listening(channel: Channel, address: Address) -> str:
    return str(address.socket) if channel.transport == "unix" else f"127.0.0.1:{address.port}"


def _said(name: str, address: Address) -> dict[str, str | int]:
    return {
        f"{name}.port": address.port,
        f"{name}.address": f"127.0.0.1:{address.port}",
        f"{name}.url": f"http://127.0.0.1:{address.port}",
        f"{name}.socket": str(address.socket),
    }
