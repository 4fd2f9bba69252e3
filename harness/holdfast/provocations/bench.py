"""What a provocation works with: ports, aimed faults, keys of its own, and waits that end."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from holdfast.checkers.recovery import Sample
from holdfast.errors import Inconclusive
from holdfast.history.exchanges import Witnessed
from holdfast.history.executions import Execution
from holdfast.history.logs import LogRead, ViewRead
from holdfast.history.model import DeadLetterSeen, History, Operation, Outcome
from holdfast.history.recorder import Recorder
from holdfast.levers.invocation import InvocationFault
from holdfast.levers.journal import Journal
from holdfast.levers.pull import pulled
from holdfast.levers.signals import interrupts
from holdfast.ports.dead_letters import DeadLetter
from holdfast.ports.ports import Ports
from holdfast.provocations.model import Evidence, FaultPoint
from holdfast.provocations.requirements import Situation, interceptor_there, redeliveries_in_time
from holdfast.provocations.saga_coverage import PlanCoverage
from holdfast.provocations.saga_plans import BrokenPlan
from holdfast.provocations.stopping import Stopping
from holdfast.stack.base import Json
from holdfast.stack.commands import Command
from holdfast.stack.configuration import Configuration
from holdfast.stack.deliveries import not_waited_for, patience_seconds
from holdfast.stack.descriptor import Bounds
from holdfast.stack.generate import Submission, draw
from holdfast.stack.patterns import CqrsPattern, Pattern
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Interceptor, Rule
from holdfast.waiting import Waited, eventually

T = TypeVar("T")

HITS_OF_PROGRESS = 20
"""More deliveries than those of one event that a correct stack gives up, at most."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Aimed faults in force, and how often each hit."""

    interceptor: Interceptor
    rules: tuple[Rule, ...]

    def hits(self, key: str) -> int:
        """How often the faults aimed at a key have hit."""
        return sum(self.interceptor.hits(rule.id) for rule in self.rules if rule.key == key)

    def bitten(self) -> int:
        """How many of the faults have hit."""
        return sum(self.interceptor.hits(rule.id) > 0 for rule in self.rules)

    def progress(self) -> int:
        """How far they have come: their hits, of each up to a number, so that one that hits for ever makes none."""
        return sum(min(self.interceptor.hits(rule.id), HITS_OF_PROGRESS) for rule in self.rules)


@dataclass(slots=True)
class Bench:
    """One provocation's working place.

    Attributes:
        name: the provocation.
        stack: the resolved stack.
        pattern: the pattern under test.
        ports: the stack's ports; everything sent through them is recorded.
        recorder: the run's history.
        journal: where every fault is written before it is put in place.
        prefix: begins every key of this run, so that runs do not meet.
        random: seeded source of generated fields.
        waiting: told what is waited for, and for how many seconds at most; 0 when that wait is over.
        configuration: how the stack's queues and functions are deployed.
        room: bounds how many commands of the whole run are under way, so that trying does not become a load test.
        stopping: the run's stop conditions.
    """

    name: str
    stack: Stack
    pattern: Pattern
    ports: Ports
    recorder: Recorder
    journal: Journal
    prefix: str
    random: random.Random
    waiting: Callable[[str, float], None]
    configuration: Configuration
    room: threading.Semaphore
    stopping: Stopping
    sample: Sample | None = None
    _submissions: dict[str, Submission] = field(default_factory=dict)
    _notes: list[str] = field(default_factory=list)
    _undecided: list[str] = field(default_factory=list)
    _open_keys: set[str] = field(default_factory=set)
    _underway: set[str] = field(default_factory=set)
    _points: list[tuple[str, FaultPoint]] = field(default_factory=list)
    _figures: dict[str, float] = field(default_factory=dict)
    _struck: dict[str, str] = field(default_factory=dict)
    _executions: list[Execution] = field(default_factory=list)
    _logs: list[LogRead] = field(default_factory=list)
    _views: list[ViewRead] = field(default_factory=list)
    _broken_plan: BrokenPlan | None = None
    _plan_coverage: PlanCoverage | None = None
    _witnessed: list[Witnessed] = field(default_factory=list)
    _others: Iterator[int] = field(default_factory=itertools.count)
    _dead_letters: dict[str, DeadLetterSeen] = field(default_factory=dict)
    _rule_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bounds(self) -> Bounds:
        """What the stack declares about itself."""
        return self.stack.descriptor.bounds

    @property
    def patience_seconds(self) -> float:
        """How long to wait for an effect, redeliveries included."""
        redelivered_seconds = patience_seconds(self.configuration, self.pattern.workers, self.bounds)
        return self.bounds.effect_seconds + redelivered_seconds

    @property
    def situation(self) -> Situation:
        """What requirements are asked about."""
        return Situation(stack=self.stack, pattern=self.pattern, configuration=self.configuration)

    def redeliveries_come(self) -> bool:
        """Whether redeliveries are worth waiting for."""
        return not redeliveries_in_time(self.situation)

    @property
    def command(self) -> Command:
        """The command of the pattern."""
        return self.stack.descriptor.commands[self.pattern.command]

    @property
    def interceptor(self) -> Interceptor:
        """The target's interceptor.

        Raises:
            Inconclusive: the target has none.
        """
        if self.stack.target.interceptor is None:
            raise Inconclusive(interceptor_there(self.situation))
        return self.stack.target.interceptor

    def function_name(self, component: str) -> str:
        """Physical name of a function component."""
        return self.stack.resource(component).name

    # -- commands ------------------------------------------------------------------------------------------------

    def draw(self, count: int, overrides: dict[str, Json] | None = None) -> list[Submission]:
        """Generate so many submissions with keys of their own."""
        with self._lock:
            made = []
            for _ in range(count):
                key = f"{self.prefix}-{self.name}-{len(self._submissions):04d}"
                submission = draw(self.command, key, self.random, {**self._of_this_run(key), **(overrides or {})})
                self._submissions[key] = submission
                made.append(submission)
            return made

    def _of_this_run(self, key: str) -> dict[str, Json]:
        """The aggregate of a command, drawn from its key: by the seed it would have the events of earlier runs."""
        if not isinstance(self.pattern, CqrsPattern):
            return {}
        name = self.pattern.aggregate
        return {name: draw(self.command, key, random.Random(key)).fields[name]}  # noqa: S311 - reproducible, not secret

    def other(self, command: str, like: Submission, *, counted: bool = False) -> Submission:
        """A submission of another command than the pattern's, with a key of its own.

        Args:
            command: its name.
            like: whose fields it has where both commands have them; it has those that are its alone as well, so that
                ports can be read with it.
            counted: whether it is one of this provocation's submissions, whose effect is looked for.
        """
        named = self.stack.descriptor.commands[command]
        shared = {name: value for name, value in like.fields.items() if name in named.fields}
        with self._lock:
            key = f"{self.prefix}-{self.name}-{command.replace('_', '-')}-{next(self._others):04d}"
            drawn = draw(named, key, self.random, shared)
            made = replace(drawn, fields={**like.fields, **drawn.fields})
            if counted:
                self._submissions[key] = made
            return made

    def again(self, submission: Submission) -> Submission:
        """The same key with another payload."""
        with self._lock:
            return draw(self.command, submission.key, self.random, {})

    def submit(
        self,
        submission: Submission,
        role: str = "healthy",
        *,
        command: str = "",
        group: str = "",
        sequence: int = -1,
        **options: Any,
    ) -> Operation:
        """Send one command, the pattern's unless another one is named, and record it.

        Raises:
            StoppedError: a stop condition is met; nothing is sent.
        """
        self.stopping.command()
        operation = self.ports.submit(
            command or self.pattern.command,
            submission,
            provocation=self.name,
            role=role,
            group=group,
            sequence=sequence,
            **options,
        )
        self.stopping.answered(operation)
        return operation

    def submit_all(self, submissions: Sequence[Submission], role: str = "healthy", width: int = 8) -> list[Operation]:
        """Send many commands, ``width`` at a time, as far as there is room."""

        def submit(submission: Submission) -> Operation:
            with self.room:
                return self.submit(submission, role)

        return side_by_side(submit, submissions, width)

    def at_once(self, submissions: Sequence[Submission], role: str = "concurrent") -> list[Operation]:
        """Send all commands at the same moment, released by a barrier."""
        barrier = threading.Barrier(len(submissions))

        def released(submission: Submission) -> Operation:
            barrier.wait(timeout=10)
            return self.submit(submission, role)

        return side_by_side(released, submissions, len(submissions))

    # -- faults --------------------------------------------------------------------------------------------------

    @contextmanager
    def aimed(self, faults: Sequence[tuple[str, Rule]]) -> Iterator[Aim]:
        """Keep faults, each aimed at one key of one component, in force; they are taken out at the end.

        Args:
            faults: component name and rule; the rule's id is made unique and its function filled in here.

        Raises:
            Inconclusive: the target has no interceptor.
        """
        interceptor = self.interceptor
        start = next(self._rule_numbers)
        rules = [replace(rule, id=f"{self.prefix}-{self.name}-{start}-{at}") for at, (_, rule) in enumerate(faults)]
        levers = [
            InvocationFault.on(self.stack, component, rule) for (component, _), rule in zip(faults, rules, strict=True)
        ]
        with pulled(levers, stack=self.stack, journal=self.journal, recorder=self.recorder, provocation=self.name):
            yield Aim(interceptor, tuple(rules))

    @contextmanager
    def watched(
        self,
        functions: Iterable[str],
        *keys: str,
        points: Sequence[Literal["invocation", "call"]] = ("invocation", "call"),
    ) -> Iterator[None]:
        """Trace keys exactly, by rules that do nothing.

        A request that a rule names is delivered in a batch of its own, so its calls are its own; and while a rule about
        calls is in force those of other HTTP clients than the SDKs are traced as well.

        Args:
            functions: physical names; an empty one is any function.
            keys: the requests to follow.
            points: what the rules are about.
        """
        interceptor = self.interceptor
        rules = [
            Rule(
                id=f"{self.prefix}-{self.name}-watch-{function}-{point}-{key}",
                action="delay",
                point=point,
                function=function,
                key=key,
            )
            for function in functions
            for point in points
            for key in keys
        ]
        try:
            for rule in rules:
                interceptor.add(rule)
            yield
        finally:
            for rule in rules:
                interceptor.remove(rule.id)

    @contextmanager
    def counted(self, function: str, key: str) -> Iterator[Callable[[], int]]:
        """Count the calls of a function about one key, by a rule that does nothing.

        Args:
            function: physical name.
            key: the request to follow.
        """
        interceptor = self.interceptor
        rule = Rule(
            id=f"{self.prefix}-{self.name}-count-{function}", action="delay", point="call", function=function, key=key
        )
        interceptor.add(rule)
        try:
            yield lambda: interceptor.hits(rule.id)
        finally:
            interceptor.remove(rule.id)

    # -- waiting -------------------------------------------------------------------------------------------------

    def until(
        self,
        what: str,
        look: Callable[[], T],
        met: Callable[[T], bool],
        deadline_seconds: float,
        *,
        longest_interval_seconds: float = 1.0,
    ) -> Waited[T]:
        """Wait for a condition, telling what is waited for."""

        def looked() -> T:
            interrupts.check()
            self.stopping.check()
            return look()

        said = f"{self.name}: {what}"
        self.waiting(said, deadline_seconds)
        try:
            return eventually(
                looked,
                met,
                deadline_seconds=deadline_seconds,
                interval_seconds=0.2,
                longest_interval_seconds=longest_interval_seconds,
                pause=interrupts.pause,
            )
        finally:
            self.waiting(said, 0.0)

    def await_effects(
        self, submissions: Sequence[Submission], *, effect: str | None = None, deadline_seconds: float | None = None
    ) -> list[Submission]:
        """Wait until every submission shows its effect; returns those that do not by the deadline."""
        port = effect or self.pattern.effect
        missing = list(submissions)

        def look() -> list[Submission]:
            seen = side_by_side(lambda one: self.ports.observe(port, one, provocation=self.name), missing, 4)
            missing[:] = [one for one, observation in zip(missing, seen, strict=True) if observation.count < 1]
            return missing

        deadline = self.patience_seconds if deadline_seconds is None else deadline_seconds
        return self.until(f"{len(missing)} effects", look, lambda left: not left, deadline).value

    def await_dead_letters(self, keys: Sequence[str], deadline_seconds: float | None = None) -> set[str]:
        """Wait until every key is among the dead letters; returns the keys that are not by the deadline."""
        wanted = set(keys)

        def look() -> set[str]:
            self.keep_dead_letters(self.ports.dead_letters(self.dead_letter_port))
            return wanted - set(self._dead_letters)

        deadline = self.patience_seconds if deadline_seconds is None else deadline_seconds
        return self.until(f"{len(wanted)} dead letters", look, lambda left: not left, deadline).value

    @property
    def dead_letter_port(self) -> str:
        """The dead-letter port of the pattern, for provocations that require one."""
        assert self.pattern.dead_letters is not None
        return self.pattern.dead_letters

    # -- what is left behind -------------------------------------------------------------------------------------

    def note(self, line: str) -> None:
        """Keep a fact for the verdict."""
        with self._lock:
            self._notes.append(line)

    def figure(self, name: str, value: float) -> None:
        """Keep a measured value; the name carries the unit."""
        with self._lock:
            self._figures[name] = value

    def count(self, name: str) -> None:
        """Add one to a figure."""
        with self._lock:
            self._figures[name] = self._figures.get(name, 0.0) + 1.0

    def undecided(self, line: str, keys: Iterable[str] = ()) -> None:
        """Keep what could not be observed to the end, and about which keys nothing must be said for that reason."""
        with self._lock:
            self._undecided.append(line)
            self._open_keys.update(keys)

    def leave_open(self, keys: Iterable[str]) -> None:
        """Keep keys about which nothing may be said, since they were not what they were meant to be."""
        with self._lock:
            self._open_keys.update(keys)

    def left_open(self) -> frozenset[str]:
        """The keys about which nothing may be said, so far."""
        with self._lock:
            return frozenset(self._open_keys)

    def underway(self, keys: Iterable[str]) -> None:
        """Keep keys that may still be on their way: nothing may be said of them unless everything comes to rest."""
        with self._lock:
            self._underway.update(keys)

    def never_quiet(self) -> None:
        """Keep that the stack did not come to rest after this provocation."""
        why = not_waited_for(self.configuration, self.pattern.workers, self.bounds)
        self.undecided(why or "the stack did not become quiet, so effects may still come", self._underway)

    def point(self, key: str, point: FaultPoint) -> None:
        """Keep that a fault point is visited by a key."""
        with self._lock:
            self._points.append((key, point))

    def strike(self, key: str, step: str) -> None:
        """Keep at which step of a saga a key is struck."""
        with self._lock:
            self._struck[key] = step

    def keep_executions(self, executions: Iterable[Execution]) -> None:
        """Keep executions of this provocation's keys, with their histories."""
        with self._lock:
            self._executions += executions

    def keep_log(self, read: LogRead) -> LogRead:
        """Keep a read of an event log."""
        with self._lock:
            self._logs.append(read)
        return read

    def keep_view(self, read: ViewRead) -> ViewRead:
        """Keep a read of a read model."""
        with self._lock:
            self._views.append(read)
        return read

    def keep_plan_coverage(self, coverage: PlanCoverage) -> None:
        """Keep what generated plans have visited."""
        with self._lock:
            self._plan_coverage = coverage

    def keep_broken_plan(self, broken: BrokenPlan) -> None:
        """Keep the smallest generated plan that broke a promise."""
        with self._lock:
            self._broken_plan = broken

    def keep(self, *seen: Witnessed) -> None:
        """Keep what was seen of an application and its sidecar."""
        with self._lock:
            self._witnessed += seen

    def submissions(self) -> tuple[Submission, ...]:
        """All that was generated here so far."""
        with self._lock:
            return tuple(self._submissions.values())

    def keys(self) -> tuple[str, ...]:
        """The keys of all that was generated here so far."""
        return tuple(one.key for one in self.submissions())

    def operations(self) -> tuple[Operation, ...]:
        """This provocation's operations so far."""
        return self.recorder.history().of(self.name).operations

    def acknowledged(self, submissions: Sequence[Submission]) -> list[Submission]:
        """Those of which some submission was acknowledged."""
        ok = {operation.key for operation in self.operations() if operation.outcome is Outcome.OK}
        return [submission for submission in submissions if submission.key in ok]

    def keep_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Keep the dead letters of this provocation's keys."""
        with self._lock:
            for one in letters:
                if one.key in self._submissions:
                    seen = DeadLetterSeen(
                        key=one.key, original=one.original, body=one.body, port=self.pattern.dead_letters or ""
                    )
                    self._dead_letters.setdefault(one.key, seen)

    def evidence(self, history: History) -> Evidence:
        """All that this provocation left behind."""
        return Evidence(
            history=history.of(self.name),
            submissions=dict(self._submissions),
            dead_letters=tuple(self._dead_letters.values()),
            notes=tuple(self._notes),
            points=tuple(self._points),
            sample=self.sample,
            undecided=tuple(self._undecided),
            open_keys=frozenset(self._open_keys),
            figures=dict(self._figures),
            struck=dict(self._struck),
            executions=tuple(self._executions),
            logs=tuple(self._logs),
            views=tuple(self._views),
            broken_plan=self._broken_plan,
            plan_coverage=self._plan_coverage,
            witnessed=tuple(self._witnessed),
        )


def side_by_side(work: Callable[[Any], T], items: Sequence[Any], width: int) -> list[T]:
    """Do the same with every item, ``width`` at a time, results in order; the first exception is raised."""
    if not items:
        return []
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=min(width, len(items))))
        return list(pool.map(work, items))
