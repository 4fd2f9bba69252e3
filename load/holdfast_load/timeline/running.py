"""Puts the faults of a plan on and takes them off on the run's clock, each entry in a thread of its own.

Every fault goes through `holdfast.levers.pull.pulled`: guard rail, lock, journal, proof, healing, proof of that. A
signal, an error and the end of the run leave the window and so heal it; a killed process is healed by the watchdog of
its journal. Nothing of this runs in a Locust worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from holdfast.errors import HealError, HoldfastError, Inconclusive
from holdfast.history.columns import NANOSECONDS
from holdfast.history.model import FaultWindow, Observation, Operation
from holdfast.history.reading import shifted
from holdfast.history.recorder import Recorder
from holdfast.levers.base import Lever
from holdfast.levers.journal import Journal
from holdfast.levers.pull import pulled
from holdfast.levers.signals import Interrupted, interrupts
from holdfast.stack.resolve import Stack
from holdfast.under_load import Disturbance
from holdfast_load.plan import RunClock
from holdfast_load.timeline.plan import WINDOWS, FaultPart

_LOOK_SECONDS = 0.05
"""How often an entry looks whether its time has come, its condition holds, and the run goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a plan, ready to be put on.

    Attributes:
        number: of the entry in its plan, from 1.
        fault: what the plan says.
        levers: makes its levers anew for each time.
    """

    number: int
    fault: FaultPart
    levers: Callable[[], Sequence[Lever]]

    @property
    def asked_by(self) -> str:
        """The name under which its windows are in the history."""
        window = self.fault.window
        return f"fault {self.number}" if window is None else WINDOWS[window].name


@dataclass(slots=True)
class Timeline:
    """The faults of one run.

    Args:
        entries: what is put on.
        stack: the only stack that may be touched.
        journal: where faults are written before they are put on.
        run_seconds: how long arrivals come; nothing lasts longer.
        told: is given every window, on the run's clock, when its fault has begun, and again when it has ended.

    Attributes:
        problems: why an entry was not put on, or not every time, a sentence each.
        disturbances: when the stack was not as it should be, on the run's clock.
    """

    entries: Sequence[Entry]
    stack: Stack
    journal: Journal
    run_seconds: float
    told: Callable[[FaultWindow], None]
    problems: list[str] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    _rate_per_second: float = 0.0
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _active: dict[int, str] = field(default_factory=dict)
    _failures: list[HoldfastError] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, clock: RunClock) -> None:
        """Begin to follow the clock."""
        for entry in self.entries:
            thread = threading.Thread(target=self._follow, args=(entry, clock), name=f"fault-{entry.number}")
            thread.start()
            self._threads.append(thread)

    def rate(self, per_second: float) -> None:
        """Say how many operations are sent a second now, for entries with a condition."""
        self._rate_per_second = per_second

    @property
    def active(self) -> tuple[str, ...]:
        """The faults that are in force now."""
        with self._lock:
            return tuple(self._active.values())

    @property
    def failed(self) -> bool:
        """Whether a fault could not be healed, so that nothing more may be done to the stack."""
        return bool(self._failures)

    def end(self) -> None:
        """Heal what is in force and put nothing on any more; returns when that is done.

        Raises:
            HealError: a fault is still in place.
        """
        self._ending.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def _follow(self, entry: Entry, clock: RunClock) -> None:
        try:
            for begin, end in entry.fault.occurrences(self.run_seconds):
                self._within(entry, clock, begin, end)
        except Interrupted:
            return
        except HealError as error:
            with self._lock:
                self._failures.append(error)
            self._ending.set()
        except (HoldfastError, Inconclusive) as error:
            told = f"{error.what}: {error.cause}" if isinstance(error, HoldfastError) and error.cause else str(error)
            self._problem(entry, told)
        except Exception as crash:  # noqa: BLE001 - a fault that was not put on is told, and must not end the others
            self._problem(entry, f"{type(crash).__name__}: {crash}")

    def _problem(self, entry: Entry, why: str) -> None:
        with self._lock:
            self.problems.append(f"fault {entry.number} ({entry.fault.name}) was not put on to its end: {why}")

    def _within(self, entry: Entry, clock: RunClock, begin: float, end: float) -> None:
        """Have the fault on from one time to another, whenever its condition holds."""
        if not self._until(clock, lambda: clock.seconds >= begin, end):
            return
        length, ends = end - begin, None
        while self._until(clock, lambda: self._wanted(entry), end if ends is None else ends):
            ends = self._put_on(entry, clock, length, ends)

    def _put_on(self, entry: Entry, clock: RunClock, length: float, ends: float | None) -> float:
        """Have the fault on until it ends, or its condition no longer holds; gives when it ends.

        Args:
            entry: whose fault.
            clock: of the run.
            length: how long it lasts, from the first time that it is proven to bite.
            ends: when it ends; None where it was not on yet.
        """
        recorder = Recorder()
        since_seconds = clock.seconds
        since_ns = round(since_seconds * NANOSECONDS)

        def told(event: Operation | Observation | FaultWindow) -> None:
            if isinstance(event, FaultWindow):
                self.told(shifted(event, since_ns))

        recorder.told = told
        levers = tuple(entry.levers())
        try:
            with pulled(
                levers, stack=self.stack, journal=self.journal, recorder=recorder, provocation=entry.asked_by
            ) as pull:
                for window in pull.begun:  # should this process be killed, this is all there is of it
                    recorder.add(window)
                end = min(clock.seconds + length, self.run_seconds) if ends is None else ends
                self._while_on(entry, clock, end)
                return end
        finally:
            self.disturbances.append(
                Disturbance(provocation=entry.asked_by, started_seconds=since_seconds, ended_seconds=clock.seconds)
            )

    def _while_on(self, entry: Entry, clock: RunClock, end: float) -> None:
        with self._lock:
            self._active[entry.number] = entry.fault.name
        try:
            self._until(clock, lambda: not self._wanted(entry), end)
        finally:
            with self._lock:
                self._active.pop(entry.number, None)

    def _wanted(self, entry: Entry) -> bool:
        condition = entry.fault.while_
        return condition is None or condition.holds(self._rate_per_second)

    def _until(self, clock: RunClock, come: Callable[[], bool], end: float) -> bool:
        """Wait until something has come; False when the time or the run ended first."""
        while not self._ending.is_set() and not interrupts.event.is_set() and clock.seconds < end:
            if come():
                return True
            self._ending.wait(_LOOK_SECONDS)
        return False
