"""Commands of several groups at once, in order within each, with retries inside the groups."""

from __future__ import annotations

from holdfast.provocations.bench import Bench, side_by_side
from holdfast.provocations.deliveries import every_worker
from holdfast.provocations.model import Aimed, Provocation
from holdfast.provocations.requirements import ORDER_KEPT, REDELIVERY, order_promised
from holdfast.stack.generate import Submission
from holdfast.targets.base import Rule

GROUPS = 3
COMMANDS_PER_GROUP = 5


def _groups_in_order(bench: Bench) -> None:
    ordering = bench.pattern.order
    assert ordering is not None
    groups = {
        f"{bench.prefix}-g{at}": bench.draw(COMMANDS_PER_GROUP, {ordering.group: f"{bench.prefix}-g{at}"})
        for at in range(GROUPS)
    }
    faults = [
        (worker, Rule(id="", action="fail", function=bench.function_name(worker), key=group[1].key, times=1))
        for group in groups.values()
        for worker in bench.pattern.workers
    ]

    def submit_group(item: tuple[str, list[Submission]]) -> None:
        name, members = item
        for at, submission in enumerate(members):
            bench.submit(submission, "ordered", group=name, sequence=at)

    with bench.aimed(faults):
        side_by_side(submit_group, list(groups.items()), GROUPS)
        bench.await_effects(bench.acknowledged(bench.submissions()))


ORDERED_GROUPS = Provocation(
    name="ordered-groups",
    provoke=_groups_in_order,
    requires=(order_promised, ORDER_KEPT, *REDELIVERY),
    aims=(Aimed(action="fail once", at=every_worker),),
    commands=lambda _: GROUPS * COMMANDS_PER_GROUP,
)
