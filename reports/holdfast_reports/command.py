"""``holdfast report``: reports of runs that are over, rebuilt from their folders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.errors import ExitCode, HistoryError, HoldfastError
from holdfast.progress import Say, telling
from holdfast.runs import RUN_FILE, read_run, read_verdicts, runs_of
from holdfast.verdict.model import Verdict
from holdfast_reports import page
from holdfast_reports.comparing import Course, compare
from holdfast_reports.headline import headline
from holdfast_reports.junit import junit
from holdfast_reports.markdown import markdown
from holdfast_reports.story import Story, read_story
from holdfast_reports.svg import svg
from holdfast_reports.tables import show_changes, show_sweep, show_trend
from holdfast_reports.terminal import show
from holdfast_reports.trend import trend_of


def command(arguments: Sequence[str]) -> int:
    """Rebuild the reports of runs, compare two, or show their trend: ``holdfast report RUN``."""
    parser = argparse.ArgumentParser(
        prog="holdfast report",
        description="Rebuild the reports of runs from their folders: the scorecard, and whatever files are asked for. "
        "RUN is a run's folder, .holdfast/STACK/runs/TIME-KIND, or a stack's, .holdfast/STACK, for its newest run.",
        epilog="exit codes: 0 no regression, 1 a regression (--compare), 2 usage, or a folder that cannot be read",
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", type=Path)
    parser.add_argument("--html", metavar="FILE", type=Path, help="the page of one run; by default in its own folder")
    parser.add_argument("--junit", metavar="FILE", type=Path, help="JUnit XML of all the runs")
    parser.add_argument("--markdown", metavar="FILE", type=Path, help="Markdown of all the runs, as for a step summary")
    parser.add_argument("--svg", metavar="FILE", type=Path, help="the timeline of one run as a picture")
    parser.add_argument(
        "--compare",
        action="store_true",
        help="what changed from the first run to the second, or from the one before it to a single one",
    )
    parser.add_argument("--trend", action="store_true", help="the runs of the stack that are kept")
    own = parser.parse_args(list(arguments))
    paths = [_run(path) for path in own.runs]
    if own.compare:
        paths = _pair(paths)
    elif len(paths) > 1 and (own.html or own.svg):
        raise HoldfastError(
            f"--{'html' if own.html else 'svg'} takes one run, and {len(paths)} are named.",
            remedy="leave it out: every run's page is written into its own folder; or name one run",
        )
    with telling() as say:
        stories = [_read(path, say) for path in paths]
        changes = compare(*stories) if own.compare else None
    told = stories[-1:] if own.compare else stories
    for story in told:
        _show(story)
        trend = trend_of(story.path)
        if changes is not None:
            show_changes(changes, write_line=_print)
        if own.trend:
            show_trend(trend, write_line=_print)
        where = own.html or story.path / page.FILE
        with _writing(where), telling() as say:
            say(f"drawing the page of {story.path.name}")
            page.write(story, where, trend=trend, changes=changes)
    if own.junit:
        _write(own.junit, junit(told))
    if own.markdown:
        _write(own.markdown, "\n".join(markdown(story, changes or ()) for story in told))
    if own.svg:
        _write(own.svg, _picture(told[-1]))
    regressed = any(change.course is Course.REGRESSION for change in changes or ())
    return ExitCode.VIOLATED if regressed else ExitCode.HELD


def write_page(run: Path, *, write_line: Callable[[str], None]) -> None:
    """Write the page of a run that has just ended into its folder.

    Raises:
        HistoryError: the run cannot be read.
    """
    where = run / page.FILE
    with _writing(where, write_line):
        page.write(read_story(run), where, trend=trend_of(run))


def _run(path: Path) -> Path:
    """A run's folder; of a stack's folder the newest run."""
    if (path / RUN_FILE).is_file():
        return path
    newest = runs_of(path.parent, path.name)[-1:]
    if not newest:
        raise HistoryError(
            f"{path} is no run's folder.",
            cause=f"it holds no {RUN_FILE}, and no folder runs with one",
            remedy="name .holdfast/STACK for the newest run of a stack, or a folder below its runs",
        )
    return newest[0]


def _pair(paths: Sequence[Path]) -> list[Path]:
    """The earlier and the later run to compare; of a single one, the run of its kind before it comes first."""
    if len(paths) > 2:
        raise HoldfastError(f"--compare takes two runs, and {len(paths)} are named.", remedy="name one or two runs")
    if len(paths) == 2:
        return list(paths)
    run, resolved = read_run(paths[0]), paths[0].resolve()
    kept = runs_of(resolved.parent.parent.parent, resolved.parent.parent.name)
    earlier = [path for path in kept if path < resolved and read_run(path).kind == run.kind]
    if not earlier:
        raise HoldfastError(
            f"There is no {run.kind} of {run.stack} before this one to compare it with.",
            remedy="name two runs, or run again",
        )
    return [earlier[-1], paths[0]]


def _read(path: Path, say: Say) -> Story:
    say(f"reading the run {path.name}")
    return read_story(path)


def _show(story: Story) -> None:
    report = read_verdicts(story.path)
    if report is not None:
        show([report], write_line=_print)
    for sweep in story.sweeps:
        show_sweep(sweep, write_line=_print)
    if report is None:
        _print(f"{story.run.stack}, {story.run.kind} on {story.run.target}: {headline(story)}")
    for clause in story.clauses:
        if clause.verdict is Verdict.VIOLATED:
            _print(f"again: {story.again(clause.id)}")
    for violation in (one for sweep in story.sweeps for one in sweep.violations if one.replay):
        _print(f"again: holdfast replay {violation.replay}")


def _picture(story: Story) -> str:
    if story.timeline is None:
        raise HoldfastError(
            f"The run {story.path.name} has no timeline to draw.",
            cause="no operation was recorded",
            remedy="name a run that sent commands",
        )
    return svg(story.timeline, title=f"{story.run.stack}: {headline(story)}")


def _write(path: Path, text: str) -> None:
    with _writing(path):
        path.write_text(text, encoding="utf-8")


@contextmanager
def _writing(path: Path, write_line: Callable[[str], None] | None = None) -> Iterator[None]:
    """Say what was written, or why it could not be."""
    try:
        yield
    except OSError as error:
        raise HoldfastError(
            f"{path} cannot be written.", cause=str(error.strerror), remedy="name another file, or free space"
        ) from error
    (write_line or _print)(f"written: {path}")


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
