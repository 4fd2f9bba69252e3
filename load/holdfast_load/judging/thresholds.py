"""What the descriptor's ``[load]`` demands of a run's measures, and what a run has missed."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.stack.descriptor import LoadBounds
from holdfast_load.judging.measures import Measures


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A bound that was not kept, or could not be measured.

    Attributes:
        name: key in ``[load]``.
        bound: what was demanded.
        measured: what was measured; None where nothing was.
    """

    name: str
    bound: float
    measured: float | None

    def __str__(self) -> str:
        measured = "could not be measured" if self.measured is None else f"is {self.measured:,.6g}"
        return f"load.{self.name} {measured}, and {self.bound:,.6g} is demanded"


def missed(bounds: LoadBounds, measures: Measures, drain_seconds: float | None) -> tuple[Missed, ...]:
    """The bounds that a run did not keep; what could not be measured was not kept.

    Args:
        bounds: what is demanded.
        measures: what was measured.
        drain_seconds: from the end of the load until the stack was at rest; None where it did not come to rest.
    """
    outside = measures.outside
    share = None if not outside.count else 1.0 - outside.acknowledged_share
    recoveries = [one.recovery_seconds for one in measures.during]
    slowest = None if None in recoveries else max((one for one in recoveries if one is not None), default=0.0)
    at_most: list[tuple[str, float | None, float | None]] = [
        ("p95_ms", bounds.p95_ms, outside.at(95.0)),
        ("p99_ms", bounds.p99_ms, outside.at(99.0)),
        ("p99_ms_in_faults", bounds.p99_ms_in_faults, measures.inside.at(99.0)),
        ("error_share", bounds.error_share, share),
        ("recovery_seconds", bounds.recovery_seconds, slowest),
        ("drain_seconds", bounds.drain_seconds, drain_seconds),
    ]
    found = [
        Missed(name=name, bound=bound, measured=value)
        for name, bound, value in at_most
        if bound is not None and (value is None or value > bound)
    ]
    goodput = bounds.goodput_per_second
    if goodput is not None and measures.goodput_per_second < goodput:
        found.append(Missed(name="goodput_per_second", bound=goodput, measured=measures.goodput_per_second))
    return tuple(found)
