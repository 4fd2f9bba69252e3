"""A process outside Lambda killed, or stopped for a while."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

from holdfast.errors import GuardRailError, HealError, HoldfastError, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot
from holdfast.levers.process_match import FoundProcess, ProcessDescription
from holdfast.levers.processes import same_process
from holdfast.targets.base import Target

if TYPE_CHECKING:
    import psutil

    from holdfast.stack.resolve import Stack


@dataclass(slots=True, kw_only=True)
class _Signal:
    """A signal to the one process that is proven to be the component.

    The proof is made when the lever is made and again right before the signal; the process' start tells it from a later
    one with the same id. The fault outlives the target: healing needs nothing but this machine.

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: id and start of the process.
        description: what the descriptor says of it.
        machine: name of the machine it runs on.
    """

    name: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]] = ()
    propagation_seconds: ClassVar[float]
    aimed: ClassVar[bool] = False
    capability: ClassVar[None] = None
    error_class: ClassVar[ErrorClass]

    target: Target
    component: str
    resource: str
    description: ProcessDescription
    machine: str = field(default_factory=platform.node)
    key: str = field(default="", init=False)

    @classmethod
    def on(cls, stack: Stack, component: str) -> Self:
        """The lever on a process of a stack.

        Raises:
            ResourceError: it does not run.
            GuardRailError: several processes fit its description.
        """
        description = ProcessDescription.of(stack, component)
        found = description.find()
        return cls(target=stack.target, component=component, resource=found.resource, description=description)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            description=ProcessDescription(**snapshot.found["description"]),
            machine=snapshot.found["machine"],
        )

    def snapshot(self) -> Snapshot:
        """See that the process still is the component.

        Raises:
            InjectionError: it is stopped already.
        """
        import psutil

        process = self._proven()
        with self._told():
            if process.status() == psutil.STATUS_STOPPED:
                raise InjectionError(
                    f"{self._said} is already stopped; nothing was changed",
                    cause="somebody else, or a run that was killed and whose journal is elsewhere, stopped it",
                    remedy=f"let it go on: kill -CONT {self._found.pid}",
                )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            # never the whole command line or the environment: they may hold secrets
            found={"machine": self.machine, "description": asdict(self.description)},
            placed={"pid": self._found.pid, "started": self._found.started},
        )

    def hits(self) -> int:
        """What a signal did to others cannot be counted."""
        return 0

    @property
    def _found(self) -> FoundProcess:
        _, pid, started = self.resource.split(":", 2)
        return FoundProcess(int(pid), started)

    @property
    def _said(self) -> str:
        return f"process {self._found.pid} of {self.component}"

    def _proven(self) -> psutil.Process:
        """The process, once more proven to be the component.

        Raises:
            GuardRailError: another process is the component now.
            ResourceError: none is.
        """
        import psutil

        with self._told():
            # psutil notes the start here, and signals nothing that has another one
            process = psutil.Process(self._found.pid)
            if self.description.find() != self._found:
                raise GuardRailError(
                    f"{self._said} is no longer the component; nothing was signalled",
                    cause="it was started again meanwhile",
                    remedy="try again",
                )
            return process

    def _running(self) -> psutil.Process | None:
        """The process, None when it has ended.

        Raises:
            HealError: it runs on another machine.
        """
        import psutil

        if self.machine != platform.node():
            raise HealError(f"{self._said} runs on {self.machine}", remedy="run `holdfast heal` there")
        try:
            process = psutil.Process(self._found.pid)
        except psutil.NoSuchProcess:
            return None
        return process if same_process(self._found.pid, self._found.started) else None

    @contextmanager
    def _told(self) -> Iterator[None]:
        import psutil

        try:
            yield
        except psutil.NoSuchProcess as error:
            raise InjectionError(
                f"{self._said} has ended; nothing was signalled", remedy="start it and try again"
            ) from error
        except psutil.AccessDenied as error:
            raise InjectionError(
                f"{self._said} may not be signalled; nothing was changed",
                cause="it belongs to another user",
                remedy="run Holdfast as the user whose process it is",
            ) from error


@dataclass(slots=True, kw_only=True)
class ProcessStop(_Signal):
    """SIGSTOP: the process does nothing until SIGCONT; its connections stay open and nobody answers on them.

    https://man7.org/linux/man-pages/man7/signal.7.html

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: id and start of the process.
        description: what the descriptor says of it.
        machine: name of the machine it runs on.
    """

    name: ClassVar[str] = "process-stop"
    propagation_seconds: ClassVar[float] = 5.0
    error_class: ClassVar[ErrorClass] = ErrorClass.TIMEOUT

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the process says it all
        """Stop it."""
        with self._told():
            self._proven().suspend()

    def proof(self) -> str:
        """The kernel says that it is stopped."""
        process = self._running()
        return f"{self._said} is stopped" if process is not None and _stopped(process) else ""

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the process says it all
        """Let it go on, if it is still the same process and stopped.

        Raises:
            HealError: it runs on another machine.
        """
        process = self._running()
        if process is not None and _stopped(process):
            process.resume()

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the process says it all
        """The kernel says that it is not stopped, or it has ended."""
        process = self._running()
        if process is None:
            return f"{self._said} has ended, and the fault with it"
        return "" if _stopped(process) else f"{self._said} goes on"

    def by_hand(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the process says it all
        """The command that lets it go on."""
        return f"kill -CONT {self._found.pid}"


@dataclass(slots=True, kw_only=True)
class ProcessKill(_Signal):
    """SIGKILL: the process is gone, with all that it had not written down. Nothing undoes that.

    Healed is when a process of the same description runs again. Whoever supervises it must start it; Holdfast does not,
    because it knows neither its environment nor its secrets. 60 s is a bound to give up at.
    https://man7.org/linux/man-pages/man7/signal.7.html

    Args:
        target: where the rest of the stack is.
        component: its name in the descriptor.
        resource: id and start of the process.
        description: what the descriptor says of it.
        machine: name of the machine it runs on.
    """

    name: ClassVar[str] = "process-kill"
    propagation_seconds: ClassVar[float] = 60.0
    error_class: ClassVar[ErrorClass] = ErrorClass.CRASH

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the process says it all
        """Kill it."""
        with self._told():
            self._proven().kill()

    def proof(self) -> str:
        """It does not run any more."""
        return f"{self._said} was killed" if self._running() is None else ""

    def heal(self, snapshot: Snapshot) -> None:
        """Nothing: it is started again by whoever supervises it."""

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the description says it all
        """A process of the same description runs, or the first one was never killed.

        Raises:
            HealError: nobody has started it again.
        """
        if self._running() is not None:
            return f"{self._said} runs: it was not killed"
        try:
            again = self.description.find()
        except HoldfastError as error:
            raise HealError(
                f"{self._said} was killed and nobody has started it again: {error.what}", remedy=self._start()
            ) from error
        return f"{self._said} was killed, and process {again.pid} of the same description runs in its place"

    def by_hand(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the description says it all
        """What to start; only its owner knows how."""
        return self._start()

    def _start(self) -> str:
        return f"start {self.component} again, {self.description}"


def _stopped(process: psutil.Process) -> bool:
    import psutil

    try:
        return bool(process.status() == psutil.STATUS_STOPPED)
    except psutil.NoSuchProcess:
        return False
