"""Runs the provocations that the chosen clauses need, once, in the fewest and shortest phases; keeps their evidence.

The order is: the stack undisturbed; then each fault on everything, once, with all provocations that need it inside;
then everything else side by side, each fault aimed at keys of its own; then silence and a last look at every key; then
what leaves something half done for good, which would falsify that look; and the stack undisturbed again.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from holdfast.checkers.saga import Fate, left
from holdfast.errors import (
    HealError,
    HoldfastError,
    Inconclusive,
    InjectionError,
    PortError,
    ResourceError,
    TargetError,
)
from holdfast.history.model import Observation, Outcome
from holdfast.history.recorder import Recorder
from holdfast.levers.journal import Journal
from holdfast.levers.pull import pulled
from holdfast.ports.ports import Ports
from holdfast.progress import Listener, Progress
from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.cqrs_runs import look_at_aggregates
from holdfast.provocations.faults import levers_of, requirements_of
from holdfast.provocations.model import Evidence, Moment, Provocation, Window
from holdfast.provocations.quiescence import await_silence
from holdfast.provocations.requirements import Situation, unmet
from holdfast.provocations.stopping import Stopping
from holdfast.stack.configuration import Configuration, read_configuration
from holdfast.stack.descriptor import Bounds
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern, Pattern, PatternName, SagaPattern
from holdfast.stack.resolve import Stack
from holdfast.targets.emulator.starvation import Pressure

COMMANDS_AT_ONCE = 8
"""Commands of one stack that are under way at once, those apart that have to meet at one moment."""


class Campaign:
    """The evidence of one stack and one claimed pattern, gathered when it is first asked for.

    Args:
        stack: the resolved stack.
        pattern: name of the claimed pattern.
        ports: its ports.
        recorder: the run's history.
        journal: where every fault is written before it is put in place.
        needed: the provocations that the chosen clauses need.
        seed: of the generated values.
        prefix: begins every key.
        listener: told what goes on.
        stopping: the run's stop conditions; the stack's own when None.
    """

    def __init__(
        self,
        *,
        stack: Stack,
        pattern: PatternName,
        ports: Ports,
        recorder: Recorder,
        journal: Journal,
        needed: Iterable[Provocation],
        seed: int,
        prefix: str,
        listener: Listener,
        stopping: Stopping | None = None,
    ) -> None:
        self.stack = stack
        self.pattern_name = pattern
        self.pattern: Pattern = stack.descriptor.patterns[pattern]
        self.ports = ports
        self.recorder = recorder
        self._journal = journal
        self._needed = tuple(dict.fromkeys(needed))
        self._seed = seed
        self._prefix = prefix
        self._listener = listener
        self._stopping = stopping or Stopping.of(stack)
        self._benches: dict[str, Bench] = {}
        self._refused: dict[str, str] = {}
        self._evidence: dict[str, Evidence] = {}
        self._lock = threading.Lock()
        self._done = False
        self._surfaced: set[str] = set()
        self._room = threading.Semaphore(COMMANDS_AT_ONCE)
        self._failure: Exception | None = None
        self._pressure = Pressure(recorder.now_seconds)

    def evidence(self, provocation: Provocation) -> Evidence:
        """What a provocation left behind; the first call runs all provocations.

        Raises:
            Inconclusive: it could not be run here, with the reason.
            HoldfastError: the stack or target failed under the harness, or a fault could not be healed.
        """
        with self._lock:
            if not self._done:
                self._done = True
                try:
                    self._run()
                except Exception as failure:  # noqa: BLE001 - whoever asks for evidence must learn why there is none
                    self._failure = failure
        if self._failure is not None:
            raise self._failure
        if provocation.name in self._refused:
            raise Inconclusive(self._refused[provocation.name])
        return self._evidence[provocation.name]

    def has(self, provocation: Provocation) -> bool:
        """Whether a provocation has been run and left evidence."""
        return provocation.name in self._evidence and provocation.name not in self._refused

    @cached_property
    def configuration(self) -> Configuration:
        """How the stack's queues and functions are deployed, read once.

        Raises:
            ResourceError: something may not be read.
            TargetError: the target does not answer.
        """
        return read_configuration(self.stack)

    @cached_property
    def situation(self) -> Situation:
        """What requirements are asked about."""
        return Situation(stack=self.stack, pattern=self.pattern, configuration=self.configuration)

    def dead_letter_keys(self) -> frozenset[str]:
        """The keys that were among the pattern's dead letters at the last looks."""
        return frozenset(self._surfaced)

    def starved(self, key: str) -> bool:
        """Whether an invocation for a key ran out of time because the machine of the target was too busy to run it."""
        interceptor = self.stack.target.interceptor
        return interceptor is not None and any(one.starved for one in interceptor.invocations(key=key))

    def slowed(self, since_seconds: float, until_seconds: float) -> bool:
        """Whether the machine that runs the target was too busy then for lateness to say anything of the stack.

        Args:
            since_seconds: a moment of the run's history.
            until_seconds: a later one.
        """
        return self.stack.target.kind == "embedded" and self._pressure.busy(since_seconds, until_seconds)

    @property
    def bounds(self) -> Bounds:
        """What the stack declares about itself."""
        return self.stack.descriptor.bounds

    # -- phases --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        possible = [provocation for provocation in self._needed if self._prepare(provocation)]
        moments = {moment: [p for p in possible if p.moment is moment] for moment in Moment}
        self._say("undisturbed commands")
        self._all([partial(self._provoke, p) for p in moments[Moment.FIRST]])
        self._need_reach()
        waiting: list[tuple[Provocation, Any]] = []
        for window in Window:
            waiting += self._inside(window, [p for p in moments[Moment.MIDDLE] if p.window is window])
        unwindowed = [p for p in moments[Moment.MIDDLE] if p.window is None]
        exclusive = [p for p in unwindowed if p.exclusive]
        aimed = [p for p in unwindowed if not p.exclusive and not p.alone(self.situation)]
        alone = [p for p in unwindowed if not p.exclusive and p.alone(self.situation)]
        self._say(f"{len(aimed)} provocations side by side")
        self._all(
            [partial(self._provoke_and_observe, p) for p in aimed]
            + [partial(self._observe, p, sent) for p, sent in waiting]
        )
        for provocation in exclusive:
            self._say(f"{provocation.name}, with nothing else under way")
            self._provoke_and_observe(provocation)
        quiet = self._quiet()
        if alone:
            quiet = self._one_by_one(alone, quiet)
        self._last_look([*moments[Moment.FIRST], *moments[Moment.MIDDLE]], quiet)
        if moments[Moment.SCARRING]:
            self._say(f"{len(moments[Moment.SCARRING])} provocations that leave something half done")
            self._all([partial(self._provoke_and_observe, p) for p in moments[Moment.SCARRING]])
            quiet = quiet and self._quiet()  # what did not come to rest before will not do so now
            self._last_look(moments[Moment.SCARRING], quiet)
        self._all([partial(self._provoke, p) for p in moments[Moment.LAST]])
        self._last_look(moments[Moment.LAST], quiet)
        self._say("judging what was seen")
        history = self.recorder.history()
        self._evidence = {name: bench.evidence(history) for name, bench in self._benches.items()}

    def _need_reach(self) -> None:
        """See that functions which were pointed at the interceptor reach it, before anything rests on that.

        Raises:
            TargetError: undisturbed commands fail, and some function makes no call that the interceptor sees.
        """
        target = self.stack.target
        if target.interceptor is None or target.interceptor_url is None:
            return
        history = self.recorder.history()
        done = {one.key for one in history.observations if one.port == self.pattern.effect and one.count}
        failed = [one for one in history.operations if one.outcome is not Outcome.OK or one.key not in done]
        seen = {call.function for call in target.interceptor.calls("")}
        unseen = [
            name for name in (*self.pattern.ingest, *self.pattern.workers) if self.stack.resource(name).name not in seen
        ]
        if failed and unseen:
            raise TargetError(
                f"{', '.join(unseen)} cannot reach the interceptor at {target.interceptor_url}",
                cause="undisturbed commands failed, and no call of theirs was seen: functions in containers cannot "
                "reach an address of this machine's loopback",
                remedy="verify with --no-intercept; what needs aimed faults is inconclusive then",
            )

    def _quiet(self) -> bool:
        """Wait for silence; whether it came."""
        return await_silence(
            self.stack,
            self.pattern,
            self.configuration,
            self.recorder.now_seconds,
            say=self._say,
            check=self._stopping.check,
        )

    def _one_by_one(self, provocations: Sequence[Provocation], quiet: bool) -> bool:  # noqa: FBT001 - one caller
        """Run what would harm other requests when nothing else is under way; whether the stack is at rest after it."""
        for provocation in provocations:
            if quiet:
                self._say(f"{provocation.name}, with nothing else under way")
                self._provoke_and_observe(provocation)
                quiet = self._quiet()
            else:
                self._refused[provocation.name] = (
                    "the stack did not come to rest, and its faults would have struck requests that were under way"
                )
        return quiet

    def _prepare(self, provocation: Provocation) -> bool:
        """Make the bench of a provocation; whether it can be run here at all."""
        bench = self._benches[provocation.name] = self._bench(provocation)
        missing = unmet(requirements_of(provocation), self.situation)
        if missing:
            self._refused[provocation.name] = "; ".join(missing)
        for gap in unmet(provocation.leaves_open, self.situation):
            bench.undecided(gap)
        return not missing

    def _inside(self, window: Window, provocations: Sequence[Provocation]) -> list[tuple[Provocation, Any]]:
        if not provocations:
            return []
        preparing = [partial(self._attempt, p, p.prepare) for p in provocations if p.prepare is not None]
        if preparing:
            self._say(f"before the fault window: {window.value}")
            self._all(preparing)
            provocations = [p for p in provocations if p.name not in self._refused]
            if not provocations:
                return []
        self._say(f"fault window: {window.value}")
        try:
            with pulled(
                levers_of(window, self.situation, self._prefix),
                stack=self.stack,
                journal=self._journal,
                recorder=self.recorder,
                provocation=window.name,
            ):
                # One after another: a burst beside them would falsify the latencies that SF-3 compares.
                sent = [self._provoke(p) for p in provocations]
        except (Inconclusive, InjectionError) as reason:
            self._refused.update({p.name: str(reason) for p in provocations})
            return []
        self._all(
            [partial(self._attempt, p, p.healed) for p in provocations if p.healed and p.name not in self._refused]
        )
        opened = [w for w in self.recorder.history().windows if w.provocation == window.name]
        for provocation in provocations:
            for one in opened:
                self.recorder.add(replace(one, provocation=provocation.name))
        return [(p, what) for p, what in zip(provocations, sent, strict=True) if p.name not in self._refused]

    def _provoke(self, provocation: Provocation) -> Any:
        return self._attempt(provocation, provocation.way(self.situation).provoke)

    def _observe(self, provocation: Provocation, sent: Any) -> None:
        if provocation.observe is None or provocation.name in self._refused:
            return
        observe = provocation.observe
        self._attempt(provocation, lambda bench: observe(bench, sent))

    def _attempt(self, provocation: Provocation, work: Callable[[Bench], Any]) -> Any:
        """Do a part of a provocation; what cannot be done makes it inconclusive, and leaves the others alone."""
        try:
            return work(self._benches[provocation.name])
        except (Inconclusive, InjectionError, PortError, ResourceError) as reason:
            self._refused[provocation.name] = str(reason)
        except HoldfastError:
            raise
        except Exception as crash:  # noqa: BLE001 - a crashed provocation decides nothing, and must not end the others
            self._refused[provocation.name] = f"the provocation crashed: {type(crash).__name__}: {crash}"
        return None

    def _provoke_and_observe(self, provocation: Provocation) -> None:
        self._observe(provocation, self._provoke(provocation))

    def _all(self, jobs: Sequence[Callable[[], Any]]) -> list[Any]:
        """Run all jobs side by side, wait for every one, then raise an error, a fault not healed before all others."""
        if not jobs:
            return []
        with ThreadPoolExecutor(max_workers=len(jobs), thread_name_prefix="provocation") as pool:
            running: list[Future[Any]] = [pool.submit(job) for job in jobs]
        errors = [error for future in running if (error := future.exception()) is not None]
        if errors:
            raise next((error for error in errors if isinstance(error, HealError)), errors[0])
        return [future.result() for future in running]

    # -- the end -------------------------------------------------------------------------------------------------

    def _last_look(self, provocations: Sequence[Provocation], quiet: bool) -> None:  # noqa: FBT001 - one caller
        """Observe every key once more, at every port; nothing can change any more, so verdicts rest on this.

        Where the stack has not come to rest, an absence may end yet: then every key's last observation is incomplete.
        """
        benches = [self._benches[one.name] for one in provocations if one.name not in self._refused]
        work = [(bench, submission) for bench in benches for submission in bench.submissions()]
        self._say(f"a last look at {len(work)} keys")
        seen = side_by_side(lambda item: self._look(*item), work, 4)
        if not quiet:
            now_seconds = self.recorder.now_seconds()
            for observation in (one for looks in seen for one in looks):
                self.recorder.add(
                    replace(observation, complete=False, started_seconds=now_seconds, completed_seconds=now_seconds)
                )
            for bench in benches:
                bench.never_quiet()
        self._look_at_sagas(benches, "" if quiet else "the stack was not quiet")
        if isinstance(self.pattern, CqrsPattern):
            look_at_aggregates(benches, quiet=quiet)
        if self.pattern.dead_letters is not None and work:
            try:
                letters = self.ports.dead_letters(self.pattern.dead_letters)
            except (ResourceError, TargetError) as error:
                for bench in benches:
                    bench.undecided(f"the dead letters could not be read at the end: {error.what}", bench.keys())
                return
            self._surfaced.update(one.key for one in letters if one.key)
            for bench in benches:
                bench.keep_dead_letters(letters)

    def _look_at_sagas(self, benches: Sequence[Bench], unquiet: str) -> None:
        """Keep the executions of every key with their histories, and read what is conserved once more.

        What sagas hold that are half done is missing where it is counted, so their sum then proves nothing.
        """
        saga = self.pattern
        if not isinstance(saga, SagaPattern):
            return
        history = self.recorder.history()
        half = [one.key for one in left(history, saga) if one.fate is Fate.HALF] if saga.steps else []
        for bench in benches:
            for name in self.stack.descriptor.conserved:
                seen = self.ports.observe_quantity(name, provocation=bench.name)
                if unquiet or half:
                    why = unquiet or f"sagas are half done: {', '.join(half)}"
                    self.recorder.add(replace(seen, complete=False, state=why))
        machine = self.configuration.machine(saga.state_machine)
        if machine is None or machine.express:
            return

        def read(item: tuple[Bench, str]) -> None:
            bench, key = item
            try:
                bench.keep_executions(self.ports.executions(machine.component, key))
            except (ResourceError, TargetError) as error:
                why = " ".join(part for part in (error.what, error.cause) if part)
                bench.undecided(f"executions could not be read: {why}", [key])

        side_by_side(read, [(bench, one.key) for bench in benches for one in bench.submissions()], 4)

    def _look(self, bench: Bench, submission: Submission) -> list[Observation]:
        """Read a key at every port.

        The order is what makes an absence provable: the status before the effect it speaks of, and the outbox row
        again after the message, because only a read that began later can contradict what was seen.
        """
        seen = []
        if self.pattern.status is not None:
            seen.append(self.ports.observe_status(self.pattern.status, submission, provocation=bench.name))
        outbox = (self.pattern.row, self.pattern.message, self.pattern.row)
        named = [self.pattern.stored, *outbox, self.pattern.effect]
        if isinstance(self.pattern, SagaPattern):
            machine = self.configuration.machine(self.pattern.state_machine)
            if machine is not None and not machine.express:
                seen.append(self.ports.observe_executions(machine.component, submission, provocation=bench.name))
            named = list(dict.fromkeys((*named, *self.pattern.ports())))
        ports = [port for port in named if port is not None]
        return [*seen, *(self.ports.observe(port, submission, provocation=bench.name) for port in ports)]

    def _bench(self, provocation: Provocation) -> Bench:
        return Bench(
            name=provocation.name,
            stack=self.stack,
            pattern=self.pattern,
            ports=self.ports,
            recorder=self.recorder,
            journal=self._journal,
            prefix=self._prefix,
            random=random.Random(f"{self._seed}-{provocation.name}"),  # noqa: S311 - reproducible, not secret
            waiting=self._wait,
            configuration=self.configuration,
            room=self._room,
            stopping=self._stopping,
        )

    def _say(self, message: str, until_seconds: float = 0.0) -> None:
        self._pressure.note()
        self._listener(Progress(self.stack.descriptor.name, message, until_seconds))

    def _wait(self, message: str, until_seconds: float) -> None:
        self._pressure.note()
        self._listener(
            Progress(self.stack.descriptor.name, message, until_seconds, beside=True, over=not until_seconds)
        )
