"""What one read of a source found."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.stack.base import Json
from holdfast.stack.resolve import Resource


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect, as a source shows it.

    Attributes:
        data: the entry as plain JSON; the text itself where it is none.
        raw: the entry byte for byte, as text, where the source has it.
    """

    data: Json
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one read of a source found.

    Attributes:
        entries: oldest first, where the source has an order.
        count: a number that the source reports instead of entries.
    """

    entries: tuple[Entry, ...] = ()
    count: int | None = None


def subject(port: str, resource: Resource) -> str:
    """How messages call a component that a port reads."""
    return f"{port}: the component {resource.component} ({resource.type} {resource.name})"
