"""Counting the effects of many keys at once: after a load run every key is looked at, not a sample.

A table is scanned, a bucket listed, a queue looked through once, and what they hold is counted by key; so is what a
``listing`` of the descriptor shows. Where a source only answers for one key, keys are asked for one by one, so many at
a time. What was not seen is told, key by key: an absence that nobody saw is no absence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import HoldfastError, PortError, ResourceError, TargetError
from holdfast.ports.bulk import Keys, counted_at_once
from holdfast.ports.context import PortContext
from holdfast.ports.effect import read_source
from holdfast.stack.effects import AnySource, Effect

AT_ONCE = 8
"""Keys that are asked for at one time, where there is no other way."""

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Counted:
    """How often each key of a run took effect.

    Attributes:
        port: name of the effect.
        count: of each key, in the order in which they were given; 0 where ``observed`` is false.
        observed: which keys were looked at to the end.
        how: how it was found out, one sentence.
        reason: why some keys were not observed; empty when all were.
        seconds: how long it took.
    """

    port: str
    count: Counts
    observed: Mask
    how: str
    reason: str
    seconds: float


def count(
    port: str,
    effect: Effect,
    keys: Keys,
    context: Callable[[int], PortContext],
    *,
    deadline_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Counted:
    """Count one effect of many keys.

    Args:
        port: name of the effect.
        effect: what it is.
        keys: the keys of the run, and what else their submissions carried.
        context: what a read of one key works with, by the key's place.
        deadline_seconds: how long keys are asked for one by one; those that are left then are not observed.
        clock: monotonic clock, seconds.
    """
    began = clock()
    sources = [effect.listing] if effect.listing is not None else effect.sources
    counts: list[Counts] = []
    observed = np.ones(len(keys), np.bool_)
    ways: list[str] = []
    reasons: list[str] = []
    for source in sources:
        try:
            found = counted_at_once(source, keys, context, f"effect {port}")
        except (PortError, ResourceError, TargetError) as error:
            found = np.zeros(len(keys), np.int64), "not read"
            observed[:] = False
            reasons.append(_why(error))
        if found is None:
            assert not hasattr(source, "source")
            each, seen, why = _one_by_one(source, len(keys), context, began + deadline_seconds, clock)
            found = each, f"{source.kind}: each key by itself"
            observed &= seen
            if why:
                reasons.append(why)
        counts.append(found[0])
        ways.append(found[1])
    total = _combined(counts, every=effect.combine == "all")
    return Counted(
        port=port,
        count=np.where(observed, total, 0),
        observed=observed,
        how="; ".join(dict.fromkeys(ways)),
        reason="; ".join(dict.fromkeys(reasons)),
        seconds=round(clock() - began, 3),
    )


def _combined(counts: Sequence[Counts], *, every: bool) -> Counts:
    """Several sources as one effect, as `holdfast.ports.effect.combined` does it for one key."""
    if len(counts) == 1:
        return counts[0]
    table = np.stack(counts)
    if not every:
        return np.asarray(table.sum(axis=0))
    most: Counts = table.max(axis=0)
    return np.where(most > 1, most, table.min(axis=0)).astype(np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """What the system reports about keys.

    Attributes:
        state: of each key that was asked for, by its place.
        reason: why some were not; empty when all were.
    """

    state: Mapping[int, str]
    reason: str


def states(
    read: Callable[[int], str],
    keys: int,
    *,
    deadline_seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> States:
    """Ask for the state of each key.

    Args:
        read: the state of one key, by its place.
        keys: how many keys there are.
        deadline_seconds: how long keys are asked for.
        clock: monotonic clock, seconds.
    """
    found, reason = _each(read, keys, clock() + deadline_seconds, clock)
    return States(state=found, reason=reason)


def _one_by_one(
    source: AnySource,
    keys: int,
    context: Callable[[int], PortContext],
    until_seconds: float,
    clock: Callable[[], float],
) -> tuple[Counts, Mask, str]:
    found, reason = _each(
        lambda place: read_source(source, context(place), f"the source {source.kind}").count, keys, until_seconds, clock
    )
    counts, observed = np.zeros(keys, np.int64), np.zeros(keys, np.bool_)
    places = np.fromiter(found, np.int64, len(found))
    observed[places] = True
    counts[places] = np.fromiter(found.values(), np.int64, len(found))
    return counts, observed, reason


def _each(
    read: Callable[[int], T], keys: int, until_seconds: float, clock: Callable[[], float]
) -> tuple[dict[int, T], str]:
    """What a read gives for each key, so many at a time, until the time is over; and why some were not read."""
    found: dict[int, T] = {}
    reasons: dict[str, None] = {}

    def look(place: int) -> None:
        if clock() >= until_seconds:
            reasons.setdefault("the time to look at keys one by one was over")
            return
        try:
            found[place] = read(place)
        except (PortError, ResourceError, TargetError) as error:
            reasons.setdefault(_why(error))

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="count") as pool:
        for _ in pool.map(look, range(keys)):
            pass
    return found, "; ".join(list(reasons)[:3])


def _why(error: HoldfastError) -> str:
    return ": ".join(part for part in (error.what.rstrip("."), error.cause) if part)
