"""How often and for how long a request is delivered again, by the deployed configuration."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.stack.configuration import Configuration, QueueConfiguration
from holdfast.stack.descriptor import Bounds
from holdfast.stack.resources import Mapping

DEFAULT_DELIVERY_LIMIT = 3
"""Assumed where a source has no limit of its own to read."""

STREAM_RETRY_SECONDS = 1.0
"""Between two attempts of a stream mapping; AWS gives no figure, attempts follow each other."""


def delivery_limit(configuration: Configuration, worker: str) -> int:
    """How often a request is delivered to a worker before it is dead-lettered."""
    return max((limit for limit, _ in _deliveries(configuration, worker)), default=DEFAULT_DELIVERY_LIMIT)


def redelivery_seconds(configuration: Configuration, workers: Sequence[str]) -> float:
    """How long a request may be on its way through all deliveries to all workers, one after another."""
    return sum(
        max((limit * pause_seconds for limit, pause_seconds in _deliveries(configuration, worker)), default=0.0)
        for worker in workers
    )


def not_waited_for(configuration: Configuration, workers: Sequence[str], bounds: Bounds) -> str:
    """Why redeliveries are not waited for: they may take longer than declared; empty when they are."""
    needed_seconds = redelivery_seconds(configuration, workers)
    if needed_seconds <= bounds.redelivery_seconds:
        return ""
    return (
        f"a failing request may be on its way through its deliveries for {needed_seconds:g} s, longer than "
        f"bounds.redelivery_seconds ({bounds.redelivery_seconds:g} s), so nobody waited for that"
    )


def patience_seconds(configuration: Configuration, workers: Sequence[str], bounds: Bounds) -> float:
    """How long to wait for redeliveries on top of the usual time; 0 where they may take longer than declared."""
    if not_waited_for(configuration, workers, bounds):
        return 0.0
    return redelivery_seconds(configuration, workers)


def _deliveries(configuration: Configuration, worker: str) -> list[tuple[int, float]]:
    """For each source of a worker: how often it delivers, and how many seconds lie between two deliveries."""
    function = configuration.function(worker)
    return [
        found
        for mapping in (function.mappings if function is not None else ())
        if (found := _of(mapping, configuration.queue(mapping.source_arn), configuration.polling_seconds)) is not None
    ]


def _of(mapping: Mapping, queue: QueueConfiguration | None, polling_seconds: float) -> tuple[int, float] | None:
    if mapping.maximum_retry_attempts is not None and mapping.maximum_retry_attempts >= 0:
        return mapping.maximum_retry_attempts + 1, STREAM_RETRY_SECONDS
    if queue is None:
        return None
    return queue.maximum_receives or DEFAULT_DELIVERY_LIMIT, queue.visibility_seconds + polling_seconds
