"""The reporters that show verdicts and runs.

A reporter announces itself as an entry point: of the group ``holdfast.reporters``, a function that takes the reports
and a ``write_line``; of ``holdfast.run_reporters``, one that takes the folder of a run that has ended and a
``write_line``; of ``holdfast.clause_reporters``, one that takes a verdict and the run's folder while pytest runs the
clause's item. The harness imports no reporter by name, and a reporter runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

from holdfast.errors import HoldfastError
from holdfast.progress import telling
from holdfast.verdict.model import ClauseVerdict, StackReport

Reporter = Callable[..., None]


def show_reports(reports: Sequence[StackReport], *, write_line: Callable[[str], None]) -> None:
    """Hand the reports to every installed reporter."""
    for entry in entry_points(group="holdfast.reporters"):
        reporter: Reporter = entry.load()
        reporter(reports, write_line=write_line)


def report_run(run: Path, *, write_line: Callable[[str], None]) -> None:
    """Hand the folder of a run that has ended to every installed reporter of runs.

    A reporter that fails is told of, and keeps neither the others nor the run from their end.
    """
    for entry in entry_points(group="holdfast.run_reporters"):
        reporter: Reporter = entry.load()
        try:
            with telling(write_line) as say:
                say(f"making the report {entry.name} of {run.name}")
                reporter(run, write_line=write_line)
        except HoldfastError as error:
            write_line(f"the report {entry.name} of this run was not made: {error}")


def report_clause(verdict: ClauseVerdict, *, run: Path | None) -> None:
    """Hand one verdict to every installed reporter of clauses.

    Args:
        verdict: of the clause.
        run: the folder of what is kept of the run; None where nothing is.
    """
    for entry in entry_points(group="holdfast.clause_reporters"):
        reporter: Reporter = entry.load()
        reporter(verdict, run=run)
