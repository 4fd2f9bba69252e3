"""Processes of this machine: one that fits a description, or one that the run has started itself."""

from __future__ import annotations

import os
import platform
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

import psutil

from holdfast.drivers.base import Instance, Load, Resources, State
from holdfast.drivers.marks import same_process
from holdfast.drivers.pressing import press, pressing, relieve
from holdfast.drivers.process_match import ProcessDescription
from holdfast.errors import GuardRailError, HealError, InjectionError, ResourceError
from holdfast.stack.resolve import Stack
from holdfast.stack.running import Running, StartedProcess

RESTART_SECONDS = 60.0
"""How long a restart command may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDriver:
    """A process of this machine.

    One that the run has started is proven by being its child, and is signalled with the processes that it started. Any
    other is proven by its description, right before every signal, and is signalled alone.

    Args:
        component: its name in the descriptor.
        description: what the descriptor says of it; None for one that the run starts.
        run: mark of the run that starts it; empty for any other.
        running: the processes of the run; None from the journal of a run that has ended.
        restart_command: starts it again; empty for none.
        machine: name of the machine it runs on.
    """

    kind: ClassVar[str] = "process"

    component: str
    description: ProcessDescription | None = None
    run: str = ""
    running: Running | None = None
    restart_command: tuple[str, ...] = ()
    machine: str = field(default_factory=platform.node)
    _loads: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, stack: Stack, component: str) -> Self:
        """The driver of a component."""
        described = stack.descriptor.components.get(component)
        restart = tuple(described.restart) if described else ()
        if described is not None and described.start is not None:
            run = stack.running.run if stack.running is not None else ""
            return cls(component=component, run=run, running=stack.running)
        return cls(component=component, description=ProcessDescription.of(stack, component), restart_command=restart)

    @classmethod
    def restored(cls, component: str, described: Mapping[str, Any]) -> Self:
        """The driver again, from the journal."""
        told = described["description"]
        return cls(
            component=component,
            description=None if told is None else ProcessDescription(**told),
            run=described["run"],
            restart_command=tuple(described["restart"]),
            machine=described["machine"],
        )

    def described(self) -> dict[str, Any]:
        """What is needed to make it again; never a command line or an environment, which may hold secrets."""
        return {
            "machine": self.machine,
            "description": None if self.description is None else asdict(self.description),
            "run": self.run,
            "restart": list(self.restart_command),
        }

    def find(self) -> Instance:
        """The one process that is proven to be the component."""
        if self.description is not None:
            found = self.description.find()
            return Instance(self.kind, str(found.pid), found.started)
        process = self.running.process(self.component) if self.running is not None else None
        if process is None:
            raise ResourceError(f"the process {self.component} does not run", remedy="start it first")
        return Instance(self.kind, str(process.pid), process.mark)

    def state(self, instance: Instance) -> State:
        """What the kernel says of it."""
        if self.machine != platform.node():
            raise HealError(f"{self._said(instance)} runs on {self.machine}", remedy="run `holdfast heal` there")
        try:
            status = psutil.Process(int(instance.id)).status()
        except psutil.NoSuchProcess:
            return State.GONE
        if not same_process(int(instance.id), instance.started):
            return State.GONE
        return State.STOPPED if status == psutil.STATUS_STOPPED else State.RUNNING

    def kill(self, instance: Instance) -> None:
        """SIGKILL (signal(7))."""
        self._signal(instance, signal.SIGKILL)

    def end(self, instance: Instance) -> None:
        """SIGTERM; one that the run has started is killed when it takes longer than its ``stop_seconds``."""
        if self.running is None:
            self._signal(instance, signal.SIGTERM)
        else:
            self._prove(instance)
            self.running.end(self.component)

    def stop(self, instance: Instance) -> None:
        """SIGSTOP."""
        self._signal(instance, signal.SIGSTOP)

    def resume(self, instance: Instance) -> None:
        """SIGCONT, if it is still the same process."""
        if self.state(instance) is State.GONE:
            return
        if self.running is not None:
            self.running.signal(self.component, _process(instance), signal.SIGCONT)
        elif self.run:
            os.killpg(int(instance.id), signal.SIGCONT)
        else:
            psutil.Process(int(instance.id)).resume()

    def restart(self) -> bool:
        """Start it again as the run did, or with the command that the descriptor names."""
        if self.running is not None:
            self.running.start(self.component)
            return True
        if not self.restart_command or self._runs():
            return bool(self.restart_command)
        try:
            subprocess.run(
                self.restart_command, check=True, timeout=RESTART_SECONDS, capture_output=True, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise HealError(
                f"the restart command of {self.component} failed",
                cause=str(error),
                remedy=f"run it by hand: {shlex.join(self.restart_command)}",
            ) from error
        return True

    def abandoned(self) -> str:
        """A process of a run that has ended is not started again."""
        return f"the run that started {self.component} has ended" if self.run and self.running is None else ""

    def started_at(self, instance: Instance) -> float:
        """When it started."""
        with self._told(instance):
            return psutil.Process(int(instance.id)).create_time()

    def resources(self, instance: Instance) -> Resources:
        """Memory and time of it and of the processes that it started."""
        with self._told(instance):
            leader = psutil.Process(int(instance.id))
            rss_bytes, cpu_seconds = 0, 0.0
            for process in (leader, *leader.children(recursive=True)):
                try:
                    with process.oneshot():
                        rss_bytes += process.memory_info().rss
                        times = process.cpu_times()
                        cpu_seconds += times.user + times.system
                except psutil.NoSuchProcess:
                    continue
            state = self.state(instance)
            ready = state is State.RUNNING if self.running is None else self.running.is_ready(self.component)
            return Resources(rss_bytes=rss_bytes, cpu_seconds=cpu_seconds, ready=ready)

    def press(self, instance: Instance, load: Load, token: str) -> None:
        """Child processes of the harness with its processors, priority, control group and memory limit."""
        with self._told(instance):
            self._prove(instance)
            self._loads[token] = press(int(instance.id), self.component, load, token)

    def pressing(self, instance: Instance, token: str) -> int:
        """How many processes of a load run."""
        self.state(instance)
        return pressing(token)

    def relieve(self, instance: Instance, token: str) -> None:
        """End a load, which outlives the process that it is beside."""
        self.state(instance)
        relieve(token)
        load = self._loads.pop(token, None)
        if load is not None:
            load.wait()

    def by_hand(self, instance: Instance, what: str) -> str:
        """The command for a person."""
        if what == "resume":
            return f"kill -CONT {'-- -' if self.run else ''}{instance.id}"
        if self.restart_command:
            return shlex.join(self.restart_command)
        return f"start {self.component} again" + (f", {self.description}" if self.description is not None else "")

    def _said(self, instance: Instance) -> str:
        return f"process {instance.id} of {self.component}"

    def _runs(self) -> bool:
        try:
            self.find()
        except ResourceError:
            return False
        return True

    def _prove(self, instance: Instance) -> None:
        """Prove once more that an instance is the component.

        Raises:
            GuardRailError: another process is the component now.
            InjectionError: it has ended.
        """
        with self._told(instance):
            # psutil notes the start here, and signals nothing that has another one
            psutil.Process(int(instance.id))
            if self.find() != instance:
                raise GuardRailError(
                    f"{self._said(instance)} is no longer the component; nothing was signalled",
                    cause="it was started again meanwhile",
                    remedy="try again",
                )

    def _signal(self, instance: Instance, number: signal.Signals) -> None:
        with self._told(instance):
            process = psutil.Process(int(instance.id))
            self._prove(instance)
            if self.running is None:
                process.send_signal(number)
            elif not self.running.signal(self.component, _process(instance), number):
                raise psutil.NoSuchProcess(int(instance.id))

    @contextmanager
    def _told(self, instance: Instance) -> Iterator[None]:
        try:
            yield
        except psutil.NoSuchProcess as error:
            raise InjectionError(
                f"{self._said(instance)} has ended; nothing was signalled", remedy="start it and try again"
            ) from error
        except psutil.AccessDenied as error:
            raise InjectionError(
                f"{self._said(instance)} may not be signalled; nothing was changed",
                cause="it belongs to another user",
                remedy="run Holdfast as the user whose process it is",
            ) from error


def _process(instance: Instance) -> StartedProcess:
    return StartedProcess(int(instance.id), instance.started)
