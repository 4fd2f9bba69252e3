"""A clause's verdict in Allure: its promise, the proof of every fault and the events of its counterexamples as steps.

Does nothing where allure-pytest does not record.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from holdfast.errors import HistoryError
from holdfast.verdict.describe import describe, span_seconds
from holdfast.verdict.model import ClauseVerdict
from holdfast_reports.story import read_story
from holdfast_reports.svg import svg
from holdfast_reports.wording import SIGNS, count

FINDINGS_SHOWN = 3
STEP_CHARACTERS = 600


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

    if verdict.text:
        allure.dynamic.description(verdict.text)  # type: ignore[no-untyped-call]
    if verdict.evidence:
        _steps("what was done, and the proof that it bit", verdict.evidence)
    for finding in verdict.findings[:FINDINGS_SHOWN]:
        title, *events = describe(finding)
        _steps(title, [event.strip() for event in events])
    more = len(verdict.findings) - FINDINGS_SHOWN
    if more > 0:
        _steps(f"{count(more, 'further counterexample')}, in verdict.json", ())
    _steps(f"{SIGNS[verdict.verdict]} {verdict.verdict}: {verdict.reason}", ())
    picture = None if run is None else _picture(run, verdict)
    if picture is not None:
        allure.attach(picture, name="timeline", attachment_type=allure.attachment_type.SVG)


def _steps(title: str, lines: Sequence[str]) -> None:
    import allure

    with allure.step(title[:STEP_CHARACTERS]):
        for line in lines:
            with allure.step(line[:STEP_CHARACTERS]):
                pass


def _picture(run: Path, verdict: ClauseVerdict) -> str | None:
    """The timeline of a run that is still going on; None where there is none yet."""
    try:
        line = read_story(run).timeline
    except HistoryError:
        return None
    if line is None or not line.operations:
        return None
    span = span_seconds(verdict.findings[0]) if verdict.findings else None
    return svg(line, title=f"{verdict.id} {verdict.verdict}", span_seconds=span)
