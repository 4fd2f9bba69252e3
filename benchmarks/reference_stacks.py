"""How long the correct reference stacks take, and whether they hold every time, with the second core kept busy or not.

    python benchmarks/reference_stacks.py [STACK ...] [--rounds 20] [--busy]

Prints one line a round and the result at the end. It exits 1 when a clause of a correct stack was violated or left
undecided, so it can serve as a gate.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from holdfast.background import Background
from holdfast.stack.loading import load_descriptor
from holdfast.suites import clauses_of
from holdfast.verdict import StackReport, Verdict
from holdfast.verification import Options
from holdfast_fixtures.catalogue import ReferenceStack, reference_stacks

SIDE_BY_SIDE = 4


@contextmanager
def busy_core(*, wanted: bool) -> Iterator[None]:
    """Keep one core busy with a process of our own."""
    if not wanted:
        yield
        return
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        burner.kill()
        burner.wait()


def one_round(stacks: Sequence[ReferenceStack], folder: Path) -> tuple[float, list[StackReport]]:
    """Verify these stacks side by side; returns wall seconds and the reports."""
    wanted = {
        stack.descriptor: [clause.id for _, clause in clauses_of(load_descriptor(stack.descriptor, {}))]
        for stack in stacks
    }
    started = time.monotonic()
    background = Background(
        wanted, options=Options(folder=folder, environ={}), side_by_side=SIDE_BY_SIDE, write_line=lambda _: None
    )
    background.start_all()
    for path, ids in wanted.items():
        for id_ in ids:
            background.verdict(path, id_)
    background.stop()
    return time.monotonic() - started, list(background.reports().values())


def main() -> int:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {stack.name: stack for stack in reference_stacks()}
    parser.add_argument("stacks", metavar="STACK", nargs="*", help=f"all when none is named: {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--busy", action="store_true", help="keep the second core busy")
    given = parser.parse_args()
    if unknown := [name for name in given.stacks if name not in known]:
        parser.error(f"there is no stack {unknown[0]}")
    stacks = [known[name] for name in given.stacks or known]
    seconds: list[float] = []
    bad: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="holdfast-benchmark-") as folder, busy_core(wanted=given.busy):
        for at in range(given.rounds):
            took, reports = one_round(stacks, Path(folder))
            seconds.append(took)
            wrong = [
                (report.stack, clause)
                for report in reports
                for clause in report.clauses
                if clause.verdict not in (Verdict.HOLDS, Verdict.WAIVED)
            ]
            held = sum(clause.verdict is Verdict.HOLDS for report in reports for clause in report.clauses)
            print(f"round {at + 1}: {took:.1f} s, {held} clauses held, {len(wrong)} not", flush=True)
            for stack, clause in wrong:
                bad[f"{stack} {clause.id} {clause.verdict}"] += 1
                print(f"  {stack} {clause.id} {clause.verdict}: {clause.reason}", flush=True)
    print(
        f"{given.rounds} rounds of {len(stacks)} stacks, second core {'busy' if given.busy else 'free'}: "
        f"{statistics.median(seconds):.1f} s median, {min(seconds):.1f} to {max(seconds):.1f} s; "
        f"{sum(bad.values())} clauses not held"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
