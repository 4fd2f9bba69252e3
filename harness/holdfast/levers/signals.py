"""While a fault is in place, SIGINT and SIGTERM end the run in order: every window is left, and so healed.

Signals reach Python's main thread alone. The outermost `interruptible` of that thread turns the first one into
`Interrupted`, which unwinds through the windows that the thread has open; windows of other threads are healed by the
outermost `interruptible` before it lets go, and from then on no thread opens another one. Neither healing nor a call
that puts a fault in place is interrupted: a signal that comes meanwhile is delivered afterwards. Process-wide state is
unavoidable here, since signal handlers are.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived while a fault was in place; what was open is healed on the way out."""


class Interrupts:
    """What this process does with SIGINT and SIGTERM, and which windows it has open.

    Attributes:
        event: set from the first signal until the next outermost `interruptible` begins; worker threads watch it.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self._installed = False
        self._shields = 0
        self._raised = False
        self._signal = ""
        self._open: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def register(self, release: Callable[[], None]) -> None:
        """Have a window released before the outermost `interruptible` lets go, whatever happens to its thread.

        Raises:
            Interrupted: the run is being ended, so no other thread than the main one may open a window any more.
        """
        with self._lock:
            if threading.current_thread() is not threading.main_thread():
                self.check()
            self._open.append(release)

    def unregister(self, release: Callable[[], None]) -> None:
        """The window was released."""
        with self._lock:
            if release in self._open:
                self._open.remove(release)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Turn the first SIGINT or SIGTERM into `Interrupted`; does nothing in other threads and when nested."""
        if self._installed or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self._installed, self._raised, self._signal = True, False, ""
        self.event.clear()
        try:
            for number in SIGNALS:
                signal.signal(number, self._handle)
            yield
        finally:
            try:
                self.release_all()
            except Interrupted:
                # the first signal came just before the windows were shielded; it is raised only once
                self.release_all()
                raise
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)
                self._installed = False

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """Hold signals back; in the main thread only, as no other thread gets any."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        self.check()

    def deliver(self) -> None:
        """Raise what was held back, in the main thread alone: what another thread heals must not end."""
        if threading.current_thread() is threading.main_thread():
            self.check()

    def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal; for waits outside healing, in any thread."""
        self.event.wait(seconds)

    def check(self) -> None:
        """Raise what was held back; in a worker thread, what the main thread was told."""
        if not self.event.is_set():
            return
        if threading.current_thread() is not threading.main_thread():
            raise Interrupted(self._signal)
        if not self._shields:
            self._raise_once()

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        self._signal = signal.Signals(number).name
        self.event.set()
        if not self._shields:
            self._raise_once()

    def _raise_once(self) -> None:
        # Raised a second time, it could cut short the healing that the first one has begun.
        if not self._raised:
            self._raised = True
            raise Interrupted(self._signal)

    def release_all(self) -> None:
        """Heal every open window now, whichever thread has it open; the first failure is raised at the end."""
        failures: list[Exception] = []
        try:
            with self.shielded():
                while True:
                    with self._lock:
                        release = self._open.pop() if self._open else None
                    if release is None:
                        break
                    try:
                        release()
                    except Exception as error:  # noqa: BLE001 - the other windows must be healed all the same
                        failures.append(error)
        finally:
            if failures:  # a fault that is still in place matters more than the signal that came meanwhile
                raise failures[0]


interrupts = Interrupts()
"""The one of this process."""

interruptible = interrupts.interruptible
"""Wrap a whole run in it, in the main thread, so that a signal heals the windows of all threads."""
