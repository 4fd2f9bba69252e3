"""What a lever is: one fault that can be put on a component, proven, taken away and proven gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

from holdfast.errors import Inconclusive
from holdfast.history.model import ErrorClass
from holdfast.targets.base import Capability, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state a lever found, enough to restore it from the journal alone.

    Attributes:
        lever: registered name of the lever, e.g. ``function-throttle``.
        component: the component's name in the descriptor.
        resource: physical name, ARN or id of what is changed.
        found: what was there before, JSON-compatible.
        placed: what the lever puts there, JSON-compatible; restoring is compare-and-set on this.
    """

    lever: str
    component: str
    resource: str
    found: dict[str, Any]
    placed: dict[str, Any]


def need_support(target: Target, capability: Capability, cannot: str) -> None:
    """Go on only where a target can do something.

    Args:
        target: the target.
        capability: what it must be able to do.
        cannot: what is not possible without it, the beginning of a sentence.

    Raises:
        Inconclusive: it cannot; the message is the reason.
    """
    support = target.supports(capability)
    if not support.supported:
        raise Inconclusive(f"{cannot} here: {support.reason}")


class Undo(Protocol):
    """What takes something away again that a run has put in place, from the journal alone."""

    name: ClassVar[str]
    propagation_seconds: ClassVar[float]
    """The longest the documentation lets a change take to be felt."""

    @property
    def target(self) -> Target:
        """Where it acts."""

    @property
    def resource(self) -> str:
        """ARN or id of what it changes; the guard rail and the lock go by it."""

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """It again, from its journal entry, to heal with."""

    def heal(self, snapshot: Snapshot) -> None:
        """Restore what ``snapshot`` found, by compare-and-set or by removing only what was added."""

    def healed_proof(self, snapshot: Snapshot) -> str:
        """One sentence of evidence that what was put in place is gone; empty when it is not.

        Says so when somebody else changed the same thing meanwhile and it was left as it is.
        """

    def by_hand(self, snapshot: Snapshot) -> str:
        """The exact command that heals it by hand."""


class Lever(Undo, Protocol):
    """One fault on one component.

    ``inject`` and ``heal`` change the target; ``snapshot``, ``proof`` and ``healed_proof`` only look. The order is
    always: snapshot, journal synced to disk, inject, proof, window, heal, healed proof, journal closed (LEVERS.md,
    rules for every lever). Healing twice is harmless.
    """

    permissions: ClassVar[tuple[str, ...]]
    """IAM actions that the lever needs, for ``doctor --iam``."""
    aimed: ClassVar[bool]
    """Whether it waits for one key: proven by its hits when the window closes, and many may share a resource."""

    @property
    def capability(self) -> Capability | None:
        """What the target must be able to do; None for what is done on this machine."""

    @property
    def error_class(self) -> ErrorClass:
        """Which code path of the stack it exercises."""

    @property
    def component(self) -> str:
        """The component's name in the descriptor."""

    @property
    def key(self) -> str:
        """The key it is aimed at; empty for a fault on everything."""

    def snapshot(self) -> Snapshot:
        """Read and return the state found; changes nothing.

        Raises:
            Inconclusive: the target cannot do this; the message is the reason.
            InjectionError: the fault is already there, from somebody else.
        """

    def inject(self, snapshot: Snapshot) -> None:
        """Put the fault in place."""

    def proof(self) -> str:
        """One sentence of evidence that the fault bites, saying what it rests on; empty when it does not."""

    def hits(self) -> int:
        """How often it bit; 0 where it cannot be counted."""
