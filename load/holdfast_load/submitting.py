"""Submits a stack's commands for the dispatcher and for Locust users, and says what the history keeps of each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType

from holdfast.errors import HoldfastError
from holdfast.history.model import Outcome
from holdfast.ports.command import Transports, submit
from holdfast.ports.context import PortContext
from holdfast.ports.transports.web import WebClient
from holdfast.redaction import Clean, clean_errors
from holdfast.stack.base import Json
from holdfast.stack.generate import Submission
from holdfast.stack.resolve import Stack
from holdfast_load.plan import LoadPlan
from holdfast_load.recorder import Command, Reply
from holdfast_load.submissions import Drawing, command_of

Told = Callable[[str, float, Reply], None]
"""Told of every operation: its command, how long it took in milliseconds, and how it went."""


def ignore(_command: str, _milliseconds: float, _reply: Reply) -> None:
    """Listens to nothing."""


class Submitter:
    """One stack's commands, for any number of greenlets; a `dispatcher.Workload`.

    Args:
        stack: the resolved stack.
        plan: of the run.
        transports: what makes each kind of call.
        clean: removes secrets from a text.
        told: told of every operation.

    Attributes:
        sent: operations that were sent, by command.
        ended: how many operations had each outcome.
        problem: the first sign that the descriptor, a Python port or the credentials are wrong; ends the run.
    """

    def __init__(
        self, stack: Stack, plan: LoadPlan, *, transports: Transports, clean: Clean, told: Told = ignore
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.ended: Counter[Outcome] = Counter()
        self.problem: HoldfastError | None = None
        self._stack = stack
        self._plan = plan
        self._transports = transports
        self._clean = clean
        self._marked = stack.descriptor.marked
        self._told = told
        self._web = WebClient()
        self._drawing = Drawing(plan, stack.descriptor)
        self._components: Mapping[str, Json] = MappingProxyType(stack.values())
        self._replies: dict[tuple[Outcome, str, bool], Reply] = {}

    def command(self, number: int, name: str = "", session: str | int | None = None) -> Command:
        """What an arrival does.

        Args:
            number: of the arrival, unique in the run.
            name: of the command; empty for the one whose turn it is.
            session: the user, where one does one thing after another.
        """
        submission = self._drawing.submission(number, name)
        value = self._marked.known.shown(submission.value) if self._marked.hides_value else submission.value
        return Command(name or command_of(self._plan, number), submission.key, value, session, submission)

    def send(self, command: Command) -> Reply:
        """Submit it, and tell who listens."""
        self.sent[command.kind] += 1
        started = time.perf_counter()
        try:
            with clean_errors(self._clean):
                reply = self._submitted(command)
        except HoldfastError as error:  # a call that cannot be rendered or signed, or a Python port that raised
            self.problem = self.problem or error
            reply = Reply(Outcome.UNKNOWN, error.what, answered=False)
        self.ended[reply.outcome] += 1
        self._told(command.kind, (time.perf_counter() - started) * 1e3, reply)
        return reply

    def close(self) -> None:
        """Close idle connections."""
        self._web.close()

    def _submitted(self, command: Command) -> Reply:
        submission: Submission = command.work
        port = self._stack.descriptor.commands[command.kind]
        context = PortContext(
            stack=self._stack,
            submission=submission,
            values={**self._components, **submission.fields, "key": submission.key, "value": submission.value},
            timeout_seconds=port.timeout_seconds,
            web=self._web,
        )
        done = submit(port, context, self._transports)
        answer = done.answer
        told = (done.outcome, answer.summary(), bool(answer.status) and not answer.error)
        reply = self._replies.get(told)
        if reply is None:
            reply = Reply(done.outcome, self._clean(told[1]), answered=told[2])
            if answer.status and not answer.error:  # there are few of these, and any number of reasons for no answer
                self._replies[told] = reply
        return reply
