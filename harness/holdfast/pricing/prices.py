"""The price table, and what it makes of calls and units. Pure, but for the reading."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from holdfast.errors import HoldfastError
from holdfast.stack.base import Part

TABLE = Path(__file__).with_name("prices.toml")
MILLION = 1_000_000
Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(Part):
    """A price table.

    Attributes:
        version: of the table's form.
        as_of: when the prices were those.
        sources: where they were found.
        regions: dollars for a million units, by region and unit.
        calls: the units of one call, by ``service:Operation``.
    """

    version: int
    as_of: str
    sources: list[str]
    regions: Annotated[dict[str, dict[str, Dollars]], Field(min_length=1)]
    calls: dict[str, dict[str, Dollars]]


def read_prices(path: Path = TABLE) -> Prices:
    """Read a price table.

    Raises:
        HoldfastError: it cannot be read, or is none.
    """
    try:
        return Prices.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise HoldfastError(
            f"The price table {path} cannot be used.",
            cause=" ".join(str(error).split())[:300],
            remedy="docs/load.md has its form; an example lies beside the code: holdfast/pricing/prices.toml",
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What calls and units cost.

    Attributes:
        region: whose prices were taken.
        by_unit: dollars by unit of the table.
        counted: how many of each unit.
        unpriced: calls and units that the table does not know, with their number.
    """

    region: str
    by_unit: Mapping[str, float]
    counted: Mapping[str, float]
    unpriced: Mapping[str, float]

    @property
    def dollars(self) -> float:
        """All of it."""
        return sum(self.by_unit.values())


def priced(prices: Prices, region: str, calls: Mapping[str, float], units: Mapping[str, float]) -> Priced:
    """Price what was requested.

    Args:
        prices: the table.
        region: where; the table's first one where it does not know it.
        calls: AWS calls by ``service:Operation``.
        units: units of the table that are no calls, e.g. ``lambda-request``.
    """
    counted: defaultdict[str, float] = defaultdict(float)
    unpriced: dict[str, float] = {}
    for call, count in calls.items():
        known = prices.calls.get(call)
        if known is None:
            unpriced[call] = count
        for unit, each in (known or {}).items():
            counted[unit] += each * count
    for unit, count in units.items():
        counted[unit] += count
    known_region = region if region in prices.regions else next(iter(prices.regions))
    dollars = prices.regions[known_region]
    for unit in [unit for unit in counted if unit not in dollars]:
        unpriced[unit] = counted.pop(unit)
    return Priced(
        region=known_region,
        by_unit={unit: count * dollars[unit] / MILLION for unit, count in counted.items()},
        counted=dict(counted),
        unpriced=unpriced,
    )
