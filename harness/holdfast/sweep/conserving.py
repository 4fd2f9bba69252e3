"""What commands did to what is conserved, told from a read before and one after them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from holdfast.checkers.conservation import conserved
from holdfast.checkers.saga import Fate, left
from holdfast.history.model import History, Observation
from holdfast.stack.descriptor import Conserved
from holdfast.stack.patterns import SagaPattern
from holdfast.sweep.judging import Case
from holdfast.verdict.model import Finding


def moved(declared: Conserved, before: Observation, after: Observation) -> tuple[Finding, ...]:
    """How a quantity is wrong after some commands as it was not before them.

    What was wrong before and is as wrong as it was is not these commands' doing.

    Args:
        declared: the quantity.
        before: the read before them.
        after: the read after them, when all is at rest.
    """
    if not (before.complete and after.complete):
        return ()
    numbers_before, numbers_after = _numbers(before), _numbers(after)
    history = History((), (after,))
    off = conserved(history, port=after.port, total=declared.total)
    low = conserved(history, port=after.port, minimum=declared.minimum)
    return (
        *(off if sum(numbers_before) != sum(numbers_after) else ()),
        *(low if low and (not numbers_before or min(numbers_after) < min(numbers_before)) else ()),
    )


def _numbers(read: Observation) -> list[Decimal]:
    return [Decimal(value) for value in read.values]


def unbalanced(
    quantities: Mapping[str, Conserved], before: Mapping[str, Observation], after: Mapping[str, Observation]
) -> tuple[Finding, ...]:
    """How all quantities are wrong after some commands as they were not before them."""
    return tuple(
        finding
        for name, declared in quantities.items()
        if name in before and name in after
        for finding in moved(declared, before[name], after[name])
    )


def unread(before: Mapping[str, Observation], after: Mapping[str, Observation]) -> str:
    """Which quantities were not read to the end, before or after some commands, so that nothing is told of them."""
    names = sorted({name for reads in (before, after) for name, read in reads.items() if not read.complete})
    return f"what is conserved could not be read: {', '.join(names)}" if names else ""


def half_done(case: Case, saga: SagaPattern) -> bool:
    """Whether a saga holds something that is counted nowhere, so that no sum over it proves anything."""
    (one,) = left(case.history(), saga)
    return one.fate not in (Fate.COMMITTED, Fate.COMPENSATED)
