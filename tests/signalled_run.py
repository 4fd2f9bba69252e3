"""A run in a process of its own, as seen by who signals it: what it says, its errors, and what it has started."""

from __future__ import annotations

import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil

from lever_run import Plan

PROGRAM = Path(__file__).with_name("lever_run.py")
CYCLE_SECONDS = 60.0
END_SECONDS = 120.0
MARKER = "HOLDFAST_SIGNALLED_RUN"


class Run:
    """A run in a process of its own, started before it is needed.

    Attributes:
        process: the process.
        watchdog: process id of its watchdog; None without one.
    """

    def __init__(self) -> None:
        self.marker = secrets.token_hex(8)
        self.watchdog: int | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, MARKER: self.marker},
            start_new_session=True,
        )
        self.lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def begin(self, plan: Plan) -> None:
        """Give it its plan, and wait until it has begun."""
        assert self.process.stdin is not None
        self.process.stdin.write(plan.line().encode())
        self.process.stdin.flush()
        self.watchdog = json.loads(self._line(CYCLE_SECONDS))

    def says(self, line: str, *, within_seconds: float = CYCLE_SECONDS) -> str:
        """Wait for a line that begins like this; those before it are passed over."""
        end = time.monotonic() + within_seconds
        while True:
            found = self._line(end - time.monotonic())
            if found.startswith(line):
                return found

    def errors(self) -> str:
        """What it wrote to its standard error."""
        file = self._errors.fileno()
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send it, or its whole process group as a terminal does, a signal."""
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def end(self) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(timeout=END_SECONDS)
        self._reader.join(END_SECONDS)
        return code

    def family(self) -> list[str]:
        """Command lines of all processes that it has started, or is, and that still run."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == self.marker:
                    found.append(" ".join(process.cmdline()))
        return found

    def close(self) -> None:
        """Have it gone, and whatever it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self.watchdog is not None:
            with suppress(psutil.NoSuchProcess):
                left = psutil.Process(self.watchdog)
                if left.environ().get(MARKER) == self.marker:
                    left.kill()
        self._reader.join(END_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                stream.close()

    def _line(self, seconds: float) -> str:
        try:
            line = self.lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise AssertionError(f"the run said nothing after {self.said}; its errors: {self.errors()}") from None
        assert line, f"the run has ended; its errors: {self.errors()}"
        return line

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line.decode().strip())
            self.lines.put(self.said[-1])
        self.lines.put("")
