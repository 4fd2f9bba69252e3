"""A clause's verdict in Allure: its promise, the proof of every fault and the events of its counterexamples as steps.

Does nothing where allure-pytest does not record.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from holdfast.errors import HistoryError
from holdfast.verdict.describe import describe, span_seconds
from holdfast.verdict.model import ClauseVerdict, Verdict
from holdfast_reports.story import Story, read_story
from holdfast_reports.svg import svg
from holdfast_reports.wording import SIGNS, count

FINDINGS_SHOWN = 3
STEP_CHARACTERS = 600
TITLE_CHARACTERS = 160


def attach(verdict: ClauseVerdict, *, run: Path | None) -> None:
    """Tell Allure the story of a verdict, within the test that decides its clause.

    Args:
        verdict: of the clause.
        run: the folder of what is kept of the run; None where nothing is.
    """
    # with the extra installed its plugin is always loaded; it records only where a folder was named
    commons = sys.modules.get("allure_commons")
    if commons is None or not commons.plugin_manager.get_plugins():
        return
    import allure

    allure.dynamic.title(_title(verdict))  # type: ignore[no-untyped-call]
    allure.dynamic.epic("Holdfast")  # type: ignore[no-untyped-call]
    allure.dynamic.tag(verdict.verdict.value)  # type: ignore[no-untyped-call]
    story = None if run is None else _story(run)
    if story is not None:
        allure.dynamic.feature(story.run.stack)  # type: ignore[no-untyped-call]
    if verdict.text:
        allure.dynamic.description(verdict.text)  # type: ignore[no-untyped-call]
    if verdict.evidence:
        _steps("what was done, and the proof that it bit", verdict.evidence)
    for finding in verdict.findings[:FINDINGS_SHOWN]:
        title, *events = describe(finding)
        _steps(title, [event.strip() for event in events], broken=True)
    more = len(verdict.findings) - FINDINGS_SHOWN
    if more > 0:
        _steps(f"{count(more, 'further counterexample')}, in verdict.json", ())
    broken = verdict.verdict is Verdict.VIOLATED
    _steps(f"{SIGNS[verdict.verdict]} {verdict.verdict}: {verdict.reason}", (), broken=broken)
    if story is not None and broken:
        _steps(f"try it again: {story.again(verdict.id)}", ())
    picture = None if story is None else _picture(story, verdict)
    if picture is not None:
        allure.attach(picture, name="timeline", attachment_type=allure.attachment_type.SVG)


def _steps(title: str, lines: Sequence[str], *, broken: bool = False) -> None:
    """A step with steps in it; what is broken is marked as failed, as Allure does for a step that raises."""
    import allure

    with suppress(AssertionError), allure.step(title[:STEP_CHARACTERS]):
        for line in lines:
            with allure.step(line[:STEP_CHARACTERS]):
                pass
        if broken:
            raise AssertionError


def _title(verdict: ClauseVerdict) -> str:
    """The clause, and what is promised in its first sentence."""
    promise = " ".join(verdict.text.split()).split(". ")[0].rstrip(".")
    return f"{verdict.id}: {promise}"[:TITLE_CHARACTERS] if promise else verdict.id


def _story(run: Path) -> Story | None:
    """What is known of a run that is still going on; None where that cannot be read."""
    try:
        return read_story(run)
    except HistoryError:
        return None


def _picture(story: Story, verdict: ClauseVerdict) -> str | None:
    """The timeline of a run; None where there is none yet."""
    line = story.timeline
    if line is None or not line.operations:
        return None
    span = span_seconds(verdict.findings[0]) if verdict.findings else None
    return svg(line, title=f"{verdict.id} {verdict.verdict}", span_seconds=span)
