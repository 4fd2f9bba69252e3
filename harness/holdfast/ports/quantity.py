"""Reading what is conserved: a number in each entry of an effect port that belongs to no key."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from holdfast.errors import PortError
from holdfast.ports.context import PortContext
from holdfast.ports.effect import Seen, read_effect
from holdfast.ports.expression import search
from holdfast.ports.text import text_of
from holdfast.stack.descriptor import Conserved
from holdfast.stack.effects import Effect


def quantity_port(name: str) -> str:
    """Name under which observations of a conserved quantity are recorded."""
    return f"conserved:{name}"


def read_quantity(quantity: Conserved, effect: Effect, context: PortContext, port: str) -> Seen:
    """The number that each entry holds, as text; entries that hold none are left out.

    Raises:
        PortError: an entry holds something else there.
        ResourceError: a component is missing or may not be read.
        TargetError: the target does not answer.
    """
    found = read_effect(effect, context, port)
    shown = [search(quantity.path, entry.data) for entry in found.entries]
    numbers = tuple(text_of(one) for one in shown if one is not None)
    for number in numbers:
        try:
            finite = Decimal(number).is_finite()
        except InvalidOperation:
            finite = False
        if not finite:
            raise PortError(
                f"{port}: {quantity.path} is {number!r} in an entry, which is no number",
                remedy="correct the path of the conserved quantity in the descriptor",
            )
    return Seen(len(numbers), values=numbers)
