"""The values of one submission: drawn deterministically, or by Hypothesis for SF-4.

Ordinary submissions carry tame values, so that a clause about loss is not broken by an encoding mistake; SF-4 is where
payloads are wild.
"""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, assert_never

from holdfast.errors import DescriptorError
from holdfast.stack.base import Json
from holdfast.stack.commands import (
    Command,
    EnumField,
    GeneratedField,
    IntegerField,
    JsonField,
    MoneyField,
    NumberField,
    TextField,
    TimestampField,
    UuidField,
)
from holdfast.stack.templates import suggestion

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

VALUE = "value"
"""Name under which the unique value is overridden."""

_TAME = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Submission:
    """What one submission of a command carries.

    Attributes:
        key: the idempotency key.
        value: the unique value, short ASCII text unless it was overridden.
        fields: the generated fields by name.
    """

    key: str
    value: str
    fields: Mapping[str, Json] = field(default_factory=lambda: MappingProxyType({}))


def _now() -> datetime:
    return datetime.now(UTC)


def draw(
    command: Command,
    key: str,
    rng: random.Random,
    overrides: Mapping[str, Json] = MappingProxyType({}),
    *,
    now: Callable[[], datetime] = _now,
) -> Submission:
    """Draw a submission; the same state of ``rng`` draws the same one, timestamps apart.

    A field draws the same value whether or not another one is overridden.

    Args:
        command: the command to submit.
        key: the idempotency key.
        rng: source of the values.
        overrides: fields with given values, and ``value`` for the unique value.
        now: the time of submission, for timestamp fields.

    Raises:
        DescriptorError: an override names no field of the command, or ``value`` is not text.
    """
    for name in overrides:
        if name not in command.fields and name != VALUE:
            raise DescriptorError(
                f"There is no field {name} to give a value to.", remedy=suggestion(name, {*command.fields, VALUE})
            )
    value = f"v-{key}-{rng.getrandbits(32):08x}"
    drawn = {name: _draw(kind, rng, now) for name, kind in command.fields.items()}
    given = overrides.get(VALUE, value)
    if not isinstance(given, str):
        raise DescriptorError("The unique value of a submission is text.", remedy="give value a text")
    fields = {name: overrides.get(name, drawn[name]) for name in drawn}
    return Submission(key, given, MappingProxyType(fields))


def _draw(kind: GeneratedField, rng: random.Random, now: Callable[[], datetime]) -> Json:  # noqa: PLR0911 - one a type
    match kind:
        case IntegerField():
            return rng.randint(kind.min, kind.max)
        case NumberField():
            return min(max(round(rng.uniform(kind.min, kind.max), 6), kind.min), kind.max)
        case MoneyField():
            return _money(kind, rng.randint(*kind.cents))
        case EnumField():
            return rng.choice(kind.values)
        case TextField():
            length = rng.randint(kind.min_length, min(kind.max_length, kind.min_length + 32))
            return "".join(rng.choice(kind.alphabet or _TAME) for _ in range(length))
        case JsonField():
            return {
                "n": rng.randint(0, 999),
                "text": "".join(rng.choice(_TAME) for _ in range(8)),
                "list": [1, True, None],
            }
        case UuidField():
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        case TimestampField():
            return now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            assert_never(kind)


def _money(kind: MoneyField, amount_cents: int) -> Json:
    return amount_cents if kind.unit == "cents" else f"{Decimal(amount_cents) / 100:.2f}"


def strategies(command: Command, *, most_characters: int = 16_384) -> SearchStrategy[dict[str, Json]]:
    """Overrides for `draw` that fill what SF-4 must vary; see `holdfast.stack.payloads`.

    Args:
        command: the command to submit.
        most_characters: the longest text, in characters; small enough to stay below the API's limit.
    """
    # Hypothesis is slow to import, and only SF-4 needs it
    from holdfast.stack.payloads import overrides

    return overrides(command, most_characters=most_characters)
