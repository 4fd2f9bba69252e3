"""The open model: every operation is sent when its time has come, whatever became of those before it.

A closed client waits for an answer before it sends again, so a system that stalls is asked less and looks fast
(coordinated omission: Tene, How NOT to Measure Latency). Here one dispatcher follows an absolute schedule. What it does
late itself is *slip*; a run that slips past its budget measured the client, not the system, and is invalid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from holdfast.history.model import Outcome
from holdfast_load.recorder import REFUSED, Command, Recorder, Reply
from holdfast_load.slips import Slips

NANOSECONDS = 1_000_000_000
SLIP_BUDGET_SECONDS = 0.05
MOST_IN_FLIGHT = 1_000
DRAIN_SECONDS = 60.0
_PAUSE_SECONDS = 0.01
_LOOK_SECONDS = 0.25
"""How often a dispatcher that waits for a distant arrival looks whether it was stopped."""
NEVER_SENT = Reply(Outcome.FAIL, REFUSED)
ABANDONED = Reply(Outcome.UNKNOWN, "not answered when the run ended", answered=False)


class Workload(Protocol):
    """What arrivals do."""

    def command(self, number: int) -> Command:
        """What the arrival with this number does; the number is unique in the run, also among workers."""

    def send(self, command: Command) -> Reply:
        """Do it, within a bounded time; called from many greenlets at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """How a dispatcher kept its schedule.

    Attributes:
        arrivals: arrivals whose time came.
        sent: operations that were sent.
        refused: arrivals that were not sent, because as many as allowed were in flight.
        late: operations sent later than intended by more than the budget.
        worst_slip_ns: the longest that one was sent late.
        slip_budget_ns: what 99 of 100 operations must keep.
        unfinished: operations that were still in flight when the wait for them ended; recorded as unknown.
        crashed: operations whose workload raised; recorded as unknown.
        first_error: what the first of these raised.
        stopped: why it ended before its schedule; empty when it did not.
    """

    arrivals: int
    sent: int
    refused: int
    late: int
    worst_slip_ns: int
    slip_budget_ns: int
    unfinished: int = 0
    crashed: int = 0
    first_error: BaseException | None = None
    stopped: str = ""

    @property
    def invalid(self) -> str:
        """Why the run must not be judged by its latencies; empty when it may."""
        if self.late * 100 > self.sent:
            return (
                f"{self.late} of {self.sent} operations were sent more than {self.slip_budget_ns / 1e6:g} ms late"
                f" (worst {self.worst_slip_ns / 1e6:.0f} ms): the client was too slow for the rate;"
                " use more workers, or a lower rate"
            )
        return ""


@dataclass(slots=True)
class _Flight:
    command: Command
    intended_ns: int
    sent_ns: int | None = None


class Dispatcher:
    """Sends one worker's arrivals.

    Args:
        workload: what arrivals do.
        recorder: where operations are recorded.
        spawn: starts a function with one argument in the background, e.g. ``gevent.spawn``.
        sleep: sleeps for so many seconds and lets what was spawned run, e.g. ``gevent.sleep``.
        most_in_flight: arrivals beyond so many operations in flight are refused.
        slip_budget_seconds: how late one operation in a hundred may be sent at most.
        clock_ns: the recorder's monotonic clock.

    Attributes:
        arrivals: arrivals whose time came so far.
        refused: arrivals that were not sent so far.
        slips: how late operations were sent so far.
    """

    def __init__(
        self,
        workload: Workload,
        recorder: Recorder,
        *,
        spawn: Callable[[Callable[[int], None], int], object],
        sleep: Callable[[float], object],
        most_in_flight: int = MOST_IN_FLIGHT,
        slip_budget_seconds: float = SLIP_BUDGET_SECONDS,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._workload = workload
        self._recorder = recorder
        self._spawn = spawn
        self._sleep = sleep
        self._most_in_flight = most_in_flight
        self._slip_budget_ns = round(slip_budget_seconds * NANOSECONDS)
        self._clock_ns = clock_ns
        self._flying: dict[int, _Flight] = {}
        self.arrivals = self.refused = self._late = self._crashed = 0
        self.slips = Slips()
        self._first_error: BaseException | None = None
        self._stopped = ""

    @property
    def in_flight(self) -> int:
        """Operations that were sent and not answered."""
        return len(self._flying)

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight is waited for."""
        self._stopped = self._stopped or reason

    def run(
        self, arrivals: Iterable[tuple[int, int]], *, start_ns: int | None = None, drain_seconds: float = DRAIN_SECONDS
    ) -> Dispatched:
        """Send every arrival at its time, then wait for the answers.

        Args:
            arrivals: numbers and times, nanoseconds from the start, in order (`schedule.share`).
            start_ns: the start on the monotonic clock, the same moment for all workers; None for now.
            drain_seconds: how long answers are waited for after the last arrival.
        """
        clock_ns, sleep, flying, recorder = self._clock_ns, self._sleep, self._flying, self._recorder
        start_ns = clock_ns() if start_ns is None else start_ns
        for number, offset_ns in arrivals:
            intended_ns = start_ns + offset_ns
            while True:
                # Also when late: what was spawned must get its turn, or the pool fills with what was never sent.
                left_ns = intended_ns - clock_ns()
                sleep(min(max(0, left_ns) / NANOSECONDS, _LOOK_SECONDS))
                if recorder.problem is not None:
                    self.stop(recorder.problem.what)
                if self._stopped or left_ns <= _LOOK_SECONDS * NANOSECONDS:
                    break
            if self._stopped:
                break
            self.arrivals += 1
            command = self._workload.command(number)
            if len(flying) >= self._most_in_flight:
                self.refused += 1
                now_ns = clock_ns()
                recorder.add(command, NEVER_SENT, intended_ns, now_ns, now_ns)
                continue
            flying[number] = _Flight(command, intended_ns)
            self._spawn(self._perform, number)
        return self._drained(drain_seconds)

    def _perform(self, number: int) -> None:
        flight = self._flying.get(number)
        if flight is None:
            return
        sent_ns = flight.sent_ns = self._clock_ns()
        slip_ns = sent_ns - flight.intended_ns
        self.slips.add(slip_ns)
        if slip_ns > self._slip_budget_ns:
            self._late += 1
        try:
            reply = self._workload.send(flight.command)
        except Exception as error:  # noqa: BLE001 - what a user's workload raises must not hide the operation
            self._crashed += 1
            self._first_error = self._first_error or error
            reply = Reply(Outcome.UNKNOWN, f"the workload raised {type(error).__name__}", answered=False)
        self._done(number, reply)

    def _done(self, number: int, reply: Reply) -> None:
        flight = self._flying.pop(number, None)
        if flight is not None:
            done_ns = self._clock_ns()
            sent_ns = done_ns if flight.sent_ns is None else flight.sent_ns
            self._recorder.add(flight.command, reply, flight.intended_ns, sent_ns, done_ns)

    def _drained(self, drain_seconds: float) -> Dispatched:
        end_ns = self._clock_ns() + round(drain_seconds * NANOSECONDS)
        while self._flying and self._clock_ns() < end_ns:
            self._sleep(_PAUSE_SECONDS)
        unfinished = list(self._flying)
        for number in unfinished:
            self._done(number, ABANDONED)
        if self._recorder.problem is not None:
            self.stop(self._recorder.problem.what)
        return Dispatched(
            arrivals=self.arrivals,
            sent=self.slips.count,
            refused=self.refused,
            late=self._late,
            worst_slip_ns=self.slips.worst_ns,
            slip_budget_ns=self._slip_budget_ns,
            unfinished=len(unfinished),
            crashed=self._crashed,
            first_error=self._first_error,
            stopped=self._stopped,
        )


def on_gevent(workload: Workload, recorder: Recorder, **options: Any) -> Dispatcher:
    """A dispatcher whose operations run in greenlets of this process; for a Locust worker, never under pytest."""
    import gevent

    return Dispatcher(workload, recorder, spawn=gevent.spawn, sleep=gevent.sleep, **options)
