"""Waiting: for a read to be no older than a change, and for a change to be felt that nothing harmless can show."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.levers.signals import interrupts
from holdfast.targets.base import Target

_STALE_SECONDS = 5.0
_ARRIVAL_SECONDS = 2.0


def stale_seconds(target: Target) -> float:
    """How long a read of a configuration may answer what was there before a change.

    AWS calls these reads eventually consistent and says "wait for a few seconds"; emulators read their own writes.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetResourcePolicy.html
    """
    return _STALE_SECONDS if target.kind == "aws" else 0.0


def landing_seconds(kind: str) -> float:
    """How long after the death of a run a change that it had asked for may still take effect and be read.

    The request is on its way, or in the hands of the service, when the process is killed. No service gives a figure;
    two seconds is many times what a request takes, and on AWS reads follow within a few seconds.

    Args:
        kind: kind of the target.
    """
    return _ARRIVAL_SECONDS + (_STALE_SECONDS if kind == "aws" else 0.0)


@dataclass(slots=True, kw_only=True)
class Settling:
    """Whether a change has surely been felt.

    AWS gives a bound for some changes and no way to see them but real traffic. There the bound is waited out before a
    fault counts as in place, or as gone, so that no window is longer or shorter than it says. Emulators apply at once
    what they apply (``tests/test_conformance.py``). Nobody waits when the run is interrupted, or when a fault is healed
    from the journal: no window is recorded then.

    Args:
        target: where the change is made.
        bound_seconds: how long it may take to be felt.
        clock: monotonic clock, seconds.
    """

    target: Target
    bound_seconds: float
    clock: Callable[[], float] = time.monotonic
    _injected: bool = field(default=False, init=False)
    _changed_at: float = field(default=0.0, init=False)

    def injected(self) -> None:
        """The fault was put in place just now, by this lever."""
        self._injected = True
        self._changed_at = self.clock()

    def healed(self) -> None:
        """The fault was taken away just now."""
        self._changed_at = self.clock()

    def over(self) -> bool:
        """Whether what was changed last is felt by now."""
        if not self._injected or self.target.kind != "aws" or interrupts.event.is_set():
            return True
        return self.clock() - self._changed_at >= self.bound_seconds
