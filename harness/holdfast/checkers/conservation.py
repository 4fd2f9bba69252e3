"""Quantities that are conserved: their sum is what it was declared to be, and no part of it is ever below its minimum.

The sum is judged at quiescence alone: while sagas run, what one step has taken another has not given yet. The minimum
holds at every moment, so every complete read is judged.
"""

from __future__ import annotations

from decimal import Decimal

from holdfast.checkers.records import finding, ranked
from holdfast.history.model import History, Observation
from holdfast.verdict.describe import moment
from holdfast.verdict.model import Finding

OVERSOLD, NOT_CONSERVED = "oversold", "not conserved"
"""Titles of the findings."""


def conserved(
    history: History, *, port: str, total: float | None = None, minimum: float | None = None
) -> tuple[Finding, ...]:
    """The last read adds up to the total where it is complete, and no complete read shows less than the minimum.

    Args:
        history: what concerns the clause.
        port: under which the quantity is recorded; its values are the entries' numbers.
        total: the declared sum; None where none is.
        minimum: of each entry; None where none is declared.
    """
    every = _reads(history, port)
    reads = [one for one in every if one.complete]
    found = []
    if minimum is not None:
        low = [(read, min(Decimal(value) for value in read.values)) for read in reads if read.values]
        worst = min(low, key=lambda pair: pair[1], default=None)
        if worst is not None and worst[1] < Decimal(str(minimum)):
            read, value = worst
            found.append(
                finding(
                    OVERSOLD,
                    f"An entry of '{port}' was {value} at {moment(read.started_seconds)}, expected {minimum:.15g} or"
                    " more.",
                    "",
                    (read,),
                )
            )
    if total is not None and every and every[-1].complete:
        last = every[-1]
        there = sum((Decimal(value) for value in last.values), Decimal(0))
        if there != Decimal(str(total)):
            found.append(
                finding(
                    NOT_CONSERVED,
                    f"The {len(last.values)} entries of '{port}' added up to {there} at {moment(last.started_seconds)},"
                    f" expected {total:.15g}.",
                    "",
                    (last,),
                )
            )
    return ranked(found)


def undecided(history: History, *, port: str) -> tuple[str, ...]:
    """A reason where the quantity was not read to the end last.

    Args:
        history: what concerns the clause.
        port: under which the quantity is recorded.
    """
    reads = _reads(history, port)
    if not reads:
        return (f"'{port}' was never read",)
    last = reads[-1]
    return () if last.complete else (f"'{port}' was not read to the end: {last.state or 'the stack was not quiet'}",)


def _reads(history: History, port: str) -> list[Observation]:
    """The reads of the quantity, in the order they began; of two that began together the one recorded later is last."""
    mine = (one for one in history.observations if one.port == port)
    return sorted(mine, key=lambda one: one.started_seconds)
