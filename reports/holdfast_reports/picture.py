"""The scorecard as a picture: ``python -m holdfast_reports.picture OUT.svg VERDICT.json...``."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from holdfast.verdict.document import read
from holdfast.verdict.model import StackReport
from holdfast_reports.terminal import scorecard

WIDTH = 118
"""Columns of the picture."""

# Rich names a font on a public server; a picture in a repository must not make its readers' browsers ask for it.
_FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def draw(reports: Sequence[StackReport], *, title: str = "holdfast verify") -> str:
    """The scorecards of some stacks as one SVG document."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    for report in reports:
        console.print(scorecard(report))
        console.print()
    return _FONT_FACE.sub("", console.export_svg(title=title))


def main(arguments: Sequence[str]) -> int:
    """Write the picture of some verdict files."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python -m holdfast_reports.picture OUT.svg VERDICT.json...\n")
        return 2
    reports = [read(Path(name)) for name in arguments[1:]]
    Path(arguments[0]).write_text(draw(reports), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
