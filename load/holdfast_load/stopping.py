"""The descriptor's stop conditions and the budget, asked about once a second while load is on.

A condition is looked at between two reports of the workers, so what is sent until the next one counts as sent already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.errors import HoldfastError
from holdfast.pricing.metering import Bill, Budget
from holdfast.stack.descriptor import Stop
from holdfast_load.plan import LoadProgress

AHEAD_SECONDS = 2.0
"""What is sent until the next look, and until workers have heard of it."""


@dataclass(slots=True, kw_only=True)
class Stops:
    """What ends a run before its schedule.

    Args:
        conditions: of the descriptor.
        check: raises when the descriptor's alarm says that the run has to end.
        budget: what the run may cost; None for no bound.
        bill: what was requested so far, by operations that were sent of each command.
    """

    conditions: Stop
    check: Callable[[], None]
    budget: Budget | None
    bill: Callable[[LoadProgress], Bill]
    _before: deque[tuple[int, int]] = field(default_factory=deque)

    def reason(self, progress: LoadProgress) -> str:
        """Why the run has to end now; empty when it may go on.

        Args:
            progress: the workers' last report.
        """
        try:
            self.check()
        except HoldfastError as error:
            return f"{error.what.rstrip('.')}{': ' + error.cause if error.cause else ''}"
        coming = progress.rate_per_second * AHEAD_SECONDS
        most = self.conditions.commands
        if most is not None and progress.sent + coming >= most:
            return f"it has sent {progress.sent:,} of the {most:,} commands that stop.commands allows"
        troubled = self._troubled(progress)
        if troubled:
            return troubled
        if self.budget is not None:
            return self.budget.exceeded(self.bill(progress), progress.in_flight + coming)
        return ""

    def _troubled(self, progress: LoadProgress) -> str:
        """Whether too many of the last commands got no answer, or a server error."""
        allowed, over = self.conditions.error_rate, self.conditions.over_commands
        answered = progress.acknowledged + progress.failed + progress.unknown
        if allowed is None:
            return ""
        self._before.append((answered, progress.unknown))
        while len(self._before) > 1 and answered - self._before[1][0] >= over:
            self._before.popleft()
        since, unknown_then = self._before[0]
        seen, wrong = answered - since, progress.unknown - unknown_then
        if since == 0 and len(self._before) == 1:
            seen, wrong = answered, progress.unknown
        if seen < over or wrong <= allowed * seen:
            return ""
        return (
            f"{wrong:,} of the last {seen:,} commands got no answer or a server error, more than stop.error_rate"
            f" ({allowed:g}) allows"
        )
