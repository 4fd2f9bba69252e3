"""Stack descriptors and clauses as pytest's collectors and items; imported only when a descriptor is collected."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from holdfast.background import Background
from holdfast.clause import Clause
from holdfast.errors import DescriptorError, ExitCode, HoldfastError
from holdfast.levers.signals import Interrupted, interruptible
from holdfast.plan import described, planned
from holdfast.progress import telling
from holdfast.reporting import report_clause
from holdfast.session import PROPERTY, need_folder, options_of, session_of, text_of
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import PatternName
from holdfast.suites import clauses_of
from holdfast.verdict.document import verdict_to_json
from holdfast.verdict.explain import explain
from holdfast.verdict.model import ClauseVerdict, Verdict


class ClauseFailed(AssertionError):  # noqa: N818 - a verdict; Allure tells failed from broken by the type
    """A clause is violated; carries the text to show."""


class StackFile(pytest.File):
    """A stack descriptor; its tests are the clauses that the stack owes."""

    def collect(self) -> Iterable[pytest.Item]:
        """One item per clause."""
        session = session_of(self.config)
        try:
            _refuse_reruns(self.config)
            descriptor = load_descriptor(self.path, options_of(self.config).environ)
            owed = clauses_of(descriptor)
            _refuse_namesake(descriptor.name, self.path, session.names)
        except HoldfastError as error:
            session.failures[str(self.path)] = error
            session.shown.add(str(self.path))
            raise self.CollectError(text_of(error)) from None
        for pattern, clause in owed:
            item = ClauseItem.from_parent(self, name=clause.id)
            item.bind(pattern, clause)
            yield item


def _refuse_reruns(config: pytest.Config) -> None:
    if config.getoption("reruns", None):
        raise DescriptorError(
            "A chaos verdict is never rerun to make it pass.",
            cause="--reruns is given",
            remedy="leave --reruns out, or say --reruns 0",
        )


def _refuse_namesake(name: str, path: Path, names: dict[str, Path]) -> None:
    first = names.setdefault(name, path)
    if first != path:
        raise DescriptorError(
            f"{path}: the name {name} is taken.",
            cause=f"{first} has it too, and verdicts are kept by name",
            remedy="give each stack a name of its own, or verify them one after another",
        )


class ClauseItem(pytest.Item):
    """One clause of one stack."""

    pattern: PatternName
    clause: Clause
    verdict: ClauseVerdict

    def bind(self, pattern: PatternName, clause: Clause) -> None:
        """Say which clause this is."""
        self.pattern = pattern
        self.clause = clause
        self.obj = self.function = clause.function
        self.add_marker(pytest.mark.clause(clause.id, clause.family.value))
        self.add_marker(pytest.mark.xdist_group(str(self.path)))

    def setup(self) -> None:
        """Wait for the verdict; a stack that cannot be judged is an error, not a failed clause, and told once."""
        session, path = session_of(self.config), str(self.path)
        if path in session.failures:
            raise _skipped(f"not judged: {session.failures[path].what.splitlines()[0]}")
        try:
            self.verdict = background_of(self.session).verdict(self.path, self.clause.id)
        except HoldfastError as error:
            failure = error
        except Exception as crash:  # noqa: BLE001 - a mistake of Holdfast ends in a message too; --full-trace shows it
            failure = _crashed(self.path, crash)
        else:
            self.user_properties.append((PROPERTY, json.dumps(verdict_to_json(self.verdict))))
            return
        session.failures[path] = failure
        session.shown.add(path)
        if self.config.getoption("fulltrace"):
            raise failure
        pytest.fail(text_of(failure), pytrace=False)

    def runtest(self) -> None:
        """Tell the verdict, and turn it into an outcome."""
        report = background_of(self.session).reports().get(str(self.path))
        report_clause(self.verdict, run=Path(report.run) if report is not None and report.run else None)
        if self.verdict.verdict is Verdict.VIOLATED:
            raise ClauseFailed(explain(self.verdict, self.clause.text))
        if self.verdict.verdict is not Verdict.HOLDS:
            raise _skipped(f"{self.verdict.verdict}: {self.verdict.reason}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The counterexample, without a traceback."""
        if isinstance(excinfo.value, ClauseFailed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the clause comes from, and what it is."""
        return self.path, 0, f"{self.path.name} {self.clause.id}"


def _skipped(reason: str) -> BaseException:
    """A skip that is said to be in the descriptor, not in this module."""
    return pytest.skip.Exception(reason, _use_item_location=True)


def _crashed(path: Path, crash: Exception) -> HoldfastError:
    error = HoldfastError(
        f"Holdfast failed while it verified {path.name}; this is a mistake of Holdfast, not of the stack.",
        cause=f"{type(crash).__name__}: {crash}",
        remedy="run again with --full-trace and report what it prints",
    )
    error.__cause__ = crash
    return error


def background_of(session: pytest.Session) -> Background:
    """The verification of all stacks whose clauses were selected, made at the first call."""
    state = session_of(session.config)
    if state.background is None:
        state.background = Background(
            _wanted(session),
            options=options_of(session.config),
            side_by_side=session.config.getoption("--side-by-side"),
            write_line=_writer(session.config),
        )
    return state.background


def _wanted(session: pytest.Session) -> dict[Path, list[str]]:
    """The ids of the selected clauses, by path of the descriptor."""
    wanted: dict[Path, list[str]] = {}
    for item in session.items:
        if isinstance(item, ClauseItem):
            wanted.setdefault(item.path, []).append(item.clause.id)
    return wanted


def show_plans(session: pytest.Session) -> None:
    """Print what a run of the selected clauses would do, one plan for each stack; none of it is done."""
    state, write_line = session_of(session.config), _writer(session.config)
    for path, ids in _wanted(session).items():
        try:
            with telling(write_line) as say:
                plan = planned(path, options=options_of(session.config), ids=ids, say=say)
        except HoldfastError as error:
            state.failures[str(path)] = error
            continue
        for line in described(plan):
            write_line(line)


@contextmanager
def verifying(session: pytest.Session) -> Iterator[None]:
    """Have the stacks verified while pytest runs its loop; a signal ends it in order, with everything healed."""
    state = session_of(session.config)
    need_folder(session.config)
    background = background_of(session)
    try:
        with interruptible():
            try:
                if not hasattr(session.config, "workerinput"):
                    background.start_all()
                yield
            finally:
                try:
                    background.stop()
                except Interrupted:
                    background.stop()
                    raise
                finally:
                    state.failures = {**background.failures(), **state.failures}
    except Interrupted as signal:
        state.interrupted = str(signal)
        healed = state.exit_code(strict=False) is not ExitCode.NOT_HEALED
        end = "every fault that was in place is healed" if healed else "a fault could not be healed, see above"
        decided = {path: {clause.id for clause in report.clauses} for path, report in background.reports().items()}
        wanted = _wanted(session)
        count, of = sum(map(len, decided.values())), sum(map(len, wanted.values()))
        rest = {path: [id_ for id_ in ids if id_ not in decided.get(str(path), ())] for path, ids in wanted.items()}
        resumed = [f"\n  to go on: holdfast verify {_resumed(path, ids)}" for path, ids in rest.items() if ids]
        pytest.exit(
            f"interrupted by {state.interrupted}; {end}; {count} of {of} clauses were decided{''.join(resumed)}"
        )


def _resumed(path: Path, ids: Sequence[str]) -> str:
    """Arguments that verify the clauses of one stack that were not decided."""
    shown = os.path.relpath(path)
    return " ".join(shlex.quote(f"{shown}::{id_}") for id_ in ids)


def _writer(config: pytest.Config) -> Callable[[str], None]:
    """Writes a progress line past pytest's capture; silent in an xdist worker."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if reporter is None or capture is None or hasattr(config, "workerinput"):
        return _silent

    def write_line(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(line)

    return write_line


def _silent(_: str) -> None:
    pass
