"""What a descriptor says of an application and its sidecar: how they start, where they are, how they answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from holdfast.inference.beside import APPLICATION, SIDECAR, Beside, Container, Process, channels, listens
from holdfast.inference.serving import Served
from holdfast.inference.toml import MARK, toml


def names(pair: Beside) -> tuple[str, ...]:
    """The names of the components that are no resources of the template."""
    return () if isinstance(pair.application, str) else (APPLICATION, SIDECAR)


def components(pair: Beside, taken: Mapping[str, str], served: Served) -> Iterator[str]:
    """The components of an application and its sidecar, and the channel between them.

    Args:
        pair: the application and its sidecar.
        taken: names of the other components, by logical id.
        served: what the application said of itself.
    """
    for name, part in ((SIDECAR, pair.sidecar), (APPLICATION, pair.application)):
        if isinstance(part, Process):
            yield from _process(name, part, served)
        elif isinstance(part, Container):
            yield from _container(name, part)
    channel = channel_of(pair, taken)
    if channel:
        yield from ("", f"[channels.{channel}]", f"from = {toml(APPLICATION)}", f"to = {toml(SIDECAR)}")
    elif pair.started:
        yield "# no channel: requests can be disturbed only where the application connects to {NAME.address} (SC-4)"


def channel_of(pair: Beside, taken: Mapping[str, str]) -> str:
    """The channel through which the application reaches its sidecar; empty for none."""
    if not isinstance(pair.application, Process):
        return ""
    return next(channels(pair.application, {*taken.values(), *names(pair)}), "")


def _process(name: str, process: Process, served: Served) -> Iterator[str]:
    yield from ("", f"[components.{name}]", 'type = "process"', "", f"[components.{name}.start]")
    yield f"command = {toml(process.command)}"
    if process.environment:
        yield f"environment = {toml(process.environment)}"
    if name == APPLICATION:
        yield f"after = {toml(SIDECAR)}"
    path, way = served.ready.get(name, ""), listens(process, name)
    if path:
        yield f"ready = {toml({'http': path})}"
    elif way:
        yield f"ready = {toml({way: True})}"


def _container(name: str, container: Container) -> Iterator[str]:
    entry = {
        "type": "ecs_task",
        "name": container.name or container.service,
        "container": container.container,
        **({"cluster": container.cluster} if container.cluster else {}),
    }
    comment = "" if container.name else f"  # {MARK}: the service's name, which the template does not say"
    yield from ("", f"[components.{name}]", f"# {container.container} in the task of {container.service}")
    yield from (f"{key} = {toml(value)}{comment if key == 'name' else ''}" for key, value in entry.items())


def pattern(pair: Beside, taken: Mapping[str, str], address: str, served: Served) -> Iterator[str]:
    """The keys of the pattern that only a sidecar has.

    Args:
        pair: the application and its sidecar.
        taken: names of the other components, by logical id.
        address: placeholder of the application's base URL; empty where it is not known.
        served: what the application said of itself.
    """
    if served.read is not None:
        yield f"read = {toml(READ)}"
    for key, part in (("application", pair.application), ("sidecar", pair.sidecar)):
        yield f"{key} = {toml(taken[part] if isinstance(part, str) else key)}"
    channel = channel_of(pair, taken)
    if channel:
        yield f"channel = {toml(channel)}"
    base = address or "http://localhost"
    if served.liveness:
        yield f"liveness = {toml(base + served.liveness)}"
    else:
        said = "the URL that the application answers without its sidecar, too"
        yield f"liveness = {toml(base + '/live')}  # {MARK}: {said}"
    if served.readiness:
        yield f"readiness = {toml(base + served.readiness)}"
    if served.read is None:
        yield '# read = "shown": an effect of kind http by which the application shows a key; SC-11 and SC-12 need it'
    yield '# behind = "rewrite": a command that writes into the store past the sidecar; SC-11 needs it'
    yield "# bounds = { backlog = 100 }: how many commands may wait; SC-10 needs it. The other bounds have defaults"


READ = "shown"
"""Name of the effect that asks the application for a key."""


def read(served: Served, api: str) -> Iterator[str]:
    """The effect that asks the application for a key.

    Args:
        served: what the application said of itself.
        api: name of the component that is asked.
    """
    shown = served.read
    if shown is None:
        return
    source = {"kind": "http", "api": api, "path": shown.path}
    if shown.entries:
        source["entries"] = shown.entries
    yield from ("", f"[effects.{READ}]", f"sources = {toml({**source, 'value': shown.value})}")
