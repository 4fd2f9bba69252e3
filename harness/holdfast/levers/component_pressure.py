"""Processor and memory load inside the limits of one component."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

from holdfast.drivers.base import Load
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot
from holdfast.levers.component_signal import ComponentLever
from holdfast.targets.base import Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack


@dataclass(slots=True, kw_only=True)
class ComponentPressure(ComponentLever):
    """A load beside the component that shares its processors, priority and memory limit; it ends by itself.

    Processes: child processes with its affinity, nice value, control group and address space limit; the other drivers
    run it inside the container. That the load runs is proven; what it does to the component is for the clauses to say.

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: kind, id and start of the instance.
        driver: how it is reached.
        load: how much, and how long.
        token: mark by which the load is found again.
    """

    name: ClassVar[str] = "component-pressure"
    propagation_seconds: ClassVar[float] = 30.0
    error_class: ClassVar[ErrorClass] = ErrorClass.TIMEOUT

    load: Load = field(default_factory=Load)
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def on(cls, stack: Stack, component: str, *, load: Load | None = None) -> Self:
        """The lever on a component of a stack.

        Args:
            stack: the stack.
            component: the component.
            load: how much, and how long.

        Raises:
            Inconclusive: nothing of its type can be put under pressure.
            ResourceError: it does not run.
            GuardRailError: several instances fit its description.
        """
        made = super(ComponentPressure, cls).on(stack, component)
        made.load = load or made.load
        return made

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        again = super(ComponentPressure, cls).restoring(target, snapshot)
        again.token = snapshot.placed["token"]
        return again

    def snapshot(self) -> Snapshot:
        """See that the instance still is the component, and runs."""
        found = super(ComponentPressure, self).snapshot()
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found=found.found,
            placed={"token": self.token},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the load says it all
        """Start the load."""
        self.driver.press(self.instance, self.load, self.token)

    def proof(self) -> str:
        """The processes of the load run."""
        if self.driver.pressing(self.instance, self.token) < self.load.workers + 1:
            return ""
        return (
            f"{self.load.workers} processes spin and {self.load.memory_bytes} bytes are held within the limits of "
            f"{self.said}"
        )

    def heal(self, snapshot: Snapshot) -> None:
        """End the load."""
        self.driver.relieve(self.instance, snapshot.placed["token"])

    def healed_proof(self, snapshot: Snapshot) -> str:
        """No process of the load is left."""
        if self.driver.pressing(self.instance, snapshot.placed["token"]):
            return ""
        return f"no process of the load on {self.said} is left"

    def by_hand(self, snapshot: Snapshot) -> str:
        """The load ends by itself."""
        token = snapshot.placed["token"]
        return f"end every process with HOLDFAST_RUN={token} in its environment where {self.component} runs, or wait"
