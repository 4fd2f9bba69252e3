"""All that one run's reports tell, read from its folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from holdfast.runs import Run, read_history, read_run, read_series
from holdfast.verdict.model import Verdict
from holdfast_reports.documents import (
    ClauseRead,
    PlansRead,
    ReportRead,
    SweepRead,
    read_plans,
    read_report,
    read_sweeps,
)
from holdfast_reports.timeline import Timeline, timeline
from holdfast_reports.wording import GRAVEST_FIRST


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Story:
    """One run.

    Attributes:
        path: its folder.
        run: what was run.
        report: its verdicts; None where there are none.
        sweeps: what it swept, one for each pattern; empty where it is no sweep.
        plans: what generated plans of sagas visited, one for each pattern; empty where none were run.
        timeline: what happened over time; None where nothing was recorded.
    """

    path: Path
    run: Run
    report: ReportRead | None = None
    sweeps: tuple[SweepRead, ...] = ()
    plans: tuple[PlansRead, ...] = ()
    timeline: Timeline | None = None

    @property
    def clauses(self) -> tuple[ClauseRead, ...]:
        """The clauses, the gravest verdict first."""
        found = () if self.report is None else self.report.clauses
        return tuple(sorted(found, key=lambda clause: GRAVEST_FIRST.index(clause.verdict)))

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many clauses have which verdict."""
        return {verdict: sum(one.verdict is verdict for one in self.clauses) for verdict in Verdict}

    @property
    def violations(self) -> int:
        """How many clauses are violated, and how many ways to break a promise a sweep found."""
        return self.counts[Verdict.VIOLATED] + sum(len(sweep.violations) for sweep in self.sweeps)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end with every verdict that was asked for."""
        return self.run.seconds is not None and (self.report is None or self.report.complete)

    def again(self, clause_id: str) -> str:
        """The command that tries one clause again with the same generated values."""
        run = self.run
        if run.kind != "verify":
            return shlex.join(("holdfast", *run.command[1:]))
        parts = ["holdfast", "verify", f"{run.descriptor}::{clause_id}", "--target", run.target]
        return shlex.join([*parts, "--holdfast-seed", str(run.seed)])


def read_story(path: Path) -> Story:
    """Read a run's folder.

    Raises:
        HistoryError: it is none, or a file in it is damaged.
    """
    run = read_run(path)
    history = read_history(path, intended=True)
    return Story(
        path=path,
        run=run,
        report=read_report(path),
        sweeps=read_sweeps(path),
        plans=read_plans(path),
        timeline=None if history is None else timeline(history, read_series(path)),
    )
