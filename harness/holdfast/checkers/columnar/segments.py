"""Vectorised work on groups of rows: one pass over all groups instead of a loop over each."""

from __future__ import annotations

from typing import cast

import numpy as np

from holdfast.history.columns import Integers, Mask

_ROOM = 1 << 62


def dense(codes: Integers) -> tuple[Integers, int]:
    """Codes without large gaps, and a bound above them; codes that are dense already stay as they are.

    Args:
        codes: whole numbers; negative ones come first.
    """
    if not len(codes):
        return codes, 0
    least = int(codes.min())
    if least < 0:
        codes = codes - least
    largest = int(codes.max())
    if largest > 4 * len(codes) + 1024:
        distinct, inverse = np.unique(codes, return_inverse=True)
        return inverse.astype(np.int64), len(distinct)
    return codes, largest + 1


def combined(group: Integers, value: Integers, *, ties: Mask | None = None) -> Integers:
    """One number a row that sorts by group, then value, then tie; the same order, not the same distances.

    Args:
        group: whole numbers from 0.
        value: any whole numbers.
        ties: of equal values the false ones come first.
    """
    if not len(group):
        return np.empty(0, np.int64)
    low, high = int(value.min()), int(value.max())
    if ((int(group.max()) + 1) * (high - low + 1)) << (ties is not None) >= _ROOM:
        distinct, value = np.unique(value, return_inverse=True)
        low, high = 0, len(distinct)
    number = group * (high - low + 1) + (value - low)
    return number if ties is None else (number << 1) | ties


def is_first(sorted_group: Integers) -> Mask:
    """Which rows are the first of their group, rows sorted by group."""
    first = np.empty(len(sorted_group), np.bool_)
    first[:1] = True
    np.not_equal(sorted_group[1:], sorted_group[:-1], out=first[1:])
    return first


def running_maximum(sorted_group: Integers, value: Integers) -> Integers:
    """The largest value so far in each row's group, the row's own included, rows sorted by group."""
    if not len(value):
        return value
    low, span = int(value.min()), int(value.max()) - int(value.min()) + 1
    number = np.cumsum(is_first(sorted_group)) - 1
    if (int(number[-1]) + 1) * span < _ROOM:
        base = number * span - low
        return cast("Integers", np.maximum.accumulate(value + base) - base)
    distinct, rank = np.unique(value, return_inverse=True)
    return distinct[running_maximum(sorted_group, rank)]


def running_minimum_from_the_end(sorted_group: Integers, value: Integers) -> Integers:
    """The smallest value from each row to the end of its group, rows sorted by group."""
    # ~x reverses the order of whole numbers without overflow
    return ~running_maximum(sorted_group[::-1], ~value[::-1])[::-1]
