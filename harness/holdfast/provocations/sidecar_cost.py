"""What the sidecar costs (SC-8): answers that need it and answers that do not, and its memory meanwhile."""

from __future__ import annotations

from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.model import Provocation
from holdfast.provocations.sidecar_requirements import sidecar_claimed
from holdfast.provocations.sidecar_stage import Stage
from holdfast.stack.generate import Submission

COST_ROLE = "measured"
COMMANDS, BATCH = 40, 10
WIDTH = 2


def _measure(bench: Bench) -> None:
    """Ask in pairs, so that both kinds of answers meet the same machine."""
    stage = Stage(bench)

    def pair(submission: Submission) -> None:
        stage.live(COST_ROLE)
        stage.submit(submission, COST_ROLE)

    largest_bytes = 0
    submissions = bench.draw(COMMANDS)
    for at in range(0, COMMANDS, BATCH):
        batch = submissions[at : at + BATCH]
        side_by_side(pair, batch, WIDTH)
        largest_bytes = max(largest_bytes, stage.memory_bytes())
        # what has to wait for the store may be refused, and would not be measured
        bench.await_effects(bench.acknowledged(batch))
    bench.figure("sidecar_rss_bytes", largest_bytes)


SIDECAR_COST = Provocation(
    name="sidecar-cost",
    provoke=_measure,
    requires=(sidecar_claimed,),
    commands=lambda _: COMMANDS,
    exclusive=True,
)
