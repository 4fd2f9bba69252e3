"""Collects ``*.stack.toml`` files as pytest tests, one per clause that the stack owes.

``pytest orders.stack.toml`` works from any directory, with ``-k``, ``-n``, ``--lf`` and every other option; a clause's
id is ``orders.stack.toml::SF-1``. Verdicts map to pytest's outcomes: holds = passed, violated = failed, inconclusive
and waived = skipped with the reason; a stack that cannot be judged is an error.

Whoever has Holdfast installed loads this module with every pytest run, so what takes time is imported when needed.
"""

from __future__ import annotations

import fnmatch
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from holdfast.option_types import add_target_options, at_least_one, positive

SUFFIX = ".stack.toml"
SIDE_BY_SIDE = 4
"""Stacks that are verified at the same time on the embedded target: they mostly wait."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of Holdfast."""
    group = parser.getgroup("holdfast", "Holdfast: contract tests for deployed stacks")
    group.addoption("--stack", action="append", default=[], metavar="FILE", help="a stack descriptor to verify")
    add_target_options(group.addoption, opt_in="break parts of a stack on real AWS")
    group.addoption(
        "--intercept",
        action="store_true",
        default=None,
        help="point functions at an interceptor in front of LocalStack, so that faults can be aimed at one command",
    )
    group.addoption(
        "--no-intercept", dest="intercept", action="store_false", help="leave the functions' endpoint alone"
    )
    group.addoption("--holdfast-seed", type=int, default=0, metavar="N", help="seed of the generated values")
    group.addoption("--holdfast-folder", default=".holdfast", metavar="DIR", help="journals and verdicts")
    group.addoption("--holdfast-runs", type=at_least_one, default=20, metavar="N", help="runs of a stack that are kept")
    group.addoption(
        "--minutes", type=positive, metavar="N", help="stop and heal when the run has taken this long (exit 7)"
    )
    group.addoption(
        "--dollars", type=positive, metavar="N", help="stop and heal before a stack's run costs more (exit 7)"
    )
    group.addoption(
        "--holdfast-dry-run", action="store_true", help="print what would be sent and broken, and do neither"
    )
    group.addoption(
        "--side-by-side",
        type=at_least_one,
        default=SIDE_BY_SIDE,
        metavar="N",
        help="stacks verified at once (default: %(default)s)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and take ``--stack`` files as arguments."""
    config.addinivalue_line("markers", "clause(id, family): the contract's clause that a test decides")
    config.addinivalue_line("markers", "xdist_group(name): keeps the clauses of one stack on one worker")
    stacks = [str(Path(path)) for path in config.getoption("--stack")]
    if stacks and not hasattr(config, "workerinput"):  # a worker is given the arguments as its controller has them
        own = [] if config.args_source is not pytest.Config.ArgsSource.ARGS else list(config.args)
        config.args[:] = [*own, *stacks]
    config.pluginmanager.register(_Failures(config), "holdfast-failures")
    if config.getoption("--holdfast-dry-run"):
        config.option.dist = "no"  # xdist, where it is installed, would collect nothing here
        config.pluginmanager.register(_DryRun(), "holdfast-dry-run")


class _Failures:
    """Notes which clauses could not be judged, also on a worker that has died: the hook is not told the config."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pytest's hook."""
        clause = f"{SUFFIX}::" in report.nodeid
        if report.failed and (clause or "holdfast.session" in sys.modules):
            from holdfast.session import note_failure

            note_failure(report, self._config, clause=clause)


class _DryRun:
    """Prints the plan of every selected stack in place of running its clauses."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> object:
        """Pytest's hook."""
        if not _has_clauses(session):
            return None
        from holdfast.clause_items import show_plans

        show_plans(session)
        return True


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect stack descriptors that are named on the command line or found in test paths."""
    if not file_path.name.endswith(SUFFIX):
        return None
    from holdfast.clause_items import StackFile

    return StackFile.from_parent(parent, path=file_path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the clauses of one stack on one worker: they share the evidence."""
    if config.getoption("dist") not in ("load", "worksteal") or not _names_stacks(config):
        return None
    from holdfast.distribution import StackScheduling
    from holdfast.session import need_folder

    need_folder(config)
    return StackScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Verify the stacks in the background while the loop asks for their verdicts; a signal heals every open window."""
    if not _has_clauses(session) or session.config.option.collectonly or session.config.option.holdfast_dry_run:
        return (yield)
    from holdfast.clause_items import verifying

    with verifying(session):
        return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001 - xdist's hook
    """Take over what a worker has found out."""
    output = getattr(node, "workeroutput", {}).get("holdfast")
    if output:
        from holdfast.session import take_over

        take_over(node.config, output)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the verdicts of the stacks that this process verified."""
    if _has_clauses(session):
        from holdfast.session import finish

        finish(session.config)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Show the scorecard, and where the verdicts are."""
    if "holdfast.session" in sys.modules:
        from holdfast.session import summarise

        summarise(config, terminalreporter.write_line)


def _has_clauses(session: pytest.Session) -> bool:
    return any(item.get_closest_marker("clause") is not None for item in getattr(session, "items", ()))


def _names_stacks(config: pytest.Config) -> bool:
    """Whether the arguments are or hold stack descriptors; others' tests are distributed as ever."""
    for argument in config.args:
        path = config.invocation_params.dir / argument.split("::")[0]
        if path.name.endswith(SUFFIX) or (path.is_dir() and _holds_stacks(path, config.getini("norecursedirs"))):
            return True
    return False


def _holds_stacks(folder: Path, skipped: list[str]) -> bool:
    for _, folders, files in os.walk(folder):
        if any(name.endswith(SUFFIX) for name in files):
            return True
        folders[:] = [name for name in folders if not any(fnmatch.fnmatch(name, pattern) for pattern in skipped)]
    return False
