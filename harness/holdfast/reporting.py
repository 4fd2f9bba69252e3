"""The reporters that show verdicts.

A reporter announces itself as an entry point of the group ``holdfast.reporters``: a function that takes the reports and
a ``write_line``. The harness imports no reporter by name, and a reporter runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

from holdfast.verdict.model import StackReport

Reporter = Callable[..., None]


def show_reports(reports: Sequence[StackReport], *, write_line: Callable[[str], None]) -> None:
    """Hand the reports to every installed reporter."""
    for entry in entry_points(group="holdfast.reporters"):
        reporter: Reporter = entry.load()
        reporter(reports, write_line=write_line)
