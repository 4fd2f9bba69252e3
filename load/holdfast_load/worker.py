"""The worker's side of a run, inside a Locust worker process: it is assigned, measures its clock, sends and records.

A worker that loses its master, its command or its disk stops sending, closes its file and says what is missing.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
from botocore.credentials import ReadOnlyCredentials
from gevent.event import AsyncResult, Event
from gevent.queue import Queue

from holdfast.errors import HistoryError, HoldfastError
from holdfast.history.model import Outcome
from holdfast.ports.command import TRANSPORTS, Transports
from holdfast.redaction import cleaning
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Target
from holdfast_load import messages
from holdfast_load.assignment import Assignment, stack_of
from holdfast_load.channel import Channel
from holdfast_load.client.cheap import CheapClient
from holdfast_load.client.commands import cheap_transports, costly
from holdfast_load.client.signing import Keys
from holdfast_load.clocks import EXCHANGES, Exchange, Offset, offset_of, uncertainty_ns
from holdfast_load.closed import Closed
from holdfast_load.collecting import put
from holdfast_load.courier import Sender
from holdfast_load.dispatcher import NANOSECONDS, Dispatched, Dispatcher
from holdfast_load.recorder import Recorder, Reply
from holdfast_load.schedule import share
from holdfast_load.shapes import arrivals_of
from holdfast_load.submitting import Submitter, Told, ignore

_PROGRESS_SECONDS = 0.5
_PIECE_SECONDS = 1.0
_EXCHANGE_SECONDS = 2.0
_QUIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.01
_ORPHANED = "the command that started the worker ended"


class Worker:
    """One worker of one run.

    Args:
        send: sends a message to the master.
        channel: to the command that started this process.
        leave: ends this process in order.
        environ: says where the descriptor and the history are.
        told: told of every operation.

    Attributes:
        started: set when the clock runs; what users do before that waits for it.
    """

    def __init__(
        self,
        send: Callable[[str, dict[str, Any]], None],
        channel: Channel,
        *,
        leave: Callable[[], None],
        environ: Mapping[str, str] = os.environ,
        told: Told = ignore,
    ) -> None:
        self.started = Event()
        self._send = send
        self._channel = channel
        self._leave = leave
        self._is_leaving = self._is_done = False
        self._environ = environ
        self._told = told
        self._pongs: Queue[Exchange] = Queue()
        self._name = ""
        self._share = (0, 1)
        self._assignment: Assignment | None = None
        self._stack: Stack | None = None
        self._submitter: Submitter | None = None
        self._offset: Offset | None = None
        self._driver: Dispatcher | Closed | None = None
        self._recorder: Recorder | None = None
        self._path: Path | None = None
        self._sender: Sender | None = None
        self._numbers = itertools.count()
        self._ended: AsyncResult[None] = AsyncResult()
        channel.listen(self._commanded, lambda: self._commanded({"stop": _ORPHANED, "leave": True}))

    def assigned(self, data: Mapping[str, Any]) -> None:
        """Make ready for a run, and say whether that could be done; a master's message."""
        self._name, self._share = data["name"], (data["index"], data["workers"])
        problem, notes = "", []
        try:
            assignment = self._assignment = Assignment.from_json(data["assignment"])
            notes = self._prepare(assignment)
            self._offset = self._measured()
        except HoldfastError as error:
            problem = str(error)
        self._send(messages.READY, {"problem": problem, "costly": notes})

    def ponged(self, data: Mapping[str, Any]) -> None:
        """The master has answered; its message."""
        got_ns = time.monotonic_ns()
        self._pongs.put(Exchange(data["asked_ns"], data["received_ns"], data["answered_ns"], got_ns))

    def begin(self, data: Mapping[str, Any]) -> None:
        """The clock runs; a master's message."""
        assert self._assignment is not None
        assert self._offset is not None
        origin_ns = int(data["origin_unix_ns"]) - self._offset.ns
        gevent.spawn(self._run, self._assignment, int(data["origin_unix_ns"]), origin_ns)

    def held(self, data: Mapping[str, Any]) -> None:
        """The master holds a part of the file; its message."""
        if self._sender is not None:
            self._sender.got(int(data["bytes"]))

    def stop(self, reason: str) -> None:
        """Send nothing more; what is in flight is waited for."""
        if self._driver is not None:
            self._driver.stop(reason)

    def quit(self) -> None:
        """The process ends: close the file first."""
        if self._driver is not None:
            self.stop("the worker was told to quit")
            self._ended.wait(timeout=_QUIT_SECONDS)
            assert self._recorder is not None
            self._recorder.close()

    @property
    def is_open(self) -> bool:
        """Whether arrivals come by themselves, so that users have nothing to do."""
        return self._assignment is None or self._assignment.plan.is_open

    @property
    def stopped(self) -> bool:
        """Whether users may begin nothing more."""
        return isinstance(self._driver, Closed) and bool(self._driver.stopped)

    def submit(self, command: str, session: str) -> Reply:
        """Submit one command for a user and record it.

        Args:
            command: its name in the descriptor; empty for the one whose turn it is.
            session: the user.
        """
        self.started.wait()
        assert isinstance(self._driver, Closed)
        assert self._submitter is not None
        return self._driver.perform(self._submitter.command(next(self._numbers), command, session))

    def _prepare(self, assignment: Assignment) -> list[str]:
        """Open the stack; says which commands are not sent cheaply."""
        plan = assignment.plan
        path = Path(self._environ[messages.DESCRIPTOR])
        stack = self._stack = stack_of(assignment, path, self._environ)
        on_aws = assignment.endpoint_url is None
        cheaply = plan.client == "cheap"
        self._submitter = Submitter(
            stack,
            plan,
            transports=cheap(stack.target, on_aws=on_aws) if cheaply else TRANSPORTS,
            clean=cleaning(stack.descriptor),
            told=self._told,
        )
        self._numbers = itertools.count(*self._share)
        reasons = {name: costly(stack.descriptor.commands[name], on_aws=on_aws) for name in plan.commands}
        return [f"{name}: {reason}" for name, reason in reasons.items() if reason and cheaply]

    def _measured(self) -> Offset:
        """This process's monotonic clock against the master's wall clock."""
        exchanges: list[Exchange] = []
        for _ in range(EXCHANGES):
            self._send(messages.PING, {"asked_ns": time.monotonic_ns()})
            try:
                exchanges.append(self._pongs.get(timeout=_EXCHANGE_SECONDS))
            except gevent.queue.Empty:
                break
        if not exchanges:
            raise HoldfastError(
                f"The master did not answer worker {self._name}.", remedy="see whether it is reachable, and try again"
            )
        return offset_of(exchanges)

    def _run(self, assignment: Assignment, origin_unix_ns: int, origin_ns: int) -> None:
        plan, submitter, offset = assignment.plan, self._submitter, self._offset
        assert submitter is not None
        assert offset is not None
        try:
            self._path = self._file()
            recorder = self._recorder = Recorder(
                self._path,
                recorder=self._name,
                uncertainty_ns=offset.uncertainty_ns,
                origin=(origin_unix_ns, origin_ns),
            )
        except HistoryError as error:
            self._say_done({"worker": self._name, "problem": str(error).replace("\n", " ")}, stopped=error.what)
            self._ended.set()
            return
        if self._environ.get(messages.HISTORY) is None and not plan.collect:
            self._sender = Sender(self._path, self._send_piece, clock=time.monotonic)
        if plan.is_open:
            driver: Dispatcher | Closed = Dispatcher(
                submitter,
                recorder,
                spawn=gevent.spawn,
                sleep=gevent.sleep,
                most_in_flight=plan.most_in_flight,
                slip_budget_seconds=plan.slip_budget_seconds,
            )
        else:
            driver = Closed(submitter, recorder, sleep=gevent.sleep)
        self._driver = driver
        self.started.set()
        reporting = [gevent.spawn(self._report), gevent.spawn(self._carry)]
        if isinstance(driver, Dispatcher):
            arrivals = share(arrivals_of(plan), *self._share)
            done = driver.run(arrivals, start_ns=origin_ns, drain_seconds=plan.drain_seconds)
        else:
            until_ns = origin_ns + round(plan.duration_seconds * NANOSECONDS)
            done = driver.run(until_ns=until_ns, drain_seconds=plan.drain_seconds)
        gevent.killall(reporting)
        recorder.close()
        self._ended.set()
        self._finish(assignment, done, recorder)

    def _file(self) -> Path:
        here = self._environ.get(messages.HISTORY)
        folder = Path(here if here is not None else self._environ[messages.SPOOL])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HistoryError(
                f"The folder {folder} cannot be made.", cause=str(error), remedy="name another folder"
            ) from error
        return folder / f"{self._name}.jsonl"

    def _finish(self, assignment: Assignment, done: Dispatched, recorder: Recorder) -> None:
        """Say how it went, and hand the file over."""
        driver, submitter, offset, path = self._driver, self._submitter, self._offset, self._path
        assert driver is not None
        assert submitter is not None
        assert offset is not None
        assert path is not None
        slips = driver.slips
        problems = [] if recorder.problem is None else [str(recorder.problem).replace("\n", " ")]
        if recorder.lost:
            problems.append(f"{recorder.lost} operations could not be recorded")
        if done.crashed:
            problems.append(f"{done.crashed} operations raised, the first {done.first_error!r}; they count as unknown")
        self._report_once()
        try:
            at_end: Offset | None = self._measured()
        except HoldfastError:
            at_end = None
        record = {
            "worker": self._name,
            "operations": done.sent + done.refused - recorder.lost,
            "sent": done.sent,
            "refused": done.refused,
            "lost": recorder.lost,
            "unfinished": done.unfinished,
            "late": done.late,
            "slip_p50_ms": slips.percentile_ns(50) / 1e6,
            "slip_p99_ms": slips.percentile_ns(99) / 1e6,
            "worst_slip_ms": done.worst_slip_ns / 1e6,
            "uncertainty_ns": uncertainty_ns(offset, at_end),
            "invalid": done.invalid,
        }
        stopped = str(submitter.problem).replace("\n", " ") if submitter.problem is not None else done.stopped
        if assignment.plan.collect and self._environ.get(messages.HISTORY) is None:
            assert self._stack is not None
            try:
                put(self._stack.target, path, assignment.plan.collect)
            except HoldfastError as error:
                problems.append(str(error).replace("\n", " "))
        if self._environ.get(messages.HISTORY) is None:
            record["kept"] = f"{os.uname().nodename}:{path.resolve()}"
        self._say_done({**record, "problem": "; ".join(problems)}, stopped=stopped)
        while self._sender is not None and not self._is_leaving and self._sender.step():
            gevent.sleep(_PAUSE_SECONDS)
        self._is_done = True
        if self._is_leaving:
            self._leave()

    def _say_done(self, record: Mapping[str, Any], *, stopped: str) -> None:
        size = self._path.stat().st_size if self._sender is not None and self._path is not None else 0
        document = {"record": record, "stopped": stopped, "bytes": size}
        self._channel.tell(done=document)
        self._send(messages.DONE, document)

    def _commanded(self, document: Mapping[str, Any]) -> None:
        if "stop" in document:
            self.stop(str(document["stop"]))
        if "leave" in document:
            self._is_leaving = True
            if self._driver is None or self._is_done:
                gevent.spawn(self._leave)

    def _report(self) -> None:
        while True:
            gevent.sleep(_PROGRESS_SECONDS)
            self._report_once()

    def _report_once(self) -> None:
        driver, submitter = self._driver, self._submitter
        assert submitter is not None
        assert driver is not None
        if submitter.problem is not None:
            driver.stop(submitter.problem.what)
        self._send(
            messages.PROGRESS,
            {
                "arrivals": driver.arrivals,
                "sent": submitter.sent.total(),
                "refused": driver.refused,
                "acknowledged": submitter.ended[Outcome.OK],
                "failed": submitter.ended[Outcome.FAIL],
                "unknown": submitter.ended[Outcome.UNKNOWN],
                "in_flight": driver.in_flight,
                "lag_ms": driver.slips.take_recent_ns() / 1e6,
                "sent_of": dict(submitter.sent),
            },
        )

    def _carry(self) -> None:
        """Hand over what was recorded, so that little is missing when this machine is lost."""
        while self._sender is not None:
            self._sender.step()
            gevent.sleep(_PIECE_SECONDS)

    def _send_piece(self, offset: int, piece: bytes) -> None:
        self._send(messages.PIECE, {"offset": offset, "data": piece})


def cheap(target: Target, *, on_aws: bool) -> Transports:
    """What sends calls by the cheap client with a target's credentials.

    Args:
        target: gives clients and credentials.
        on_aws: whether services have hosts of their own.
    """
    keys = Keys(_Credentials(target), target.region)
    return cheap_transports(CheapClient(target.client, keys), on_aws=on_aws)


class _Credentials:
    """A target's credentials as botocore's own classes give them; refreshed by the target's session."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """The keys as they are now."""
        return ReadOnlyCredentials(*self._target.credentials())
