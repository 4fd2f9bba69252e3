"""Two runs side by side: what changed, regressions first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from holdfast.verdict.model import Verdict
from holdfast_reports.story import Story
from holdfast_reports.wording import GRAVEST_FIRST, duration

NOTABLE = 1.25
"""A figure that grew or shrank by less than this is not told: two runs never measure the same."""

NOTABLE_SECONDS = 0.01


class Course(StrEnum):
    """Where a change leads; in the order in which changes are told."""

    REGRESSION = "regression"
    SLOWER = "slower"
    OPEN = "no longer decided"
    NEW = "new"
    GONE = "gone"
    FASTER = "faster"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two runs.

    Attributes:
        course: where it leads.
        what: what differs, e.g. ``SF-1`` or a fault point with its kind.
        before: how it was.
        after: how it is.
        why: the reason of the new state; empty where there is none.
    """

    course: Course
    what: str
    before: str
    after: str
    why: str = ""


def compare(before: Story, after: Story) -> tuple[Change, ...]:
    """What changed from one run to another, regressions first.

    Args:
        before: the earlier run.
        after: the later run.
    """
    changes = [*_clauses(before, after), *_cells(before, after), *_measures(before, after)]
    return tuple(sorted(changes, key=lambda change: list(Course).index(change.course)))


def _clauses(before: Story, after: Story) -> Iterator[Change]:
    was = {clause.id: clause.verdict for clause in before.clauses}
    now = {clause.id: clause for clause in after.clauses}
    for id_, clause in now.items():
        if id_ not in was:
            course = Course.REGRESSION if clause.verdict is Verdict.VIOLATED else Course.NEW
            yield Change(course=course, what=id_, before="absent", after=clause.verdict, why=clause.reason)
        elif was[id_] is not clause.verdict:
            yield Change(
                course=_course(was[id_], clause.verdict),
                what=id_,
                before=was[id_],
                after=clause.verdict,
                why=clause.reason,
            )
    for id_ in [id_ for id_ in was if now and id_ not in now]:
        yield Change(course=Course.GONE, what=id_, before=was[id_], after="absent")


def _course(before: Verdict, after: Verdict) -> Course:
    if after is Verdict.VIOLATED:
        return Course.REGRESSION
    if GRAVEST_FIRST.index(after) < GRAVEST_FIRST.index(before):
        return Course.OPEN if after is Verdict.INCONCLUSIVE else Course.NEW
    return Course.GONE if after is Verdict.WAIVED else Course.FIXED


def _cells(before: Story, after: Story) -> Iterator[Change]:
    def marks(story: Story) -> dict[str, tuple[str, str]]:
        return {
            f"{sweep.pattern}: {cell.point}, {cell.kind}": (cell.mark, cell.why)
            for sweep in story.sweeps
            for cell in sweep.cells
        }

    was, now = marks(before), marks(after)
    for what, (mark, why) in now.items():
        earlier = was.get(what, ("absent", ""))[0]
        if earlier == mark or not was:
            continue
        if mark == "violated":
            course = Course.REGRESSION
        elif earlier == "violated":
            course = Course.FIXED
        elif earlier == "held":
            course = Course.OPEN
        else:
            course = Course.FIXED if mark == "held" and earlier != "absent" else Course.NEW
        yield Change(course=course, what=what, before=earlier, after=mark, why=why)
    for what in [what for what in was if now and what not in now]:
        yield Change(course=Course.GONE, what=what, before=was[what][0], after="absent")


def _measures(before: Story, after: Story) -> Iterator[Change]:
    was, now = _seconds(before), _seconds(after)
    for name in sorted(was.keys() & now.keys()):
        earlier, later = was[name], now[name]
        larger, smaller = max(earlier, later), min(earlier, later)
        if larger < NOTABLE * smaller or larger - smaller < NOTABLE_SECONDS:
            continue
        yield Change(
            course=Course.SLOWER if later > earlier else Course.FASTER,
            what=name.removesuffix("_seconds").replace("_", " "),
            before=duration(earlier),
            after=duration(later),
        )


def _seconds(story: Story) -> Mapping[str, float]:
    measures = {**story.run.figures, **({} if story.report is None else story.report.measures)}
    return {name: value for name, value in measures.items() if name.endswith("_seconds")}
