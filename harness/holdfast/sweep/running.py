"""Runs many schedules side by side, each on a key of its own, heals everything, and looks at what is left."""

from __future__ import annotations

import itertools
import json
import random
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.checkers.projections import Stream
from holdfast.errors import Inconclusive
from holdfast.history.executions import EXECUTION
from holdfast.history.model import DeadLetterSeen, Observation, Operation, Outcome
from holdfast.history.recorder import Recorder
from holdfast.levers.journal import Journal
from holdfast.levers.pull import pulled
from holdfast.levers.signals import interrupts
from holdfast.ports.dead_letters import DeadLetter
from holdfast.ports.folding import folding
from holdfast.ports.ports import Ports
from holdfast.ports.streams import records_given_up
from holdfast.progress import Listener, Progress
from holdfast.provocations.bench import Aim, Bench, side_by_side
from holdfast.provocations.cqrs_runs import look_at_log, look_at_view
from holdfast.provocations.quiescence import await_silence
from holdfast.provocations.requirements import Situation
from holdfast.provocations.saga_requirements import answer_tells
from holdfast.provocations.stopping import Stopping
from holdfast.provocations.tracing import ANY_FUNCTION, Trace, follow
from holdfast.stack.base import Json
from holdfast.stack.configuration import Configuration
from holdfast.stack.definitions import tasks_of
from holdfast.stack.deliveries import delivery_limit
from holdfast.stack.descriptor import Conserved
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern, Pattern, PatternName, SagaPattern
from holdfast.stack.resolve import Stack
from holdfast.sweep.conserving import half_done, unbalanced
from holdfast.sweep.judging import Case, Invariants, Judgement, invariants_of, judge
from holdfast.sweep.kinds import LASTING, Kind, Surroundings, rule_of
from holdfast.sweep.levers import Means
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Caller, Callers, Point, visited
from holdfast.sweep.projecting import LoggedAndShown
from holdfast.targets.base import Rule
from holdfast.verdict.model import Finding
from holdfast.waiting import eventually

TRIES = 5
"""A patient client sends its command so often at most."""

TRIES_FOR_GOOD = 3
"""As often where the fault does not pass: the third try has met what the second left behind, and so would a fourth."""

WIDTH = 16
"""So many clients at once; one waits as long as its own call is held, or until it may send again."""

WORKING_AT_ONCE = 8
"""So many functions may be at work when the next command is sent; what waits for a delay, a retry or an answer that was
lost takes no processor."""

LONGEST_ADMISSION_SECONDS = 2.0
"""A command that has waited for so long is sent all the same."""

HELD_SECONDS = 3.0
"""A fault on everything is kept so long after the command was sent."""

READERS = 4
"""So many looks at once."""

HOUR_SECONDS = 3600
"""What is tried again for longer than this, with no limit of tries, is given up in no sweep."""

PAUSE_SECONDS = 0.2
"""Before the second try; each further pause is longer by as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One schedule that was run.

    Attributes:
        schedule: its faults.
        case: what it left behind.
        judgement: what that shows.
        trace: what it caused.
        submission: what was sent.
        unbalanced: how what is conserved was wrong after all commands that it ran with, and was not before.
    """

    schedule: Schedule
    case: Case
    judgement: Judgement
    trace: Trace
    submission: Submission
    unbalanced: tuple[Finding, ...] = ()


@dataclass(slots=True, kw_only=True)
class Runner:
    """Runs schedules on one stack and pattern.

    Attributes:
        stack: the resolved stack.
        name: of the pattern.
        ports: the stack's ports.
        recorder: the run's history.
        journal: where every fault is written before it is put in place.
        configuration: how the stack is deployed.
        seed: of the generated values.
        prefix: begins every key.
        listener: told what goes on.
    """

    stack: Stack
    name: PatternName
    ports: Ports
    recorder: Recorder
    journal: Journal
    configuration: Configuration
    seed: int
    prefix: str
    listener: Listener
    stopping: Stopping
    callers: Callers = field(init=False)
    known: Surroundings = field(init=False)
    invariants: Invariants = field(init=False)
    _gate: threading.Lock = field(default_factory=threading.Lock)
    _rested: bool = True
    _waves: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        """Read what is known of the callers."""
        self.callers = Callers.of(self.stack, self.configuration)
        self.known = surroundings(self.configuration, self.pattern, self.callers)
        status = self.stack.descriptor.statuses.get(self.pattern.status or "")
        answers = isinstance(self.pattern, SagaPattern) and answer_tells(self.situation)
        bound_seconds = self.stack.descriptor.bounds.saga_seconds
        if isinstance(self.pattern, CqrsPattern):
            self.invariants = LoggedAndShown(self.pattern, folding(self.pattern, self.stack.path))
        else:
            self.invariants = invariants_of(self.pattern, status, answers=answers, bound_seconds=bound_seconds)

    @property
    def pattern(self) -> Pattern:
        """The pattern under test."""
        return self.stack.descriptor.patterns[self.name]

    @property
    def situation(self) -> Situation:
        """What requirements are asked about."""
        return Situation(stack=self.stack, pattern=self.pattern, configuration=self.configuration)

    def undisturbed(self) -> Ran:
        """Follow one command without a fault.

        Raises:
            Inconclusive: there is no interceptor, or the command does not come to its effect.
        """
        self.say("one command without a fault")
        bench = self.bench()

        def settle(_: Submission) -> None:
            # Silence and not the effect is waited for: whoever looks at an effect may invoke a function itself.
            if not self.silence():
                raise Inconclusive("the stack does not come to rest after one command, so nothing can be traced")

        submission, trace = follow(bench, ANY_FUNCTION, "traced", settle)
        (ran,) = self._looked_at(bench, [Schedule()], [submission], [trace], {}, quiet=True)
        return ran

    def run(self, schedules: Sequence[Schedule], fields: Mapping[str, Json] | None = None) -> list[Ran]:
        """Run schedules together, each aimed at a command of its own, and judge each when everything has healed.

        Args:
            schedules: what to run; one may be there more than once.
            fields: generated fields with given values.

        Raises:
            HoldfastError: a fault could not be put in place or healed, or the run was stopped.
        """
        if not schedules:
            return []
        bench = self.bench()
        submissions = [bench.draw(1, dict(fields or {}))[0] for _ in schedules]
        placed, missed = self._placed(schedules, submissions)
        keys = [one.key for one in submissions]
        # what an earlier wave left under way may still move what is conserved
        before = self._quantities(bench) if self._rested else {}
        with bench.watched(ANY_FUNCTION, *keys, points=("invocation",)):
            with bench.aimed([(one.component, one.rule) for one in placed]) as aim:
                self.say(f"{len(schedules)} commands side by side, {len(placed)} faults")
                sent = sorted(zip(schedules, submissions, strict=True), key=lambda pair: not _slow(pair[0]))
                side_by_side(lambda pair: self.send(bench, *pair), sent, WIDTH)
                quiet, under_way = self._settled(bench, aim, submissions)
                hits = _hits(aim, placed)
            if any(schedule.for_good for schedule in schedules) and not quiet:
                quiet = self.silence()  # what failed for good has healed, and may come to its end after all
            traces = side_by_side(lambda key: Trace.of(bench.interceptor, key), keys, READERS)
        for (at, number), count in hits.items():
            if not count:
                missed.setdefault(at, []).append(f"{schedules[at].faults[number].point.name} was not passed")
        self._rested = quiet
        ran = self._looked_at(bench, schedules, submissions, traces, missed, quiet=quiet, under_way=under_way)
        return self._weighed(ran, unbalanced(self._declared, before, self._quantities(bench))) if quiet else ran

    @property
    def _declared(self) -> Mapping[str, Conserved]:
        """What is conserved, where sagas move it."""
        return self.stack.descriptor.conserved if isinstance(self.pattern, SagaPattern) else {}

    def _quantities(self, bench: Bench) -> dict[str, Observation]:
        """What is conserved, as it is now."""
        return {name: self.ports.observe_quantity(name, provocation=bench.name) for name in self._declared}

    def _weighed(self, ran: list[Ran], found: tuple[Finding, ...]) -> list[Ran]:
        """The runs with what they did together to what is conserved; it is theirs alone where all had one schedule."""
        if not found or not isinstance(self.pattern, SagaPattern):
            return ran
        if len({one.schedule for one in ran}) > 1 or any(half_done(one.case, self.pattern) for one in ran):
            return [replace(one, unbalanced=found) for one in ran]
        cases = [replace(one.case, unbalanced=found) for one in ran]
        return [
            replace(one, case=case, judgement=judge(case, self.invariants), unbalanced=found)
            for one, case in zip(ran, cases, strict=True)
        ]

    def _placed(
        self, schedules: Sequence[Schedule], submissions: Sequence[Submission]
    ) -> tuple[list[_Placed], dict[int, list[str]]]:
        """The rules of all schedules, and why some have none."""
        placed: list[_Placed] = []
        missed: dict[int, list[str]] = {}
        for at, (schedule, submission) in enumerate(zip(schedules, submissions, strict=True)):
            for number, fault in enumerate(schedule.faults):
                physical = self.callers.physical(fault.point.caller)
                if physical is None:
                    missed.setdefault(at, []).append(f"{fault.point.caller} is no caller of this stack")
                    continue
                placed.append(
                    _Placed(
                        at=(at, number),
                        component=fault.point.caller.component,
                        rule=rule_of(fault.point, fault.kind, submission.key, physical, self.known),
                    )
                )
        return placed, missed

    def _settled(
        self, bench: Bench, aim: Aim, submissions: Sequence[Submission]
    ) -> tuple[bool, dict[str, dict[str, Observation]]]:
        """Wait for silence, longer than for one command while faults still hit.

        What works one after another, a shard or a message group, takes its time over as many faults, and over each
        delivery of one that fails for good. Returns whether silence came, and the executions of each key as they were
        when it did not come at first.
        """
        progress = aim.progress()
        under_way: dict[str, dict[str, Observation]] = {}
        while not self.silence():
            under_way = under_way or self._under_way(bench, submissions)
            before, progress = progress, aim.progress()
            if progress == before:
                return False, under_way
        return True, under_way

    def run_with(self, found: Means) -> Ran:
        """Send one command while a lever does a fault to everything, heal it, and judge the command.

        Raises:
            Inconclusive: the lever cannot be used here.
            InjectionError: the fault was not felt; it is undone.
            HealError: the fault could not be taken away.
        """
        bench = self.bench()
        schedule = Schedule(faults=(found.fault,))
        (submission,) = bench.draw(1)
        self.say(f"{found.fault.point.name}: {found.about}")
        levers = found.make(self.stack, self.prefix)
        with pulled(levers, stack=self.stack, journal=self.journal, recorder=self.recorder, provocation=bench.name):
            self.send(bench, schedule, submission)
            interrupts.pause(HELD_SECONDS)
        quiet = self.silence()
        (ran,) = self._looked_at(bench, [schedule], [submission], [Trace()], {}, quiet=quiet)
        return ran

    def say(self, message: str) -> None:
        """Tell whoever waits."""
        self.listener(Progress(self.stack.descriptor.name, message))

    # -- one command ---------------------------------------------------------------------------------------------

    def send(self, bench: Bench, schedule: Schedule, submission: Submission) -> None:
        """Submit as the schedule's client does."""
        role = "patient" if schedule.patient else "gives up"
        tries = TRIES_FOR_GOOD if schedule.for_good else TRIES
        for attempt in range(tries if schedule.patient else 1):
            if attempt:
                interrupts.pause(PAUSE_SECONDS * attempt)
            self._admit(bench)
            with bench.room:
                operation = bench.submit(submission, role if not attempt else "retry")
            if operation.outcome is not Outcome.UNKNOWN:
                return

    def _admit(self, bench: Bench) -> None:
        """Wait until few enough functions are at work: beyond that they time out for want of a processor, and retry."""
        if self.stack.target.interceptor is None:
            return
        with self._gate:
            eventually(
                bench.interceptor.working,
                lambda working: working < WORKING_AT_ONCE,
                deadline_seconds=LONGEST_ADMISSION_SECONDS,
                interval_seconds=0.02,
                longest_interval_seconds=0.1,
                pause=interrupts.pause,
            )

    def silence(self) -> bool:
        """Wait until nothing waits or runs any more; whether that came within the bounds."""

        def say(message: str, seconds: float) -> None:
            self.listener(Progress(self.stack.descriptor.name, message, seconds))

        return await_silence(
            self.stack,
            self.pattern,
            self.configuration,
            self.recorder.now_seconds,
            say=say,
            check=self.stopping.check,
        )

    # -- the end -------------------------------------------------------------------------------------------------

    def _looked_at(
        self,
        bench: Bench,
        schedules: Sequence[Schedule],
        submissions: Sequence[Submission],
        traces: Sequence[Trace],
        missed: Mapping[int, Sequence[str]],
        *,
        quiet: bool,
        under_way: Mapping[str, Mapping[str, Observation]] | None = None,
    ) -> list[Ran]:
        """Look at every key at every port, and judge it."""
        self.say(f"a last look at {len(submissions)} keys")
        looks = side_by_side(lambda one: self._look(bench, one), submissions, READERS)
        letters = self._dead_letters()
        operations: dict[str, list[Operation]] = {}
        for operation in bench.operations():
            operations.setdefault(operation.key, []).append(operation)
        aggregates = side_by_side(lambda one: self._aggregate(bench, one, operations), submissions, READERS)
        deliveries = min((delivery_limit(self.configuration, one) for one in self.pattern.workers), default=1)
        anonymous = tuple(sorted({port for port, one in letters if not one.key}))
        found = []
        for at, (schedule, submission) in enumerate(zip(schedules, submissions, strict=True)):
            case = Case(
                key=submission.key,
                schedule=schedule,
                operations=tuple(operations.get(submission.key, ())),
                observations={**looks[at], **(under_way or {}).get(submission.key, {})},
                dead_letters=tuple(
                    DeadLetterSeen(key=one.key, original=one.original, body=one.body, port=port)
                    for port, one in letters
                    if one.key == submission.key
                ),
                missed=tuple(missed.get(at, ())),
                unproven=() if at in missed else self._unproven(schedule, traces[at]),
                quiet=quiet,
                starved=self._starved(schedule, traces[at]),
                deliveries=deliveries,
                anonymous=anonymous,
                aggregate=aggregates[at],
            )
            judgement = judge(case, self.invariants)
            found.append(
                Ran(schedule=schedule, case=case, judgement=judgement, trace=traces[at], submission=submission)
            )
        return found

    def _under_way(self, bench: Bench, submissions: Sequence[Submission]) -> dict[str, dict[str, Observation]]:
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
        for port in self.invariants.effects:
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

    def _unproven(self, schedule: Schedule, trace: Trace) -> tuple[str, ...]:
        """A delay that ended before its caller gave up has shown nothing."""
        told = []
        for fault in schedule.faults:
            if fault.kind is not Kind.DELAYED or fault.point.caller.type != "function":
                continue
            function = self.callers.physical(fault.point.caller)
            gave_up = any(one.failed for one in trace.invocations if one.function == function)
            if not gave_up and not _again(fault.point, trace, self.callers):
                told.append(f"{fault.point.name} was delayed, and its caller waited for it")
        return tuple(told)

    def _starved(self, schedule: Schedule, trace: Trace) -> bool:
        """Whether a function ran out of time because the machine was busy, and not because a fault held its call."""
        held = {self.callers.physical(fault.point.caller) for fault in schedule.faults if fault.kind is Kind.DELAYED}
        return any(one.starved for one in trace.invocations if one.function not in held)

    def bench(self) -> Bench:
        """A working place with keys of its own."""
        wave = next(self._waves)
        return Bench(
            name=f"sweep{wave}",
            stack=self.stack,
            pattern=self.pattern,
            ports=self.ports,
            recorder=self.recorder,
            journal=self.journal,
            prefix=self.prefix,
            random=random.Random(f"{self.seed}-{wave}"),  # noqa: S311 - reproducible, not secret
            waiting=lambda _message, _seconds: None,
            configuration=self.configuration,
            room=threading.Semaphore(WIDTH),
            stopping=self.stopping,
        )


def _slow(schedule: Schedule) -> bool:
    """Whether a schedule takes long to come to its end, and so is to begin first."""
    return any(fault.kind in (*LASTING, Kind.DELAYED) for fault in schedule.faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """One fault of one schedule: ``at`` says which of which."""

    at: tuple[int, int]
    component: str
    rule: Rule


def _hits(aim: Aim, placed: Sequence[_Placed]) -> dict[tuple[int, int], int]:
    """How often each fault has hit."""
    counts = side_by_side(lambda rule: aim.interceptor.hits(rule.id), aim.rules, READERS)
    return {one.at: count for one, count in zip(placed, counts, strict=True)}


def _again(point: Point, trace: Trace, callers: Callers) -> bool:
    """Whether the caller made the call another time."""
    return any(
        one.nth > point.nth
        and (one.caller, one.service, one.operation) == (point.caller, point.service, point.operation)
        for one in visited(trace, callers).points
    )


def surroundings(configuration: Configuration, pattern: Pattern, callers: Callers) -> Surroundings:
    """What is known of a stack's callers, from its configuration."""
    visibility: dict[Caller, float] = {}
    for function in configuration.functions:
        for mapping in function.mappings:
            queue = configuration.queue(mapping.source_arn)
            if queue is not None:
                visibility[callers.by_name[mapping.uuid]] = float(queue.visibility_seconds)
    states: dict[tuple[str, str], float] = {}
    express: set[str] = set()
    for machine in configuration.machines:
        if machine.express:
            express.add(machine.component)
        for task in tasks_of(machine.definition):
            seconds = task.state.get("TimeoutSeconds")
            if isinstance(seconds, int | float):
                states[machine.component, task.name] = float(seconds)
    once: set[tuple[str, str]] = set()
    if isinstance(pattern, SagaPattern) and pattern.state_machine is not None:
        once = {(pattern.state_machine, step.state) for step in pattern.steps if step.state and not step.idempotent}
    return Surroundings(
        timeout_seconds={one.component: float(one.timeout_seconds) for one in configuration.functions},
        visibility_seconds=visibility,
        state_seconds=states,
        express=frozenset(express),
        once=frozenset(once),
        enduring=frozenset(
            one.component
            for one in configuration.relays
            if one.retries is None and (one.event_age_seconds or HOUR_SECONDS) >= HOUR_SECONDS
        ),
    )
