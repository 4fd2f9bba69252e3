"""What a load run is to do, what it did, and whom it tells: the interface between driving, breaking and judging.

The run drives and records. Whoever breaks and judges implements `RunHooks` and is told when the clock starts, how the
run goes, when the load is over, and what was recorded. All times of a run count from one origin: arrivals, fault
windows and the rows of every worker's file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from holdfast.history.columns import NANOSECONDS
from holdfast_load.dispatcher import DRAIN_SECONDS, MOST_IN_FLIGHT, SLIP_BUDGET_SECONDS
from holdfast_load.schedule import Spacing

FAULTS_FILE = "faults.jsonl"
"""The file in the history folder into which fault windows are recorded, from the run's origin."""

Client = Literal["cheap", "boto3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What a run is to do.

    Attributes:
        descriptor: the stack's file.
        commands: names of the commands that arrivals submit, in turn.
        duration_seconds: how long arrivals come.
        rate_per_second: arrivals of all workers together (open model); 0 for the closed model.
        users: concurrent users of all workers together (closed model); 0 for the open model.
        shape: rate over time: ``constant``, ``ramp``, ``spike``, ``soak``, ``step`` or ``replay``, with its
            parameters, e.g. ``spike:peak=500,at=10,for=5``.
        spacing: ``poisson`` as independent clients arrive, or ``even``.
        workers: processes that send; on all machines.
        seed: of arrivals and generated values.
        prefix: what every key of the run begins with.
        client: ``cheap``, or boto3 as the reference.
        most_in_flight: of one worker; arrivals beyond it are refused, and recorded as refused.
        slip_budget_seconds: how late one operation in a hundred may be sent at most.
        drain_seconds: how long answers are waited for after the last arrival.
        faults: the fault timeline; None for none.
        budget_dollars: what the run may cost at most; None for no bound.
        collect: ``s3://bucket/prefix`` to which workers hand their files; empty: to the master.
    """

    descriptor: Path
    commands: tuple[str, ...]
    duration_seconds: float
    rate_per_second: float = 0.0
    users: int = 0
    shape: str = "constant"
    spacing: Spacing = "poisson"
    workers: int = 1
    seed: int = 0
    prefix: str = ""
    client: Client = "cheap"
    most_in_flight: int = MOST_IN_FLIGHT
    slip_budget_seconds: float = SLIP_BUDGET_SECONDS
    drain_seconds: float = DRAIN_SECONDS
    faults: Path | None = None
    budget_dollars: float | None = None
    collect: str = ""

    @property
    def is_open(self) -> bool:
        """Whether arrivals come whatever becomes of the answers."""
        return self.users == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClock:
    """The one origin of a run.

    Attributes:
        origin_unix_ns: the first moment of the schedule on the wall clock.
        origin_monotonic_ns: the same moment on this process's monotonic clock.
        clock_ns: that monotonic clock.
    """

    origin_unix_ns: int
    origin_monotonic_ns: int
    clock_ns: Callable[[], int] = time.monotonic_ns

    @property
    def seconds(self) -> float:
        """Seconds since the origin; below 0 before the first arrival."""
        return (self.clock_ns() - self.origin_monotonic_ns) / NANOSECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """How a run goes; counts are of all workers since the origin.

    Attributes:
        seconds: since the origin.
        arrivals: arrivals whose time came.
        sent: operations that were sent.
        refused: arrivals that were not sent, because as many as allowed were in flight.
        acknowledged: operations that ended ``ok``.
        failed: operations that ended ``fail``, refused arrivals apart.
        unknown: operations that ended ``unknown``.
        in_flight: operations that were sent and not answered.
        rate_per_second: operations sent per second, since the last report.
        lag_ms: the longest that an operation was sent late, since the last report.
        workers: workers that are at work.
        sent_of: operations that were sent, by command.
    """

    seconds: float
    arrivals: int = 0
    sent: int = 0
    refused: int = 0
    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    in_flight: int = 0
    rate_per_second: float = 0.0
    lag_ms: float = 0.0
    workers: int = 0
    sent_of: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """What one worker recorded.

    Attributes:
        worker: its name, which is the recorder's name in its file.
        path: its file; None when it is on another machine and did not arrive.
        operations: operations that it says it recorded, refused arrivals included; -1 when it could not say.
        sent: operations that it sent; -1 when it could not say.
        refused: arrivals that it did not send, because as many as allowed were in flight.
        lost: operations that it could not record.
        unfinished: operations that were in flight when the wait for answers ended; recorded as unknown.
        late: operations sent later than the slip budget.
        slip_p50_ms: how late the median operation was sent.
        slip_p99_ms: how late 99 of 100 operations were sent at most.
        worst_slip_ms: the longest that one was sent late.
        uncertainty_ns: by how much its clock may differ from the master's, at most, as measured.
        invalid: why its latencies must not be judged; empty when they may.
        problem: why its record is not whole, one sentence; empty when it is.
    """

    worker: str
    path: Path | None
    operations: int = -1
    sent: int = -1
    refused: int = 0
    lost: int = 0
    unfinished: int = 0
    late: int = 0
    slip_p50_ms: float = 0.0
    slip_p99_ms: float = 0.0
    worst_slip_ms: float = 0.0
    uncertainty_ns: int = 0
    invalid: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What a run recorded; there is one whatever happened.

    Attributes:
        plan: what it was to do.
        folder: of the run.
        history: the folder with a file a worker, and `FAULTS_FILE`; ``holdfast.history.opening.open_history`` merges
            it, and what `uncertainty_ns` gives is the uncertainty.
        clock: its origin; None when it ended before the first arrival.
        seconds: from the origin to the end of the load, answers included.
        workers: what each worker recorded.
        ended: why it ended before its schedule, one sentence; empty when it did not.
        missing: what is not recorded, a sentence each.
        signal: name of the signal that ended it; empty for none.
    """

    plan: LoadPlan
    folder: Path
    history: Path
    clock: RunClock | None
    seconds: float
    workers: tuple[WorkerRecord, ...]
    ended: str = ""
    missing: tuple[str, ...] = ()
    signal: str = ""

    @property
    def files(self) -> tuple[Path, ...]:
        """The workers' files that are here."""
        return tuple(worker.path for worker in self.workers if worker.path is not None)

    @property
    def complete(self) -> bool:
        """Whether every operation that was sent is recorded."""
        return not self.missing

    @property
    def uncertainty_ns(self) -> int:
        """By how much any two clocks may differ; 0 for one worker."""
        return max((worker.uncertainty_ns for worker in self.workers), default=0) if len(self.workers) > 1 else 0

    @property
    def invalid(self) -> str:
        """Why latencies must not be judged; empty when they may."""
        return "; ".join(f"{worker.worker}: {worker.invalid}" for worker in self.workers if worker.invalid)


class RunHooks(Protocol):
    """Who breaks and judges while a run drives and records; called from one thread, the command's own."""

    def on_start(self, clock: RunClock, stop: Callable[[str], None]) -> None:
        """The origin is set, and lies a moment ahead.

        Args:
            clock: the run's clock.
            stop: ends the run in order, for a reason; may be called from any thread, more than once.
        """

    def on_tick(self, progress: LoadProgress) -> str:
        """About once a second while load is on.

        Returns:
            What is to be said beside the progress, e.g. the active fault and what was spent; empty for nothing.
        """

    def on_over(self) -> None:
        """No operation is sent or awaited any more, whatever the reason: take every fault away; called once."""

    def on_end(self, record: RunRecord) -> int:
        """Everything that can be had was collected: judge it.

        Returns:
            The exit code of the command.
        """
