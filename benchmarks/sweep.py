"""How long the sweep of each reference stack takes, what it reaches, and how much faster it is than one after another.

    python benchmarks/sweep.py [--stack NAME]... [--pairs N] [--rounds N] [--busy] [--one-by-one N] [--chaos-toolkit]

Prints one line a stack and round: fault points, faults by mark, pairs, commands, seconds, faults per minute. With
``--one-by-one N`` the same stack then runs N of its singles, drawn with a fixed seed, one after another in the same
process, and the ratio of faults per minute is printed; with ``--chaos-toolkit`` Chaos Toolkit runs the same N as
experiments after that, where the stack is a saga (`chaos_toolkit.py`; ``pip install '.[benchmarks]'``). It exits
1 when a promise of a correct stack was broken, or a fault was not reached or not decided, so it can serve as a gate.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reference_stacks import busy_core

from holdfast.opening import Options
from holdfast.stack.patterns import SagaPattern
from holdfast.sweep.coverage import Coverage
from holdfast.sweep.judging import Mark
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import singles
from holdfast.sweep.points import visited
from holdfast.sweep.sweeping import Budget, Sweep, opened
from holdfast_fixtures.catalogue import ReferenceStack, reference_stacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one round of one stack came to.

    Attributes:
        coverages: of each pattern.
        alone_seconds: seconds a fault when faults are run one after another; 0 where they are not.
        chaos_seconds: seconds a fault when Chaos Toolkit runs them; 0 where it does not.
        ended: how its experiments ended.
    """

    coverages: list[Coverage]
    alone_seconds: float = 0.0
    chaos_seconds: float = 0.0
    ended: Counter[str] = field(default_factory=Counter)


def swept(stack: ReferenceStack, folder: Path, budget: Budget, one_by_one: int, *, chaos_toolkit: bool) -> Measured:
    """Sweep a stack, and then run a few of the same faults one by one in both other ways."""
    options = Options(folder=folder, environ={})
    with opened(stack.descriptor, options=options) as ready:
        coverages = [Sweep(runner=runner, budget=budget).cover() for runner in ready.runners.values()]
        if not one_by_one:
            return Measured(coverages=coverages)
        runner = next(iter(ready.runners.values()))
        points = visited(runner.undisturbed().trace, runner.callers).points
        schedules, _ = singles([(point, kind) for point in points for kind in Kind], runner.known, ())
        sample = random.Random(0).sample(schedules, min(one_by_one, len(schedules)))
        started = time.monotonic()
        for schedule in sample:
            runner.run([schedule])
        alone_seconds = (time.monotonic() - started) / len(sample)
        if not chaos_toolkit or not isinstance(runner.pattern, SagaPattern):
            return Measured(coverages=coverages, alone_seconds=alone_seconds)
        from chaos_toolkit import driven

        chaos_seconds, ended = driven(runner, sample)
    return Measured(coverages=coverages, alone_seconds=alone_seconds, chaos_seconds=chaos_seconds, ended=ended)


def ratios(measured: Measured, coverage: Coverage) -> Iterator[str]:
    """How many times faster the sweep was, a line for each other way."""
    faults = sum(coverage.count(mark) for mark in Mark if mark is not Mark.INAPPLICABLE)
    together = faults / coverage.singles_seconds * 60
    ended = "".join(f", {count} {how}" for how, count in measured.ended.items())
    for way, seconds in (
        ("one after another", measured.alone_seconds),
        (f"Chaos Toolkit{ended}", measured.chaos_seconds),
    ):
        if seconds:
            yield (
                f"  together {together:.0f} faults a minute; {way}: {60 / seconds:.1f} ({seconds:.1f} s each), "
                f"{together * seconds / 60:.0f} times"
            )


def told(stack: ReferenceStack, coverage: Coverage) -> str:
    """One line about a coverage."""
    faults = sum(coverage.count(mark) for mark in Mark if mark is not Mark.INAPPLICABLE)
    marks = ", ".join(f"{coverage.count(mark)} {mark.value}" for mark in Mark if coverage.count(mark))
    ran = Counter(one.mark.value for one in coverage.pairs)
    return (
        f"{stack.name}: {len(coverage.points)} points, {faults} faults ({marks}); "
        f"pairs: {coverage.reachable} reachable, {coverage.pruned} pruned, ran {dict(ran)}, "
        f"{coverage.dropped} dropped; {coverage.commands} commands, {coverage.seconds:.0f} s, "
        f"singles {coverage.singles_seconds:.0f} s"
    )


def main() -> int:
    """Sweep the stacks and print what came of it."""
    names = [stack.name for stack in reference_stacks()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", action="append", choices=names, help="all when left out")
    parser.add_argument("--pairs", type=int, default=Budget().pairs)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--busy", action="store_true", help="keep the second core busy")
    parser.add_argument("--one-by-one", type=int, default=0, metavar="N")
    parser.add_argument("--chaos-toolkit", action="store_true", help="run the same N by Chaos Toolkit, too")
    given = parser.parse_args()
    budget = Budget(seconds=3600.0, pairs=given.pairs)
    bad = 0
    with tempfile.TemporaryDirectory(prefix="holdfast-benchmark-") as folder, busy_core(wanted=given.busy):
        for stack in reference_stacks():
            if given.stack and stack.name not in given.stack:
                continue
            for _ in range(given.rounds):
                measured = swept(stack, Path(folder), budget, given.one_by_one, chaos_toolkit=given.chaos_toolkit)
                for coverage in measured.coverages:
                    print(told(stack, coverage), flush=True)
                    fine = (Mark.HELD, Mark.INAPPLICABLE)
                    wrong = [cell for cell in coverage.cells if cell.mark not in fine]
                    bad += len(coverage.violations) + len(coverage.unexplained) + (not coverage.decided)
                    for cell in wrong:
                        print(f"  {cell.mark.value}: {cell.point.name}, {cell.kind.value}: {cell.why}", flush=True)
                    for line in ratios(measured, coverage):
                        print(line, flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
