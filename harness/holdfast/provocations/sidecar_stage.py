"""An application and its sidecar at work: asked, watched, and given the same plan of commands again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from holdfast.drivers.choosing import driver_of
from holdfast.errors import HoldfastError, Inconclusive
from holdfast.history.exchanges import Exchange, Life
from holdfast.history.model import Operation, Outcome
from holdfast.levers.base import Lever
from holdfast.levers.pull import pulled
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.sidecar_requirements import sidecar_of
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import SidecarPattern
from holdfast.stack.running import Running

LIVENESS, READINESS = "liveness", "readiness"
RECOVERY_ROLE = "after the fault"
WATCH_SECONDS = 0.1
"""How often the application is asked whether it is alive."""
WIDTH = 4
READ_WIDTH = 10
"""So many reads at once that a hung application is waited for once."""
VALID = 4
"""Commands of the plan that business accepts; so many of those that it refuses are in it, too."""
PLAN = "plan"


@dataclass(frozen=True)
class Stage:
    """The application, its sidecar, and what is asked of them; all that is seen is kept on the bench."""

    bench: Bench

    @property
    def pattern(self) -> SidecarPattern:
        """The pattern under test."""
        return sidecar_of(self.bench.situation)

    @cached_property
    def running(self) -> Running:
        """The processes of this run.

        Raises:
            Inconclusive: it has started none.
        """
        running = self.bench.stack.running
        if running is None:
            raise Inconclusive("this run has started no processes")
        return running

    @property
    def patience_seconds(self) -> float:
        """How long to wait for an answer: long enough to tell a late one from none."""
        return 1.5 * self.pattern.bounds.answer_seconds + 1.0

    # -- questions ---------------------------------------------------------------------------------------------------

    def live(self, role: str) -> Exchange:
        """Ask the application whether it is alive."""
        return self._kept(LIVENESS, self.pattern.liveness, role)

    def ready(self, role: str) -> Exchange:
        """Ask the application whether it is ready."""
        assert self.pattern.readiness is not None
        return self._kept(READINESS, self.pattern.readiness, role)

    def read(self, submission: Submission, role: str) -> Exchange:
        """Ask the application what it knows of a key."""
        assert self.pattern.read is not None
        seen = self.bench.ports.ask(
            self.pattern.read,
            submission=submission,
            degraded=self.pattern.degraded,
            role=role,
            timeout_seconds=self.patience_seconds,
        )
        self.bench.keep(seen)
        return seen

    def read_all(self, submissions: Sequence[Submission], role: str) -> list[Exchange]:
        """Ask for several keys, side by side; nothing where the application cannot be asked."""
        if self.pattern.read is None:
            return []
        return side_by_side(lambda one: self.read(one, role), submissions, READ_WIDTH)

    def submit(self, submission: Submission, role: str, *, sequence: int = -1) -> Operation:
        """Send a command, and keep how it was answered."""
        operation = self.bench.submit(submission, role, group=PLAN if sequence >= 0 else "", sequence=sequence)
        answered = operation.completed_seconds is not None
        self.bench.keep(
            Exchange(
                question=self.pattern.command,
                key=submission.key,
                role=role,
                started_seconds=operation.invoked_seconds,
                completed_seconds=operation.completed_seconds or self.bench.recorder.now_seconds(),
                status=_status(operation) if answered else 0,
                reason="" if answered else operation.status,
            )
        )
        return operation

    def submit_all(self, submissions: Sequence[Submission], role: str, width: int = WIDTH) -> list[Operation]:
        """Send several commands, side by side."""
        return side_by_side(lambda one: self.submit(one, role), submissions, width)

    def _kept(self, question: str, url: str, role: str) -> Exchange:
        seen = self.bench.ports.ask(question, url=url, role=role, timeout_seconds=self.patience_seconds)
        self.bench.keep(seen)
        return seen

    @contextmanager
    def watched(self, role: str, *, memory: bool = False) -> Iterator[None]:
        """Ask the application all the while whether it is alive, and measure the memory of its sidecar where wanted."""
        ending = threading.Event()

        def watch() -> None:
            largest_bytes = 0
            while True:
                self.live(role)
                if memory:
                    largest_bytes = max(largest_bytes, self.memory_bytes())
                    self.bench.figure("sidecar_rss_bytes", largest_bytes)
                if ending.wait(WATCH_SECONDS):
                    return

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="watching") as pool:
            watching = pool.submit(watch)
            try:
                yield
            finally:
                ending.set()
            watching.result()

    def life(self, component: str) -> Life:
        """Which process a component is now."""
        try:
            process = driver_of(self.bench.stack, component).find().resource
        except HoldfastError:
            process = ""
        seen = Life(component=component, process=process, at_seconds=self.bench.recorder.now_seconds())
        self.bench.keep(seen)
        return seen

    def memory_bytes(self) -> int:
        """Resident memory of the sidecar now; 0 while it does not run."""
        driver = driver_of(self.bench.stack, self.pattern.sidecar)
        try:
            return driver.resources(driver.find()).rss_bytes
        except HoldfastError:
            return 0

    # -- faults ------------------------------------------------------------------------------------------------------

    @contextmanager
    def broken(self, levers: Sequence[Lever]) -> Iterator[None]:
        """Keep faults in force for the length of a ``with`` block."""
        bench = self.bench
        with pulled(levers, stack=bench.stack, journal=bench.journal, recorder=bench.recorder, provocation=bench.name):
            yield

    def known(self, count: int) -> list[Submission]:
        """Commands that were acknowledged and are stored.

        Raises:
            Inconclusive: with nothing wrong they are not.
        """
        submissions = self.bench.draw(count)
        self.submit_all(submissions, "before the fault")
        if len(self.bench.acknowledged(submissions)) < count or self.bench.await_effects(submissions):
            raise Inconclusive("with nothing wrong commands are not acknowledged and stored, so nothing can be broken")
        return submissions

    def until_success(self) -> None:
        """Send commands one after another until one is acknowledged, or long enough to know that none is in time."""
        bench = self.bench

        def acknowledged() -> bool:
            (one,) = bench.draw(1)
            return self.submit(one, RECOVERY_ROLE).outcome is Outcome.OK

        bench.until("the first success", acknowledged, bool, self.pattern.bounds.recovery_seconds + WATCH_SECONDS)

    # -- the plan ----------------------------------------------------------------------------------------------------

    def plan(self) -> list[Submission]:
        """The commands of the plan, the same kinds in the same order each time."""
        fields = set(self.bench.command.fields) | {"value"}
        refused = [one for one in self.bench.stack.descriptor.refused if set(one.fields) <= fields][:VALID]
        return [*self.bench.draw(VALID), *(self.bench.draw(1, dict(one.fields))[0] for one in refused)]

    def run_plan(self, plan: Sequence[Submission], role: str) -> None:
        """Send every command of the plan once."""
        side_by_side(lambda item: self.submit(item[1], role, sequence=item[0]), list(enumerate(plan)), WIDTH)

    def complete_plan(self, plan: Sequence[Submission], role: str) -> None:
        """Send again what has no verdict yet, as a patient client does, and wait for the effects."""
        bench = self.bench

        def left() -> list[tuple[int, Submission]]:
            decided = {one.key for one in bench.operations() if one.outcome is not Outcome.UNKNOWN}
            open_ = [(at, one) for at, one in enumerate(plan) if one.key not in decided]
            for at, one in open_:
                self.submit(one, role, sequence=at)
            return open_

        bench.until("the plan's verdicts", left, lambda open_: not open_, self.pattern.bounds.recovery_seconds)
        bench.await_effects(bench.acknowledged(plan))


def _status(operation: Operation) -> int:
    first = operation.status.split(" ", 1)[0].rstrip(",")
    return int(first) if first.isdigit() else 0
