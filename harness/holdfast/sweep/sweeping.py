"""The sweep of one stack: trace, singles together, pairs, the smallest schedule of each violation, the coverage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from holdfast.errors import DescriptorError, Inconclusive, InjectionError, NothingChosenError
from holdfast.levers.signals import interruptible
from holdfast.opening import Options, ready, silent
from holdfast.progress import Listener, Progress
from holdfast.provocations.saga_requirements import ends_before_its_answer, states_defined
from holdfast.provocations.stopping import Stopping
from holdfast.redaction import Clean, cleaning
from holdfast.runs import RunFolder, RunKind
from holdfast.stack.configuration import read_configuration
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import PatternName, SagaPattern
from holdfast.stack.prefixes import new_prefix
from holdfast.stack.resolve import Stack
from holdfast.sweep.conserving import half_done
from holdfast.sweep.coverage import INTERRUPTED, Coverage, PairRun, Violation, cells
from holdfast.sweep.judging import Judgement, Mark
from holdfast.sweep.kinds import Kind, inapplicable
from holdfast.sweep.levers import Means, aimed_here, means, points_told
from holdfast.sweep.plan import Left, Pairs, Schedule, chosen, pairs, singles
from holdfast.sweep.points import Point, Visited, visited
from holdfast.sweep.running import Ran, Runner
from holdfast.sweep.shrinking import Verdicts, grouped, to_run
from holdfast.targets.base import Target
from holdfast.verdict.model import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How much a sweep may do.

    Attributes:
        seconds: no further part begins that would probably end later than this.
        pairs: the most pairs.
        repeats: how often a violating schedule, and every smaller one within it, is run in all.
        violations: the most violating schedules that are run again.
        expression: words that choose points and kinds; empty for all.
        stop_at_first: whether no pair is run once a single fault has broken a promise.
    """

    seconds: float = 280.0
    pairs: int = 120
    repeats: int = 3
    violations: int = 40
    expression: str = ""
    stop_at_first: bool = False


@dataclass(slots=True, kw_only=True)
class Sweep:
    """One pattern of one opened stack.

    Attributes:
        runner: runs schedules.
        budget: how much it may do.
        clock: monotonic clock, seconds.
    """

    runner: Runner
    budget: Budget
    clock: Callable[[], float] = time.monotonic
    _verdicts: Verdicts = field(default_factory=Verdicts)
    _ran: list[Ran] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _unexplained: list[Finding] = field(default_factory=list)
    _seen: Visited | None = None
    _left: list[Left] = field(default_factory=list)
    _singles: list[Schedule] = field(default_factory=list)
    _alone: list[Ran] = field(default_factory=list)
    _together: list[Ran] = field(default_factory=list)
    _second: Pairs = field(default_factory=Pairs)
    _violating: tuple[Violation, ...] = ()
    _interrupted: str = ""
    _untold: str = ""
    _singles_seconds: float = 0.0
    _started: float = 0.0

    def cover(self) -> Coverage:
        """Visit every fault point with every kind, then the pairs that matter.

        Raises:
            Inconclusive: an undisturbed command cannot be traced here.
            HoldfastError: the stack or the target failed under the harness, or a fault could not be healed.
        """
        self._started = self.clock()
        absent = states_defined(self.runner.situation) if isinstance(self.runner.pattern, SagaPattern) else ""
        if absent:
            raise DescriptorError(
                f"The descriptor names states that are not there: {absent}.",
                remedy="name the states as the definition does; those of a nested machine as TASK/STATE",
            )
        if not aimed_here(self.runner.situation):
            return self._by_levers()
        undisturbed = self.runner.undisturbed()
        self._remember([undisturbed])
        try:
            self._visit(undisturbed)
        except KeyboardInterrupt as signal:
            self._interrupt(str(signal) or "SIGINT")
        return self._coverage(undisturbed)

    def _visit(self, undisturbed: Ran) -> None:
        stack = self.runner.stack
        seen = visited(undisturbed.trace, self.runner.callers, stack)
        wanted = chosen(seen.points, Kind, self.budget.expression)
        if not seen.points:
            beside = f"; callers that are no components: {', '.join(seen.strangers)}" if seen.strangers else ""
            raise Inconclusive(
                f"one command passes no call of a component of the descriptor{beside}; `holdfast verify` judges what"
                " processes do"
            )
        if not wanted:
            raise NothingChosenError(
                f"No fault point and kind has all of these words: {self.budget.expression}",
                cause=f"the fault points are {', '.join(point.name for point in seen.points) or 'none'}",
                remedy=f"choose among them, and among the kinds {', '.join(Kind)}",
            )
        self._seen = seen
        self._singles, self._left = singles(wanted, self.runner.known, self._synchronous())
        self._alone, alone_seconds = self._timed(self._singles)
        self._singles_seconds = self.clock() - self._started
        self._second = self._pairs(undisturbed, self._alone, alone_seconds)
        self._together, together_seconds = self._timed(self._second.schedules)
        waves = ((self._alone, alone_seconds), (self._together, together_seconds))
        culprits = [one for wave, seconds in waves for one in self._unbalancing(wave, seconds)]
        self._violating = self._violations([*self._alone, *self._together, *culprits], alone_seconds)

    def _interrupt(self, signal: str) -> None:
        """Keep what is decided: a wave that was under way has no last look, so it says nothing."""
        self._interrupted = signal
        doing = "single faults" if not self._alone else "pairs" if not self._together else "violations once more"
        self._notes.append(f"interrupted by {signal} while it ran {doing}: what was under way is not judged")
        violating = [one.schedule for one in self._ran if one.judgement.mark is Mark.VIOLATED]
        found = grouped(list(dict.fromkeys(violating)), self._verdicts)
        self._violating = tuple(self._violation(schedule, of) for schedule, of in found.items())

    def _coverage(self, undisturbed: Ran) -> Coverage:
        second = self._second
        alone = [(one.schedule, one.judgement) for one in self._alone]
        if not alone:
            waiting = Judgement(mark=Mark.UNREACHED, why=INTERRUPTED)
            alone = [(schedule, waiting) for schedule in self._singles]
        points = () if self._seen is None else self._seen.points
        return replace(
            self._head(undisturbed.judgement),
            cells=cells(alone, self._left, points),
            pairs=tuple(
                PairRun(schedule=one.schedule, mark=one.judgement.mark, why=one.judgement.why) for one in self._together
            ),
            reachable=second.reachable,
            pruned=second.pruned,
            dropped=second.dropped,
            pairs_asked=self.budget.pairs,
            violations=self._violating,
            unexplained=tuple(self._unexplained),
            strangers=() if self._seen is None else self._seen.strangers,
            singles_seconds=round(self._singles_seconds, 1),
        )

    def _head(self, undisturbed: Judgement) -> Coverage:
        """What was swept and how that went, without what was covered."""
        stack = self.runner.stack
        return Coverage(
            stack=stack.descriptor.name,
            descriptor=str(stack.path),
            pattern=self.runner.name,
            target=stack.target.kind,
            seed=self.runner.seed,
            undisturbed=undisturbed,
            cells=(),
            commands=len(self._ran),
            seconds=round(self.clock() - self._started, 1),
            notes=tuple(self._notes),
            untold=self._untold,
            interrupted=self._interrupted,
        )

    def untraced(self, reason: Inconclusive) -> Coverage:
        """What is said of a pattern of which no command could be traced."""
        return self._head(Judgement(mark=Mark.UNREACHED, why=str(reason)))

    def _by_levers(self) -> Coverage:
        """Visit what levers on everything can reach, one after another, and say what they cannot."""
        points = points_told(self.runner.situation, self.runner.callers)
        wanted = chosen(points, Kind, self.budget.expression)
        ran: list[tuple[Schedule, Judgement]] = []
        self._notes += (
            "the calls that functions make themselves cannot be seen here, so no point stands for them",
            "faults are on everything here, so points are visited one after another, and no pair is run",
        )
        undisturbed = Judgement(mark=Mark.UNREACHED, why=INTERRUPTED)
        try:
            alone = self.runner.run_alone()
            self._remember([alone])
            undisturbed = alone.judgement
            self._pull(wanted, ran)
        except KeyboardInterrupt as signal:
            self._interrupted = str(signal) or "SIGINT"
            self._left += [
                Left(point=point, kind=kind, why=INTERRUPTED, applies=True)
                for point, kind in wanted[len(ran) + len(self._left) :]
            ]
        violating = [one.schedule for one in self._ran if one.judgement.mark is Mark.VIOLATED]
        found = grouped(list(dict.fromkeys(violating)), self._verdicts)
        return replace(
            self._head(undisturbed),
            cells=cells(ran, self._left, points),
            violations=tuple(self._violation(schedule, of) for schedule, of in found.items()),
            aimed=False,
        )

    def _pull(self, wanted: Sequence[tuple[Point, Kind]], ran: list[tuple[Schedule, Judgement]]) -> None:
        """Pull the levers there are, in this order, and note what there is none for."""
        for point, kind in wanted:
            no = inapplicable(point, kind, self.runner.known)
            found = no or means(point, kind, self.runner.situation)
            if isinstance(found, str):
                self._left.append(Left(point=point, kind=kind, why=found, applies=not no))
            else:
                ran.append((Schedule(faults=(found.fault,)), self._with(found)))

    def _with(self, found: Means) -> Judgement:
        if not self._time_for(0.0):
            return Judgement(mark=Mark.UNREACHED, why="the budget was used up")
        try:
            ran = self.runner.run_with(found)
        except (Inconclusive, InjectionError) as reason:
            return Judgement(mark=Mark.UNREACHED, why=str(reason))
        self._remember([ran])
        return ran.judgement

    def _synchronous(self) -> frozenset[str]:
        """The components that work before a command is acknowledged."""
        pattern = self.runner.pattern
        found = {*pattern.ingest, *(name for name, one in self.runner.stack.resources.items() if one.type == "api")}
        if isinstance(pattern, SagaPattern) and pattern.state_machine and ends_before_its_answer(self.runner.situation):
            found.add(pattern.state_machine)
        return frozenset(found)

    def _surfacing(self) -> set[tuple[str, str, str]]:
        """The calls that put a request where dead letters are."""
        stack, found = self.runner.stack, set()
        for port in stack.descriptor.dead_letters.values():
            if port.queue is not None:
                found.add(("sqs", "SendMessage", stack.resource(port.queue).name))
            if port.bucket is not None:
                found.add(("s3", "PutObject", stack.resource(port.bucket).name))
        return found

    def _timed(self, schedules: Sequence[Schedule]) -> tuple[list[Ran], float]:
        began = self.clock()
        ran = self.runner.run(schedules)
        self._remember(ran)
        untold = {one.case.unweighed for one in ran} - {"", *self._notes}
        self._notes += sorted(untold)
        return ran, self.clock() - began

    def _remember(self, ran: Sequence[Ran]) -> None:
        self._ran += ran
        for one in ran:
            self._verdicts.remember(one.schedule, one.judgement)

    def _pairs(self, undisturbed: Ran, alone: Sequence[Ran], alone_seconds: float) -> Pairs:
        """The pairs worth running, unless there is no time for them, or no need."""
        if self.budget.stop_at_first and any(one.judgement.mark is Mark.VIOLATED for one in alone):
            self._notes.append("no pair was run: a single fault broke a promise")
            return Pairs()
        hit = [(one.schedule, one.trace) for one in alone if one.judgement.mark is not Mark.UNREACHED]
        found = pairs(
            hit,
            undisturbed.trace,
            callers=self.runner.callers,
            known=self.runner.known,
            kinds=list(Kind),
            surfacing=self._surfacing(),
            most=self.budget.pairs,
            seed=self.runner.seed,
        )
        if found.schedules and not self._time_for(alone_seconds):
            self._notes.append(
                f"no pair was run: the singles took {alone_seconds:.0f} s, and the budget is {self.budget.seconds:g} s"
            )
            return replace(found, schedules=(), dropped=found.dropped + len(found.schedules))
        return found

    def _unbalancing(self, wave: Sequence[Ran], seconds: float) -> list[Ran]:
        """The runs that show which commands of a wave moved what is conserved: in halves, until one schedule is left.

        A saga that is half done, as it may be, holds what is counted nowhere, and a violation is known already: without
        them the sum has to be right.

        Args:
            wave: the runs.
            seconds: how long they took together.
        """
        saga = self.runner.pattern
        if not isinstance(saga, SagaPattern) or not any(one.unbalanced for one in wave):
            return []
        whole = [one for one in wave if _whole(one, saga)]
        proved = next(one.unbalanced for one in wave if one.unbalanced) if len(whole) == len(wave) else ()
        groups = [list(dict.fromkeys(one.schedule for one in whole))]
        culprits: list[Ran] = []
        while groups:
            if not self._time_for(seconds):
                beside = (
                    f", beside {len(wave) - len(whole)} sagas that are half done or violated," if whole != wave else ""
                )
                self._untold = f"what is conserved was moved{beside} and no time was left to tell by what"
                self._notes.append(self._untold)
                break
            group = groups.pop()
            self.runner.say(f"what is conserved was moved: {len(group)} commands again")
            again, seconds = self._timed(group)
            if len(group) == 1:  # each copy alone, or what one of them moved would be held against all
                again += [one for _ in range(self.budget.repeats - 1) for one in self._timed(group)[0]]
            if not proved and all(_whole(one, saga) for one in again):
                proved = next((one.unbalanced for one in again if one.unbalanced), ())
            culprits += [one for one in again if one.case.unbalanced]
            if len(group) > 1 and any(one.unbalanced for one in again):
                middle = len(group) // 2
                groups += [group[:middle], group[middle:]]
        if not culprits:
            self._unexplained += proved
        return culprits

    def _violations(self, ran: Sequence[Ran], wave_seconds: float) -> tuple[Violation, ...]:
        """The smallest schedule within each violating one, with how often it violates."""
        found = list(dict.fromkeys(one.schedule for one in ran if one.judgement.mark is Mark.VIOLATED))
        if self._verdicts.violated(Schedule()):
            found.insert(0, Schedule())
        again = found[: self.budget.violations]
        if again and self._time_for(wave_seconds):
            self.runner.say(f"{len(again)} violating schedules once more, and what is smaller within them")
            self._timed(to_run(again, self._verdicts, self.budget.repeats))
        elif again:
            self._notes.append("no violating schedule was run a second time: the budget was used up")
        if len(found) > len(again):
            self._notes.append(f"{len(found) - len(again)} violating schedules were run once only")
        return tuple(self._violation(schedule, of) for schedule, of in grouped(found, self._verdicts).items())

    def _violation(self, schedule: Schedule, found_by: tuple[Schedule, ...]) -> Violation:
        first = next(one for one in self._ran if one.schedule == schedule and one.judgement.mark is Mark.VIOLATED)
        return Violation(
            schedule=schedule,
            judgement=first.judgement,
            violated=self._verdicts.violated(schedule),
            runs=len(self._verdicts.of(schedule)),
            found_by=tuple(one for one in found_by if one != schedule),
            fields=dict(first.submission.fields),
        )

    def _time_for(self, seconds: float) -> bool:
        """Whether a part that takes about so long may still begin."""
        return self.clock() - self._started + seconds <= self.budget.seconds


def _whole(ran: Ran, saga: SagaPattern) -> bool:
    """Whether a saga holds nothing that is counted nowhere, and broke no promise that is known already."""
    return ran.judgement.mark is not Mark.VIOLATED and not half_done(ran.case, saga)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A stack that is ready to be swept.

    Attributes:
        stack: the resolved stack.
        runners: one for each pattern that it claims.
        clean: removes secrets from a text.
        run: the folder of what is kept of the run; None where nothing is.
    """

    stack: Stack
    runners: dict[PatternName, Runner]
    clean: Clean
    run: RunFolder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep leaves.

    Attributes:
        coverages: what was covered, one for each pattern.
        clean: removes secrets from texts about it.
        run: the folder of what is kept of it; None where nothing is.
        hidden: generated fields whose values are secret.
    """

    coverages: tuple[Coverage, ...]
    clean: Clean
    run: RunFolder | None
    hidden: frozenset[str] = frozenset()


def _need_steps(path: Path, descriptor: Descriptor) -> None:
    for name, pattern in descriptor.patterns.items():
        if isinstance(pattern, SagaPattern) and not pattern.steps:
            raise DescriptorError(
                f"{path}: [patterns.{name}] lists no steps, and a sweep judges what the steps of a saga leave.",
                remedy=f"list them in [[patterns.{name}.steps]], each with its effect port; `holdfast doctor` shows the"
                " steps that the definition tells",
            )


@contextmanager
def opened(
    path: Path,
    *,
    options: Options,
    kind: RunKind | None = None,
    target: Target | None = None,
    listener: Listener = silent,
) -> Iterator[Opened]:
    """Open a stack for a sweep: nothing is injected before everything it needs is known to be there.

    Args:
        path: the descriptor's file.
        options: how.
        kind: what kind of run is written down; None for nothing.
        target: a target that somebody else started and ends; opened here when None.
        listener: told what goes on.

    Raises:
        HoldfastError: the descriptor is wrong, the target does not answer, a resource or permission is missing, or a
            port answers what it must not.
    """
    descriptor = load_descriptor(path, options.environ)
    _need_steps(path, descriptor)

    def say(message: str, until_seconds: float = 0.0) -> None:
        listener(Progress(descriptor.name, message, until_seconds))

    with ready(path, descriptor, options=options, kind=kind, target=target, say=say) as run:
        stack = run.stack
        stopping = Stopping.of(stack)
        stopping.check()
        configuration = read_configuration(stack)
        prefix = new_prefix()
        _, secret_key, token = stack.target.credentials()
        yield Opened(
            stack=stack,
            runners={
                name: Runner(
                    stack=stack,
                    name=name,
                    ports=run.ports,
                    recorder=run.recorder,
                    journal=run.journal,
                    configuration=configuration,
                    seed=options.seed,
                    prefix=f"{prefix}{at}",
                    listener=listener,
                    stopping=stopping,
                )
                for at, name in enumerate(descriptor.patterns)
            },
            clean=cleaning(descriptor, secret_key, token),
            run=run.run,
        )


def sweep(
    path: Path,
    *,
    options: Options,
    budget: Budget | None = None,
    target: Target | None = None,
    listener: Listener = silent,
) -> Swept:
    """Sweep every pattern that a stack claims.

    A signal ends it with what was decided until then.

    Raises:
        HoldfastError: as `opened`, or a fault could not be healed.
        KeyboardInterrupt: a signal came before anything was decided; every fault is healed.
    """
    with (
        interruptible(),
        opened(path, options=options, kind="sweep", target=target, listener=listener) as ready,
    ):
        coverages: list[Coverage] = []
        reasons: list[Exception] = []
        for runner in ready.runners.values():
            one = Sweep(runner=runner, budget=budget or Budget())
            try:
                coverages.append(one.cover())
            except NothingChosenError as reason:  # the words may be of another pattern
                reasons.append(reason)
                continue
            except Inconclusive as reason:
                reasons.append(reason)
                coverages.append(one.untraced(reason))
            except KeyboardInterrupt as signal:
                if not coverages:
                    raise
                coverages[-1] = replace(coverages[-1], interrupted=str(signal) or "SIGINT")
            if coverages[-1].interrupted:
                break
        if len(reasons) == len(ready.runners):
            raise reasons[0]
        return Swept(
            coverages=tuple(coverages),
            clean=ready.clean,
            run=ready.run,
            hidden=ready.stack.descriptor.marked.hidden_fields,
        )


__all__ = ["Budget", "Opened", "Sweep", "Swept", "opened", "sweep"]
