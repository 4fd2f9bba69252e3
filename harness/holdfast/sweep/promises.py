"""Which promises the sweep judges of each pattern."""

from __future__ import annotations

from pathlib import Path

from holdfast.ports.folding import folding
from holdfast.stack.effects import Status
from holdfast.stack.patterns import CqrsPattern, Pattern, SagaPattern
from holdfast.sweep.all_or_nothing import AllOrNothing
from holdfast.sweep.judging import Invariants
from holdfast.sweep.one_effect import OneEffect
from holdfast.sweep.projecting import LoggedAndShown


def invariants_of(
    pattern: Pattern, status: Status | None, *, descriptor: Path, answers: bool, bound_seconds: float
) -> Invariants:
    """The promises of a pattern, as the sweep judges them.

    Args:
        pattern: the pattern.
        status: its status port, if it has one.
        descriptor: the descriptor's file, beside which a fold is found.
        answers: whether a saga's client is answered when the saga has ended.
        bound_seconds: from the start of a saga to its end.
    """
    if isinstance(pattern, SagaPattern):
        return AllOrNothing(pattern, status, answers, bound_seconds)
    if isinstance(pattern, CqrsPattern):
        return LoggedAndShown(pattern, folding(pattern, descriptor))
    return OneEffect(pattern, status)
