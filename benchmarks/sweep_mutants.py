"""Which planted bugs the sweep finds, and how often the replay of what it found breaks the same promise.

    python benchmarks/sweep_mutants.py [--stack NAME]... [--pairs N] [--replays N] [--times N] [--results FILE]
                                      [--seconds N] [--mutant NAME]... [-k WORDS]

Sweeps every mutant, or those that are named: all single faults, or those with all of the words, and, where they broke
nothing and the clause that it breaks may be shown by faults of one command, pairs. Of CQRS without ``--mutant`` none:
its shard takes minutes a mutant. Prints one line a mutant: *found* with the smallest schedule; *other evidence* where
no fault of one command shows the clause (told from its family and the provocations that it needs); else *missed*. The
first violation of the first N mutants found of each stack is then replayed ``--times`` times, as ``holdfast replay``
does. With ``--results`` each line is kept, and a run that was ended goes on where it was. It exits 1 when a replay
agreed in fewer than nine of ten runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from holdfast.clause import Clause
from holdfast.errors import HoldfastError
from holdfast.opening import Options
from holdfast.suites import installed_clauses
from holdfast.sweep.judging import Mark
from holdfast.sweep.replay import ScheduleReplay, found_of
from holdfast.sweep.replaying import replayed
from holdfast.sweep.sweeping import Budget, Sweep, opened
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict.model import Family
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise

LEAST_AGREEMENT = 0.9
FOUND, OTHER, MISSED = "found", "other evidence", "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the sweep of one mutant came to.

    Attributes:
        stack: the reference stack.
        mutant: the mutant.
        clause: the clause that it breaks.
        outcome: found, other evidence, or missed.
        told: the anomaly and its smallest schedule, or why it was not found.
        seconds: wall time of the sweep.
        replays: how often its first violation was replayed.
        agreeing: in how many of them the same promise was broken.
    """

    stack: str
    mutant: str
    clause: str
    outcome: str
    told: str
    seconds: float = 0.0
    replays: int = 0
    agreeing: int = 0

    def line(self) -> str:
        """One line of text."""
        again = f"; replay {self.agreeing} of {self.replays}" if self.replays else ""
        return f"{self.stack}/{self.mutant} ({self.clause}), {self.seconds:.0f} s: {self.outcome}: {self.told}{again}"


def out_of_reach(clause: Clause) -> str:
    """Why no fault of a single command shows that a clause is broken; empty where one may."""
    if clause.family is Family.STATIC:
        return "the clause reads the configuration"
    everywhere = [one.name for one in clause.needs if one.window is not None]
    if len(everywhere) == len(clause.needs):
        return f"the clause needs a fault on everything ({', '.join(everywhere)})"
    unaimed = [one.name for one in clause.needs if not one.aims]
    if len(unaimed) == len(clause.needs):
        return f"the clause needs several commands or other inputs ({', '.join(unaimed)})"
    return ""


def swept(
    stack: ReferenceStack, mutant: Mutant, clause: Clause, target: EmbeddedTarget, *, budget: Budget, times: int
) -> Result:
    """Sweep one mutant, and replay its first violation so many times."""
    with tempfile.TemporaryDirectory(prefix="holdfast-benchmark-") as folder:
        descriptor = materialise(stack.directory, mutant, Path(folder) / "stack")
        options = Options(folder=Path(folder) / "holdfast", environ={})
        why = out_of_reach(clause)
        budget = replace(budget, pairs=0 if why else budget.pairs)
        about = {"stack": stack.name, "mutant": mutant.name, "clause": mutant.clause}
        try:
            with opened(descriptor, options=options, target=target) as ready:
                coverages = [Sweep(runner=runner, budget=budget).cover() for runner in ready.runners.values()]
        except HoldfastError as reason:
            return Result(**about, outcome=MISSED, told=f"the sweep ended: {reason.what}")
        seconds = sum(coverage.seconds for coverage in coverages)
        found = [(coverage, one) for coverage in coverages for one in coverage.violations]
        if not found:
            open_cells = sum(coverage.count(Mark.INCONCLUSIVE) for coverage in coverages)
            open_too = f"; {open_cells} faults inconclusive" if open_cells else ""
            needs = ", ".join(one.name for one in clause.needs)
            return Result(
                **about,
                outcome=OTHER if why else MISSED,
                told=(why or f"the clause is shown by {needs}") + open_too,
                seconds=seconds,
            )
        coverage, violation = max(found, key=lambda one: one[1].violated / one[1].runs)
        title = violation.judgement.findings[0].title
        replay = ScheduleReplay(
            found=found_of(coverage, violation), fields=violation.fields, schedule=violation.schedule
        )
        judgements = replayed(descriptor, replay=replay, times=times, options=options, target=target) if times else []
        agreeing = sum(
            one.mark is Mark.VIOLATED and title in [finding.title for finding in one.findings] for one in judgements
        )
        return Result(
            **about,
            outcome=FOUND,
            told=f"{title}: {violation.schedule} ({violation.violated} of {violation.runs} runs)",
            seconds=seconds,
            replays=len(judgements),
            agreeing=agreeing,
        )


def kept(path: Path | None) -> dict[tuple[str, str], Result]:
    """The results of an earlier run, by stack and mutant."""
    if path is None or not path.exists():
        return {}
    results = [Result(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(one.stack, one.mutant): one for one in results}


def summary(results: Mapping[tuple[str, str], Result]) -> list[str]:
    """The figures, a line for each stack and one for the replays."""
    lines = []
    for stack in dict.fromkeys(stack for stack, _ in results):
        counts = Counter(one.outcome for one in results.values() if one.stack == stack)
        lines.append(f"{stack}: {', '.join(f'{counts[each]} {each}' for each in (FOUND, OTHER, MISSED))}")
    again = [one for one in results.values() if one.replays]
    agreeing, ran = sum(one.agreeing for one in again), sum(one.replays for one in again)
    return [*lines, f"replays of {len(again)} violations: {agreeing} of {ran} agree"]


def main() -> int:
    """Sweep the mutants, one after another, and print what came of it."""
    stacks = reference_stacks()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", action="append", choices=[one.name for one in stacks], help="all when left out")
    parser.add_argument("--mutant", action="append", metavar="NAME", help="all when left out")
    parser.add_argument("-k", default="", metavar="WORDS", dest="expression", help="points and kinds, as for the sweep")
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--replays", type=int, default=2, help="violations of each stack that are replayed")
    parser.add_argument("--times", type=int, default=10, help="replays of each of them")
    parser.add_argument("--results", type=Path, help="keep each result here, a line of JSON, and go on where it ends")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no mutant later than this")
    given = parser.parse_args()
    started = time.monotonic()
    clauses = {clause.id: clause for of in installed_clauses().values() for clause in of}
    results = kept(given.results)
    with EmbeddedTarget.start() as target:
        for stack in stacks:
            for mutant in mutants(stack) if not given.stack or stack.name in given.stack else ():
                if mutant.name not in given.mutant if given.mutant else stack.pattern == "cqrs":
                    continue
                if (stack.name, mutant.name) in results or time.monotonic() - started > given.seconds:
                    continue
                replays = sum(one.replays > 0 for one in results.values() if one.stack == stack.name)
                times = given.times if replays < given.replays else 0
                budget = Budget(seconds=600.0, pairs=given.pairs, stop_at_first=True, expression=given.expression)
                result = swept(stack, mutant, clauses[mutant.clause], target, budget=budget, times=times)
                results[stack.name, mutant.name] = result
                print(result.line(), flush=True)
                if given.results is not None:
                    with given.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(asdict(result)) + "\n")
    print("\n".join(summary(results)))
    return 1 if any(one.agreeing < LEAST_AGREEMENT * one.replays for one in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
