"""A run that ``locust`` itself started, with `ContractUser` in somebody's own locustfile: recorded, never broken.

Each process resolves the stack by reads alone, attaches to it where it is deployed, and records into a run's folder of
its own; ``holdfast check`` judges them together.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent

from holdfast.errors import ExitCode, HoldfastError
from holdfast.opening import Options, resolved
from holdfast.progress import unheard
from holdfast.redaction import cleaning
from holdfast.runs import Run, begin
from holdfast.stack.loading import load_descriptor
from holdfast.stack.prefixes import new_prefix
from holdfast_load.closed import Closed
from holdfast_load.plan import LoadPlan
from holdfast_load.recorder import Recorder, Reply
from holdfast_load.submitting import Submitter, Told
from holdfast_load.worker import cheap

ALLOW_AWS = "HOLDFAST_ALLOW_AWS"
"""Environment variable: ``1`` opts into sending commands to real AWS."""


class Standalone:
    """One Locust process that is its own run.

    Args:
        told: told of every operation.
    """

    def __init__(self, *, told: Told) -> None:
        self._told = told
        self._exits = ExitStack()
        self._closed: Closed | None = None
        self._submitter: Submitter | None = None
        self._numbers = itertools.count()

    @property
    def stopped(self) -> bool:
        """Whether users may begin nothing more."""
        return self._closed is None or bool(self._closed.stopped)

    def start(self, stacks: Sequence[tuple[str, str]], environment: Any) -> None:
        """Open the stack and a file for its operations; what was open before is closed.

        A stack that cannot be used ends Locust with exit code 2 and the reason, and no user begins.

        Args:
            stacks: descriptor and target of the user classes.
            environment: Locust's.
        """
        self.close()
        try:
            self._open(stacks, worker=max(0, getattr(environment.runner, "worker_index", 0)))
        except HoldfastError as error:
            sys.stderr.write(f"holdfast: {error}\n")
            environment.process_exit_code = ExitCode.USAGE
            gevent.spawn(environment.runner.quit)

    def submit(self, command: str, session: str) -> Reply:
        """Submit one command for a user and record it; not when `stopped`."""
        assert self._closed is not None
        assert self._submitter is not None
        return self._closed.perform(self._submitter.command(next(self._numbers), command, session))

    def close(self) -> None:
        """Close the file; what is in flight is recorded as unknown."""
        if self._closed is not None:
            self._closed.stop("the test ended")
            self._closed.run(until_ns=0, drain_seconds=0)
            self._closed = None
        self._exits.close()

    def _open(self, stacks: Sequence[tuple[str, str]], *, worker: int) -> None:
        if len(stacks) != 1 or not stacks[0][0]:
            raise HoldfastError(
                "A locustfile submits to one stack.",
                cause=f"its user classes name {', '.join(repr(stack) for stack, _ in stacks) or 'none'}",
                remedy='write stack = "NAME.stack.toml" in every ContractUser, the same in all',
            )
        path, target = Path(stacks[0][0]), stacks[0][1]
        descriptor = load_descriptor(path, os.environ)
        kind: Any = target or descriptor.target.default
        if kind == "embedded":
            raise HoldfastError(
                "The embedded target ends with the command that started it.",
                cause=f"{path} is to be used by locust alone",
                remedy=f"holdfast load {path} --locustfile FILE, or target = 'localstack' in the user class",
            )
        options = Options(target=kind, deploy=False, intercept=False, allow_aws=os.environ.get(ALLOW_AWS) == "1")
        stack = self._exits.enter_context(resolved(path, descriptor, options=options, say=unheard))
        plan = LoadPlan(
            descriptor=path,
            commands=tuple(dict.fromkeys(pattern.command for pattern in descriptor.patterns.values())),
            duration_seconds=0,
            users=1,
            prefix=f"{new_prefix()}w{worker}",
        )
        run = Run(kind="load", stack=descriptor.name, descriptor=str(path), target=stack.target.kind, seed=0)
        clean = cleaning(descriptor)
        folder = begin(options.folder, run, clean=clean)
        recorder = Recorder(folder.history / f"w{worker}.jsonl", recorder=f"w{worker}")
        started = time.monotonic()
        self._exits.callback(lambda: folder.end(time.monotonic() - started))
        self._exits.callback(recorder.close)
        self._submitter = Submitter(
            stack,
            plan,
            transports=cheap(stack.target, on_aws=stack.target.endpoint_url is None),
            clean=clean,
            told=self._told,
        )
        self._closed = Closed(self._submitter, recorder, sleep=gevent.sleep)
