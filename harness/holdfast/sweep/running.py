"""Runs many schedules side by side, each on a key of its own, heals everything, and looks at what is left."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from holdfast.checkers.saga_ends import over
from holdfast.errors import Inconclusive
from holdfast.history.executions import EXECUTION, ExecutionStatus
from holdfast.history.model import Observation
from holdfast.history.recorder import Recorder
from holdfast.levers.base import Lever
from holdfast.levers.journal import Journal
from holdfast.levers.pull import pulled
from holdfast.levers.signals import interrupts
from holdfast.ports.ports import Ports
from holdfast.progress import Listener, Progress
from holdfast.provocations.bench import Aim, Bench, side_by_side
from holdfast.provocations.quiescence import await_silence
from holdfast.provocations.requirements import Situation
from holdfast.provocations.saga_requirements import answer_tells
from holdfast.provocations.stopping import Stopping
from holdfast.provocations.tracing import ANY_FUNCTION, Trace, follow
from holdfast.stack.base import Json
from holdfast.stack.configuration import Configuration
from holdfast.stack.descriptor import Conserved
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import Pattern, PatternName, SagaPattern
from holdfast.stack.resolve import Stack
from holdfast.sweep.conserving import half_done, unbalanced, unread
from holdfast.sweep.judging import Case, Invariants, Judgement, judge
from holdfast.sweep.kinds import LASTING, Kind, Surroundings, rule_of
from holdfast.sweep.levers import Means
from holdfast.sweep.looking import READERS, Onlooker, Waited
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Callers
from holdfast.sweep.promises import invariants_of
from holdfast.sweep.sending import Sender
from holdfast.sweep.surroundings import surroundings
from holdfast.targets.base import Rule
from holdfast.targets.emulator.starvation import Meter
from holdfast.verdict.model import Finding

WIDTH = 16
"""So many clients at once; one waits as long as its own call is held, or until it may send again."""

NOT_RESTED = "what is conserved is not judged: commands before these did not come to rest, and may have moved it"
"""Why a read before a wave would prove nothing."""

HELD_SECONDS = 3.0
"""A fault on everything is kept so long after the command was sent."""


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
    onlooker: Onlooker = field(init=False)
    sender: Sender = field(default_factory=Sender)
    _rested: bool = True
    _waves: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        """Read what is known of the callers."""
        self.callers = Callers.of(self.stack, self.configuration)
        self.known = surroundings(self.configuration, self.pattern, self.callers)
        status = self.stack.descriptor.statuses.get(self.pattern.status or "")
        answers = isinstance(self.pattern, SagaPattern) and answer_tells(self.situation)
        self.invariants = invariants_of(
            self.pattern,
            status,
            descriptor=self.stack.path,
            answers=answers,
            bound_seconds=self.stack.descriptor.bounds.saga_seconds,
        )
        self.onlooker = Onlooker(
            stack=self.stack,
            pattern=self.pattern,
            ports=self.ports,
            configuration=self.configuration,
            callers=self.callers,
            prefix=self.prefix,
            effects=self.invariants.effects,
        )

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
        (ran,) = self._judged(bench, [Schedule()], [submission], [trace], {}, waited=Waited(quiet=True))
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
        rested = self._rested
        before = self._quantities(bench) if rested else {}
        with bench.watched(ANY_FUNCTION, *keys, points=("invocation",)):
            with bench.aimed([(one.component, one.rule) for one in placed]) as aim:
                self.say(f"{len(schedules)} commands side by side, {len(placed)} faults")
                sent = sorted(zip(schedules, submissions, strict=True), key=lambda pair: not _slow(pair[0]))
                side_by_side(lambda pair: self.sender.send(bench, *pair), sent, WIDTH)
                waited = self._settled(bench, aim, submissions)
                hits = _hits(aim, placed)
            if any(schedule.for_good for schedule in schedules) and not waited.quiet:
                # what failed for good has healed, and may come to its end after all
                waited = replace(waited, quiet=self.silence())
            traces = side_by_side(lambda key: Trace.of(bench.interceptor, key), keys, READERS)
        for (at, number), count in hits.items():
            if not count:
                missed.setdefault(at, []).append(f"{schedules[at].faults[number].point.name} was not passed")
        self._rested = waited.quiet
        ran = self._judged(bench, schedules, submissions, traces, missed, waited=waited)
        if not waited.quiet or not self._declared:
            return ran
        after = self._quantities(bench)
        unweighed = unread(before, after) if rested else NOT_RESTED
        return self._weighed(ran, unbalanced(self._declared, before, after), unweighed)

    @property
    def _declared(self) -> Mapping[str, Conserved]:
        """What is conserved, where sagas move it."""
        return self.stack.descriptor.conserved if isinstance(self.pattern, SagaPattern) else {}

    def _quantities(self, bench: Bench) -> dict[str, Observation]:
        """What is conserved, as it is now."""
        return {name: self.ports.observe_quantity(name, provocation=bench.name) for name in self._declared}

    def _weighed(self, ran: list[Ran], found: tuple[Finding, ...], unweighed: str) -> list[Ran]:
        """The runs with what they did together to what is conserved; it is known to be the doing of one alone."""
        if not found and not unweighed:
            return ran
        assert isinstance(self.pattern, SagaPattern)
        alone = found if len(ran) == 1 and not half_done(ran[0].case, self.pattern) else ()
        cases = [replace(one.case, unbalanced=alone, unweighed=unweighed) for one in ran]
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

    def _settled(self, bench: Bench, aim: Aim, submissions: Sequence[Submission]) -> Waited:
        """Wait for silence, longer than for one command while faults still hit.

        What works one after another, a shard or a message group, takes its time over as many faults, and over each
        delivery of one that fails for good.
        """
        progress, pressure = aim.progress(), Meter()
        under_way: dict[str, dict[str, Observation]] = {}
        quiet = self.silence()
        while not quiet:
            under_way = under_way or self.onlooker.under_way(bench, submissions)
            before, progress = progress, aim.progress()
            if progress == before:
                break
            quiet = self.silence()
        slowed: frozenset[str] = frozenset()
        if under_way and self.stack.target.kind == "embedded" and pressure.busy():
            slowed = _ended(under_way, self.onlooker.under_way(bench, submissions))
        return Waited(quiet=quiet, under_way=under_way, slowed=slowed)

    def run_alone(self) -> Ran:
        """Send one command without a fault where nothing can be traced, and judge it."""
        self.say("one command without a fault")
        return self._untraced(Schedule(), ())

    def run_with(self, found: Means) -> Ran:
        """Send one command while a lever does a fault to everything, heal it, and judge the command.

        Raises:
            Inconclusive: the lever cannot be used here.
            InjectionError: the fault was not felt; it is undone.
            HealError: the fault could not be taken away.
        """
        self.say(f"{found.fault.point.name}: {found.about}")
        return self._untraced(Schedule(faults=(found.fault,)), found.make(self.stack, self.prefix))

    def _untraced(self, schedule: Schedule, levers: Sequence[Lever]) -> Ran:
        """Send one command while these levers are pulled, and judge what it has left alone."""
        bench = self.bench()
        (submission,) = bench.draw(1)
        with pulled(levers, stack=self.stack, journal=self.journal, recorder=self.recorder, provocation=bench.name):
            self.sender.send(bench, schedule, submission)
            if levers:
                interrupts.pause(HELD_SECONDS)
        waited = Waited(quiet=self.silence())
        (ran,) = self._judged(bench, [schedule], [submission], [Trace()], {}, waited=waited)
        return ran

    def say(self, message: str, until_seconds: float = 0.0) -> None:
        """Tell whoever waits."""
        self.listener(Progress(self.stack.descriptor.name, message, until_seconds))

    def silence(self) -> bool:
        """Wait until nothing waits or runs any more; whether that came within the bounds."""
        return await_silence(
            self.stack,
            self.pattern,
            self.configuration,
            self.recorder.now_seconds,
            say=self.say,
            check=self.stopping.check,
        )

    def _judged(
        self,
        bench: Bench,
        schedules: Sequence[Schedule],
        submissions: Sequence[Submission],
        traces: Sequence[Trace],
        missed: Mapping[int, Sequence[str]],
        *,
        waited: Waited,
    ) -> list[Ran]:
        """Look at every key at every port, and judge it."""
        self.say(f"a last look at {len(submissions)} keys")
        cases = self.onlooker.cases(bench, schedules, submissions, traces, missed, waited=waited)
        return [
            Ran(
                schedule=case.schedule,
                case=case,
                judgement=judge(case, self.invariants),
                trace=trace,
                submission=submission,
            )
            for case, trace, submission in zip(cases, traces, submissions, strict=True)
        ]

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


def _ended(
    before: Mapping[str, Mapping[str, Observation]], after: Mapping[str, Mapping[str, Observation]]
) -> frozenset[str]:
    """The keys whose execution was under way before, and is no more."""
    running = {ExecutionStatus.RUNNING.value}
    return frozenset(
        key for key, seen in before.items() if seen[EXECUTION].state in running and over(after[key][EXECUTION], running)
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
