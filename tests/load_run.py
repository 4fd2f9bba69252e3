"""A load run in one process: an open dispatcher on threads, the real timeline, and the real judgement."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.errors import ExitCode
from holdfast.history.model import Outcome
from holdfast.levers.signals import interruptible
from holdfast.opening import Options, Ready, ready
from holdfast.runs import Run, RunFolder, begin
from holdfast.stack.generate import Submission
from holdfast.stack.loading import load_descriptor
from holdfast.targets.base import Target
from holdfast.verdict.model import ClauseVerdict
from holdfast_load.dispatcher import Dispatcher
from holdfast_load.hooks import Attending, hooks_of
from holdfast_load.judging.judge import Judgement
from holdfast_load.plan import LoadPlan, LoadProgress, RunClock, RunRecord, WorkerRecord
from holdfast_load.recorder import Command, Recorder, Reply
from holdfast_load.schedule import arrivals, constant, share
from holdfast_load.submissions import Drawing, key_of

WORKER = "worker-1"
AT_ONCE = 32
TICK_SECONDS = 0.25


@dataclass(slots=True)
class Through:
    """A workload that submits through the stack's ports, and counts what the workers of a run would report."""

    stack: Ready
    plan: LoadPlan
    sent: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    _submissions: dict[str, Submission] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def command(self, number: int) -> Command:
        """What an arrival does."""
        drawing = Drawing(self.plan, self.stack.stack.descriptor)
        submission = drawing.submission(number)
        self._submissions[key_of(self.plan, number)] = submission
        return Command(self.plan.commands[0], submission.key, submission.value)

    def send(self, command: Command) -> Reply:
        """Do it."""
        with self._lock:
            self.sent += 1
        operation = self.stack.ports.submit(command.kind, self._submissions.pop(str(command.key)))
        with self._lock:
            self.outcomes[operation.outcome] += 1
        return Reply(operation.outcome, operation.status, answered=operation.completed_seconds is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run ended.

    Attributes:
        code: the exit code.
        judgement: what became of it.
        told: the lines that a person would see.
        ended: why it ended before its schedule.
    """

    code: ExitCode
    judgement: Judgement
    told: tuple[str, ...]
    ended: str

    def clause(self, name: str) -> ClauseVerdict:
        """The verdict of a clause."""
        return next(one for one in self.judgement.report.clauses if one.id == name)


def run_load(
    path: Path,
    folder: Path,
    *,
    rate: float,
    seconds: float,
    faults: str = "",
    target: Target | None = None,
    **plan: Any,
) -> Ran:
    """Load a stack that is deployed for it, and judge what is recorded.

    Args:
        path: of the descriptor.
        folder: for journals and runs.
        rate: arrivals per second.
        seconds: how long arrivals come.
        faults: the text of a fault plan.
        target: where; an emulator of its own when None.
        plan: further fields of the plan.
    """
    descriptor = load_descriptor(path, {})
    commands = (next(iter(descriptor.patterns.values())).command,)
    file = folder / "plan.toml"
    file.write_text(faults)
    with (
        interruptible(),
        ready(path, descriptor, options=Options(folder=folder), target=target, say=lambda *_: None) as it,
    ):
        load = LoadPlan(
            descriptor=path,
            commands=commands,
            duration_seconds=seconds,
            rate_per_second=rate,
            prefix=f"ld{time.time_ns() % 10**9}",
            faults=file if faults else None,
            **plan,
        )
        run = begin(
            folder,
            Run(kind="load", stack=descriptor.name, descriptor=str(path), target=it.stack.target.kind, seed=0),
            clean=str,
        )
        hooks = hooks_of(it, load, run)
        assert isinstance(hooks, Attending)
        lines: list[str] = []
        hooks._write_line = lines.append
        return _driven(it, load, hooks, run, lines)


def _driven(it: Ready, load: LoadPlan, hooks: Attending, run: RunFolder, lines: list[str]) -> Ran:
    path = run.history / f"{WORKER}.jsonl"
    workload, recorder = Through(it, load), Recorder(path, recorder=WORKER)
    clock = RunClock(origin_unix_ns=time.time_ns(), origin_monotonic_ns=time.monotonic_ns())
    over = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        dispatcher = Dispatcher(workload, recorder, spawn=pool.submit, sleep=time.sleep)
        hooks.on_start(clock, dispatcher.stop)

        def tick() -> None:
            before, began = 0, time.monotonic()
            while not over.wait(TICK_SECONDS):
                sent, now = workload.sent, time.monotonic()
                done = workload.outcomes
                progress = LoadProgress(
                    seconds=clock.seconds,
                    arrivals=sent,
                    sent=sent,
                    acknowledged=done[Outcome.OK],
                    failed=done[Outcome.FAIL],
                    unknown=done[Outcome.UNKNOWN],
                    rate_per_second=(sent - before) / (now - began),
                    workers=1,
                    sent_of={load.commands[0]: sent},
                )
                before, began = sent, now
                lines.append(hooks.on_tick(progress))

        ticking = threading.Thread(target=tick)
        ticking.start()
        try:
            ended = dispatcher.run(
                share(arrivals(constant(load.rate_per_second, load.duration_seconds), load.seed), 0, 1),
                start_ns=clock.origin_monotonic_ns,
            )
        finally:
            over.set()
            ticking.join()
            hooks.on_over()
    recorder.close()
    record = RunRecord(
        plan=load,
        folder=run.path,
        history=run.history,
        clock=clock,
        seconds=clock.seconds,
        workers=(WorkerRecord(worker=WORKER, path=path, operations=ended.arrivals, sent=ended.sent),),
        ended=ended.stopped,
    )
    code = hooks.on_end(record)
    assert hooks.judgement is not None
    return Ran(code=ExitCode(code), judgement=hooks.judgement, told=tuple(lines), ended=ended.stopped)
