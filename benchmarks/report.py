"""How large the page of a load run is, how long it takes to make, and how long Chromium takes to open it.

``python benchmarks/report.py [--operations N]``: writes a history of N operations, makes its page three times and opens
it five times from the file, and prints the median of each. Needs Debian's ``chromium`` and the extra ``dev``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from holdfast_reports.page import FILE, write
from holdfast_reports.story import read_story

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from browsing import browser, opened
from run_examples import load_run

OPERATIONS = 1_000_000
MADE, OPENED = 3, 5


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=OPERATIONS, metavar="N")
    own = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="holdfast-report-") as folder:
        run = load_run(Path(folder), own.operations)
        making = []
        for _ in range(MADE):
            began = time.perf_counter()
            page = write(read_story(run), run / FILE)
            making.append(time.perf_counter() - began)
        opening = []
        with browser() as launched:
            for _ in range(OPENED):
                began = time.perf_counter()
                with opened(launched, page):
                    opening.append(time.perf_counter() - began)
        size_kib = page.stat().st_size / 1024
        made_seconds, opened_seconds = statistics.median(making), statistics.median(opening)
        print(f"{own.operations:,} operations: a page of {size_kib:.0f} KiB, made in {made_seconds:.2f} s,")
        print(f"opened and drawn in {opened_seconds:.2f} s")


if __name__ == "__main__":
    main()
