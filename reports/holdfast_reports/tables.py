"""The fault points of a sweep, comparisons and trends in the terminal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from holdfast_reports.comparing import Change, Course
from holdfast_reports.documents import Mark, SweepRead
from holdfast_reports.grid import MARKS, grid
from holdfast_reports.terminal import printed
from holdfast_reports.trend import Point
from holdfast_reports.wording import duration

BOX = box.SIMPLE_HEAD
POINT_WIDTH = 30
NARROWEST = 140
"""Columns that the grid of a sweep needs at least."""

MARK_STYLES: dict[Mark, str] = {
    "held": "green",
    "violated": "bold red",
    "unreached": "yellow",
    "inconclusive": "yellow",
    "inapplicable": "dim",
}
STYLES = {Course.REGRESSION: "bold red", Course.SLOWER: "yellow", Course.OPEN: "yellow", Course.FIXED: "green"}


def show_sweep(sweep: SweepRead, *, write_line: Callable[[str], None]) -> None:
    """Print the grid of a sweep's fault points and kinds of faults."""
    found = grid(sweep.cells)
    table = Table(
        title=f"{sweep.stack} ({sweep.pattern}) on {sweep.target}",
        title_justify="left",
        title_style="bold",
        box=BOX,
        padding=(0, 1, 0, 0),
    )
    table.add_column("fault point", overflow="fold", min_width=POINT_WIDTH)
    for kind in found.kinds:
        table.add_column(kind.replace("-", " "), overflow="fold")
    for point, cells in found.rows:
        marks = ["" if cell is None else MARKS[cell.mark][cell.mark != "inapplicable"] for cell in cells]
        styles = ["" if cell is None else MARK_STYLES.get(cell.mark, "") for cell in cells]
        table.add_row(point, *map(Text, marks, styles))
    printed(table, write_line=write_line, width=max(NARROWEST, shutil.get_terminal_size((NARROWEST, 24)).columns))


def show_changes(changes: Sequence[Change], *, write_line: Callable[[str], None]) -> None:
    """Print what changed, regressions first."""
    if not changes:
        write_line("nothing changed that is worth telling")
        return
    table = Table(title="what changed", title_justify="left", title_style="bold", box=BOX, expand=True)
    for name in ("change", "what", "before", "after"):
        table.add_column(name, no_wrap=name == "change", overflow="fold")
    table.add_column("why", ratio=1)
    for change in changes:
        course = Text(change.course, style=STYLES.get(change.course, ""))
        table.add_row(course, *map(Text, (change.what, change.before, change.after, change.why)))
    printed(table, write_line=write_line)


def show_trend(trend: Sequence[Point], *, write_line: Callable[[str], None]) -> None:
    """Print the runs of a stack, oldest first."""
    table = Table(title="runs of this stack", title_justify="left", title_style="bold", box=BOX)
    for name, least in (("began (UTC)", 19), ("run", 6), ("target", 8)):
        table.add_column(name, min_width=least)
    for name in ("held", "violated", "inconclusive", "ack p99", "effect p99", "took"):
        table.add_column(name, justify="right")
    for point in trend:
        table.add_row(
            f"{point.started:%Y-%m-%d %H:%M:%S}",
            point.kind,
            point.target,
            str(point.holds),
            Text(str(point.violated), style="bold red" if point.violated else ""),
            str(point.inconclusive),
            duration(point.acknowledgement_p99_seconds),
            duration(point.effect_p99_seconds),
            duration(point.seconds),
        )
    printed(table, write_line=write_line)
