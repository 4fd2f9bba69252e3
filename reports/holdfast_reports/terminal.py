"""The scorecard in the terminal: one table per stack, a line per clause."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.verdict import StackReport, Verdict

STYLES = {
    Verdict.HOLDS: ("holds", "green"),
    Verdict.VIOLATED: ("violated", "bold red"),
    Verdict.INCONCLUSIVE: ("inconclusive", "yellow"),
    Verdict.WAIVED: ("waived", "dim"),
}
WIDTH = 120
"""Columns where there is no terminal."""

NARROWEST = 60
MEASURES = {
    "acknowledgement_p50_seconds": "ack p50",
    "acknowledgement_p99_seconds": "ack p99",
    "time_to_effect_p50_seconds": "to effect p50",
    "time_to_effect_p99_seconds": "to effect p99",
    "time_to_consistency_p50_seconds": "to consistency p50",
    "time_to_consistency_p99_seconds": "to consistency p99",
    "drain_seconds": "burst drained in",
    "sidecar_added_p50_seconds": "sidecar adds p50",
    "sidecar_added_p99_seconds": "sidecar adds p99",
    "sidecar_rss_bytes": "sidecar holds",
    "sidecar_recovery_max_seconds": "recovered in",
    "degraded_answer_rate": "degraded answers",
}


def scorecard(report: StackReport) -> Table:
    """The table of one stack: clause, verdict, and the one sentence why."""
    counts = {verdict: sum(clause.verdict is verdict for clause in report.clauses) for verdict in Verdict}
    summary = ", ".join(f"{count} {STYLES[verdict][0]}" for verdict, count in counts.items() if count)
    finished = "" if report.complete else ", not finished"
    table = Table(
        title=f"{report.stack} on {report.target}: {summary} ({report.seconds:.0f} s){finished}",
        title_justify="left",
        title_style="bold",
        caption=_measures(report),
        caption_justify="left",
        expand=True,
        box=box.SIMPLE_HEAD,
    )
    table.add_column("clause", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("why", ratio=1)
    for clause in report.clauses:
        word, style = STYLES[clause.verdict]
        table.add_row(clause.id, Text(word, style=style), Text(clause.reason))
    return table


def show(
    reports: Sequence[StackReport],
    *,
    write_line: Callable[[str], None],
    width: int | None = None,
    color: bool | None = None,
) -> None:
    """Print the scorecards, line by line.

    Args:
        reports: the stacks.
        write_line: prints one line.
        width: columns; None takes those of the terminal.
        color: whether to use colour; None asks the terminal.
    """
    for report in reports:
        printed(scorecard(report), write_line=write_line, width=width, color=color)


def printed(
    table: Table, *, write_line: Callable[[str], None], width: int | None = None, color: bool | None = None
) -> None:
    """Print a table line by line, after an empty one; arguments as of `show`."""
    buffer = io.StringIO()
    columns = width or max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns)
    console = Console(file=buffer, width=columns, force_terminal=_color() if color is None else color, highlight=False)
    console.print()
    console.print(table)
    for line in buffer.getvalue().splitlines():
        write_line(line)


def _color() -> bool:
    return Console().is_terminal


def _measures(report: StackReport) -> str:
    return " · ".join(
        f"{label} {_shown(name, report.measures[name])}" for name, label in MEASURES.items() if name in report.measures
    )


def _shown(name: str, value: float) -> str:
    """A figure with its unit, which its name carries."""
    if name.endswith("_bytes"):
        return f"{value / 1024 / 1024:.0f} MiB"
    if name.endswith("_rate"):
        return f"{value:.0%}"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
