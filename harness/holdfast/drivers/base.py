"""What a driver is: the few things that can be done to one running component, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Protocol
from urllib.parse import quote, unquote


class State(StrEnum):
    """What one instance of a component is doing."""

    RUNNING = "running"
    STOPPED = "stopped"
    """It does nothing until it is resumed; its connections stay open."""
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Instance:
    """One incarnation of a component, told from a later one by its start.

    Attributes:
        kind: kind of its driver.
        id: process id, container id, task ARN...
        started: a text that a later incarnation with the same id does not share.
    """

    kind: str
    id: str
    started: str

    @property
    def resource(self) -> str:
        """How the journal, the lock and the guard rail call it."""
        return f"{self.kind}:{quote(self.id, safe='/')}:{self.started}"

    @classmethod
    def parse(cls, resource: str) -> Instance:
        """The instance of a resource.

        Raises:
            ValueError: it is none.
        """
        kind, quoted, started = resource.split(":", 2)
        return cls(kind, unquote(quoted), started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one instance holds.

    Attributes:
        rss_bytes: resident memory, of all of its processes.
        cpu_seconds: processor time since its start, of all of its processes.
        ready: whether it says that it is ready; that it runs, where it has no way to say so.
    """

    rss_bytes: int
    cpu_seconds: float
    ready: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Pressure inside a component's limits.

    Attributes:
        workers: how many processes spin; 0 for none.
        memory_bytes: how much memory is held; 0 for none.
        seconds: when it ends by itself.
    """

    workers: int = 1
    memory_bytes: int = 0
    seconds: float = 30.0


class Driver(Protocol):
    """How one component is found, looked at and broken.

    ``find`` proves which instance is the component. Whatever changes something takes that instance, proves once more
    that it still is the component, and refuses otherwise. All but ``find`` may be asked from the journal alone.
    """

    kind: ClassVar[str]

    @property
    def component(self) -> str:
        """Its name in the descriptor."""

    def find(self) -> Instance:
        """The one instance that is proven to be the component.

        Raises:
            ResourceError: none is.
            GuardRailError: several fit, so none is proven.
        """

    def state(self, instance: Instance) -> State:
        """What an instance is doing.

        Raises:
            HealError: it is out of reach, e.g. on another machine.
        """

    def kill(self, instance: Instance) -> None:
        """End it at once, with all that it had not written down."""

    def end(self, instance: Instance) -> None:
        """Ask it to end in order (SIGTERM)."""

    def stop(self, instance: Instance) -> None:
        """Have it do nothing until it is resumed."""

    def resume(self, instance: Instance) -> None:
        """Have it go on; harmless when it does, or is gone."""

    def restart(self) -> bool:
        """Start the component again, if this can; False where only its supervisor can. Harmless while it runs."""

    def abandoned(self) -> str:
        """Why nobody waits for the component any more, one sentence; empty when it must run again."""

    def started_at(self, instance: Instance) -> float:
        """When it started, seconds since the epoch."""

    def resources(self, instance: Instance) -> Resources:
        """What it holds."""

    def press(self, instance: Instance, load: Load, token: str) -> None:
        """Put a load inside its limits, to be found again by its token; it ends by itself.

        Raises:
            InjectionError: it would not be within the limits.
        """

    def pressing(self, instance: Instance, token: str) -> int:
        """How many processes of a load run: its workers, and one that holds the memory; 0 when they are gone."""

    def relieve(self, instance: Instance, token: str) -> None:
        """End a load; harmless when it has ended, or the instance is gone."""

    def described(self) -> dict[str, Any]:
        """What is needed to make this driver again from the journal: JSON, no secrets."""

    def by_hand(self, instance: Instance, what: str) -> str:
        """The command for a person: ``resume`` it or ``start`` it again."""
