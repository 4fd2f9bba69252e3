"""The ways in and out of one stack; all that passes is recorded, nothing is judged."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import TypeVar

from holdfast.errors import HoldfastError, PortError, ResourceError, TargetError
from holdfast.history.exchanges import Exchange
from holdfast.history.executions import EXECUTION, Execution, standing
from holdfast.history.logs import Event, LogRead, ViewRead
from holdfast.history.model import Observation, Operation
from holdfast.history.recorder import Recorder
from holdfast.ports.bulk import Keys
from holdfast.ports.check import check
from holdfast.ports.command import submit
from holdfast.ports.context import PortContext
from holdfast.ports.counting import Counted, States, count, states
from holdfast.ports.dead_letters import DeadLetter, read_dead_letters
from holdfast.ports.effect import Seen, read_effect
from holdfast.ports.exchanges import ask_for_effect, ask_url, http_source
from holdfast.ports.executions import Executions
from holdfast.ports.projections import Shown, read_events, read_view
from holdfast.ports.quantity import quantity_port, read_quantity
from holdfast.ports.redact import Redactor
from holdfast.ports.redrive import redrive
from holdfast.ports.status import read_status
from holdfast.ports.transports.web import WebClient
from holdfast.stack.commands import Command
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern
from holdfast.stack.resolve import Stack
from holdfast.stack.templates import suggestion

_READ_TIMEOUT_SECONDS = 10.0

T = TypeVar("T")


class Ports:
    """The ways in and out of one stack, for any number of threads.

    Args:
        stack: the resolved stack.
        recorder: takes every operation and observation.
    """

    def __init__(self, stack: Stack, recorder: Recorder) -> None:
        self._stack = stack
        self._recorder = recorder
        self._web = WebClient()
        _, secret_key, token = stack.target.credentials()
        self._marked = stack.descriptor.marked
        self._redactor = Redactor((secret_key, token), declared=stack.descriptor.secrets, marked=self._marked)
        self._executions: dict[str, Executions] = {}
        self._lock = threading.Lock()

    def submit(
        self,
        command: str,
        submission: Submission,
        *,
        provocation: str = "",
        role: str = "",
        group: str = "",
        sequence: int = -1,
        lose_answer: bool = False,
        variant: Command | None = None,
    ) -> Operation:
        """Send one command and record how it went; whatever the stack does becomes an outcome, never an exception.

        Args:
            command: name of the command port.
            submission: key, value and fields.
            provocation: name of the provocation that sends it.
            role: what the provocation means it to be, e.g. ``healthy``.
            group: ordering group.
            sequence: position within its group.
            lose_answer: send it whole, then drop the connection without reading the answer.
            variant: sent in place of the command, e.g. with a malformed body.

        Raises:
            PortError: it cannot be sent at all: the descriptor or a Python port is wrong.
            DescriptorError: a placeholder stands for nothing.
            ResourceError: a component is missing.
        """
        port = variant or self._named(self._stack.descriptor.commands, command, "command")
        context = self._context(submission, port.timeout_seconds, lose_answer=lose_answer)
        identity = self._recorder.next_id()
        invoked_seconds = self._recorder.now_seconds()
        done = submit(port, context)
        self._marked.learn(done.body, but=submission.key)
        self._marked.learn(done.answer.text, but=submission.key)
        answered = bool(done.answer.status) and not done.answer.error
        operation = Operation(
            id=identity,
            key=submission.key,
            command=command,
            provocation=provocation,
            invoked_seconds=invoked_seconds,
            completed_seconds=self._recorder.now_seconds() if answered else None,
            outcome=done.outcome,
            value=submission.value,
            body=done.body,
            role=role,
            status=self._redactor.shorten(done.answer.summary(), done.secrets),
            answer=self._redactor.shorten(done.answer.text, done.secrets),
            group=group,
            sequence=sequence,
        )
        self._recorder.add(operation)
        return operation

    def observe(self, effect: str, submission: Submission, *, provocation: str = "") -> Observation:
        """Count one effect of one key and record it; a read that fails is incomplete, its reason is the state.

        Args:
            effect: name of the effect port.
            submission: whose effect.
            provocation: name of the provocation that looks.
        """
        port = self._named(self._stack.descriptor.effects, effect, "effect")
        context = self._context(submission, _READ_TIMEOUT_SECONDS)
        return self._observed(
            effect, submission, provocation, lambda: (read_effect(port, context, f"effect {effect}"), "")
        )

    def count(
        self, effect: str, keys: Keys, submission: Callable[[int], Submission], *, deadline_seconds: float
    ) -> Counted:
        """Count one effect of many keys, at once where its sources allow it; nothing is recorded.

        Args:
            effect: name of the effect port.
            keys: the keys.
            submission: what was submitted for a key, by its place.
            deadline_seconds: how long keys are asked for one by one.
        """
        port = self._named(self._stack.descriptor.effects, effect, "effect")
        return count(
            effect,
            port,
            keys,
            lambda place: self._context(submission(place), _READ_TIMEOUT_SECONDS),
            deadline_seconds=deadline_seconds,
        )

    def glance(self, effect: str, submission: Submission) -> int | None:
        """Count one effect of one key, and record nothing; None where it cannot be read now.

        Args:
            effect: name of the effect port.
            submission: whose effect.
        """
        port = self._named(self._stack.descriptor.effects, effect, "effect")
        try:
            return read_effect(port, self._context(submission, _READ_TIMEOUT_SECONDS), f"effect {effect}").count
        except (PortError, ResourceError, TargetError):
            return None

    def states(
        self, status: str, keys: Keys, submission: Callable[[int], Submission], *, deadline_seconds: float
    ) -> States:
        """Read what the system reports about many keys, one by one; nothing is recorded.

        Args:
            status: name of the status port.
            keys: the keys.
            submission: what was submitted for a key, by its place.
            deadline_seconds: how long keys are asked for.
        """
        port = self._named(self._stack.descriptor.statuses, status, "status")
        return states(
            lambda place: read_status(
                port, self._context(submission(place), _READ_TIMEOUT_SECONDS), f"status {status}"
            )[1],
            len(keys),
            deadline_seconds=deadline_seconds,
        )

    def ask(
        self,
        question: str,
        *,
        url: str = "",
        submission: Submission | None = None,
        degraded: str | None = None,
        role: str = "",
        timeout_seconds: float = _READ_TIMEOUT_SECONDS,
    ) -> Exchange:
        """Ask an application over HTTP, whatever comes of it.

        Args:
            question: name of an effect port with one HTTP source; of anything else where there is a ``url``.
            url: template of the URL to GET instead of the effect's.
            submission: whose effect.
            degraded: JMESPath on the answer, true for one that is not the usual one.
            role: what the provocation means the question to be.
            timeout_seconds: how long to wait for the answer.

        Raises:
            PortError: it cannot be asked at all.
            ResourceError: a component is missing.
            DescriptorError: a placeholder stands for nothing.
        """
        context = self._context(submission or Submission("", ""), timeout_seconds)
        started_seconds = self._recorder.now_seconds()
        if url:
            asked = ask_url(url, context)
        else:
            source = http_source(self._named(self._stack.descriptor.effects, question, "effect"))
            if source is None:
                raise PortError(f"effect {question} does not ask over HTTP", remedy="name one with one HTTP source")
            asked = ask_for_effect(source, context, f"effect {question}", degraded)
        answer = asked.answer
        self._marked.learn(answer.text, but=context.key)
        self._learn(asked.values, context.key)
        return Exchange(
            question=question,
            key=context.key,
            role=role,
            started_seconds=started_seconds,
            completed_seconds=self._recorder.now_seconds(),
            status=0 if answer.error else answer.status,
            reason=self._redactor.shorten(answer.error),
            count=asked.count,
            values=asked.values,
            degraded=asked.degraded,
        )

    def observe_status(self, status: str, submission: Submission, *, provocation: str = "") -> Observation:
        """Read what the system reports about one key and record it; count 0 and an empty state when it reports nothing.

        Args:
            status: name of the status port.
            submission: whose status.
            provocation: name of the provocation that looks.
        """
        port = self._named(self._stack.descriptor.statuses, status, "status")
        context = self._context(submission, _READ_TIMEOUT_SECONDS)
        return self._observed(status, submission, provocation, lambda: read_status(port, context, f"status {status}"))

    def read_log(self, log: str, aggregate: str, submission: Submission) -> LogRead:
        """Read all events of one aggregate; a read that fails is incomplete, with the reason.

        Args:
            log: name of the log.
            aggregate: the aggregate, as text.
            submission: one whose fields name the aggregate.
        """
        port = self._named(self._stack.descriptor.logs, log, "log")
        context = self._context(submission, _READ_TIMEOUT_SECONDS)
        started_seconds = self._recorder.now_seconds()
        events: tuple[Event, ...] = ()
        reason = ""
        try:
            events = read_events(port, context, f"log {log}")
        except (PortError, ResourceError, TargetError) as error:
            reason = self._reason(error)
        return LogRead(
            port=log,
            aggregate=aggregate,
            events=events,
            started_seconds=started_seconds,
            completed_seconds=self._recorder.now_seconds(),
            complete=not reason,
            reason=reason,
        )

    def read_view(
        self,
        view: str,
        pattern: CqrsPattern,
        aggregate: str,
        submission: Submission,
        *,
        reader: str,
        role: str = "",
        seen: int = 0,
    ) -> ViewRead:
        """Read what a view shows of one aggregate; a read that fails is incomplete, with the reason.

        Args:
            view: name of the view.
            pattern: whose fold says what the state is made of.
            aggregate: the aggregate, as text.
            submission: one whose fields name the aggregate.
            reader: who reads.
            role: what the provocation means the read to be.
            seen: the last event of the aggregate that the reader knows of.
        """
        port = self._named(self._stack.descriptor.views, view, "view")
        context = self._context(submission, _READ_TIMEOUT_SECONDS)
        started_seconds = self._recorder.now_seconds()
        shown, reason = Shown(), ""
        try:
            shown = read_view(port, pattern, context, f"view {view}", seen=seen)
        except (PortError, ResourceError, TargetError) as error:
            reason = self._reason(error)
        return ViewRead(
            port=view,
            aggregate=aggregate,
            state=shown.state,
            version=shown.version,
            started_seconds=started_seconds,
            completed_seconds=self._recorder.now_seconds(),
            complete=not reason,
            reason=reason,
            reader=reader,
            role=role,
        )

    def observe_quantity(self, name: str, *, provocation: str = "") -> Observation:
        """Read what is conserved and record it: its entries are the values, and it belongs to no key.

        Args:
            name: of the table in ``[conserved]``.
            provocation: name of the provocation that looks.
        """
        quantity = self._named(self._stack.descriptor.conserved, name, "conserved")
        effect = self._named(self._stack.descriptor.effects, quantity.effect, "effect")
        nobody = Submission("", "")
        context = self._context(nobody, _READ_TIMEOUT_SECONDS)
        where = quantity_port(name)
        return self._observed(where, nobody, provocation, lambda: (read_quantity(quantity, effect, context, where), ""))

    def observe_executions(self, component: str, submission: Submission, *, provocation: str = "") -> Observation:
        """Count the executions of one key and record how they stand (`executions.standing`) as the state.

        Args:
            component: the state machine; a Standard one.
            submission: whose executions.
            provocation: name of the provocation that looks.
        """

        def look() -> tuple[Seen, str]:
            found = self._of_machine(component).find(submission.key)
            return Seen(len(found)), standing(found)

        return self._observed(EXECUTION, submission, provocation, look)

    def executions(self, component: str, key: str) -> tuple[Execution, ...]:
        """The executions of a key, oldest first, with their histories.

        Args:
            component: the state machine; a Standard one.
            key: the idempotency key.

        Raises:
            ResourceError: they may not be listed or read.
            TargetError: the target does not answer.
        """
        return self._of_machine(component).read(key)

    def find_executions(self, component: str, key: str) -> tuple[Execution, ...]:
        """The executions of a key, oldest first, without their histories; raises as `executions`."""
        return self._of_machine(component).find(key)

    def _of_machine(self, component: str) -> Executions:
        with self._lock:
            if component not in self._executions:
                self._executions[component] = Executions(self._stack, component)
            return self._executions[component]

    def dead_letters(self, name: str) -> tuple[DeadLetter, ...]:
        """Every dead letter of a port, left where it is.

        Raises:
            ResourceError: the queue or bucket is missing or may not be read.
            TargetError: the target does not answer.
        """
        port = self._named(self._stack.descriptor.dead_letters, name, "dead_letters")
        found = read_dead_letters(port, self._stack, name)
        for one in found:
            self._marked.learn(one.body, but=one.key)
        return found

    def redrive(self, name: str, keys: Collection[str]) -> int:
        """Move the dead letters of these keys, and no others, back to their source; returns how many.

        Raises:
            PortError: these dead letters cannot be redriven.
            GuardRailError: their source is no component of the stack.
            ResourceError: the queue is missing or may not be used.
            TargetError: the target does not answer.
        """
        port = self._named(self._stack.descriptor.dead_letters, name, "dead_letters")
        return redrive(port, self._stack, name, keys)

    def check(self, *, receiving: bool = True) -> None:
        """Use every port once by reads alone; to be called before anything is injected.

        Args:
            receiving: whether messages may be received and released where the target cannot peek.

        Raises:
            PortError: a port cannot be used, or answers what it must not.
            ResourceError: a component is missing or may not be read.
            TargetError: the target does not answer.
            DescriptorError: a placeholder stands for nothing.
        """
        check(self._stack, self._context, receiving=receiving)

    def close(self) -> None:
        """Close idle connections."""
        self._web.close()

    def __enter__(self) -> Ports:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _context(self, submission: Submission, timeout_seconds: float, *, lose_answer: bool = False) -> PortContext:
        values = self._stack.values(submission)
        self._marked.learn_submission(submission, values)
        return PortContext(
            stack=self._stack,
            submission=submission,
            values=values,
            timeout_seconds=timeout_seconds,
            web=self._web,
            lose_answer=lose_answer,
        )

    def _observed(
        self, port: str, submission: Submission, provocation: str, look: Callable[[], tuple[Seen, str]]
    ) -> Observation:
        started_seconds = self._recorder.now_seconds()
        complete = True
        try:
            seen, state = look()
        except (PortError, ResourceError, TargetError) as error:
            seen, complete = Seen(0), False
            state = self._reason(error)
        self._learn(seen.values, submission.key)
        observation = Observation(
            port=port,
            key=submission.key,
            count=seen.count,
            started_seconds=started_seconds,
            completed_seconds=self._recorder.now_seconds(),
            values=seen.values,
            bodies=seen.bodies,
            state=state,
            orders=seen.orders,
            complete=complete,
            provocation=provocation,
        )
        self._recorder.add(observation)
        return observation

    def _learn(self, values: Collection[str], key: str) -> None:
        """Remember what was read of the command's value where that is secret, wherever it stands."""
        if self._marked.hides_value:
            self._marked.known.add(value for value in values if value != key)

    def _reason(self, error: HoldfastError) -> str:
        """Why a read failed, in one line; never empty."""
        return self._redactor.shorten(": ".join(part for part in (error.what.rstrip("."), error.cause) if part))

    def _named(self, ports: Mapping[str, T], name: str, kind: str) -> T:
        try:
            return ports[name]
        except KeyError:
            raise PortError(
                f"the stack {self._stack.descriptor.name} has no {kind} {name}", remedy=suggestion(name, ports)
            ) from None
