"""What the system itself reports about a command."""

from __future__ import annotations

from holdfast.ports.context import PortContext
from holdfast.ports.effect import Seen, read_source
from holdfast.ports.expression import search
from holdfast.ports.text import text_of
from holdfast.stack.effects import Status


def read_status(status: Status, context: PortContext, port: str) -> tuple[Seen, str]:
    """What the source shows, and the state; the state is empty when the system reports none for this key.

    Raises:
        PortError: the source answers what it must not.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
    """
    seen = read_source(status.source, context, port)
    for entry in reversed(seen.entries):
        state = search(status.state, entry.data)
        if state is not None:
            return seen, text_of(state)
    return seen, ""
