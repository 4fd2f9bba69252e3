"""When the load is over: waits until the stack is at rest, then looks at every key of the run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from holdfast.checkers.projections import Stream, streams
from holdfast.errors import HoldfastError, ResourceError, TargetError
from holdfast.history.columns import NANOSECONDS
from holdfast.history.logs import LogRead, ViewRead
from holdfast.history.model import FaultWindow, History, Observation
from holdfast.opening import Ready
from holdfast.ports.bulk import Keys
from holdfast.ports.folding import folding
from holdfast.progress import Say
from holdfast.provocations.bench import side_by_side
from holdfast.provocations.cqrs_runs import aggregate_of
from holdfast.provocations.quiescence import QUIET_SECONDS, await_silence
from holdfast.provocations.spans import most_at_once
from holdfast.stack.configuration import Configuration
from holdfast.stack.generate import Submission
from holdfast.stack.patterns import CqrsPattern, Pattern, PatternName, SagaPattern
from holdfast.under_load import Disturbance, LoadEvidence, Looked, Reported
from holdfast.waiting import eventually
from holdfast_load.judging.rows import Rows
from holdfast_load.plan import RunClock, RunRecord

Read = TypeVar("Read", LogRead, ViewRead)

AT_ONCE = 4
"""Aggregates that are read at one time."""
MOST_AGGREGATE_COMMANDS = 200_000
"""Commands on aggregates that are judged as records, one by one; beyond it that is inconclusive."""
KEYS_OF_TRANSITIONS = 20
"""Executions whose histories are read for the state transitions of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """What was broken during a run.

    Attributes:
        windows: the fault windows, on the run's clock.
        disturbances: when faults were in place, being put on or being taken off.
        problems: faults that were not put on, a sentence each.
    """

    windows: tuple[FaultWindow, ...] = ()
    disturbances: tuple[Disturbance, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Looking:
    """Looks at what a run has left.

    Args:
        ready: the stack and its ports.
        configuration: how it is deployed.
        submission: what was submitted under a key.
        say: told what goes on.

    Attributes:
        quiet: whether the stack came to rest.
        drain_seconds: from the end of the load until it was at rest.
    """

    ready: Ready
    configuration: Configuration
    submission: Callable[[str], Submission]
    say: Say
    quiet: bool = True
    drain_seconds: float | None = None
    _now: Callable[[], float] = field(default=lambda: 0.0)

    def await_rest(self, clock: RunClock, over_seconds: float) -> None:
        """Wait until nothing is queued and nothing runs, for every claimed pattern.

        Args:
            clock: of the run.
            over_seconds: when the load was over.
        """
        self._now = lambda: clock.seconds
        stack = self.ready.stack
        quiet_since = clock.seconds
        for pattern in stack.descriptor.patterns.values():
            self.quiet &= await_silence(
                stack,
                pattern,
                self.configuration,
                self._now,
                say=self.say,
                check=lambda: None,  # the load is over and healed: nothing is left that could be stopped
            )
            quiet_since = clock.seconds
        if self.quiet:
            # silence is known only after it has lasted; it began earlier
            self.drain_seconds = max(0.0, quiet_since - QUIET_SECONDS[stack.target.kind] - over_seconds)

    def evidence(
        self,
        name: PatternName,
        rows: Rows,
        timeline: Broken,
        record: RunRecord,
    ) -> LoadEvidence:
        """Look at every key of one pattern, in every port that tells what has become of it.

        Args:
            name: of the pattern.
            rows: the operations of the run.
            timeline: what was broken meanwhile.
            record: what the run says of itself.
        """
        stack, pattern = self.ready.stack, self.ready.stack.descriptor.patterns[name]
        mine = rows.at(rows.operations.is_kind(pattern.command))
        codes = np.unique(mine.operations.key)
        keys = tuple(str(mine.operations.keys.label(code)) for code in codes.tolist())
        began = self._now()
        looked = {port: self._count(port, keys) for port in pattern.counted}
        return LoadEvidence(
            stack=stack,
            pattern=pattern,
            configuration=self.configuration,
            operations=mine.operations,
            intended_ns=mine.intended_ns,
            done_ns=mine.done_ns,
            sent=mine.sent,
            keys=keys,
            looked=looked,
            looked_ns=(round(began * NANOSECONDS), round(self._now() * NANOSECONDS)),
            windows=timeline.windows,
            disturbances=timeline.disturbances,
            quiet=self.quiet,
            drain_seconds=self.drain_seconds,
            dead_lettered=self._dead_lettered(pattern),
            reported=self._reported(pattern, keys),
            quantities=self._quantities(pattern),
            streams=self._streams(pattern, keys, mine) if isinstance(pattern, CqrsPattern) else (),
            workers_at_once=self._workers_at_once(pattern, record),
            starved_keys=self._starved(record.plan.prefix),
            missing=tuple(dict.fromkeys((*record.missing, *rows.missing))),
            invalid=record.invalid,
            problems=timeline.problems,
        )

    def transitions(self, name: PatternName, keys: tuple[str, ...]) -> float:
        """State transitions of all executions of a saga, from the histories of some of them; 0 where there are none.

        docs.aws.amazon.com/step-functions/latest/dg/concepts-standard-vs-express.html
        """
        pattern = self.ready.stack.descriptor.patterns[name]
        machine = self.configuration.machine(pattern.state_machine) if isinstance(pattern, SagaPattern) else None
        if machine is None or machine.express or not keys:
            return 0.0
        chosen = keys[:: max(1, len(keys) // KEYS_OF_TRANSITIONS)][:KEYS_OF_TRANSITIONS]
        visits = []
        for key in chosen:
            try:
                found = self.ready.ports.executions(machine.component, key)
            except (ResourceError, TargetError):
                continue
            visits.append(sum(len(one.visits) + sum(len(v.attempts[1:]) for v in one.visits) for one in found))
        return sum(visits) / len(visits) * len(keys) if visits else 0.0

    def _count(self, port: str, keys: tuple[str, ...]) -> Looked:
        seconds = self.ready.stack.descriptor.load.look_seconds
        self.say(f"a count of {port} of {len(keys):,} keys", seconds)
        found = self.ready.ports.count(
            port, Keys(keys), lambda place: self.submission(keys[place]), deadline_seconds=seconds
        )
        return Looked(
            count=found.count,
            observed=found.observed,
            reason=found.reason,
            how=f"{found.how}, in {found.seconds:g} s",
        )

    def _reported(self, pattern: Pattern, keys: tuple[str, ...]) -> Reported | None:
        if pattern.status is None:
            return None
        seconds = self.ready.stack.descriptor.load.look_seconds
        self.say(f"the status of {len(keys):,} keys", seconds)
        found = self.ready.ports.states(
            pattern.status, Keys(keys), lambda place: self.submission(keys[place]), deadline_seconds=seconds
        )
        return Reported(state=found.state, reason=found.reason)

    def _dead_lettered(self, pattern: Pattern) -> frozenset[str]:
        if pattern.dead_letters is None:
            return frozenset()
        try:
            return frozenset(one.key for one in self.ready.ports.dead_letters(pattern.dead_letters) if one.key)
        except (ResourceError, TargetError):
            return frozenset()  # nothing is excused by what could not be read

    def _quantities(self, pattern: Pattern) -> tuple[Observation, ...]:
        if not isinstance(pattern, SagaPattern):
            return ()
        reads = [self.ready.ports.observe_quantity(name) for name in self.ready.stack.descriptor.conserved]
        if self.quiet:
            return tuple(reads)
        return tuple(replace(one, complete=False, state="the stack was not quiet") for one in reads)

    def _streams(self, pattern: CqrsPattern, keys: tuple[str, ...], rows: Rows) -> tuple[Stream, ...]:
        """The log and the views of each aggregate; a view that lags is waited for as long as is declared."""
        if len(rows) > MOST_AGGREGATE_COMMANDS:
            return ()
        ports, fold = self.ready.ports, folding(pattern, self.ready.stack.path)
        submissions = {key: self.submission(key) for key in keys}
        aggregates = {key: aggregate_of(pattern, one) for key, one in submissions.items()}
        one_each = {aggregate: submissions[key] for key, aggregate in aggregates.items()}
        views = tuple(dict.fromkeys((pattern.view, pattern.reads)))
        self.say(f"reading the logs and views of {len(one_each):,} aggregates")

        def read(item: tuple[str, Submission]) -> tuple[LogRead, tuple[ViewRead, ...]]:
            aggregate, submission = item

            def look() -> tuple[LogRead, tuple[ViewRead, ...]]:
                log = ports.read_log(pattern.log, aggregate, submission)
                shown = tuple(
                    ports.read_view(view, pattern, aggregate, submission, reader="observer") for view in views
                )
                return log, shown

            return eventually(
                look,
                lambda seen: all(one.state == fold([event.data for event in seen[0].events]) for one in seen[1]),
                deadline_seconds=self.ready.stack.descriptor.bounds.staleness_seconds if self.quiet else 0.0,
            ).value

        reads = side_by_side(read, list(one_each.items()), AT_ONCE)
        shift = self._now() - self.ready.recorder.now_seconds()
        logs = [_moved(log, shift) for log, _ in reads]
        shown = [_moved(one, shift) for _, several in reads for one in several]
        history = rows.operations.operations(range(len(rows)))
        return streams(History(history), aggregates, logs, shown)

    def _workers_at_once(self, pattern: Pattern, record: RunRecord) -> Mapping[str, int]:
        interceptor, clock = self.ready.stack.target.interceptor, record.clock
        if interceptor is None or clock is None or self.ready.stack.descriptor.bounds.worker_concurrency is None:
            return {}
        since = clock.origin_unix_ns / NANOSECONDS
        found = {}
        for worker in pattern.workers:
            try:
                invocations = interceptor.invocations(self.ready.stack.resource(worker).name)
            except HoldfastError:
                continue
            spans = [
                (one.started_seconds, one.ended_seconds)
                for one in invocations
                if one.started_seconds >= since and one.ended_seconds and not one.throttled
            ]
            if spans:
                found[worker] = most_at_once(spans)
        return found

    def _starved(self, prefix: str) -> frozenset[str]:
        interceptor = self.ready.stack.target.interceptor
        if interceptor is None:
            return frozenset()
        key = re.compile(rf"{re.escape(prefix)}-\d+")
        try:
            invocations = interceptor.invocations(key=prefix)
        except HoldfastError:
            return frozenset()
        return frozenset(found for one in invocations if one.starved for found in key.findall(one.event))


def _moved(read: Read, shift_seconds: float) -> Read:
    """A read on the run's clock."""
    return replace(
        read,
        started_seconds=read.started_seconds + shift_seconds,
        completed_seconds=read.completed_seconds + shift_seconds,
    )
