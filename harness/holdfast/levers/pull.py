"""Pulling levers: guard, lock, snapshot, journal, inject, prove, and whatever happens, heal."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from holdfast.errors import InjectionError
from holdfast.history.model import FaultWindow
from holdfast.history.recorder import Recorder
from holdfast.levers.base import Lever, Snapshot
from holdfast.levers.calls import CallError, because, denied, transient
from holdfast.levers.guard import allow
from holdfast.levers.healing import Restored, not_healed, restore
from holdfast.levers.journal import Journal
from holdfast.levers.locks import locked
from holdfast.levers.signals import Interrupted, interrupts
from holdfast.waiting import eventually

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack


@dataclass(slots=True)
class _Placed:
    lever: Lever
    snapshot: Snapshot
    entry: str
    tried: bool = False
    started_seconds: float = 0.0
    proof: str = ""


@dataclass(slots=True)
class Pull:
    """Faults that are in place together.

    Attributes:
        provocation: name of the provocation that asked for them.
    """

    provocation: str
    _stack: Stack
    _journal: Journal
    _recorder: Recorder
    _placed: list[_Placed] = field(default_factory=list)
    _released: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def proofs(self) -> tuple[str, ...]:
        """For each lever, the evidence that it bit when the window opened; empty for a fault that waits for its key."""
        return tuple(placed.proof for placed in self._placed)

    @property
    def begun(self) -> tuple[FaultWindow, ...]:
        """The windows as far as they are known while they are open: each ends where it began."""
        return tuple(self._window(placed, placed.proof, placed.started_seconds, "") for placed in self._placed)

    def inject(self, levers: Sequence[Lever]) -> None:
        """Write the undo records, put the faults in place and wait for their proof.

        Raises:
            Interrupted: the run is ending, in another thread; nothing would heal them any more.
        """
        with self._lock:
            if self._released:
                raise Interrupted("the run ended before the fault was put in place")
            snapshots = [lever.snapshot() for lever in levers]
            interrupts.check()
            with interrupts.shielded():
                entries = self._journal.planned(snapshots)
                self._placed = [
                    _Placed(lever, snapshot, entry)
                    for lever, snapshot, entry in zip(levers, snapshots, entries, strict=True)
                ]
            for placed in self._placed:
                placed.tried = True
                placed.started_seconds = self._recorder.now_seconds()
                placed.lever.inject(placed.snapshot)
            self._journal.injected(entries)
            for placed in self._placed:
                if not placed.lever.aimed:
                    placed.proof = _proven(placed.lever)
                    placed.started_seconds = self._recorder.now_seconds()

    def release(self) -> None:
        """Heal everything, prove it, close the journal entries and record the windows; once only.

        Raises:
            HealError: at least one fault is still in place; all others are healed.
        """
        with self._lock:
            if self._released:
                return
            self._released = True
            tried = [placed for placed in self._placed if placed.tried]
            proofs = [_last_look(placed.lever) for placed in tried]
            restored = restore([(placed.lever, placed.snapshot) for placed in tried])
            gone = [placed.entry for placed, end in zip(tried, restored, strict=True) if end.proof]
            self._journal.healed([*gone, *(placed.entry for placed in self._placed if not placed.tried)])
            failures = [(placed, end) for placed, end in zip(tried, restored, strict=True) if not end.proof]
            for placed, end in failures:
                self._journal.heal_failed(placed.entry, end.reason)
            try:
                for placed, proof, end in zip(tried, proofs, restored, strict=True):
                    self._record(placed, proof, end)
            except Exception:
                # A window that could not be written down matters less than a fault that is still in place.
                if not failures:
                    raise
        if failures:
            raise not_healed(
                (f"{placed.lever.name} on {placed.lever.component}", end.reason, placed.lever.by_hand(placed.snapshot))
                for placed, end in failures
            )

    def _record(self, placed: _Placed, proof: str, end: Restored) -> None:
        # It must have bitten from the start to the end: somebody else may have undone it meanwhile.
        bit = proof if placed.lever.aimed or placed.proof else ""
        self._recorder.add(self._window(placed, bit, self._recorder.now_seconds(), end.proof))

    def _window(self, placed: _Placed, proof: str, ended_seconds: float, healed_proof: str) -> FaultWindow:
        lever = placed.lever
        return FaultWindow(
            lever=lever.name,
            component=lever.component,
            error_class=lever.error_class,
            started_seconds=placed.started_seconds,
            ended_seconds=ended_seconds,
            proof=proof,
            hits=_counted(lever),
            key=lever.key,
            healed_proof=healed_proof,
            provocation=self.provocation,
        )


@contextmanager
def pulled(
    levers: Sequence[Lever],
    *,
    stack: Stack,
    journal: Journal,
    recorder: Recorder,
    provocation: str = "",
    wait_seconds: float = 0.0,
    locks: Collection[str] | None = None,
) -> Iterator[Pull]:
    """Have faults in place, together, for the length of a ``with`` block; whatever ends the block, they are healed.

    Each lever is let through by the guard rail, takes the lock of its resource, and has the state it found on disk
    before it changes anything. The block begins when all faults are proven to bite, except those that wait for their
    key: they are proven by their hits at the end. At the end every fault is looked at once more, healed in reverse
    order, proven gone, and recorded as a `FaultWindow`. SIGINT and SIGTERM end the block like an exception.

    Args:
        levers: the faults, in the order in which they are put in place.
        stack: the only stack they may touch.
        journal: the run's journal.
        recorder: takes the fault windows.
        provocation: who asks; names the windows in the history.
        wait_seconds: how long to wait for a fault of somebody else on the same resource to end.
        locks: what is locked, where other faults of this run may be put on the same resources meanwhile; else the
            resources of all levers that are not aimed.

    Raises:
        GuardRailError: a lever reaches outside the stack; nothing was changed.
        Inconclusive: the target cannot do this; nothing was changed.
        InjectionError: a fault could not be put in place or was not felt; everything is healed.
        HealError: a fault could not be taken away; all others are, and the remedy is the command to run by hand.
    """
    levers = tuple(levers)
    for lever in levers:
        allow(lever, stack, journal)
    exclusive = [lever.resource for lever in levers if not lever.aimed] if locks is None else locks
    with interrupts.interruptible(), locked(exclusive, journal, wait_seconds=wait_seconds):
        pull = Pull(provocation, stack, journal, recorder)
        interrupts.register(pull.release)
        try:
            _inject(pull, levers)
            yield pull
        finally:
            with interrupts.shielded():
                try:
                    pull.release()
                finally:
                    interrupts.unregister(pull.release)


def _inject(pull: Pull, levers: Sequence[Lever]) -> None:
    try:
        pull.inject(levers)
    except CallError as error:
        raise InjectionError(
            "a fault could not be put in place; what was done is undone",
            cause=because(error),
            remedy="allow what `holdfast doctor --iam` lists" if denied(error) else "see the AWS error above",
        ) from error


def _proven(lever: Lever) -> str:
    def look() -> str:
        try:
            return lever.proof()
        except CallError as error:
            if transient(error):
                return ""
            raise

    waited = eventually(
        look,
        lambda proof: bool(proof) or interrupts.event.is_set(),
        deadline_seconds=lever.propagation_seconds,
        pause=interrupts.pause,
    )
    interrupts.check()
    if not waited.met:
        raise InjectionError(
            f"{lever.name} on {lever.component} was not felt within {lever.propagation_seconds:g} s; it is undone",
            cause="the change was accepted, but its proof never came",
            remedy="try again, or on another target; the clauses that need it cannot be decided",
        )
    return waited.value


def _last_look(lever: Lever) -> str:
    try:
        return lever.proof()
    except Exception:  # noqa: BLE001 - healing comes next, whatever this look finds; no proof means no green
        return ""


def _counted(lever: Lever) -> int:
    try:
        return lever.hits()
    except Exception:  # noqa: BLE001 - the other faults' windows must still be written down
        return 0
