"""How a run goes, for somebody who waits: one line that is refreshed on a terminal, a line every 5 s elsewhere."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from typing import TextIO

from holdfast_load.plan import LoadProgress

EVERY_SECONDS = 5.0


class Shown:
    """Shows progress; thread-safe.

    Args:
        out: where to.
        clock: monotonic seconds.
    """

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._terminal = out.isatty()
        self._due = float("-inf")
        self._open = False
        self._lock = threading.Lock()

    def progress(self, progress: LoadProgress, beside: str) -> None:
        """Show how a run goes.

        Args:
            progress: the counts.
            beside: what whoever attends the run has to say.
        """
        text = described(progress, beside)
        with self._lock:
            if self._terminal:
                width = shutil.get_terminal_size().columns - 1
                self._out.write(f"\r\x1b[2K{text[:width]}")
                self._open = True
            elif self._clock() >= self._due:
                self._due = self._clock() + EVERY_SECONDS
                self._out.write(f"  {text}\n")
            self._out.flush()

    def line(self, text: str) -> None:
        """Show a line that stays."""
        with self._lock:
            before = "\n" if self._open else ""
            self._out.write(f"{before}  {text.strip()}\n")
            self._open = False
            self._out.flush()


def described(progress: LoadProgress, beside: str) -> str:
    """One line about a run.

    Args:
        progress: the counts.
        beside: what whoever attends the run has to say; empty for nothing.
    """
    errors = progress.failed + progress.unknown
    ended = errors + progress.acknowledged
    parts = [
        f"{max(0.0, progress.seconds):.0f} s",
        f"{progress.rate_per_second:.0f}/s",
        f"{progress.sent} sent",
        f"{progress.in_flight} in flight",
        f"{100 * errors / ended if ended else 0:.2g} % errors ({progress.failed} failed, {progress.unknown} unknown)",
        f"lag {progress.lag_ms:.0f} ms",
    ]
    if progress.refused:
        parts.append(f"{progress.refused} refused")
    return ", ".join(parts) + (f"; {beside}" if beside else "")
