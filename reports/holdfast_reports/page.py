"""The scorecard of one run as one self-contained HTML page: no request leaves it, and it needs no server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from holdfast.verdict.model import Verdict
from holdfast_reports.breakages import breakages
from holdfast_reports.comparing import Change
from holdfast_reports.drawing import drawn, in_html, sampled
from holdfast_reports.figures import Figure, figures
from holdfast_reports.grid import MARKS, grid
from holdfast_reports.headline import headline
from holdfast_reports.story import Story
from holdfast_reports.trend import Point
from holdfast_reports.wording import GRAVEST_FIRST, SIGNS, count, duration, milliseconds

FILE = "scorecard.html"
FINDINGS_SHOWN = 5
"""So many counterexamples of a clause are told, the smallest first; verdict.json has all."""

BANDS_SHOWN = 200
EVIDENCE_SHOWN = 6
"""More lines of evidence than these are folded."""

_FORMATS = {"count": count, "duration": duration, "milliseconds": milliseconds}


def render(story: Story, *, trend: Sequence[Point] = (), changes: Sequence[Change] | None = None) -> str:
    """The page of a run.

    Args:
        story: the run.
        trend: the runs of its stack, oldest first.
        changes: what changed since an earlier run; None where it is compared with none.
    """
    return (
        _templates()
        .get_template("page.html")
        .render(
            story=story,
            run=story.run,
            started=story.run.started.astimezone(UTC),
            verdicts=GRAVEST_FIRST,
            signs={verdict.value: sign for verdict, sign in SIGNS.items()},
            violated=Verdict.VIOLATED,
            headline=headline(story),
            sampled=() if story.timeline is None else sampled(story.timeline),
            breakages=() if story.timeline is None else breakages(story.timeline.bands),
            grids=[(sweep, grid(sweep.cells)) for sweep in story.sweeps],
            plans=[(one, grid(one.cells)) for one in story.plans],
            marks=MARKS,
            groups=_grouped(figures(story)),
            trend=trend,
            changes=changes,
            data=Markup(in_html(None if story.timeline is None else drawn(story.timeline))),  # noqa: S704 - escaped there
            findings_shown=FINDINGS_SHOWN,
            bands_shown=BANDS_SHOWN,
            evidence_shown=EVIDENCE_SHOWN,
        )
    )


def write(story: Story, path: Path, *, trend: Sequence[Point] = (), changes: Sequence[Change] | None = None) -> Path:
    """Write the page of a run; returns where."""
    path.write_text(render(story, trend=trend, changes=changes), encoding="utf-8")
    return path


def _grouped(found: Sequence[Figure]) -> dict[str, list[Figure]]:
    groups: dict[str, list[Figure]] = {}
    for figure in found:
        groups.setdefault(figure.group, []).append(figure)
    return groups


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters.update(_FORMATS)
    templates.globals["asset"] = lambda name: Markup(asset(name))  # noqa: S704 - our own files
    return templates


def asset(name: str) -> str:
    """The text of a file of this package's ``assets``."""
    return (files("holdfast_reports") / "assets" / name).read_text(encoding="utf-8")
