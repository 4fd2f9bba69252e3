"""What a run starts beside the target: in the journal before it is started, so that no end of the run leaves it."""

from __future__ import annotations

import platform
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from holdfast.drivers.launching import Launcher
from holdfast.drivers.plan import plan
from holdfast.drivers.strays import end_strays, strays
from holdfast.errors import HealError
from holdfast.levers.base import Snapshot
from holdfast.levers.journal import Journal
from holdfast.levers.signals import interrupts
from holdfast.stack.lifecycle import launches
from holdfast.targets.base import Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack


@dataclass(slots=True, kw_only=True)
class Launched:
    """Processes, sockets, folder and relay of one run; it is no fault, but undone like one.

    All that a run starts has the run's mark in its environment, and so have the children of what it starts; sockets and
    files are in the run's folder. The mark and the folder are in the journal before anything is started.

    Args:
        target: where the rest of the stack is.
        resource: mark of the run.
        folder: its folder.
        machine: name of the machine it runs on.
    """

    name: ClassVar[str] = "launched"
    propagation_seconds: ClassVar[float] = 15.0

    target: Target
    resource: str
    folder: Path
    machine: str

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """It again, from its journal entry."""
        found = snapshot.placed
        return cls(target=target, resource=snapshot.resource, folder=Path(found["folder"]), machine=found["machine"])

    def snapshot(self) -> Snapshot:
        """What is about to be started."""
        return Snapshot(
            lever=self.name,
            component="",
            resource=self.resource,
            found={},
            placed={"folder": str(self.folder), "machine": self.machine},
        )

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - it says it all
        """Kill all that has the mark, and remove the folder with its sockets."""
        self._refuse_elsewhere()
        end_strays(self.resource)
        shutil.rmtree(self.folder, ignore_errors=True)

    def healed_proof(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - it says it all
        """Nothing has the mark, and the folder is gone."""
        self._refuse_elsewhere()
        if self.folder.exists() or any(strays(self.resource)):
            return ""
        return f"no process of the run and no folder {self.folder} is left"

    def by_hand(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - it says it all
        """The command that does it by hand."""
        return f"end every process with HOLDFAST_RUN={self.resource} in its environment; rm -r {self.folder}"

    def _refuse_elsewhere(self) -> None:
        if self.machine != platform.node():
            raise HealError(f"the run was on {self.machine}", remedy="run `holdfast heal` there")


@contextmanager
def launched(stack: Stack, journal: Journal, *, logs: Path) -> Iterator[Stack]:
    """Have the processes and channels of a stack running for the length of a ``with`` block.

    The stack that it yields knows them. Whatever ends the block, all is ended in reverse order; a run that is killed
    leaves it to ``holdfast heal`` and to the watchdog.

    Args:
        stack: the resolved stack; yielded as it is when its descriptor starts nothing.
        journal: the run's journal.
        logs: where the output of the processes is kept.

    Raises:
        TargetError: a process does not start, or is not ready in time; all is ended.
        InjectionError: the journal cannot be written; nothing was started.
        HealError: something could not be ended; the journal keeps it.
    """
    if not launches(stack.descriptor):
        yield stack
        return
    run = secrets.token_hex(8)
    # short, for the paths of sockets may have a hundred bytes only
    folder = Path(tempfile.gettempdir()) / f"holdfast-{run}"
    launcher = Launcher(plan(stack, run=run, folder=folder, logs=logs))
    undo = Launched(target=stack.target, resource=run, folder=folder, machine=platform.node())
    entries = journal.planned([undo.snapshot()])
    try:
        launcher.start_all()
        journal.injected(entries)
        yield _with(stack, launcher)
    finally:
        with interrupts.shielded():
            launcher.close()
            if not undo.healed_proof(undo.snapshot()):
                raise HealError(
                    "not all that the run has started could be ended",
                    cause=f"a process of it runs, or its folder {folder} cannot be removed",
                    remedy=f"run `holdfast heal`, or {undo.by_hand(undo.snapshot())}",
                )
            journal.healed(entries)


def _with(stack: Stack, launcher: Launcher) -> Stack:
    resources = {
        name: replace(resource, url=str(launcher.addresses[f"{name}.url"])) if name in launcher.order else resource
        for name, resource in stack.resources.items()
    }
    return replace(stack, resources=resources, running=launcher)
