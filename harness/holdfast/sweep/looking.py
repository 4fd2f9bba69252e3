"""The last look at every command of a wave, at every port: what it has left, for judging."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.checkers.projections import Stream
from holdfast.history.executions import EXECUTION
from holdfast.history.model import DeadLetterSeen, Observation, Operation
from holdfast.ports.dead_letters import DeadLetter
from holdfast.ports.ports import Ports
from holdfast.ports.streams import records_given_up
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.cqrs_runs import look_at_log, look_at_view
from holdfast.provocations.tracing import Trace
from holdfast.stack.configuration import Configuration
from holdfast.stack.deliveries import delivery_limit
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern, Pattern, SagaPattern
from holdfast.stack.resolve import Stack
from holdfast.sweep.judging import Case
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Callers
from holdfast.sweep.proving import starved, unproven

READERS = 4
"""So many looks at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What came of waiting for silence while the faults of a wave were in place.

    Attributes:
        quiet: whether the stack came to rest.
        under_way: the executions of each key as they were when it did not at first.
        slowed: keys whose execution was under way then and ended before its faults healed, on a machine too busy for
            lateness to say anything.
    """

    quiet: bool
    under_way: Mapping[str, Mapping[str, Observation]] = field(default_factory=dict)
    slowed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Onlooker:
    """Looks at what commands have left.

    Attributes:
        stack: the resolved stack.
        pattern: the pattern under test.
        ports: the stack's ports.
        configuration: how the stack is deployed.
        callers: the callers of the stack.
        prefix: begins every key.
        effects: the effect ports to look at, in their order.
    """

    stack: Stack
    pattern: Pattern
    ports: Ports
    configuration: Configuration
    callers: Callers
    prefix: str
    effects: Sequence[str]

    def cases(
        self,
        bench: Bench,
        schedules: Sequence[Schedule],
        submissions: Sequence[Submission],
        traces: Sequence[Trace],
        missed: Mapping[int, Sequence[str]],
        *,
        waited: Waited,
    ) -> list[Case]:
        """What is known of each command, after a look at its key at every port.

        Args:
            bench: where the commands were sent.
            schedules: the faults of each.
            submissions: what was sent.
            traces: what each caused.
            missed: why faults did not hit, by the place of their schedule.
            waited: whether the stack came to rest, and what was under way when it did not.
        """
        looks = side_by_side(lambda one: self._look(bench, one), submissions, READERS)
        letters = self._dead_letters()
        operations: dict[str, list[Operation]] = {}
        for operation in bench.operations():
            operations.setdefault(operation.key, []).append(operation)
        aggregates = side_by_side(lambda one: self._aggregate(bench, one, operations), submissions, READERS)
        deliveries = min((delivery_limit(self.configuration, one) for one in self.pattern.workers), default=1)
        anonymous = tuple(sorted({port for port, one in letters if not one.key}))
        return [
            Case(
                key=submission.key,
                schedule=schedule,
                operations=tuple(operations.get(submission.key, ())),
                observations={**looks[at], **waited.under_way.get(submission.key, {})},
                dead_letters=tuple(
                    DeadLetterSeen(key=one.key, original=one.original, body=one.body, port=port)
                    for port, one in letters
                    if one.key == submission.key
                ),
                missed=tuple(missed.get(at, ())),
                unproven=() if at in missed else unproven(schedule, traces[at], self.callers),
                quiet=waited.quiet,
                starved=starved(schedule, traces[at], self.callers),
                slowed=submission.key in waited.slowed,
                deliveries=deliveries,
                anonymous=anonymous,
                aggregate=aggregates[at],
            )
            for at, (schedule, submission) in enumerate(zip(schedules, submissions, strict=True))
        ]

    def under_way(self, bench: Bench, submissions: Sequence[Submission]) -> dict[str, dict[str, Observation]]:
        """The executions of each key while the faults are still in place, where the stack does not come to rest.

        What runs past its bound is violated, also where it comes to its end once the fault is gone.
        """
        saga = self.pattern if isinstance(self.pattern, SagaPattern) else None
        machine = self.configuration.machine(saga.state_machine) if saga is not None else None
        if machine is None or machine.express:
            return {}
        component = machine.component

        def look(one: Submission) -> tuple[str, dict[str, Observation]]:
            return one.key, {EXECUTION: self.ports.observe_executions(component, one, provocation=bench.name)}

        return dict(side_by_side(look, submissions, READERS))

    def _look(self, bench: Bench, submission: Submission) -> dict[str, Observation]:
        """The last look at each port: the status before the effects that it speaks of."""
        seen: dict[str, Observation] = {}
        if self.pattern.status is not None:
            seen[self.pattern.status] = self.ports.observe_status(
                self.pattern.status, submission, provocation=bench.name
            )
        for port in self.effects:
            seen[port] = self.ports.observe(port, submission, provocation=bench.name)
        return seen

    def _aggregate(
        self, bench: Bench, submission: Submission, operations: Mapping[str, Sequence[Operation]]
    ) -> Stream | None:
        """The command's aggregate, its log read before the views that must show it; None where there is none."""
        pattern = self.pattern
        if not isinstance(pattern, CqrsPattern):
            return None
        log = look_at_log(bench, submission)
        views = [look_at_view(bench, submission, view=one) for one in dict.fromkeys((pattern.view, pattern.reads))]
        mine = tuple(operations.get(submission.key, ()))
        return Stream(aggregate=log.aggregate, operations=mine, logs=(log,), views=tuple(views))

    def _dead_letters(self) -> list[tuple[str, DeadLetter]]:
        """All dead letters of all the stack's ports that this sweep caused, or may have."""
        found = []
        for port in self.stack.descriptor.dead_letters:
            for one in self.ports.dead_letters(port):
                if not one.key:
                    found += [(port, replace(one, key=key)) for key in self._given_up(one)]
                mine = one.key.startswith(self.prefix)
                nobody = not one.key.startswith("hf") and port != self.pattern.dead_letters
                if mine or nobody:
                    found.append((port, one if mine else DeadLetter(id=one.id, key="", original=None, body=one.body)))
        return found

    def _given_up(self, letter: DeadLetter) -> list[str]:
        """The keys of this sweep in the records of a stream that a dead letter names by their numbers alone."""
        texts = [json.dumps(one) for one in records_given_up(self.stack, letter.body)]
        return sorted({key for text in texts for key in re.findall(rf"{self.prefix}-sweep\d+-\d+", text)})
