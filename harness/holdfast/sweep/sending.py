"""The clients of a sweep: how often each sends its command, and when it may."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from holdfast.history.model import Outcome
from holdfast.levers.signals import interrupts
from holdfast.provocations.bench import Bench
from holdfast.stack.generate import Submission
from holdfast.sweep.plan import Schedule
from holdfast.waiting import eventually

TRIES = 5
"""A patient client sends its command so often at most."""

TRIES_FOR_GOOD = 3
"""As often where the fault does not pass: the third try has met what the second left behind, and so would a fourth."""

WORKING_AT_ONCE = 8
"""So many functions may be at work when the next command is sent; what waits for a delay, a retry or an answer that was
lost takes no processor."""

LONGEST_ADMISSION_SECONDS = 2.0
"""A command that has waited for so long is sent all the same."""

PAUSE_SECONDS = 0.2
"""Before the second try; each further pause is longer by as much."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends commands as clients do that send again until they are answered, or give up; each waits for its turn."""

    _gate: threading.Lock = field(default_factory=threading.Lock)

    def send(self, bench: Bench, schedule: Schedule, submission: Submission) -> None:
        """Submit as the schedule's client does."""
        role = "patient" if schedule.patient else "gives up"
        tries = TRIES_FOR_GOOD if schedule.for_good else TRIES
        for attempt in range(tries if schedule.patient else 1):
            if attempt:
                interrupts.pause(PAUSE_SECONDS * attempt)
            self._admit(bench)
            with bench.room:
                operation = bench.submit(submission, role if not attempt else "retry")
            if operation.outcome is not Outcome.UNKNOWN:
                return

    def _admit(self, bench: Bench) -> None:
        """Wait until few enough functions are at work: beyond that they time out for want of a processor, and retry."""
        if bench.stack.target.interceptor is None:
            return
        with self._gate:
            eventually(
                bench.interceptor.working,
                lambda working: working < WORKING_AT_ONCE,
                deadline_seconds=LONGEST_ADMISSION_SECONDS,
                interval_seconds=0.02,
                longest_interval_seconds=0.1,
                pause=interrupts.pause,
            )
