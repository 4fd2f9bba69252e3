"""A run in one sentence."""

from __future__ import annotations

from holdfast_reports.story import Story
from holdfast_reports.wording import count, summary


def headline(story: Story) -> str:
    """How many promises were kept and broken, e.g. ``1 violated, 11 hold``."""
    parts = [summary(story.counts)] if story.report is not None else []
    for sweep in story.sweeps:
        ways = f"{count(len(sweep.violations), 'way')} to break a promise" if sweep.violations else "no promise broken"
        parts.append(f"{count(len(sweep.points), 'fault point')} swept, {ways}")
    return "; ".join(parts) or "no verdict"
