"""Whether the staleness that is measured of the accounts is the delay that was planted in their projector.

    python benchmarks/staleness.py [STACK] [--delays-ms 200 500 1000] [--commands 12] [--rounds 1]

The stack is deployed once. For each delay every invocation of its projector is held for so long by the interceptor,
before the handler runs, while commands are sent one after another, each when the one before it is shown: so no event
queues behind another, and what is measured is one event's way. Two readers read the query API meanwhile. The figures
are those of CQ-1, by the same checkers: ``shown``, from the acknowledgement to the first read that shows the event, and
``ms_max``, the longest that a read was behind. What the stack takes by itself (the stream, the projection, the pause
between two reads) is measured with no delay, in the same run, and subtracted. It exits 1 when the median of ``shown``
less that is off the planted delay by more than 10 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from holdfast.campaign import Campaign
from holdfast.checkers import logs, projections
from holdfast.checkers.columnar import staleness
from holdfast.checkers.columnar.result import Result
from holdfast.checkers.durations import Distribution
from holdfast.opening import Options, ready, silent
from holdfast.provocations.bench import Bench
from holdfast.provocations.cqrs_load import READERS, reading
from holdfast.provocations.cqrs_runs import await_projected, cqrs_of, fold_of, on_one_aggregate, streams_of
from holdfast.provocations.model import Provocation
from holdfast.stack.loading import load_descriptor
from holdfast.stack.prefixes import new_prefix
from holdfast.targets.base import Rule
from holdfast_fixtures.catalogue import ReferenceStack, reference_stacks

MS = 1000
MOST_OFF = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was measured under one delay.

    Attributes:
        delay_ms: what was planted.
        held: how many invocations of the projector were held.
        shown: from the acknowledgement to the first read that shows the event, seconds.
        stale: the judged reads.
    """

    delay_ms: float
    held: int
    shown: Distribution
    stale: Result


def planted(delay_ms: float, commands: int) -> Provocation:
    """Commands that do not meet, with two readers beside them and the projector held."""

    def provoke(bench: Bench) -> None:
        (worker,) = bench.pattern.workers
        held = Rule(id="", action="delay", delay_seconds=delay_ms / MS)
        stream = on_one_aggregate(bench, commands)
        with bench.aimed([(worker, held)] if delay_ms else []) as aim, reading(bench, stream[:1], READERS):
            for submission in stream:
                bench.submit(submission)
                await_projected(bench, stream[:1], views=[cqrs_of(bench).reads])
            bench.figure("held", aim.hits(""))

    return Provocation(name="planted", provoke=provoke)


def measured(campaign: Campaign, provocation: Provocation, delay_ms: float) -> Measured:
    """The figures of CQ-1 under one delay."""
    evidence, fold = campaign.evidence(provocation), fold_of(campaign.situation)
    view = cqrs_of(campaign.situation).reads
    found = streams_of(campaign.pattern, evidence)
    return Measured(
        delay_ms=delay_ms,
        held=int(evidence.figures["held"]),
        shown=projections.visibility(found, fold=fold, view=view),
        stale=staleness.check(logs.as_registers(found, fold=fold, view=view)),
    )


def run(stack: ReferenceStack, delays_ms: list[float], commands: int, folder: Path) -> list[Measured]:
    """Deploy a stack, plant each delay in turn, and measure."""
    descriptor = load_descriptor(stack.descriptor, {})
    options = Options(folder=folder, environ={})
    with ready(stack.descriptor, descriptor, options=options, target=None, say=lambda *_: None) as it:
        found = []
        for delay_ms in delays_ms:
            provocation = planted(delay_ms, commands)
            campaign = Campaign(
                stack=it.stack,
                pattern="cqrs",
                ports=it.ports,
                recorder=it.recorder,
                journal=it.journal,
                needed=[provocation],
                seed=0,
                prefix=new_prefix(),
                listener=silent,
            )
            found.append(measured(campaign, provocation, delay_ms))
        return found


def main() -> int:
    """Measure and print; 1 when a delay is not found again."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {stack.name: stack for stack in reference_stacks() if stack.pattern == "cqrs"}
    parser.add_argument("stack", metavar="STACK", nargs="?", default="accounts", choices=known, help=", ".join(known))
    parser.add_argument("--delays-ms", type=float, nargs="+", default=[200, 500, 1000])
    parser.add_argument("--commands", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory(prefix="holdfast-benchmark-") as folder:
        for _ in range(given.rounds):
            # the first run is thrown away: functions start cold in it
            _, base, *delayed = run(known[given.stack], [0, 0, *given.delays_ms], given.commands, Path(folder))
            print(
                f"no delay: shown after p50 {base.shown.p50 * MS:.0f} ms, max {base.shown.maximum * MS:.0f} ms;"
                f" of {base.stale.figures['reads']:g} reads the longest was behind by"
                f" {base.stale.figures['ms_max']:.0f} ms",
                flush=True,
            )
            for one in delayed:
                found_ms = (one.shown.p50 - base.shown.p50) * MS
                off = found_ms / one.delay_ms - 1
                kept &= abs(off) <= MOST_OFF
                print(
                    f"{one.delay_ms:g} ms planted, {one.held} times: shown after p50 {one.shown.p50 * MS:.0f} ms,"
                    f" {found_ms:.0f} ms more than without ({off:+.1%}); of {one.stale.figures['reads']:g} reads the"
                    f" longest was behind by {one.stale.figures['ms_max']:.0f} ms",
                    flush=True,
                )
    print("every planted delay is found again within 10 %" if kept else "a planted delay is not found again")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
