"""Locust's part: users that submit a stack's commands, and the wiring of its processes.

The only modules that import Locust are this one and `locustfile`; `holdfast_load.ContractUser` imports it when it is
asked for.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gevent
from locust import User, constant, events, task
from locust.exception import StopUser
from locust.runners import STATE_MISSING, MasterRunner, Runner, WorkerRunner

from holdfast.errors import HoldfastError
from holdfast.history.model import Outcome
from holdfast_load import messages
from holdfast_load.channel import Channel
from holdfast_load.master import Master
from holdfast_load.recorder import Reply
from holdfast_load.standalone import Standalone
from holdfast_load.worker import Worker

_IDLE_SECONDS = 1.0


class ContractUser(User):  # type: ignore[misc, unused-ignore]
    """A Locust user that submits commands of a stack; every operation is recorded and can be judged.

    Attributes:
        stack: the descriptor, for runs that ``locust`` itself starts; beside the locustfile or relative to the current
            directory. ``holdfast load`` gives its own.
        target: kind of the target, for runs that ``locust`` itself starts; empty for the descriptor's default.
    """

    abstract = True
    wait_time = constant(0)
    stack: str = ""
    target: str = ""

    def submit(self, command: str = "") -> Reply:
        """Submit one command and record it, as `holdfast verify` would submit it.

        Args:
            command: its name in the descriptor; empty for the one whose turn it is.

        Raises:
            StopUser: the run is over.
        """
        run: Worker | Standalone = run_of(self.environment)
        if run.stopped:
            raise StopUser
        return run.submit(command, f"{type(self).__name__}-{id(self):x}")


class Load(ContractUser):
    """The user of ``holdfast load``: submits the plan's commands in turn; idle in the open model."""

    @task
    def submit_next(self) -> None:
        """One command, or a moment of sleep."""
        run = run_of(self.environment)
        if isinstance(run, Worker):
            run.started.wait()
            if run.is_open:
                gevent.sleep(_IDLE_SECONDS)
                return
        self.submit()


def run_of(environment: Any) -> Any:
    """The run of a Locust process."""
    run = getattr(environment, "holdfast", None)
    if run is None:
        raise HoldfastError("This Locust process takes part in no run.", remedy="begin it with locust or holdfast load")
    return run


def _wire(environment: Any, runner: Runner, web_ui: Any = None, **_: Any) -> None:
    """Make a Locust process a master or a worker of a run, or a run of its own."""
    channel = Channel.of()
    if isinstance(runner, MasterRunner):
        if channel is not None:
            _wire_master(environment, runner, web_ui, channel)
    elif isinstance(runner, WorkerRunner) and channel is not None:
        _wire_worker(environment, runner, channel)
    else:
        _wire_alone(environment)


def _wire_master(environment: Any, runner: MasterRunner, web_ui: Any, channel: Channel) -> None:
    def present() -> list[str]:
        return [client.id for client in runner.clients.all if client.state != STATE_MISSING]

    def leave() -> None:
        runner.quit()
        if web_ui is not None:
            web_ui.stop()

    master = Master(
        send=runner.send_message,
        present=present,
        leave=leave,
        channel=channel,
        history=Path(os.environ[messages.HISTORY]),
    )
    for message, handle in {
        messages.READY: master.ready,
        messages.PING: master.pinged,
        messages.PROGRESS: master.progressed,
        messages.DONE: master.finished,
        messages.PIECE: master.piece,
    }.items():
        runner.register_message(message, lambda msg, handle=handle, **_: handle(msg.node_id, msg.data))
    environment.events.test_start.add_listener(lambda **_: master.start())
    environment.events.test_stopping.add_listener(lambda **_: master.stop("it was stopped in Locust"))
    channel.tell(listening=runner.server.port)


def _wire_worker(environment: Any, runner: WorkerRunner, channel: Channel) -> None:
    worker = Worker(runner.send_message, channel, leave=runner.quit, told=_told(environment))
    environment.holdfast = worker
    runner.register_message(messages.ASSIGN, lambda msg, **_: worker.assigned(msg.data), concurrent=True)
    for message, handle in {
        messages.PONG: worker.ponged,
        messages.START: worker.begin,
        messages.HELD: worker.held,
    }.items():
        runner.register_message(message, lambda msg, handle=handle, **_: handle(msg.data))
    runner.register_message(messages.STOP, lambda msg, **_: worker.stop(str(msg.data["reason"])))
    environment.events.quitting.add_listener(lambda **_: worker.quit())


def _wire_alone(environment: Any) -> None:
    run = Standalone(told=_told(environment))
    environment.holdfast = run

    def started(**_: Any) -> None:
        classes = [one for one in environment.user_classes if issubclass(one, ContractUser)]
        run.start(tuple(dict.fromkeys((one.stack, one.target) for one in classes)), environment)

    environment.events.test_start.add_listener(started)
    environment.events.quitting.add_listener(lambda **_: run.close())


def _told(environment: Any) -> Any:
    """Passes every operation to Locust's own statistics."""
    problems: dict[str, Exception] = {}

    def told(command: str, milliseconds: float, reply: Reply) -> None:
        problem = None
        if reply.outcome is not Outcome.OK:
            text = f"{reply.outcome}: {reply.status}"
            problem = problems.setdefault(text, Exception(text))
        environment.events.request.fire(
            request_type="command",
            name=command,
            response_time=milliseconds,
            response_length=0,
            exception=problem,
            context={},
        )

    return told


events.init.add_listener(_wire)  # type: ignore[no-untyped-call]
