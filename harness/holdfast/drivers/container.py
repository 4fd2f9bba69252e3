"""Containers of a Docker engine, through its SDK; the extra ``docker`` brings it.

Written to the documentation: https://docs.docker.com/reference/api/engine/
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from holdfast.drivers import shell
from holdfast.drivers.base import Instance, Load, Resources, State
from holdfast.errors import GuardRailError, Inconclusive, InjectionError, ResourceError
from holdfast.extras import install
from holdfast.stack.resolve import Stack

HOST_VARIABLE = "DOCKER_HOST"
STOP_SECONDS = 10
"""From SIGTERM to SIGKILL; the engine's own default."""


def engine(host: str) -> Any:
    """A client of a Docker engine.

    Args:
        host: as in ``DOCKER_HOST``; empty for the usual socket.

    Raises:
        Inconclusive: the extra is missing.
    """
    try:
        import docker
    except ImportError as error:
        raise Inconclusive(f"containers need an extra; {install('docker')}") from error
    return docker.DockerClient.from_env(environment={**os.environ, **({HOST_VARIABLE: host} if host else {})})


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDriver:
    """A container of a Docker engine.

    Stopped is paused, by the freezer of its control group: its connections stay open, as with SIGSTOP. The engine does
    not start again what was killed by hand, whatever its restart policy, so healing does.

    Args:
        component: its name in the descriptor.
        name: its whole name or id.
        host: of the engine, as in ``DOCKER_HOST``.
        client: of the engine.
    """

    kind: ClassVar[str] = "container"

    component: str
    name: str
    host: str
    client: Any = field(compare=False)

    @classmethod
    def of(cls, stack: Stack, component: str) -> Self:
        """The driver of a component."""
        return cls.restored(
            component, {"name": stack.resource(component).name, "host": os.environ.get(HOST_VARIABLE, "")}
        )

    @classmethod
    def restored(cls, component: str, described: Mapping[str, Any]) -> Self:
        """The driver again, from the journal."""
        return cls(component=component, client=engine(described["host"]), **described)

    def described(self) -> dict[str, Any]:
        """What is needed to make it again."""
        return {"name": self.name, "host": self.host}

    def find(self) -> Instance:
        """The container, while it runs."""
        container = self._get(self.name)
        # the engine also takes the beginning of an id
        if container is None or self.name not in (container.name, container.id):
            raise ResourceError(f"there is no container {self.name}", remedy="start it, or give its whole name or id")
        if not container.attrs["State"]["Running"]:
            raise ResourceError(f"the container {self.name} does not run", remedy=f"docker start {self.name}")
        return Instance(self.kind, container.id, container.attrs["State"]["StartedAt"])

    def state(self, instance: Instance) -> State:
        """What the engine says of it."""
        container = self._get(instance.id)
        if container is None:
            return State.GONE
        state = container.attrs["State"]
        if not state["Running"] or state["StartedAt"] != instance.started:
            return State.GONE
        return State.STOPPED if state["Paused"] else State.RUNNING

    def kill(self, instance: Instance) -> None:
        """SIGKILL to its first process, which ends all of it."""
        self._proven(instance).kill(signal="SIGKILL")

    def end(self, instance: Instance) -> None:
        """SIGTERM, and SIGKILL after 10 s."""
        self._proven(instance).stop(timeout=STOP_SECONDS)

    def stop(self, instance: Instance) -> None:
        """Pause it."""
        self._proven(instance).pause()

    def resume(self, instance: Instance) -> None:
        """Unpause it."""
        container = self._get(instance.id)
        if container is not None and self.state(instance) is State.STOPPED:
            container.unpause()

    def restart(self) -> bool:
        """Start it again."""
        container = self._get(self.name)
        if container is None:
            return False
        container.start()
        return True

    def abandoned(self) -> str:
        """Never: it is not the run's."""
        return ""

    def started_at(self, instance: Instance) -> float:
        """When it started."""
        # nanoseconds, of which Python reads six digits
        return datetime.fromisoformat(f"{instance.started[:26].rstrip('Z')}+00:00").timestamp()

    def resources(self, instance: Instance) -> Resources:
        """What the engine counts, without the page cache, as ``docker stats`` does."""
        container = self._get(instance.id)
        if container is None:
            raise ResourceError(f"the container {self.name} is gone")
        told = container.stats(stream=False)
        memory = told["memory_stats"]
        cached_bytes = memory.get("stats", {}).get("inactive_file", 0)
        health = container.attrs["State"].get("Health")
        return Resources(
            rss_bytes=memory["usage"] - cached_bytes,
            cpu_seconds=told["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
            ready=self.state(instance) is State.RUNNING if health is None else health["Status"] == "healthy",
        )

    def press(self, instance: Instance, load: Load, token: str) -> None:
        """A load inside the container, and so within its limits."""
        if not shell.number(self._run(self._proven(instance), shell.press(load, token))):
            raise InjectionError(f"no load could be started in {self.component}", cause="it has no usable sh")

    def pressing(self, instance: Instance, token: str) -> int:
        """How many processes of a load run."""
        if self.state(instance) is State.GONE:
            return 0
        return shell.number(self._run(self._get(instance.id), shell.pressing(token)))

    def relieve(self, instance: Instance, token: str) -> None:
        """End a load."""
        if self.state(instance) is not State.GONE:
            self._run(self._get(instance.id), shell.relieve(token))

    def by_hand(self, instance: Instance, what: str) -> str:
        """The command for a person."""
        at = f"docker -H {self.host}" if self.host else "docker"
        return f"{at} unpause {instance.id}" if what == "resume" else f"{at} start {self.name}"

    def _get(self, name: str) -> Any:
        from docker.errors import NotFound

        try:
            return self.client.containers.get(name)
        except NotFound:
            return None

    def _proven(self, instance: Instance) -> Any:
        if self.find() != instance:
            raise GuardRailError(
                f"{instance.id} is no longer {self.component}; nothing was changed",
                cause="it was started again meanwhile",
                remedy="try again",
            )
        return self._get(instance.id)

    @staticmethod
    def _run(container: Any, script: str) -> str:
        return bytes(container.exec_run(["sh", "-c", script]).output or b"").decode(errors="replace")
