"""Runs a plan: starts Locust's processes, tells who attends the run how it goes, and gathers what was recorded.

Whatever happens, faults are taken away, no process is left, and the record says what is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from holdfast.errors import HistoryError, HoldfastError
from holdfast.levers.signals import interruptible
from holdfast.progress import Say, unheard
from holdfast.stack.resolve import Stack
from holdfast_load import messages
from holdfast_load.assignment import assignment_of
from holdfast_load.collecting import get
from holdfast_load.plan import LoadPlan, LoadProgress, RunClock, RunHooks, RunRecord, WorkerRecord
from holdfast_load.processes import LOCUSTFILE, Child, Children
from holdfast_load.show import Shown

LOOPBACK = "127.0.0.1"
LISTEN_SECONDS = 60.0
READY_SECONDS = 90.0
"""Beyond `LISTEN_SECONDS`, for workers to connect, to open the stack and to measure their clocks."""
GRACE_SECONDS = 120.0
"""Beyond the schedule and the wait for answers; then the run is ended whatever its processes say."""
_LOOK_SECONDS = 0.2
_FIELDS = frozenset(WorkerRecord.__slots__) - {"path", "worker"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How Locust is started.

    Attributes:
        local_workers: worker processes on this machine.
        expected_workers: workers to wait for, those on other machines included.
        bind_host: where the master listens.
        bind_port: on which port; 0 for any.
        web_port: of Locust's web UI; None for none.
        web_host: where it listens.
        spawn_rate: users that begin per second, in the closed model.
        locustfile: a person's own; None for ours.
        arguments: further arguments of Locust's master.
        environ: what the processes see.
    """

    local_workers: int = 1
    expected_workers: int = 1
    bind_host: str = LOOPBACK
    bind_port: int = 0
    web_port: int | None = None
    web_host: str = LOOPBACK
    spawn_rate: float = 100.0
    locustfile: Path | None = None
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def common(self) -> list[str]:
        """Arguments of master and workers."""
        return ["-f", str(self.locustfile or LOCUSTFILE), "--loglevel", "WARNING"]

    def of_master(self, plan: LoadPlan) -> list[str]:
        """Arguments of the master."""
        users = self.expected_workers if plan.is_open else plan.users
        where = ["--master-bind-host", self.bind_host, "--master-bind-port", str(self.bind_port)]
        shown = (
            ["--headless", "--only-summary"]
            if self.web_port is None
            else ["--autostart", "--autoquit", "0", "--web-host", self.web_host, "--web-port", str(self.web_port)]
        )
        return [
            *self.common(),
            *("--master", *where, "--expect-workers", str(self.expected_workers)),
            *("-u", str(users), "-r", f"{users if plan.is_open else self.spawn_rate:g}"),
            *("--exit-code-on-error", "0", *shown, *self.arguments),
        ]

    def of_worker(self, host: str, port: int) -> list[str]:
        """Arguments of a worker."""
        return [*self.common(), "--worker", "--master-host", host, "--master-port", str(port)]


def run(
    plan: LoadPlan,
    stack: Stack,
    *,
    folder: Path,
    history: Path,
    hooks: RunHooks,
    launch: Launch,
    shown: Shown,
    say: Say = unheard,
) -> RunRecord:
    """Do what a plan says, and give what was recorded.

    Args:
        plan: what to do.
        stack: the resolved stack.
        folder: of the run.
        history: the folder for recorded files.
        hooks: who breaks; `RunHooks.on_end` is left to the caller.
        launch: how Locust is started.
        shown: shows how it goes.
        say: told what is waited for.

    Raises:
        HoldfastError: the run could not begin, or who attends it ended it by an error; every fault is taken away.
    """
    course = _Course(plan, stack, folder=folder, history=history, hooks=hooks, launch=launch, shown=shown, say=say)
    with ExitStack() as exits:
        exits.enter_context(interruptible())
        exits.callback(course.over)
        course.run()
    return course.record()


class _Course:
    """One run as it goes."""

    def __init__(
        self,
        plan: LoadPlan,
        stack: Stack,
        *,
        folder: Path,
        history: Path,
        hooks: RunHooks,
        launch: Launch,
        shown: Shown,
        say: Say,
    ) -> None:
        self._plan = plan
        self._say = say
        self._stack = stack
        self._folder = folder
        self._history = history
        self._hooks = hooks
        self._launch = launch
        self._shown = shown
        self._master: Child | None = None
        self._workers: list[Child] = []
        self._port: int | None = None
        self._clock: RunClock | None = None
        self._names: tuple[str, ...] = ()
        self._done: dict[str, dict[str, Any]] = {}
        self._lost: list[str] = []
        self._shortfalls: dict[str, str] = {}
        self._stopped = ""
        self._signal = ""
        self._master_lost = ""
        self._is_over = False
        self._finished = False
        self._seconds = 0.0
        self._last = LoadProgress(seconds=0.0)

    def over(self) -> None:
        """Nothing is sent or awaited any more; told once."""
        if not self._is_over:
            self._is_over = True
            self._seconds = max(0.0, self._clock.seconds) if self._clock is not None else 0.0
            self._hooks.on_over()

    def stop(self, reason: str) -> None:
        """End the run in order; from any thread."""
        self._stopped = self._stopped or reason
        if self._master is not None:
            self._master.tell(stop=self._stopped)

    def run(self) -> None:
        """Start the processes and listen until they are done."""
        environ = {
            **self._launch.environ,
            messages.DESCRIPTOR: str(self._plan.descriptor.resolve()),
            messages.HISTORY: str(self._history.resolve()),
        }
        deadline = time.monotonic() + LISTEN_SECONDS
        self._say("Locust's master to listen", LISTEN_SECONDS)
        with Children() as children:
            self._master = children.start(
                "master", self._launch.of_master(self._plan), environ=environ, log=self._folder / "master.log"
            )
            self._master.tell(assignment=assignment_of(self._stack, self._plan).to_json().decode())
            while not self._finished:
                try:
                    self._listen(children, environ)
                except KeyboardInterrupt as interrupt:
                    self._signal = str(interrupt) or "SIGINT"
                    self._shown.line("interrupted: nothing more is sent, answers are awaited")
                    self._say("answers to what was sent", self._plan.drain_seconds)
                    self.stop(f"interrupted by {self._signal}")
                now = time.monotonic()
                if self._port is None and now > deadline:
                    raise HoldfastError(
                        f"The Locust master did not listen within {LISTEN_SECONDS:g} s.",
                        cause=self._master.tail(),
                        remedy="see the cause; the machine may be too busy",
                    )
                if self._clock is None and self._is_local and now > deadline + READY_SECONDS:
                    raise HoldfastError(
                        "The run did not begin.",
                        cause=self._master.tail(),
                        remedy="see the cause; the machine may be too busy",
                    )
                if self._clock is not None and self._clock.seconds > self._longest_seconds:
                    self._stopped = self._stopped or "its processes did not come to an end"
                    break

    @property
    def _is_local(self) -> bool:
        """Whether nobody has to begin a worker by hand."""
        return self._launch.expected_workers == self._launch.local_workers

    @property
    def _longest_seconds(self) -> float:
        return self._plan.duration_seconds + self._plan.drain_seconds + GRACE_SECONDS

    def _listen(self, children: Children, environ: Mapping[str, str]) -> None:
        for child, document in children.heard(_LOOK_SECONDS):
            if document is None:
                self._fell_silent(child, children)
            else:
                for word, value in document.items():
                    self._heard(word, value, children, environ)
        if self._master_lost and all(worker.ended or worker not in children.speaking for worker in self._workers):
            self._finished = True

    def _heard(self, word: str, value: Any, children: Children, environ: Mapping[str, str]) -> None:
        match word:
            case "listening":
                self._listening(int(value), children, environ)
            case "workers":
                self._names = tuple(value)
            case "start":
                self._clock = RunClock(**value)
                self._say("the arrivals and their answers", self._plan.duration_seconds + self._plan.drain_seconds)
                self._hooks.on_start(self._clock, self.stop)
            case "tick":
                self._ticked(value)
            case "note":
                self._shown.line(f"sent by boto3 and requests, not by the cheap client: {value}")
            case "done":
                self._worker_done(value)
            case "lost":
                self._lost.append(str(value))
                self._shown.line(f"{value} was lost")
            case "carried" if value["problem"]:
                self._shortfalls[value["worker"]] = value["problem"]
            case "over":
                self._say("healing what is broken, and the workers' files")
                self.over()
            case "failed":
                raise HoldfastError("The run cannot begin.", cause=str(value), remedy="put it right and try again")
            case "end":
                self._finished = True

    def _listening(self, port: int, children: Children, environ: Mapping[str, str]) -> None:
        """The master listens: start the workers of this machine, say how those of others are started."""
        self._port = port
        for number in range(self._launch.local_workers):
            arguments = self._launch.of_worker(LOOPBACK, port)
            log = self._folder / f"worker{number}.log"
            self._workers.append(children.start(f"worker {number}", arguments, environ=environ, log=log))
        if self._is_local:
            self._say("the workers to be ready", READY_SECONDS)
        else:
            self._say("workers of other machines to be ready")
            file = self._plan.descriptor.name
            self._shown.line(
                f"waiting for workers: holdfast load {file} --worker --master-host HOST --master-port {port}"
            )

    def _ticked(self, counts: Mapping[str, Any]) -> None:
        assert self._clock is not None
        now = replace(self._last, seconds=self._clock.seconds, **counts)
        passed = now.seconds - self._last.seconds
        rate = (now.sent - self._last.sent) / passed if passed > 0 else 0.0
        self._last = replace(now, rate_per_second=rate)
        self._shown.progress(self._last, self._hooks.on_tick(self._last))

    def _worker_done(self, document: Mapping[str, Any]) -> None:
        record = dict(document["record"])
        self._done[str(record["worker"])] = record
        if document["stopped"]:
            self._stopped = self._stopped or f"{record['worker']}: {document['stopped']}"

    def _fell_silent(self, child: Child, children: Children) -> None:
        """A process ended; how much that matters depends on which one, and on when."""
        if self._finished:
            return
        if child is not self._master:
            if self._clock is None:
                raise HoldfastError(
                    f"The Locust {child.name} ended before the run began.",
                    cause=child.tail(),
                    remedy="see the cause, and try again",
                )
            return
        if self._clock is None:
            raise HoldfastError(
                "The Locust master ended before the run began.",
                cause=child.tail(),
                remedy="see the cause; with a port of your own, see that it is free",
            )
        after = f"{max(0.0, self._clock.seconds):.0f} s"
        self._master_lost = f"the Locust master was lost after {after}; workers stopped sending then"
        self._stopped = self._stopped or self._master_lost
        self._shown.line(self._master_lost)
        for worker in self._workers:
            if worker in children.speaking:
                worker.tell(stop=self._master_lost, leave=True)

    def record(self) -> RunRecord:
        """What was recorded; files of other machines are fetched."""
        names = self._names or tuple(sorted(self._done))
        workers = tuple(self._worker(name) for name in names)
        missing = [f"{worker.worker}: {worker.problem}" for worker in workers if worker.problem]
        if self._master_lost:
            missing.insert(0, self._master_lost)
        return RunRecord(
            plan=self._plan,
            folder=self._folder,
            history=self._history,
            clock=self._clock,
            seconds=self._seconds,
            workers=workers,
            ended=self._stopped or ("; ".join(f"{name} was lost" for name in self._lost)),
            missing=tuple(missing),
            signal=self._signal,
        )

    def _worker(self, name: str) -> WorkerRecord:
        told = self._done.get(name)
        path: Path | None = self._history / f"{name}.jsonl"
        problems = []
        if self._plan.collect and told is not None and "kept" in told:
            try:
                path = get(self._stack.target, f"{name}.jsonl", self._plan.collect, self._history)
            except HistoryError as error:
                problems.append(str(error).replace("\n", " "))
        if path is None or not path.exists():
            path = None
            problems.append(
                "its file did not arrive" + (f"; it is at {told['kept']}" if told and "kept" in told else "")
            )
        if told is None:
            problems.append(
                "it was lost: its arrivals from then on were not sent, and what was in flight then is not recorded"
            )
            return WorkerRecord(worker=name, path=path, problem="; ".join(problems))
        problems += [text for text in (told.get("problem", ""), self._shortfalls.get(name, "")) if text]
        fields = {key: value for key, value in told.items() if key in _FIELDS and key != "problem"}
        return WorkerRecord(worker=name, path=path, problem="; ".join(problems), **fields)


def serve_workers(
    plan_descriptor: Path, *, count: int, host: str, port: int, spool: Path, launch: Launch, say: Callable[[str], None]
) -> Sequence[str]:
    """Run workers for a master on another machine, until it lets them go.

    Args:
        plan_descriptor: the descriptor on this machine.
        count: how many.
        host: where the master listens.
        port: on which port.
        spool: where their files are kept.
        launch: how Locust is started.
        say: told what goes on.

    Returns:
        What went wrong, a sentence each.
    """
    spool.mkdir(parents=True, exist_ok=True)
    environ = {
        **{name: value for name, value in launch.environ.items() if name != messages.HISTORY},
        messages.DESCRIPTOR: str(plan_descriptor.resolve()),
        messages.SPOOL: str(spool.resolve()),
    }
    problems: list[str] = []
    done: set[Child] = set()
    with Children() as children:
        for number in range(count):
            log = spool / f"worker{number}.log"
            children.start(f"worker {number}", launch.of_worker(host, port), environ=environ, log=log)
        while children.speaking:
            try:
                for child, document in children.heard(_LOOK_SECONDS):
                    if document is None:
                        if child not in done:
                            problems.append(f"{child.name} ended without a record: {child.tail()}")
                    elif "done" in document:
                        done.add(child)
                        record = document["done"]["record"]
                        say(f"{record['worker']} recorded {record['operations']} operations: {record.get('kept', '')}")
            except KeyboardInterrupt:
                for child in children.speaking:
                    child.tell(stop="interrupted", leave=True)
    return problems
