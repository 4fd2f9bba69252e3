"""Whether the stack reads back equal after a run was signalled at a random instant of injecting and healing.

    python benchmarks/healing.py [--rounds 100] [--seed 1] [--endpoint http://127.0.0.1:4566]

So many rounds end in SIGKILL, after which ``holdfast heal`` or the watchdog heals from the journal alone, and as many
in SIGINT or SIGTERM, after which nobody heals. Prints the levers, a line for each round that was not equal, and a line
per signal. It exits 1 when the configuration did not read back equal in every round, or anything was left, so it can
serve as a gate. What a round is: ``tests/healing_campaign.py``.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.targets.base import Target
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.localstack import LocalStackTarget

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))  # shares its code with the tests

from healing_campaign import Tally, campaign

REGION = "eu-west-1"


@contextmanager
def opened(endpoint: str) -> Iterator[Target]:
    """The embedded emulator, or the LocalStack at an endpoint."""
    target: Target
    if endpoint:
        target = LocalStackTarget.connect(endpoint, region=REGION, environ={})
    else:
        target = EmbeddedTarget.start(region=REGION)
    try:
        yield target
    finally:
        target.close()


def main() -> int:
    """Run the rounds and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="with SIGKILL, and as many with SIGINT or SIGTERM")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--endpoint", default="", metavar="URL", help="a fresh LocalStack to use instead")
    given = parser.parse_args()
    began = time.monotonic()
    tallies = {number: Tally() for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)}
    with opened(given.endpoint) as target, campaign(target, seed=given.seed) as made:
        print(f"levers: {', '.join(made.levers)}")
        for name, reason in made.left_out.items():
            print(f"left out: {name}: {reason}")
        for at in range(given.rounds):
            for number in (signal.SIGKILL, (signal.SIGINT, signal.SIGTERM)[at % 2]):
                done = made.round(number)
                tallies[number].rounds.append(done)
                if not done.equal:
                    print(f"round {at + 1}: {done}", flush=True)
            if (at + 1) % 10 == 0:
                print(f"{at + 1} of {given.rounds}", file=sys.stderr, flush=True)
        for number, tally in tallies.items():
            if tally.rounds:
                print(tally.summary(number.name, made.levers))
    print(f"seed {given.seed}, {time.monotonic() - began:.0f} s")
    return 0 if all(done.equal for tally in tallies.values() for done in tally.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
