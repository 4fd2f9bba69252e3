"""Starts the processes of a plan in their lifecycle order, starts them again, and ends them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from holdfast.drivers.marks import same_process, start_mark
from holdfast.drivers.plan import LaunchPlan, ProcessPlan
from holdfast.drivers.readiness import is_ready
from holdfast.drivers.strays import end_strays, marks
from holdfast.errors import ResourceError, TargetError
from holdfast.relay.client import RelayProcess
from holdfast.stack.running import EndedProcess, StartedProcess
from holdfast.waiting import eventually

_LOG_BYTES = 4_000
_LOG_LINES = 15
_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 0.1


@dataclass(slots=True)
class _Component:
    plan: ProcessPlan
    lock: threading.RLock = field(default_factory=threading.RLock)
    process: subprocess.Popen[bytes] | None = None
    mark: str = ""

    def alive(self) -> StartedProcess | None:
        """Its process; one that has ended is waited for, so that it leaves no zombie."""
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                return None
            if not same_process(self.process.pid, self.mark):
                # its first thread has ended and the others are about to; the kernel has it waited for when all have
                self.process.wait()
                return None
            return StartedProcess(self.process.pid, self.mark)


class Launcher:
    """The processes of one run; also a context manager that ends them.

    `holdfast.stack.running.Running` says what it can.

    Args:
        plan: what to start.
    """

    def __init__(self, plan: LaunchPlan) -> None:
        self._plan = plan
        self._components = {each.component: _Component(each) for each in plan.processes}
        self.run = plan.run
        self.addresses: Mapping[str, str | int] = plan.addresses
        self.order = tuple(self._components)
        self.relay: RelayProcess | None = None

    def start_all(self) -> None:
        """Start the relay, then every process when those before it are ready.

        Raises:
            TargetError: one does not start; what was started is ended by :meth:`close`.
        """
        self._plan.folder.mkdir(mode=0o700)
        self._plan.relay_log.parent.mkdir(parents=True, exist_ok=True)
        if self._plan.channels:
            self.relay = RelayProcess(self._plan.channels, log=self._plan.relay_log, variables=marks(self.run, "relay"))
        for each in self._components.values():
            each.plan.folder.mkdir()
            each.plan.log.write_bytes(b"")
        for name in self.order:
            self.start(name)

    def close(self) -> None:
        """End everything, the last one first, and remove the run's folder; may be called again."""
        try:
            for name in reversed(self.order):
                self.end(name)
        finally:
            if self.relay is not None:
                self.relay.close()
            end_strays(self.run)
            shutil.rmtree(self._plan.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def process(self, component: str) -> StartedProcess | None:
        """The process of a component; None while it does not run."""
        return self._component(component).alive()

    def start(self, component: str, *, wait: bool = True) -> StartedProcess:
        """Start a component, again after it ended; harmless while it runs."""
        each = self._component(component)
        with each.lock:
            found = each.alive()
            if found is None:
                _remove_socket(each.plan.address.socket)
                each.process = _popen(each.plan)
                each.mark = start_mark(each.process.pid)
                found = StartedProcess(each.process.pid, each.mark)
        if wait:
            self._wait_ready(each, found)
        return found

    def end(self, component: str, *, stop_seconds: float | None = None) -> EndedProcess:
        """End a component in order: SIGTERM, and SIGKILL when it takes too long."""
        each = self._component(component)
        found = each.alive()
        began = time.monotonic()
        if found is None:
            return EndedProcess(exit_code=self.exit_code(component), seconds=0.0, in_time=True)
        # one that is stopped would not see the request to end
        self.signal(component, found, signal.SIGCONT)
        self.signal(component, found, signal.SIGTERM, group=False)
        waited = eventually(
            lambda: same_process(found.pid, found.mark),
            lambda runs: not runs,
            deadline_seconds=each.plan.stop_seconds if stop_seconds is None else stop_seconds,
            interval_seconds=_LOOK_SECONDS,
            longest_interval_seconds=_LONGEST_LOOK_SECONDS,
        )
        with each.lock:
            if each.process is not None and each.process.pid == found.pid:
                # not waited for yet, so the id of its group is still its own; whoever is left of it ends too
                if each.process.returncode is None:
                    with suppress(ProcessLookupError, PermissionError):
                        os.killpg(found.pid, signal.SIGKILL)
                each.process.wait()
        return EndedProcess(
            exit_code=self.exit_code(component), seconds=time.monotonic() - began, in_time=bool(waited.met)
        )

    def signal(self, component: str, process: StartedProcess, number: signal.Signals, *, group: bool = True) -> bool:
        """Send a signal to a component's process and those that it started; whether it was still there.

        Args:
            component: which.
            process: the process that is meant, and no later one.
            number: the signal.
            group: whether the processes that it started get it too.
        """
        each = self._component(component)
        with each.lock:
            if each.alive() != process:
                return False
            if group:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)
        return True

    def exit_code(self, component: str) -> int | None:
        """How the last process of a component ended; None while it runs."""
        process = self._component(component).process
        return None if process is None else process.poll()

    def is_ready(self, component: str) -> bool:
        """Whether a component is ready now."""
        plan = self._component(component).plan
        if self.process(component) is None:
            return False
        if plan.ready is None:
            return True
        return is_ready(plan.ready, port=plan.address.port, unix_socket=plan.address.socket, folder=plan.folder)

    def log(self, component: str) -> str:
        """The end of what a component wrote to its standard output and error."""
        path = self._component(component).plan.log
        with suppress(OSError), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-_LOG_LINES:])
        return ""

    def _component(self, component: str) -> _Component:
        try:
            return self._components[component]
        except KeyError:
            raise ResourceError(
                f"the run has started no component {component}",
                remedy=f"it starts {', '.join(self.order) or 'none'}; add a start table to others",
            ) from None

    def _wait_ready(self, each: _Component, process: StartedProcess) -> None:
        plan = each.plan
        seconds = plan.ready.seconds if plan.ready is not None else 0.0
        waited = eventually(
            lambda: (each.alive() == process, self.is_ready(plan.component)),
            lambda seen: not seen[0] or seen[1],
            deadline_seconds=seconds,
            interval_seconds=_LOOK_SECONDS,
            longest_interval_seconds=_LONGEST_LOOK_SECONDS,
        )
        alive, ready = waited.value
        if alive and ready:
            return
        what = f"is not ready within {seconds:g} s" if alive else f"ended with {self.exit_code(plan.component)}"
        said = self.log(plan.component)
        raise TargetError(
            f"the process {plan.component} {what}",
            cause=f"the end of {plan.log}:\n{said}" if said else f"it wrote nothing to {plan.log}",
            remedy=f"correct components.{plan.component}.start",
        )


def _popen(plan: ProcessPlan) -> subprocess.Popen[bytes]:
    try:
        with plan.log.open("ab") as log:
            process = subprocess.Popen(
                plan.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=plan.directory,
                env=dict(plan.environment),
                start_new_session=True,  # Ctrl-C at a terminal must not end it before the run does
            )
    except OSError as error:
        raise TargetError(
            f"the process {plan.component} cannot be started",
            cause=f"{plan.command[0]}: {error.strerror or error}",
            remedy=f"correct components.{plan.component}.start.command",
        ) from error
    try:
        _limit(process.pid, plan.nice, plan.cpus)
    except (ValueError, OSError) as error:
        process.kill()
        process.wait()
        raise TargetError(
            f"the process {plan.component} cannot be limited to the processors {list(plan.cpus)}",
            cause=str(error),
            remedy=f"name processors of this machine in components.{plan.component}.start.cpus",
        ) from error
    return process


def _limit(pid: int, nice: int, cpus: Sequence[int]) -> None:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if nice:
            process.nice(nice)
        if cpus and hasattr(process, "cpu_affinity"):
            process.cpu_affinity(list(cpus))


def _remove_socket(path: Path) -> None:
    """A process that was killed leaves its socket behind, on which the next one could not listen."""
    with suppress(FileNotFoundError):
        path.unlink()
