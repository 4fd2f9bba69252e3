"""What one pytest session found out: verdicts, failures, exit code; also what xdist workers tell their controller."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdfast.background import Background
from holdfast.errors import ExitCode, HoldfastError
from holdfast.reporting import report_run, show_reports
from holdfast.verdict.document import report_from_json, report_to_json, verdict_path, write
from holdfast.verdict.model import StackReport, Verdict
from holdfast.verification import Options

PROPERTY = "holdfast"
"""Name of the user property in which a verdict travels, also from an xdist worker to the controller."""


@dataclass(slots=True)
class Session:
    """What the plugin knows while pytest runs.

    Attributes:
        background: verifies the stacks while pytest waits for their verdicts.
        reports: the reports, by path of the descriptor.
        failures: what kept a stack from being judged, by path of the descriptor.
        shown: the failures that pytest has shown as errors of an item or a file.
        unjudged: ids of clauses that ended without a verdict.
        failed_tests: ids of ordinary tests, named beside the stacks, that failed.
        names: path of the descriptor by name of the stack.
        interrupted: name of the signal that ended the run.
        unwritten: descriptors whose verdicts could not be written.
        started_seconds: when it began, on the monotonic clock.
    """

    background: Background | None = None
    reports: dict[str, StackReport] = field(default_factory=dict)
    failures: dict[str, HoldfastError] = field(default_factory=dict)
    shown: set[str] = field(default_factory=set)
    unjudged: list[str] = field(default_factory=list)
    failed_tests: list[str] = field(default_factory=list)
    names: dict[str, Path] = field(default_factory=dict)
    interrupted: str = ""
    unwritten: set[str] = field(default_factory=set)
    started_seconds: float = field(default_factory=time.monotonic)

    def exit_code(self, *, strict: bool) -> ExitCode:
        """The exit code of the command line: the gravest cause wins."""
        verdicts = {clause.verdict for report in self.reports.values() for clause in report.clauses}
        codes = {failure.exit_code for failure in self.failures.values()}
        if ExitCode.NOT_HEALED in codes:
            return ExitCode.NOT_HEALED
        for ended in (ExitCode.STOPPED, ExitCode.BUDGET):
            if ended in codes:
                return ended
        if codes or self.unjudged:
            return ExitCode.USAGE
        if Verdict.VIOLATED in verdicts:
            return ExitCode.VIOLATED
        if strict and Verdict.INCONCLUSIVE in verdicts:
            return ExitCode.INCONCLUSIVE
        return ExitCode.HELD


_SESSION = pytest.StashKey[Session]()


def session_of(config: pytest.Config) -> Session:
    """What is known while this pytest runs."""
    return config.stash.setdefault(_SESSION, Session())


def text_of(error: HoldfastError) -> str:
    """An error with what was noted about it on its way."""
    return "\n".join([str(error), *(f"  {note}" for note in getattr(error, "__notes__", ()))])


def options_of(config: pytest.Config) -> Options:
    """How the command line says stacks are verified."""
    minutes: float | None = config.getoption("--minutes")
    return Options.of(
        config.option,
        intercept=config.getoption("intercept"),
        seed=config.getoption("--holdfast-seed"),
        folder=Path(config.getoption("--holdfast-folder")),
        kept_runs=config.getoption("--holdfast-runs"),
        most_dollars=config.getoption("--dollars"),
        deadline_seconds=None if minutes is None else session_of(config).started_seconds + minutes * 60,
    )


def need_folder(config: pytest.Config) -> None:
    """Make the folder for journals and verdicts before anything begins.

    Raises:
        pytest.UsageError: it cannot be made.
    """
    folder = options_of(config).folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(
            f"the folder {folder} for journals and verdicts cannot be made: {error.strerror}; "
            "name another one with --holdfast-folder"
        ) from None


def note_failure(report: pytest.TestReport, config: pytest.Config, *, clause: bool) -> None:
    """Keep the id of a clause that ended without a verdict, or of an ordinary test that failed."""
    if not clause:
        session_of(config).failed_tests.append(report.nodeid)
    elif not any(name == PROPERTY for name, _ in report.user_properties):
        session_of(config).unjudged.append(report.nodeid)


def finish(config: pytest.Config) -> None:
    """Write the verdicts of the stacks that this process verified; a worker tells its controller of them."""
    state, folder = session_of(config), options_of(config).folder
    if state.background is None:
        return
    for path, report in state.background.reports().items():
        state.reports[path] = report
        try:
            write(report, folder)
        except OSError as error:
            state.unwritten.add(path)
            state.failures.setdefault(
                path,
                HoldfastError(
                    f"The verdicts of {report.stack} cannot be written.",
                    cause=str(error),
                    remedy="name another folder with --holdfast-folder",
                ),
            )
    told = getattr(config, "workeroutput", None)
    if told is not None:
        told["holdfast"] = json.dumps(_outcome(state))


def _outcome(state: Session) -> dict[str, Any]:
    return {
        "reports": {path: report_to_json(report) for path, report in state.reports.items()},
        "failures": {
            path: {
                "what": error.what,
                "cause": error.cause,
                "remedy": error.remedy,
                "exit_code": error.exit_code,
                "shown": path in state.shown,
                "unwritten": path in state.unwritten,
            }
            for path, error in state.failures.items()
        },
    }


def take_over(config: pytest.Config, outcome: str) -> None:
    """Take over what a worker has found out."""
    state, document = session_of(config), json.loads(outcome)
    for path, report in document["reports"].items():
        state.reports[path] = report_from_json(report)
    for path, told in document["failures"].items():
        error = HoldfastError(told["what"], cause=told["cause"], remedy=told["remedy"])
        error.exit_code = ExitCode(told["exit_code"])
        state.failures[path] = error
        if told["shown"]:
            state.shown.add(path)
        if told["unwritten"]:
            state.unwritten.add(path)


def summarise(config: pytest.Config, write_line: Callable[[str], None]) -> None:
    """Show the scorecards, where the verdicts are, and what pytest has not shown as an error of an item."""
    state, folder = session_of(config), options_of(config).folder
    if state.reports:
        show_reports(list(state.reports.values()), write_line=write_line)
        for path, report in state.reports.items():
            if path not in state.unwritten:
                write_line(f"written: {verdict_path(folder, report.stack)}")
                if report.run:
                    report_run(Path(report.run), write_line=write_line)
    for path, error in state.failures.items():
        if path not in state.shown:
            write_line("")
            for line in text_of(error).splitlines():
                write_line(line)
