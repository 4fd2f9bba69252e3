"""Attends a run: breaks parts while load is on, stops it in time, and judges what was recorded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from holdfast.errors import ExitCode, HealError
from holdfast.history.events import EventFile
from holdfast.history.model import FaultWindow
from holdfast.history.writing import HistoryFile
from holdfast.levers.base import Lever
from holdfast.levers.signals import interruptible
from holdfast.opening import Ready
from holdfast.pricing.metering import Bill, Budget, Meter
from holdfast.pricing.prices import TABLE, read_prices
from holdfast.progress import Say, unheard
from holdfast.provocations.stopping import Stopping
from holdfast.redaction import cleaning
from holdfast.reporting import report_run, show_reports
from holdfast.runs import RunFolder, Series
from holdfast.sampling import queues_sampled
from holdfast.stack.configuration import Configuration, read_configuration
from holdfast.stack.generate import Submission
from holdfast.verdict.document import write
from holdfast_load.judging.judge import Judgement, judge
from holdfast_load.judging.looking import Broken, Looking
from holdfast_load.judging.probing import LOOK_SECONDS, Probing, observations
from holdfast_load.plan import FAULTS_FILE, LoadPlan, LoadProgress, RunClock, RunHooks, RunRecord
from holdfast_load.stopping import Stops
from holdfast_load.submissions import Drawing, command_of, key_of, number_of
from holdfast_load.timeline import checking, plan
from holdfast_load.timeline.plan import FaultPart
from holdfast_load.timeline.running import Entry, Timeline

OBSERVATIONS_FILE = "observations.jsonl"


def hooks_of(ready: Ready, load: LoadPlan, folder: RunFolder, *, say: Say = unheard) -> RunHooks:
    """The hooks of one run; made before its clock starts.

    Args:
        ready: the stack, its ports, the journal that undoes faults.
        load: what the run is to do.
        folder: where verdicts are written, and the history is.
        say: told what is waited for.

    Raises:
        HoldfastError: the fault timeline or the price table cannot be used.
    """
    configuration = read_configuration(ready.stack)
    entries: list[Entry] = []
    if load.faults is not None:
        faults = plan.read(load.faults)
        checking.check(load.faults, faults, ready.stack, configuration, load.duration_seconds)
        for number, fault in enumerate(faults.fault, start=1):
            make = partial(_levers, fault, ready, configuration, load)
            entries.append(Entry(number=number, fault=fault, levers=make))
    named = ready.stack.descriptor.load.prices
    prices = read_prices(TABLE if named is None else ready.stack.path.parent / named)
    return Attending(
        ready,
        load,
        folder,
        say=say,
        configuration=configuration,
        entries=entries,
        meter=Meter(ready.stack, configuration, prices),
    )


def _levers(fault: FaultPart, ready: Ready, configuration: Configuration, load: LoadPlan) -> Sequence[Lever]:
    return checking.levers(fault, ready.stack, configuration, run=load.prefix, seed=load.seed)


def _series(ticks: Sequence[LoadProgress]) -> list[Series]:
    """How the run went, for its reports."""
    seconds = tuple(round(tick.seconds, 3) for tick in ticks)
    told: dict[tuple[str, str], list[float]] = {
        ("rate", "operations/s"): [tick.rate_per_second for tick in ticks],
        ("in flight", "operations"): [tick.in_flight for tick in ticks],
        ("not acknowledged", "operations"): [tick.failed + tick.unknown for tick in ticks],
        ("lag", "ms"): [tick.lag_ms for tick in ticks],
    }
    return [
        Series(name=name, unit=unit, seconds=seconds, values=tuple(round(one, 3) for one in values))
        for (name, unit), values in told.items()
    ]


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Attending:
    """Breaks by a timeline, and judges.

    Args:
        ready: the stack, its ports, the journal.
        load: what the run is to do.
        folder: where verdicts are written, and the history is.
        configuration: how the stack is deployed.
        entries: the faults of the timeline.
        meter: counts what the run costs.
        say: told what is waited for.
        write_line: shows a line to a person.

    Attributes:
        judgement: what became of the run, once it has ended.
    """

    def __init__(
        self,
        ready: Ready,
        load: LoadPlan,
        folder: RunFolder,
        *,
        configuration: Configuration,
        entries: Sequence[Entry],
        meter: Meter,
        say: Say = unheard,
        write_line: Callable[[str], None] = _print,
    ) -> None:
        self.judgement: Judgement | None = None
        self._ready = ready
        self._load = load
        self._folder = folder
        self._configuration = configuration
        self._meter = meter
        self._say = say
        self._write_line = write_line
        self._windows: list[FaultWindow] = []
        self._ticks: list[LoadProgress] = []
        self._file: HistoryFile | None = None
        self._lock = threading.Lock()
        self._windows_lock = threading.Lock()
        self._stop: Callable[[str], None] = lambda _reason: None
        self._sampling = ExitStack()
        self._depths: list[Series] = []
        self._origin_unix_ns = 0
        self._not_healed: HealError | None = None
        self._timeline = Timeline(
            entries=entries,
            stack=ready.stack,
            journal=ready.journal,
            run_seconds=load.duration_seconds,
            told=self._told,
        )
        self._drawing = Drawing(load, ready.stack.descriptor)
        self._probing = Probing(
            look=self._there,
            interval_seconds=LOOK_SECONDS[ready.stack.target.kind],
            longest_seconds=ready.stack.descriptor.bounds.effect_seconds,
        )
        dollars = load.budget_dollars
        self._budget = None if dollars is None else Budget(dollars)
        self._stops = Stops(
            conditions=ready.stack.descriptor.stop,
            check=Stopping.of(ready.stack).check,
            budget=self._budget,
            bill=self._bill,
        )

    def on_start(self, clock: RunClock, stop: Callable[[str], None]) -> None:
        """Begin to follow the timeline."""
        self._stop = stop
        if self._timeline.entries:
            self._file = HistoryFile(
                self._folder.history / FAULTS_FILE, recorder="faults", origin_unix_ns=clock.origin_unix_ns
            )
        self._timeline.start(clock)
        self._probing.start(clock)
        self._origin_unix_ns = clock.origin_unix_ns
        self._sampling.enter_context(
            queues_sampled(self._ready.stack, lambda: max(0.0, clock.seconds), self._depths.extend)
        )

    def on_tick(self, progress: LoadProgress) -> str:
        """Look whether the run has to end, and say which faults are in force and what was spent."""
        self._ticks.append(progress)
        self._timeline.rate(progress.rate_per_second)
        if progress.arrivals:
            self._probing.add(key_of(self._load, progress.arrivals - 1), progress.seconds)
        reason = self._stops.reason(progress)
        if reason:
            self._stop(reason)
        elif self._timeline.failed:
            self._stop("a fault could not be healed")
        active = self._timeline.active
        spent = "" if self._budget is None else f"${self._budget.spent_dollars:.4f} of ${self._budget.dollars:g}"
        return ", ".join(part for part in (f"fault: {' + '.join(active)}" if active else "", spent) if part)

    def on_over(self) -> None:
        """Heal everything; a fault that cannot be healed is told at the end, with the exit code."""
        try:
            self._timeline.end()
        except HealError as error:
            self._not_healed = error
        finally:
            if self._file is not None:
                self._file.close()
            self._sampling.close()

    def on_end(self, record: RunRecord) -> int:
        """Judge what was recorded, and show it.

        Raises:
            HealError: a fault is still in place; nothing is judged.
            HoldfastError: the stack or the target does not answer.
        """
        if self._not_healed is not None:
            self._probing.end()
            raise self._not_healed
        with interruptible():  # a signal that ended the load is over; another one ends the judgement
            judgement = self.judgement = self._judged(record)
        self._show(judgement, record)
        return self._code(judgement, record)

    def _judged(self, record: RunRecord) -> Judgement:
        stack = self._ready.stack
        _, secret_key, token = stack.target.credentials()
        looking = Looking(
            ready=self._ready,
            configuration=self._configuration,
            submission=self._submission,
            say=self._say,
        )
        return judge(
            record,
            looking=looking,
            meter=self._meter,
            broken=Broken(
                windows=tuple(self._windows),
                disturbances=tuple(self._timeline.disturbances),
                problems=tuple(self._timeline.problems),
            ),
            seen=self._seen,
            clean=cleaning(stack.descriptor, secret_key, token),
        )

    def _code(self, judgement: Judgement, record: RunRecord) -> ExitCode:
        code = judgement.exit_code
        if code is ExitCode.HELD and record.ended:
            return ExitCode.STOPPED
        return code

    def _show(self, judgement: Judgement, record: RunRecord) -> None:
        show_reports([judgement.report], write_line=self._write_line)
        for note in judgement.notes:
            self._write_line(note)
        seen = EventFile(
            self._folder.history / OBSERVATIONS_FILE,
            recorder="observations",
            clean=str,
            origin_unix_ns=self._origin_unix_ns,
        )
        seen.add_all(observations(self._probing, self._port_of))
        seen.close()
        self._folder.verdicts(judgement.report)
        self._folder.series([*self._depths, *_series(self._ticks)])
        self._folder.end(record.seconds, figures=judgement.report.measures, notes=judgement.notes)
        self._write_line(f"written: {write(judgement.report, self._folder.path.parents[2])}")
        report_run(self._folder.path, write_line=self._write_line)

    def _submission(self, key: str) -> Submission:
        try:
            number = number_of(self._load, key)
        except ValueError:  # a locustfile's own key: nothing is known of it but the key
            return Submission(key, "")
        with self._lock:  # one source of values is seeded anew for each
            return self._drawing.submission(number)

    def _port_of(self, key: str) -> str:
        """The port at which the effect of a key shows."""
        name = command_of(self._load, number_of(self._load, key))
        patterns = self._ready.stack.descriptor.patterns.values()
        return next((one.effect for one in patterns if one.command == name), name)

    def _there(self, key: str) -> bool:
        """Whether the effect of a key of the first pattern's command is there."""
        patterns = self._ready.stack.descriptor.patterns.values()
        name = command_of(self._load, number_of(self._load, key))
        pattern = next((one for one in patterns if one.command == name), None)
        return pattern is not None and bool(self._ready.ports.glance(pattern.effect, self._submission(key)))

    def _seen(self) -> Mapping[str, float]:
        self._probing.end()
        return self._probing.seen_seconds

    def _told(self, window: FaultWindow) -> None:
        with self._windows_lock:
            self._windows = [
                one
                for one in self._windows
                if (one.lever, one.component, one.started_seconds)
                != (window.lever, window.component, window.started_seconds)
            ]
            self._windows.append(window)
            if self._file is not None:
                self._file.window(window)

    def _bill(self, progress: LoadProgress) -> Bill:
        return self._meter.bill(progress.sent_of)
