"""The coverage of a sweep for a person: a table of points and kinds, and what needs words below it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.sweep.coverage import INTERRUPTED, Coverage
from holdfast.sweep.judging import OPEN, Mark
from holdfast.sweep.kinds import ABOUT, Kind
from holdfast.verdict.describe import describe

MARKS = {
    Mark.HELD: ("held", "green"),
    Mark.VIOLATED: ("BROKEN", "bold red"),
    Mark.UNREACHED: ("missed", "yellow"),
    Mark.INCONCLUSIVE: ("open", "yellow"),
    Mark.INAPPLICABLE: ("-", "dim"),
}
HEADS = {
    Kind.REFUSED: "refused",
    Kind.THROTTLED: "throttled",
    Kind.ANSWER_LOST: "answer lost",
    Kind.KILLED_BEFORE: "killed before",
    Kind.KILLED_AFTER: "killed after",
    Kind.DELAYED: "delayed",
    Kind.DUPLICATED: "twice",
    Kind.FOR_GOOD: "for good",
    Kind.LOST_FOR_GOOD: "lost for good",
}
WIDTH = 140
NARROWEST = 100
POINT_WIDTH = 44
DESCRIBED = 5
"""So many violations are told with their witness; sweep.json has all."""


def table(coverage: Coverage) -> Table:
    """The table of one stack and pattern: a line per fault point, a column per kind."""
    counts = ", ".join(f"{coverage.count(mark)} {mark.value}" for mark in Mark if coverage.count(mark))
    found = Table(
        title=f"{coverage.stack} ({coverage.pattern}) on {coverage.target}: {len(coverage.points)} fault points, "
        f"{counts}; {len(coverage.pairs)} pairs; {coverage.commands} commands in {coverage.seconds:.0f} s",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    found.add_column("fault point", overflow="fold", min_width=POINT_WIDTH)
    for kind in Kind:
        found.add_column(HEADS[kind], overflow="fold")
    of = {(cell.point, cell.kind): cell for cell in coverage.cells}
    for point in coverage.points:
        marks = []
        for kind in Kind:
            cell = of.get((point, kind))
            word, style = MARKS[cell.mark] if cell is not None else ("", "")
            marks.append(Text(word, style=style))
        found.add_row(str(point), *marks)
    return found


def details(coverage: Coverage) -> list[str]:
    """What the table cannot say, line by line: violations, what stayed open, pairs, notes."""
    lines = []
    for number, one in enumerate(coverage.violations, start=1):
        finding = one.judgement.findings[0]
        lines += [
            f"violation {number}: {finding.title}",
            f"  smallest: {one.schedule} (violated in {one.violated} of {one.runs} runs)",
            *(f"  {line}" for line in describe(finding) if number <= DESCRIBED),
        ]
        if one.found_by:
            lines.append(f"  also found by {_many(one.found_by, 'larger schedule')}")
        if one.file:
            lines.append(f"  again: holdfast replay {one.file}")
    lines += [f"violation: {one.title}: {one.sentence} No single schedule shows it." for one in coverage.unexplained]
    if coverage.undisturbed.mark in OPEN:
        lines.append(f"{coverage.undisturbed.mark.value}: a command without a fault: {coverage.undisturbed.why}")
    cut_short = [cell for cell in coverage.cells if cell.why == INTERRUPTED]
    lines += [
        f"{cell.mark.value}: {cell.point.name}, {ABOUT[cell.kind]}: {cell.why}"
        for cell in coverage.cells
        if cell.mark in OPEN and cell not in cut_short
    ]
    if cut_short:
        lines.append(f"{Mark.UNREACHED.value}: {_many(cut_short, 'fault')}: {INTERRUPTED}")
    lines += _pairs(coverage)
    lines += [f"not swept: {name} takes part in the command and is no component" for name in coverage.strangers]
    return [*lines, *(f"note: {note}" for note in coverage.notes)]


def _many(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"


def _pairs(coverage: Coverage) -> list[str]:
    if coverage.interrupted and not coverage.reachable:
        return []
    if not coverage.reachable:
        return ["pairs: no fault makes a call reachable that an undisturbed command does not make"]
    of = {mark: [one for one in coverage.pairs if one.mark is mark] for mark in Mark}
    ran = ", ".join(f"{len(found)} {mark.value}" for mark, found in of.items() if found) or "none run"
    dropped = f", {coverage.dropped} left out (--pairs, --budget-seconds)" if coverage.dropped else ""
    return [
        f"pairs: {coverage.reachable} reachable, {coverage.pruned} pruned, {ran}{dropped}",
        *(f"  {one.mark.value}: {one.schedule}: {one.why}" for one in (*of[Mark.UNREACHED], *of[Mark.INCONCLUSIVE])),
    ]


def show(
    coverages: Sequence[Coverage],
    *,
    write_line: Callable[[str], None],
    width: int | None = None,
    color: bool = False,
) -> None:
    """Print the coverage, line by line.

    Args:
        coverages: one for each pattern.
        write_line: prints one line.
        width: columns; None takes those of the terminal.
        color: whether to use colour.
    """
    buffer = io.StringIO()
    columns = width or max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)
    console = Console(file=buffer, width=columns, force_terminal=color, highlight=False)
    for coverage in coverages:
        console.print()
        console.print(table(coverage))
        for line in details(coverage):
            console.print(Text(line))
    for line in buffer.getvalue().splitlines():
        write_line(line.rstrip())
