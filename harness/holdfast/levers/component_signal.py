"""A component beside the functions killed, ended in order, or stopped for a while, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from holdfast.drivers.base import Driver, Instance, State
from holdfast.drivers.choosing import PERMISSIONS, driver_of, driver_restored
from holdfast.errors import HealError, HoldfastError, Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot
from holdfast.levers.invocation import component_resource
from holdfast.stack.lifecycle import started
from holdfast.targets.base import Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack


@dataclass(slots=True, kw_only=True)
class ComponentLever:
    """What is done to the one instance that is proven to be the component.

    The proof is made when the lever is made and again right before something is done; the instance's start tells it
    from a later one with the same id. The fault outlives the target: healing needs nothing but the component's driver.

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: kind, id and start of the instance.
        driver: how it is reached.
    """

    name: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]] = PERMISSIONS
    propagation_seconds: ClassVar[float]
    aimed: ClassVar[bool] = False
    capability: ClassVar[None] = None
    error_class: ClassVar[ErrorClass]
    key: ClassVar[str] = ""

    target: Target
    component: str
    resource: str
    driver: Driver

    @classmethod
    def on(cls, stack: Stack, component: str) -> Self:
        """The lever on a component of a stack; of one that the run is yet to start it only says what it takes.

        Raises:
            Inconclusive: nothing of its type is killed or stopped.
            ResourceError: it does not run.
            GuardRailError: several instances fit its description.
        """
        driver = driver_of(stack, component)
        waits = component in started(stack.descriptor) and stack.running is None
        resource = component_resource(component) if waits else driver.find().resource
        return cls(target=stack.target, component=component, resource=resource, driver=driver)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        driver = driver_restored(target, snapshot.component, Instance.parse(snapshot.resource), snapshot.found)
        return cls(target=target, component=snapshot.component, resource=snapshot.resource, driver=driver)

    def snapshot(self) -> Snapshot:
        """See that the instance still is the component.

        Raises:
            Inconclusive: the run has not started it.
            InjectionError: it is stopped already, or has ended.
        """
        if self.resource == component_resource(self.component):
            raise Inconclusive(f"the run has not started {self.component}")
        state = self.driver.state(self.instance)
        if state is State.STOPPED:
            raise InjectionError(
                f"{self.said} is already stopped; nothing was changed",
                cause="somebody else, or a run that was killed and whose journal is elsewhere, stopped it",
                remedy=f"let it go on: {self.driver.by_hand(self.instance, 'resume')}",
            )
        if state is State.GONE:
            raise InjectionError(f"{self.said} has ended; nothing was signalled", remedy="start it and try again")
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found=self.driver.described(),
            placed={},
        )

    def hits(self) -> int:
        """What this did to others cannot be counted."""
        return 0

    @property
    def instance(self) -> Instance:
        """The instance that it is about."""
        return Instance.parse(self.resource)

    @property
    def said(self) -> str:
        """How messages call it."""
        return f"{self.instance.kind} {self.instance.id} of {self.component}"


@dataclass(slots=True, kw_only=True)
class ComponentStop(ComponentLever):
    """The component does nothing until it is resumed; its connections stay open and nobody answers on them.

    Processes: SIGSTOP (https://man7.org/linux/man-pages/man7/signal.7.html); the other drivers say what they do.

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: kind, id and start of the instance.
        driver: how it is reached.
    """

    name: ClassVar[str] = "component-stop"
    propagation_seconds: ClassVar[float] = 30.0
    error_class: ClassVar[ErrorClass] = ErrorClass.TIMEOUT

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the instance says it all
        """Stop it."""
        self.driver.stop(self.instance)

    def proof(self) -> str:
        """Whoever runs it says that it is stopped."""
        return f"{self.said} is stopped" if self.driver.state(self.instance) is State.STOPPED else ""

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the instance says it all
        """Let it go on, if it is still the same instance and stopped.

        Raises:
            HealError: it is out of reach.
        """
        if self.driver.state(self.instance) is State.STOPPED:
            self.driver.resume(self.instance)

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the instance says it all
        """It is not stopped, or it has ended."""
        match self.driver.state(self.instance):
            case State.GONE:
                return f"{self.said} has ended, and the fault with it"
            case State.STOPPED:
                return ""
            case State.RUNNING:
                return f"{self.said} goes on"

    def by_hand(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the instance says it all
        """The command that lets it go on."""
        return self.driver.by_hand(self.instance, "resume")


@dataclass(slots=True, kw_only=True)
class _Ended(ComponentLever):
    """The component is gone. Healed is when it runs again.

    It is started again if the run has started it, or the descriptor says by which command; anything else must be
    started by whoever supervises it, for Holdfast knows neither its environment nor its secrets. 60 s is a bound to
    give up at.
    """

    propagation_seconds: ClassVar[float] = 60.0
    error_class: ClassVar[ErrorClass] = ErrorClass.CRASH
    done: ClassVar[str]

    def proof(self) -> str:
        """It does not run any more."""
        return f"{self.said} was {self.done}" if self.driver.state(self.instance) is State.GONE else ""

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the instance says it all
        """Start it again, where that is known and not for somebody else to do."""
        if self.driver.state(self.instance) is State.GONE and not self.driver.abandoned():
            self.driver.restart()

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the driver says it all
        """The component runs again, or was never gone.

        Raises:
            HealError: nobody has started it again.
        """
        if self.driver.state(self.instance) is not State.GONE:
            return f"{self.said} runs: it was not {self.done}"
        why = self.driver.abandoned()
        if why:
            return f"{self.said} was {self.done}, and {why}"
        try:
            again = self.driver.find()
        except HoldfastError as error:
            raise HealError(
                f"{self.said} was {self.done} and nobody has started it again: {error.what}",
                remedy=self.driver.by_hand(self.instance, "start"),
            ) from error
        if again == self.instance:
            return ""
        return f"{self.said} was {self.done}, and {again.kind} {again.id} runs in its place"

    def by_hand(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the driver says it all
        """What to start."""
        return self.driver.by_hand(self.instance, "start")


@dataclass(slots=True, kw_only=True)
class ComponentKill(_Ended):
    """The component is gone at once, with all that it had not written down. Nothing undoes that.

    Processes: SIGKILL (https://man7.org/linux/man-pages/man7/signal.7.html); the other drivers say what they do.

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: kind, id and start of the instance.
        driver: how it is reached.
    """

    name: ClassVar[str] = "component-kill"
    done: ClassVar[str] = "killed"

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the instance says it all
        """Kill it."""
        self.driver.kill(self.instance)


@dataclass(slots=True, kw_only=True)
class ComponentEnd(_Ended):
    """The component is asked to end in order, as a deployment does, and drains what is under way first.

    Processes: SIGTERM, then SIGKILL after ``stop_seconds`` where the run has started it; the other drivers say what
    they do.

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: kind, id and start of the instance.
        driver: how it is reached.
    """

    name: ClassVar[str] = "component-end"
    done: ClassVar[str] = "ended"

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the instance says it all
        """Ask it to end."""
        self.driver.end(self.instance)
