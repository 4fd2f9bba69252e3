"""From a descriptor to a stack on a target: opened, deployed where that is asked for, resolved, guarded, made ready."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from holdfast.errors import GuardRailError, HistoryError
from holdfast.history.columns import NANOSECONDS
from holdfast.history.events import EventFile
from holdfast.history.recorder import Recorder
from holdfast.levers.journal import Journal, Pin
from holdfast.levers.launched import launched
from holdfast.levers.signals import Interrupted
from holdfast.levers.watchdog import watched
from holdfast.ports.ports import Ports
from holdfast.progress import NOTE, Progress, Say
from holdfast.redaction import Clean, clean_errors, cleaned_arguments, cleaning
from holdfast.runs import KEPT, Run, RunFolder, RunKind, at_end, begin
from holdfast.sampling import queues_sampled
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.guarded import guarded
from holdfast.stack.lifecycle import launches
from holdfast.stack.prefixes import new_prefix
from holdfast.stack.resolve import Stack, resolve
from holdfast.stack.seeding import seed as put_seed
from holdfast.targets.base import Target, TargetKind
from holdfast.targets.deployment import deploy
from holdfast.targets.open import open_target
from holdfast.verdict.describe import veiled

DEFAULT_FOLDER = Path(".holdfast")
"""Where journals, verdicts and logs are kept, under the current directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a stack is verified.

    Attributes:
        target: kind of the target; None takes the descriptor's default.
        deploy: whether to deploy the template first and remove it afterwards; None means only on the embedded target.
        allow_aws: the explicit opt-in without which nothing runs on AWS.
        cloudformation: the deployed CloudFormation stack to use instead of the descriptor's.
        intercept: whether the interceptor is put in front of LocalStack; None takes the descriptor's word.
        seed: of the generated values.
        folder: where journals, verdicts and runs are kept.
        kept_runs: how many runs of a stack are kept.
        deadline_seconds: when the run's budget of time is used up, on the monotonic clock; None for no budget.
        most_dollars: what a stack's run may cost; None for no budget.
        environ: for ``${ENV}`` in the descriptor and the usual variables of the target.
    """

    target: TargetKind | None = None
    deploy: bool | None = None
    allow_aws: bool = False
    cloudformation: str | None = None
    intercept: bool | None = None
    seed: int = 0
    folder: Path = DEFAULT_FOLDER
    kept_runs: int = KEPT
    deadline_seconds: float | None = None
    most_dollars: float | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    @classmethod
    def of(cls, given: Namespace, **others: Any) -> Options:
        """The options that `option_types.add_target_options` has added, as a person gave them.

        Args:
            given: what was parsed.
            others: the attributes that are not among them.
        """
        return cls(
            target=given.target,
            deploy=given.deploy,
            allow_aws=given.allow_aws,
            cloudformation=given.cloudformation,
            **others,
        )

    def deploys(self, kind: str) -> bool:
        """Whether the template is deployed first on a target of this kind."""
        return kind == "embedded" if self.deploy is None else self.deploy

    def journal_folder(self) -> Path:
        """Where the undo records are."""
        return self.folder / "journal"


def silent(_: Progress) -> None:
    """A listener that says nothing."""


@contextmanager
def resolved(
    path: Path,
    descriptor: Descriptor,
    *,
    options: Options,
    target: Target | None = None,
    say: Say,
) -> Iterator[Stack]:
    """A stack whose components are found, on a target that refuses calls which reach outside of them.

    Args:
        path: the descriptor's file.
        descriptor: the descriptor.
        options: how.
        target: a target that somebody else started and ends; opened here when None.
        say: told what goes on.

    Raises:
        HoldfastError: the target does not answer, the template cannot be deployed, or a resource is missing.
    """
    clean = cleaning(descriptor)

    def told(line: str, until_seconds: float = 0.0) -> None:
        with suppress(Interrupted):  # removing what was deployed is a part of ending in order
            say(clean(line), until_seconds)

    with clean_errors(clean), ExitStack() as exits:
        if target is None:
            kind = options.target or descriptor.target.default
            if kind == "aws" and options.intercept:
                raise GuardRailError(
                    "--intercept is for LocalStack: functions on AWS cannot reach an interceptor on this machine",
                    remedy="leave it out; what needs aimed faults is inconclusive there",
                )
            say(f"opening the {kind} target")
            target = open_target(
                kind,
                localstack_endpoint=descriptor.target.localstack_endpoint,
                intercept=descriptor.target.intercept if options.intercept is None else options.intercept,
                pin=descriptor.target.aws,
                allow_aws=options.allow_aws,
            )
            exits.callback(target.close)
            exits.callback(told, f"ending the {kind} target")
        cloudformation = options.cloudformation
        if options.deploys(target.kind) and descriptor.deploy is not None and cloudformation is None:
            cloudformation = f"{descriptor.name}-{new_prefix()}"
            say("deploying")
            exits.enter_context(
                deploy(
                    target,
                    path.parent / descriptor.deploy.template,
                    stack_name=cloudformation,
                    parameters=descriptor.deploy.parameters,
                    progress=told,
                )
            )
        stack = guarded(resolve(descriptor, path, target, cloudformation=cloudformation))
        exits.callback(stack.target.close)
        yield stack


@contextmanager
def started(stack: Stack, journal: Journal, *, options: Options, say: Say) -> Iterator[Stack]:
    """A stack whose processes and channels run, with a watchdog that ends them when the run is killed.

    Args:
        stack: the resolved stack.
        journal: the run's journal.
        options: how.
        say: told what goes on.

    Raises:
        TargetError: a process does not start.
    """
    if not launches(stack.descriptor):
        yield stack
        return
    say("starting the processes of the stack")
    with watched(journal, enabled=True), launched(stack, journal, logs=options.folder / "logs") as running:
        yield running


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A stack that may be broken: its ports answer, and what is done to it can be undone.

    Attributes:
        stack: the resolved stack.
        ports: its ports.
        recorder: the run's history.
        journal: where faults are written before they are put in place.
        run: the folder of what is kept of the run; None where nothing is.
    """

    stack: Stack
    ports: Ports
    recorder: Recorder
    journal: Journal
    run: RunFolder | None = None


@contextmanager
def ready(
    path: Path,
    descriptor: Descriptor,
    *,
    options: Options,
    kind: RunKind | None = None,
    target: Target | None = None,
    say: Say,
) -> Iterator[Ready]:
    """A stack whose ports have been checked, with its seed put, a journal, and a watchdog where one is needed.

    The processes and channels of its descriptor are started before, and ended after.

    Args:
        path: the descriptor's file.
        descriptor: the descriptor.
        options: how.
        kind: what kind of run is written down; None for nothing.
        target: a target that somebody else started and ends; opened here when None.
        say: told what goes on.

    Raises:
        HoldfastError: as `resolved`, a process does not start, or a port answers what it must not.
    """
    with ExitStack() as exits:
        stack = exits.enter_context(resolved(path, descriptor, options=options, target=target, say=say))
        exits.enter_context(veiled(_cleaning(stack)))
        journal = exits.enter_context(Journal(options.journal_folder(), Pin.of(stack)))
        exits.enter_context(watched(journal, enabled=False if launches(descriptor) else None))
        put_seed(stack)
        stack = exits.enter_context(started(stack, journal, options=options, say=say))
        recorder = Recorder()
        ports = Ports(stack, recorder)
        exits.callback(ports.close)
        say("checking the ports")
        ports.check()
        run = exits.enter_context(_written(stack, recorder, options, kind, say)) if kind is not None else None
        yield Ready(stack=stack, ports=ports, recorder=recorder, journal=journal, run=run)


def _cleaning(stack: Stack) -> Clean:
    _, secret_key, token = stack.target.credentials()
    return cleaning(stack.descriptor, secret_key, token)


@contextmanager
def _written(stack: Stack, recorder: Recorder, options: Options, kind: RunKind, say: Say) -> Iterator[RunFolder | None]:
    """The folder of a run, into which its history is written while it grows; None where it cannot be made."""
    clean = _cleaning(stack)
    run = Run(
        kind=kind,
        stack=stack.descriptor.name,
        descriptor=str(stack.path),
        patterns=tuple(stack.descriptor.patterns),
        target=stack.target.kind,
        seed=options.seed,
        command=cleaned_arguments(sys.argv, clean),
    )
    try:
        folder = begin(options.folder, run, clean=clean, kept=options.kept_runs)
    except HistoryError as problem:  # a verdict is worth having without it
        say(f"the run is not kept: {problem.what} {problem.cause}", NOTE)
        yield None
        return
    began_seconds = time.monotonic() - recorder.now_seconds()
    origin_unix_ns = time.time_ns() - round(recorder.now_seconds() * NANOSECONDS)
    file = EventFile(folder.history / "run.jsonl", recorder="run", clean=clean, origin_unix_ns=origin_unix_ns)
    recorder.told = file.add

    def end() -> None:
        recorder.told = None
        file.close()
        problem = file.problem
        notes = () if problem is None else (f"The history is not whole. {problem.what} {problem.cause}",)
        folder.end(time.monotonic() - began_seconds, notes=notes)

    with at_end(end), queues_sampled(stack, recorder.now_seconds, folder.series):
        yield folder
