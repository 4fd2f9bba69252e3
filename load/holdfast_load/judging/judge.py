"""The verdict of a run: the clauses that load can decide, over every operation, and all that was measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from holdfast.clause import Clause, decide_under_load
from holdfast.errors import ExitCode
from holdfast.history.model import FaultWindow
from holdfast.pricing.metering import Bill, Meter
from holdfast.redaction import Clean, cleaned
from holdfast.stack.patterns import PatternName
from holdfast.suites import clauses_of
from holdfast.under_load import LoadEvidence
from holdfast.verdict.model import ClauseVerdict, StackReport, Verdict
from holdfast_load.judging import probing
from holdfast_load.judging.looking import Broken, Looking
from holdfast_load.judging.measures import Measures, measure
from holdfast_load.judging.rows import Rows, read
from holdfast_load.judging.thresholds import Missed, missed
from holdfast_load.plan import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What became of a run.

    Attributes:
        report: the verdicts, and the measures among its figures.
        measures: what was measured; None where nothing was recorded.
        missed: bounds of ``[load]`` that were not kept.
        bill: what it cost; None where nothing was counted.
        notes: what a reader must know, a sentence each.
        windows: the fault windows.
        invalid: why its latencies must not be judged; empty when they may.
    """

    report: StackReport
    measures: Measures | None
    missed: tuple[Missed, ...]
    bill: Bill | None
    notes: tuple[str, ...]
    windows: tuple[FaultWindow, ...]
    invalid: str = ""

    @property
    def exit_code(self) -> ExitCode:
        """The exit code: violated, then invalid, then bounds that were not kept, then what is missing."""
        if any(clause.verdict is Verdict.VIOLATED for clause in self.report.clauses):
            return ExitCode.VIOLATED
        if self.measures is None or self.invalid:
            return ExitCode.INCONCLUSIVE
        if self.missed:
            return ExitCode.MISSED
        return ExitCode.HELD if self.report.complete else ExitCode.INCONCLUSIVE


def judge(
    record: RunRecord,
    *,
    looking: Looking,
    meter: Meter,
    broken: Broken,
    seen: Callable[[], Mapping[str, float]],
    clean: Clean,
) -> Judgement:
    """Wait until the stack is at rest, look at every key, decide the clauses and measure.

    Args:
        record: what the run recorded.
        looking: looks at the stack.
        meter: has counted since the run began.
        broken: what was broken meanwhile.
        seen: ends the probes, and gives when the effect of each key was first seen.
        clean: removes secrets from a text.

    Raises:
        HoldfastError: the stack or the target does not answer.
    """
    began = time.monotonic()
    clock = record.clock
    looking.say("reading what was recorded")
    rows = (
        None
        if clock is None
        else read(record.files, origin_unix_ns=clock.origin_unix_ns, uncertainty_ns=record.uncertainty_ns)
    )
    owed = _owed(looking)
    if clock is None or rows is None or not len(rows):
        seen()
        why = record.ended or "no operation was recorded"
        verdicts = tuple(_nothing(clause, why) for _, clause in owed)
        return Judgement(
            report=_report(record, looking, verdicts, {}, began, complete=False),
            measures=None,
            missed=(),
            bill=None,
            notes=(f"Nothing can be judged: {why}.", *record.missing),
            windows=broken.windows,
        )
    looking.await_rest(clock, record.seconds)
    probed = probing.figures(seen(), rows)
    evidence: dict[PatternName, LoadEvidence] = {
        name: looking.evidence(name, rows, broken, record) for name in dict.fromkeys(pattern for pattern, _ in owed)
    }
    looking.say(f"deciding {len(owed)} clauses")
    verdicts = tuple(cleaned(decide_under_load(clause, evidence[name]), clean) for name, clause in owed)
    looking.say(f"measuring {len(rows):,} operations")
    measures = measure(rows, broken.windows, broken.disturbances)
    transitions = sum(looking.transitions(name, one.keys) for name, one in evidence.items())
    bill = meter.bill(_sent_of(rows), transitions)
    too_bad = missed(looking.ready.stack.descriptor.load, measures, looking.drain_seconds)
    figures = {**measures.figures(), **probed, **bill.figures()}
    if looking.drain_seconds is not None:
        figures["drain_seconds"] = round(looking.drain_seconds, 3)
    notes = [
        *([f"Latencies are invalid: {record.invalid}."] if record.invalid else []),
        *([f"The run ended early: {record.ended}."] if record.ended else []),
        *(f"Missing: {one}." for one in dict.fromkeys((*record.missing, *rows.missing))),
        *(f"{one}." for one in broken.problems),
        *(f"{one}." for one in too_bad),
        *bill.notes(),
    ]
    return Judgement(
        report=_report(record, looking, verdicts, figures, began, complete=record.complete and not rows.missing),
        measures=measures,
        missed=too_bad,
        bill=bill,
        notes=tuple(map(clean, notes)),
        windows=broken.windows,
        invalid=record.invalid,
    )


def _owed(looking: Looking) -> list[tuple[PatternName, Clause]]:
    """The clauses that load can decide, each with its pattern."""
    return [(name, one) for name, one in clauses_of(looking.ready.stack.descriptor) if one.under_load is not None]


def _sent_of(rows: Rows) -> dict[str, int]:
    return {name: int((rows.operations.is_kind(name) & rows.sent).sum()) for name in rows.operations.kinds}


def _nothing(clause: Clause, why: str) -> ClauseVerdict:
    return ClauseVerdict(
        id=clause.id,
        text=clause.text,
        family=clause.family,
        verdict=Verdict.INCONCLUSIVE,
        reason=f"nothing was recorded: {why}",
    )


def _report(
    record: RunRecord,
    looking: Looking,
    verdicts: tuple[ClauseVerdict, ...],
    figures: dict[str, float],
    began: float,
    *,
    complete: bool,
) -> StackReport:
    stack = looking.ready.stack
    return StackReport(
        stack=stack.descriptor.name,
        descriptor=str(stack.path),
        target=stack.target.kind,
        clauses=verdicts,
        seed=record.plan.seed,
        seconds=round(record.seconds + time.monotonic() - began, 3),
        measures=figures,
        complete=complete,
    )
