"""What drivers share whose components are reached by running a script inside them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from holdfast.drivers import shell
from holdfast.drivers.base import Instance, Load, Resources, State
from holdfast.errors import GuardRailError, Inconclusive, InjectionError, ResourceError


@dataclass(frozen=True, slots=True)
class Found:
    """One container that is reached from outside.

    Attributes:
        place: what names it to the service: JSON-compatible.
        incarnation: an id that a later incarnation of it does not share.
        started_seconds: when it started, seconds since the epoch.
        ready: whether the service says that it is ready.
    """

    place: dict[str, str]
    incarnation: str
    started_seconds: float
    ready: bool


class InsideDriver(ABC):
    """A component that is a process in a container of a task or pod.

    Where the descriptor names the process by its command line it is signalled alone, inside the container. SIGKILL and
    SIGSTOP do not reach the first process of a container from inside (pid_namespaces(7)): the container needs an init
    process, or to share the process namespace of its task or pod.
    """

    kind: ClassVar[str]
    component: str
    command_line: str

    @abstractmethod
    def found(self) -> Found:
        """The one container that is proven to be the component's.

        Raises:
            ResourceError: none is.
            GuardRailError: several are.
        """

    @abstractmethod
    def again(self, place: dict[str, str]) -> Found | None:
        """The container at a place as it is now; None when it is gone."""

    @abstractmethod
    def run(self, place: dict[str, str], script: str) -> str:
        """Run a script inside a container; what it printed."""

    def find(self) -> Instance:
        """The one instance that is proven to be the component."""
        found = self.found()
        if not self.command_line:
            return Instance(self.kind, json.dumps(found.place, sort_keys=True), found.incarnation)
        processes = self._seen(found.place)
        if not processes:
            raise ResourceError(
                f"no process of {self.component} has {self.command_line!r} in its command line",
                remedy=f"correct components.{self.component}.command_line",
            )
        if len(processes) > 1:
            raise GuardRailError(
                f"{len(processes)} processes of {self.component} have {self.command_line!r} in their command line; "
                "nothing was signalled",
                cause="none of them is proven to be the component",
                remedy="give the component a command_line that only one of them has",
            )
        place = {**found.place, "pid": str(processes[0].pid)}
        started = f"{found.incarnation} {processes[0].start_ticks}"
        return Instance(self.kind, json.dumps(place, sort_keys=True), started)

    def state(self, instance: Instance) -> State:
        """What the service says of the container, and the kernel inside it of the process."""
        place = json.loads(instance.id)
        incarnation, _, _ = instance.started.partition(" ")
        found = self.again(place)
        if found is None or found.incarnation != incarnation:
            return State.GONE
        if "pid" not in place:
            return State.RUNNING
        process = self._inside(instance)
        if process is None:
            return State.GONE
        return State.STOPPED if process.stopped else State.RUNNING

    def stop(self, instance: Instance) -> None:
        """SIGSTOP, inside the container."""
        self.signal(instance, "STOP")

    def resume(self, instance: Instance) -> None:
        """SIGCONT, inside the container."""
        if self.state(instance) is State.STOPPED:
            self._send(instance, "CONT")

    def signal(self, instance: Instance, name: str) -> None:
        """Signal the process, once more proven to be the component.

        Raises:
            Inconclusive: the descriptor does not name the process.
            GuardRailError: another instance is the component now.
            InjectionError: it has ended, or the signal was not sent.
        """
        if not self.command_line:
            raise Inconclusive(
                f"the process of {self.component} cannot be signalled: the descriptor names no command_line"
            )
        self.prove(instance)
        self._send(instance, name)

    def prove(self, instance: Instance) -> None:
        """Prove once more that an instance is the component.

        Raises:
            GuardRailError: another one is.
        """
        if self.find() != instance:
            raise GuardRailError(
                f"{instance.id} is no longer {self.component}; nothing was changed",
                cause="it was started again meanwhile",
                remedy="try again",
            )

    def restart(self) -> bool:
        """Whoever supervises it starts it again: the service's scheduler."""
        return False

    def abandoned(self) -> str:
        """Never: it is supervised."""
        return ""

    def started_at(self, instance: Instance) -> float:
        """When its container started."""
        found = self.again(json.loads(instance.id))
        if found is None:
            raise ResourceError(f"{self.component} has ended")
        return found.started_seconds

    def resources(self, instance: Instance) -> Resources:
        """Memory and time of the process, and what the service says of its health."""
        found = self.again(json.loads(instance.id))
        process = self._inside(instance)
        if found is None or process is None:
            raise ResourceError(f"{self.component} has ended, or the descriptor names no command_line")
        return Resources(rss_bytes=process.rss_bytes, cpu_seconds=process.cpu_seconds, ready=found.ready)

    def press(self, instance: Instance, load: Load, token: str) -> None:
        """A load inside the container, and so within its limits."""
        self.prove(instance)
        if not shell.number(self.run(json.loads(instance.id), shell.press(load, token))):
            raise InjectionError(
                f"no load could be started in {self.component}", cause="its container has no usable sh"
            )

    def pressing(self, instance: Instance, token: str) -> int:
        """How many processes of a load run."""
        place = json.loads(instance.id)
        return 0 if self.again(place) is None else shell.number(self.run(place, shell.pressing(token)))

    def relieve(self, instance: Instance, token: str) -> None:
        """End a load."""
        place = json.loads(instance.id)
        if self.again(place) is not None:
            self.run(place, shell.relieve(token))

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What is needed to make it again."""

    def _send(self, instance: Instance, name: str) -> None:
        place = json.loads(instance.id)
        ticks = instance.started.rpartition(" ")[2]
        if not shell.number(self.run(place, shell.signal(int(place["pid"]), ticks, name))):
            raise InjectionError(
                f"SIG{name} did not reach the process {place['pid']} of {self.component}",
                cause="it has ended, or the session may not signal it",
                remedy="try again; see docs/sidecar.md for what the container needs",
            )

    def _seen(self, place: dict[str, str]) -> tuple[shell.Inside, ...]:
        return shell.seen(self.run(place, shell.look(self.command_line)))

    def _inside(self, instance: Instance) -> shell.Inside | None:
        place = json.loads(instance.id)
        if "pid" not in place:
            return None
        ticks = instance.started.rpartition(" ")[2]
        return next(
            (each for each in self._seen(place) if str(each.pid) == place["pid"] and each.start_ticks == ticks),
            None,
        )
