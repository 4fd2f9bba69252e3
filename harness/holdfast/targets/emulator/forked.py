"""The emulator's side of the zygote: processes that look like ``subprocess.Popen`` and start in milliseconds."""

from __future__ import annotations

import array
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

BUNDLED = ("boto3", "botocore", "s3transfer", "urllib3", "jmespath", "dateutil", "six.py")
"""A function that brings its own copy of what the zygote has imported gets a fresh interpreter: its copy wins."""

_START_SECONDS = 30.0


class ForkedProcess:
    """One forked process, with the part of ``subprocess.Popen``'s interface that MiniStack and the patches use.

    Attributes:
        pid: its process id.
        returncode: how it ended, negative for a signal; None while it runs.
        stdin: its standard input, text.
        stdout: its standard output, text.
        stderr: its standard error, text.
    """

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
        self.pid = 0
        self.returncode: int | None = None
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.started = threading.Event()
        self.ended = threading.Event()

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Zygote:
    """Starts the zygote, and forks from it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "holdfast.targets.emulator.zygote", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._channel = ours
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._asked: dict[int, ForkedProcess] = {}
        self._running: dict[int, ForkedProcess] = {}
        threading.Thread(target=self._listen, name="zygote", daemon=True).start()

    def serves(self, command: list[str], env: dict[str, str], cwd: str) -> bool:
        """Whether a process may be forked: a Python script that needs no other interpreter or libraries."""
        return (
            self._process.poll() is None
            and len(command) == 2
            and command[1].endswith(".py")
            and Path(command[0]).name.startswith("python")
            and not any(name.startswith("PYTHON") for name in env if name not in ("PYTHONUSERBASE", "PYTHONUTF8"))
            and not env.get("_LAMBDA_LAYERS_DIRS")
            and not any((Path(cwd) / name).exists() for name in BUNDLED)
        )

    def fork(self, script: str, *, env: dict[str, str], cwd: str) -> ForkedProcess:
        """Fork a process that runs a script.

        Raises:
            OSError: the zygote is gone or does not answer.
        """
        theirs_in, stdin = os.pipe()
        stdout, theirs_out = os.pipe()
        stderr, theirs_error = os.pipe()
        process = ForkedProcess(
            os.fdopen(stdin, "w", buffering=1, encoding="utf-8", errors="surrogateescape"),
            os.fdopen(stdout, "r", encoding="utf-8", errors="surrogateescape"),
            os.fdopen(stderr, "r", encoding="utf-8", errors="replace"),
        )
        number = next(self._numbers)
        request = json.dumps({"request": number, "script": script, "cwd": cwd, "env": env}).encode()
        streams = array.array("i", [theirs_in, theirs_out, theirs_error])
        try:
            with self._lock:
                self._asked[number] = process
                self._channel.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
                # One request at a time: a stream socket keeps no boundaries between two that wait.
                if not process.started.wait(_START_SECONDS):
                    # Once is enough: the next one would wait as long again.
                    self._process.kill()
                    raise OSError(f"no process was forked within {_START_SECONDS:g} s")
                if not process.pid:
                    raise OSError("the zygote ended")
        finally:
            for stream in streams:
                os.close(stream)
        return process

    def _listen(self) -> None:
        with self._channel.makefile("rb") as lines:
            for line in lines:
                told = json.loads(line)
                if "request" in told:
                    process = self._asked.pop(told["request"])
                    process.pid = told["pid"]
                    self._running[process.pid] = process
                    process.started.set()
                elif (ended := self._running.pop(told["ended"], None)) is not None:
                    ended.returncode = told["status"]
                    ended.ended.set()
        for process in [*self._running.values(), *self._asked.values()]:
            process.returncode = -signal.SIGKILL
            process.started.set()
            process.ended.set()


def popen(
    command: list[str], *, zygote: Zygote | None, env: dict[str, str], cwd: str | None = None, **options: Any
) -> Any:
    """Start a process: forked where that is the same, otherwise by ``subprocess.Popen``."""
    if zygote is not None and cwd is not None and zygote.serves(command, env, cwd):
        with suppress(OSError):
            return zygote.fork(command[1], env=env, cwd=cwd)
    return subprocess.Popen(command, env=env, cwd=cwd, **options)
