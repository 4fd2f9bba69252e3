"""What a thousand commands cost, from what they requested."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.pricing.prices import Priced, Prices, priced

_UNITS = {"invocations_per_thousand": "lambda-request", "transitions_per_thousand": "state-transition"}
_REQUESTS = "requests_per_thousand:"


def thousand_commands(measures: Mapping[str, float], prices: Prices, region: str) -> Priced:
    """Price a thousand commands.

    Args:
        measures: `invocations_per_thousand`, `transitions_per_thousand`, ``requests_per_thousand:SERVICE:OPERATION``.
        prices: the price table.
        region: whose prices to take, where the table has them.
    """
    return priced(
        prices,
        region,
        {name.removeprefix(_REQUESTS): value for name, value in measures.items() if name.startswith(_REQUESTS)},
        {unit: measures[name] for name, unit in _UNITS.items() if name in measures},
    )
