"""The closed model: users who wait for an answer before they ask again; recorded like arrivals.

What a closed user measures must not be taken for what independent clients would have met: it asks less while the system
stalls. An operation is intended when it is sent.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

from holdfast.history.model import Outcome
from holdfast_load.dispatcher import ABANDONED, NANOSECONDS, Dispatched, Workload
from holdfast_load.recorder import Command, Recorder, Reply
from holdfast_load.slips import Slips

_PAUSE_SECONDS = 0.05


class Closed:
    """Records what the users of one worker do.

    Args:
        workload: sends.
        recorder: where operations are recorded.
        sleep: sleeps for so many seconds and lets users run, e.g. ``gevent.sleep``.
        clock_ns: the recorder's monotonic clock.

    Attributes:
        stopped: why no user may begin anything more; empty while they may.
        arrivals: operations that were sent.
        refused: none ever is.
        slips: none ever does: a user sends when it comes to it.
    """

    def __init__(
        self,
        workload: Workload,
        recorder: Recorder,
        *,
        sleep: Callable[[float], object],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.stopped = ""
        self.arrivals = self.refused = 0
        self.slips = Slips()
        self._workload = workload
        self._recorder = recorder
        self._sleep = sleep
        self._clock_ns = clock_ns
        self._flying: dict[int, tuple[Command, int]] = {}
        self._tokens = itertools.count()
        self._crashed = 0
        self._first_error: BaseException | None = None

    @property
    def in_flight(self) -> int:
        """Operations that were sent and not answered."""
        return len(self._flying)

    def stop(self, reason: str) -> None:
        """Let no user begin anything more."""
        self.stopped = self.stopped or reason

    def perform(self, command: Command) -> Reply:
        """Send one operation and record how it went, also when the user is killed meanwhile."""
        token, sent_ns = next(self._tokens), self._clock_ns()
        self._flying[token] = (command, sent_ns)
        self.arrivals += 1
        reply = ABANDONED
        try:
            reply = self._workload.send(command)
        except Exception as error:  # noqa: BLE001 - what a user's workload raises must not hide the operation
            self._crashed += 1
            self._first_error = self._first_error or error
            reply = Reply(Outcome.UNKNOWN, f"the workload raised {type(error).__name__}", answered=False)
        finally:
            self._done(token, reply)
        if self._recorder.problem is not None:
            self.stop(self._recorder.problem.what)
        return reply

    def run(self, *, until_ns: int, drain_seconds: float) -> Dispatched:
        """Wait until the time is over or it was stopped, then for the answers.

        Args:
            until_ns: the end on the monotonic clock.
            drain_seconds: how long answers are waited for after it.
        """
        while not self.stopped and self._clock_ns() < until_ns:
            self._sleep(min(_PAUSE_SECONDS, max(0, until_ns - self._clock_ns()) / NANOSECONDS))
        early, self.stopped = self.stopped, self.stopped or "the time is over"
        end_ns = self._clock_ns() + round(drain_seconds * NANOSECONDS)
        while self._flying and self._clock_ns() < end_ns:
            self._sleep(_PAUSE_SECONDS)
        unfinished = list(self._flying)
        for token in unfinished:
            self._done(token, ABANDONED)
        return Dispatched(
            arrivals=self.arrivals,
            sent=self.arrivals,
            refused=0,
            late=0,
            worst_slip_ns=0,
            slip_budget_ns=0,
            unfinished=len(unfinished),
            crashed=self._crashed,
            first_error=self._first_error,
            stopped=early,
        )

    def _done(self, token: int, reply: Reply) -> None:
        flight = self._flying.pop(token, None)
        if flight is not None:
            command, sent_ns = flight
            self._recorder.add(command, reply, sent_ns, sent_ns, self._clock_ns())
