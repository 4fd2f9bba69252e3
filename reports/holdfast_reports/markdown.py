"""A run in Markdown, for the summary of a pipeline's step or a comment on a change."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from holdfast.verdict.model import Verdict
from holdfast_reports.comparing import Change
from holdfast_reports.documents import ClauseRead, SweepRead
from holdfast_reports.figures import figures
from holdfast_reports.headline import headline
from holdfast_reports.story import Story, read_story
from holdfast_reports.wording import SIGNS, duration

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
"""docs.github.com/actions, workflow commands: the file that a step appends its summary to, up to 1 MiB."""

LONGEST_CHARACTERS = 200_000
EXPLAINED = 10
"""So many violated clauses are explained; the scorecard has all."""

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")


def markdown(story: Story, changes: Sequence[Change] = ()) -> str:
    """A run as Markdown: verdicts in a table, the smallest counterexample of each violation, figures.

    Args:
        story: the run.
        changes: what changed since an earlier one.
    """
    text = "\n".join(_lines(story, changes)) + "\n"
    if len(text) <= LONGEST_CHARACTERS:
        return text
    return text[:LONGEST_CHARACTERS].rsplit("\n", 1)[0] + "\n\nShortened; the scorecard has all.\n"


def append_step_summary(
    run: Path, *, write_line: Callable[[str], None], environ: Mapping[str, str] | None = None
) -> None:
    """Append a run to the summary of the pipeline's step, where the environment names one.

    Args:
        run: the run's folder.
        write_line: shows a person one line.
        environ: the environment; this process' own when None.

    Raises:
        HistoryError: the run cannot be read.
    """
    named = (os.environ if environ is None else environ).get(STEP_SUMMARY, "")
    if not named:
        return
    try:
        with Path(named).open("a", encoding="utf-8") as file:
            file.write(markdown(read_story(run)) + "\n")
    except OSError as error:
        write_line(f"the step's summary {named} cannot be written: {error.strerror}")


def _lines(story: Story, changes: Sequence[Change]) -> Iterator[str]:
    run = story.run
    yield f"## {_plain(run.stack)}: {_plain(headline(story))}"
    yield ""
    yield f"`holdfast {run.kind}` on {run.target}, seed {run.seed}, {duration(run.seconds)}"
    if not story.finished:
        yield ""
        yield "**The run was not finished.**"
    if changes:
        yield ""
        yield "### What changed"
        yield ""
        yield "| | what | before | after | why |"
        yield "|---|---|---|---|---|"
        for change in changes:
            cells = (change.course, change.what, change.before, change.after, change.why)
            yield f"| {' | '.join(map(_plain, cells))} |"
    if story.clauses:
        yield ""
        yield "| clause | verdict | why |"
        yield "|---|---|---|"
        for clause in story.clauses:
            yield f"| {_plain(clause.id)} | {SIGNS[clause.verdict]} {clause.verdict} | {_plain(clause.reason)} |"
    violated = [clause for clause in story.clauses if clause.verdict is Verdict.VIOLATED]
    for clause in violated[:EXPLAINED]:
        yield from _violation(story, clause)
    for sweep in story.sweeps:
        yield from _sweep(sweep)
    found = figures(story)
    if found:
        yield ""
        yield "<details><summary>The pattern in figures</summary>"
        yield ""
        yield "| | |"
        yield "|---|---|"
        for figure in found:
            yield f"| {_plain(figure.name)} | {_plain(figure.value)} |"
        yield ""
        yield "</details>"


def _violation(story: Story, clause: ClauseRead) -> Iterator[str]:
    yield ""
    yield f"### {_plain(clause.id)} violated"
    if clause.text:
        yield ""
        yield f"> {_plain(clause.text)}"
    if clause.findings:
        yield ""
        yield from _fenced(clause.findings[0].explanation)
    yield ""
    yield "Try it again:"
    yield ""
    yield from _fenced((story.again(clause.id),))


def _sweep(sweep: SweepRead) -> Iterator[str]:
    counts = ", ".join(f"{number} {mark}" for mark, number in sweep.counts.items() if number)
    yield ""
    yield f"### Fault points: {sweep.pattern}"
    yield ""
    yield f"{len(sweep.points)} fault points: {counts}"
    for violation in sweep.violations[:EXPLAINED]:
        yield ""
        yield f"{SIGNS[Verdict.VIOLATED]} **{_plain(violation.title)}**: {_plain(violation.smallest)}"
        yield ""
        yield from _fenced(violation.explanation)
        if violation.replay:
            yield ""
            yield from _fenced((f"holdfast replay {violation.replay}",))


def _fenced(lines: Sequence[str]) -> Iterator[str]:
    """Lines as they are, in a fence longer than any in them."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    yield fence
    for line in lines:
        yield " ".join(line.splitlines())
    yield fence


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")
