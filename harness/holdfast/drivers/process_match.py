"""Finding the one process of this machine that is a component, or none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from holdfast.drivers.marks import start_mark
from holdfast.errors import GuardRailError, ResourceError

if TYPE_CHECKING:
    import psutil

    from holdfast.stack.resolve import Stack

CLOCK_SECONDS = 1.0
"""A process' start is known to a clock tick, a file's time to the file system's; this is more than both."""


@dataclass(frozen=True, slots=True)
class FoundProcess:
    """One process, told from a later one with the same id by its start.

    Attributes:
        pid: its id.
        started: its start mark.
    """

    pid: int
    started: str

    @property
    def resource(self) -> str:
        """How the journal, the lock and the guard rail call it."""
        return f"process:{self.pid}:{self.started}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDescription:
    """What the descriptor says of a process; all of it must be true of one process, and of no other.

    Attributes:
        name: name of its program.
        pid_file: absolute path of the file that its id is in; empty for none.
        port: the port it listens on; 0 for none.
        command_line: text that its command line contains; empty for none.
    """

    name: str
    pid_file: str = ""
    port: int = 0
    command_line: str = ""

    @classmethod
    def of(cls, stack: Stack, component: str) -> Self:
        """The description of a component."""
        described = stack.descriptor.components.get(component)
        pid_file = described.pid_file if described else None
        return cls(
            name=stack.resource(component).name,
            pid_file=str((stack.path.parent / pid_file).absolute()) if pid_file else "",
            port=(described.port if described else None) or 0,
            command_line=(described.command_line if described else None) or "",
        )

    def __str__(self) -> str:
        said = [f"named {self.name}"]
        said += [f"whose id is in {self.pid_file}"] if self.pid_file else []
        said += [f"listening on port {self.port}"] if self.port else []
        said += [f"with {self.command_line!r} in its command line"] if self.command_line else []
        return "a process " + ", ".join(said)

    def find(self) -> FoundProcess:
        """The one process that fits.

        This process and those that started it are never the component.

        Raises:
            ResourceError: none fits.
            GuardRailError: several do, so that none is proven to be the component.
        """
        import psutil

        own = psutil.Process()
        spared = {0, 1, own.pid, *(parent.pid for parent in own.parents())}
        fitting: list[FoundProcess] = []
        for process in self._candidates():
            if process.pid in spared:
                continue
            try:
                if self._fits(process):
                    fitting.append(FoundProcess(process.pid, start_mark(process.pid)))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                # gone, or somebody else's: what cannot be read cannot be proven
                continue
        fitting = [each for each in fitting if each.started]
        if not fitting:
            raise ResourceError(
                f"There is no {str(self).removeprefix('a ')}, or it may not be read; nothing was signalled.",
                remedy="start it, or correct name, pid_file, port or command_line of the component",
            )
        if len(fitting) > 1:
            listed = ", ".join(str(each.pid) for each in fitting)
            raise GuardRailError(
                f"{len(fitting)} processes ({listed}) are {self}; nothing was signalled",
                cause="none of them is proven to be the component",
                remedy="give the component a pid_file, a port or a command_line that only one of them has",
            )
        return fitting[0]

    def _candidates(self) -> Iterator[psutil.Process]:
        import psutil

        if not self.pid_file:
            yield from psutil.process_iter()
            return
        file = Path(self.pid_file)
        try:
            process = psutil.Process(int(file.read_text().strip()))
            written_seconds = file.stat().st_mtime
            # a process that began after its id was written down is another one that was given the same id
            if process.create_time() <= written_seconds + CLOCK_SECONDS:
                yield process
        except (OSError, ValueError, OverflowError, psutil.NoSuchProcess):
            return

    def _fits(self, process: psutil.Process) -> bool:
        import psutil

        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD) or not self._named(process):
            return False
        if self.command_line and self.command_line not in " ".join(process.cmdline()):
            return False
        if not self.port:
            return True
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == self.port
            for connection in process.net_connections(kind="inet")
        )

    def _named(self, process: psutil.Process) -> bool:
        import psutil

        if process.name() == self.name:
            return True
        try:
            # python3 is often a link to python3.11
            return os.path.basename(process.exe()) == self.name  # noqa: PTH119 - may be empty, which is no path
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            return False
