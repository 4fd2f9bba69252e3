"""An event source mapping switched off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from holdfast.errors import Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack


@dataclass(slots=True, kw_only=True)
class MappingDisable:
    """A disabled event source mapping: "pause polling and invocation and resume later from the same location".

    The change is asynchronous (``Disabling`` → ``Disabled``, ``Enabling`` → ``Enabled``) and refused with
    ``ResourceInUseException`` while another one is under way. AWS gives no figure; 120 s is twice the drain that others
    measured (65 s). A stream's retention and a queue's go on running meanwhile.
    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html

    Args:
        target: where the mapping is.
        component: the function it feeds, by its name in the descriptor.
        resource: UUID of the mapping.
    """

    name: ClassVar[str] = "mapping-disable"
    permissions: ClassVar[tuple[str, ...]] = (
        "lambda:GetEventSourceMapping",
        "lambda:ListEventSourceMappings",
        "lambda:UpdateEventSourceMapping",
    )
    propagation_seconds: ClassVar[float] = 120.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.MAPPING_DISABLE
    error_class: ClassVar[ErrorClass] = ErrorClass.STALLED

    target: Target
    component: str
    resource: str
    key: str = field(default="", init=False)

    @classmethod
    def on(cls, stack: Stack, component: str) -> tuple[Self, ...]:
        """One lever for each mapping of a function that is not switched off already."""
        target = stack.target
        support = target.supports(Capability.STREAM_MAPPING_DISABLE)
        if not support.supported and any("/stream/" in mapping.source_arn for mapping in stack.mappings(component)):
            raise Inconclusive(f"the stream mapping of {component} cannot be switched off here: {support.reason}")
        return tuple(
            cls(target=target, component=component, resource=mapping.uuid)
            for mapping in stack.mappings(component)
            if mapping.enabled
        )

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(target=target, component=snapshot.component, resource=snapshot.resource)

    def snapshot(self) -> Snapshot:
        """Read the state."""
        need_support(self.target, self.capability, f"the mapping of {self.component} cannot be switched off")
        found = self._state()
        if found.startswith("Disabl"):
            raise InjectionError(
                f"event source mapping {self.resource} of {self.component} is already {found}; nothing was changed",
                remedy=f"switch it on, e.g. {self._switch_command()}",
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"enabled": True},
            placed={"enabled": False},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - what is placed is always the same
        """Switch it off."""
        self._switch(on=False)

    def proof(self) -> str:
        """Its state is ``Disabled``."""
        return f"event source mapping {self.resource} reads back Disabled" if self._state() == "Disabled" else ""

    def hits(self) -> int:
        """What is not polled cannot be counted."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - only a mapping found enabled is ever switched off
        """Switch it on again, unless somebody else has done so."""
        if persistently(self._state, deadline_seconds=20.0) not in ("Enabled", "Enabling"):
            self._switch(on=True)

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - only a mapping found enabled is ever switched off
        """Its state is ``Enabled``."""
        return (
            f"event source mapping {self.resource} reads back Enabled, as found" if self._state() == "Enabled" else ""
        )

    def by_hand(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - only a mapping found enabled is ever switched off
        """The command that switches it on."""
        return self._switch_command()

    @property
    def _client(self) -> Any:
        return self.target.client("lambda")

    def _state(self) -> str:
        return str(self._client.get_event_source_mapping(UUID=self.resource)["State"])

    def _switch(self, *, on: bool) -> None:
        # ResourceInUseException while it is Enabling, Disabling or Updating: the earlier change has to end first.
        persistently(
            lambda: self._client.update_event_source_mapping(UUID=self.resource, Enabled=on),
            deadline_seconds=self.propagation_seconds,
        )

    def _switch_command(self) -> str:
        return cli(self.target, "lambda", "update-event-source-mapping", "--uuid", self.resource, "--enabled")
