"""Verifies several stacks in threads of their own, while somebody waits for their verdicts one by one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.levers.signals import Interrupted, interrupts
from holdfast.progress import LOOK_SECONDS, Progress, Waits
from holdfast.stack.loading import load_descriptor
from holdfast.verdict.model import ClauseVerdict, StackReport
from holdfast.verification import Options, opened

INTERRUPTED_SECONDS = 8.0
"""How long an interrupted run waits for what it does on the embedded target, which ends with it in any case."""


class Background:
    """Stacks being verified.

    Args:
        wanted: the clause ids to judge, by path of the descriptor.
        options: how.
        side_by_side: how many stacks at once.
        write_line: shows a person one line of progress.
    """

    def __init__(
        self,
        wanted: Mapping[Path, Sequence[str]],
        *,
        options: Options,
        side_by_side: int,
        write_line: Callable[[str], None],
    ) -> None:
        self._wanted = wanted
        self._options = options
        self._room = threading.Semaphore(side_by_side)
        self._write_line = write_line
        self._verdicts: dict[tuple[Path, str], Future[ClauseVerdict]] = {
            (path, id_): Future() for path, ids in wanted.items() for id_ in ids
        }
        self._threads: dict[Path, threading.Thread] = {}
        self._reports: dict[str, StackReport] = {}
        self._failures: dict[str, HoldfastError] = {}
        self._lasting: set[Path] = set()
        self._waits = Waits()
        self._stopping = threading.Event()

    def start_all(self) -> None:
        """Begin with every stack, as many at once as there is room for."""
        for path in self._wanted:
            self._start(path)

    def verdict(self, path: Path, clause_id: str) -> ClauseVerdict:
        """Wait for one verdict.

        Raises:
            HoldfastError: the stack could not be judged.
        """
        self._start(path)
        future = self._verdicts[path, clause_id]
        while True:
            try:
                return future.result(timeout=LOOK_SECONDS)
            except NotYet:
                interrupts.check()
                self._tell()

    def stop(self) -> None:
        """Let no further clause begin, and wait until what was begun has ended and healed.

        After a signal every window is healed first, whatever its thread is waiting for. What cannot be healed is among
        the failures.
        """
        first = not self._stopping.is_set()
        self._stopping.set()
        if interrupts.event.is_set():
            if first:
                since = time.strftime("%H:%M:%S")
                self._write_line(f"  interrupted: healing what is broken and ending what was begun, since {since}")
            try:
                interrupts.release_all()
            except HoldfastError as failure:
                self._failures["interrupted"] = failure
        began = time.monotonic()
        for path, thread in self._threads.items():
            while thread.is_alive():
                if interrupts.event.is_set() and path not in self._lasting:
                    left_seconds = began + INTERRUPTED_SECONDS - time.monotonic()
                    if left_seconds <= 0:
                        break
                thread.join(LOOK_SECONDS)
                self._tell()

    def reports(self) -> dict[str, StackReport]:
        """The reports of the stacks that were judged, as far as they were, by path of the descriptor."""
        return dict(self._reports)

    def failures(self) -> dict[str, HoldfastError]:
        """What kept stacks from being judged, also when nobody waited for their verdicts, by path of the descriptor."""
        return dict(self._failures)

    def _start(self, path: Path) -> None:
        if path not in self._threads:
            thread = threading.Thread(target=self._work, args=(path,), name=f"verify-{path.name}", daemon=True)
            self._threads[path] = thread
            thread.start()

    def _work(self, path: Path) -> None:
        ids = self._wanted[path]
        with self._room:
            try:
                self._verify(path, ids)
            except BaseException as error:  # noqa: BLE001 - whoever waits for a verdict must learn of it
                if isinstance(error, HoldfastError):
                    self._failures[str(path)] = error
                for id_ in ids:
                    future = self._verdicts[path, id_]
                    if not future.done():
                        future.set_exception(error)
            finally:
                self._waits.forget(path)

    def _verify(self, path: Path, ids: Sequence[str]) -> None:
        if self._stopping.is_set():
            return
        kind = self._options.target or load_descriptor(path, self._options.environ).target.default
        if kind != "embedded":
            self._lasting.add(path)
        with opened(path, options=self._options, ids=ids, listener=partial(self._heard, path)) as verification:
            for pattern, clause in verification.chosen:
                if self._stopping.is_set():
                    break
                verdict = verification.decide(pattern, clause)
                self._reports[str(path)] = verification.report()
                self._verdicts[path, clause.id].set_result(verdict)

    def _heard(self, path: Path, progress: Progress) -> None:
        self._waits.heard(path, progress)
        if self._stopping.is_set():
            raise Interrupted("stopped")

    def _tell(self) -> None:
        for line in self._waits.news():
            self._write_line(line)
