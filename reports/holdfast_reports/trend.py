"""The runs of one stack over time, in a few figures each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from holdfast.errors import HistoryError
from holdfast.runs import RUN_FILE, read_run, runs_of
from holdfast.verdict.model import Verdict
from holdfast_reports.documents import read_report, read_sweeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run in a trend.

    Attributes:
        name: of its folder.
        kind: which command it was.
        target: kind of the target.
        started: when it began.
        seconds: how long it took; None where it was killed.
        holds: clauses that held, or fault points of a sweep that did.
        violated: clauses that were violated, or ways to break a promise that a sweep found.
        inconclusive: clauses that could not be decided, or fault points that were not reached or decided.
        acknowledgement_p99_seconds: of the undisturbed commands; None where it was not measured.
        effect_p99_seconds: time to effect; None where it was not measured.
    """

    name: str
    kind: str
    target: str
    started: datetime
    seconds: float | None
    holds: int
    violated: int
    inconclusive: int
    acknowledgement_p99_seconds: float | None = None
    effect_p99_seconds: float | None = None


def trend_of(run: Path) -> tuple[Point, ...]:
    """The runs that are kept beside one, itself included, oldest first; what cannot be read is left out.

    Args:
        run: a run's folder.
    """
    runs = run.resolve().parent
    folder, stack = runs.parent.parent, runs.parent.name
    if runs.name != "runs" or not (run / RUN_FILE).exists():
        return ()
    found = []
    for path in runs_of(folder, stack):
        try:
            found.append(_point(path))
        except HistoryError:
            continue
    return tuple(found)


def _point(path: Path) -> Point:
    run, report, sweeps = read_run(path), read_report(path), read_sweeps(path)
    measures = {} if report is None else report.measures
    counts = {verdict: 0 if report is None else report.count(verdict) for verdict in Verdict}
    return Point(
        name=path.name,
        kind=run.kind,
        target=run.target,
        started=run.started,
        seconds=run.seconds,
        holds=counts[Verdict.HOLDS] + sum(sweep.counts.get("held", 0) for sweep in sweeps),
        violated=counts[Verdict.VIOLATED] + sum(len(sweep.violations) for sweep in sweeps),
        inconclusive=counts[Verdict.INCONCLUSIVE]
        + sum(sweep.counts.get(mark, 0) for sweep in sweeps for mark in ("inconclusive", "unreached")),
        acknowledgement_p99_seconds=measures.get("acknowledgement_p99_seconds"),
        effect_p99_seconds=measures.get("time_to_effect_p99_seconds"),
    )
