"""Which promises the sweep judges of a pattern that is judged by its effects."""

from __future__ import annotations

from holdfast.stack.effects import Status
from holdfast.stack.patterns import Pattern, SagaPattern
from holdfast.sweep.all_or_nothing import AllOrNothing
from holdfast.sweep.judging import Invariants
from holdfast.sweep.one_effect import OneEffect


def invariants_of(
    pattern: Pattern, status: Status | None, *, answers: bool = False, bound_seconds: float = float("inf")
) -> Invariants:
    """The promises of a pattern, as the sweep judges them.

    Args:
        pattern: the pattern.
        status: its status port, if it has one.
        answers: whether a saga's client is answered when the saga has ended.
        bound_seconds: from the start of a saga to its end.
    """
    if isinstance(pattern, SagaPattern):
        return AllOrNothing(pattern, status, answers, bound_seconds)
    return OneEffect(pattern, status)
