"""What requests cost: list prices in us-east-1, of one unit of size each, free tiers apart."""

from __future__ import annotations

from collections.abc import Mapping

PRICES_OF = "us-east-1 as of 2025"
_MILLION = 1_000_000

INVOCATION = 0.20 / _MILLION
"""aws.amazon.com/lambda/pricing: requests; the time that functions run comes on top."""

TRANSITION = 25.0 / _MILLION
"""aws.amazon.com/step-functions/pricing: standard workflows."""

_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")

PRICES = {
    # aws.amazon.com/sqs/pricing: standard queues; every action is a request
    "sqs": 0.40 / _MILLION,
    # aws.amazon.com/dynamodb/pricing/on-demand: an eventually consistent read of 4 KB is half a unit
    "dynamodb": 0.125 / _MILLION,
    **{f"dynamodb:{operation}": 0.625 / _MILLION for operation in _WRITES},
    # a transaction takes two units a write
    "dynamodb:TransactWriteItems": 2 * 0.625 / _MILLION,
    # aws.amazon.com/sns/pricing
    "sns": 0.50 / _MILLION,
    # aws.amazon.com/eventbridge/pricing: custom events
    "events": 1.00 / _MILLION,
    # aws.amazon.com/s3/pricing: standard storage
    "s3": 0.40 / _MILLION,
    "s3:PutObject": 5.00 / _MILLION,
    "s3:DeleteObject": 0.0,
    # a start is no transition, and is not charged for by itself
    "states": 0.0,
    # counted as an invocation
    "lambda": 0.0,
}
"""Dollars a request, by service, or by service and operation where that differs."""


def dollars_per_thousand(measures: Mapping[str, float]) -> tuple[float, tuple[str, ...]]:
    """What a thousand commands cost, and the services whose price is not known.

    Args:
        measures: `invocations_per_thousand`, `transitions_per_thousand`, ``requests_per_thousand:SERVICE:OPERATION``.
    """
    dollars = measures.get("invocations_per_thousand", 0.0) * INVOCATION
    dollars += measures.get("transitions_per_thousand", 0.0) * TRANSITION
    unpriced = set()
    for name, number in measures.items():
        start, _, call = name.partition(":")
        if start != "requests_per_thousand":
            continue
        service = call.partition(":")[0]
        price = PRICES.get(call, PRICES.get(service))
        if price is None:
            unpriced.add(service)
        else:
            dollars += number * price
    return dollars, tuple(sorted(unpriced))
