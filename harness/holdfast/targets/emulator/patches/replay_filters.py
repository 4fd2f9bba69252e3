"""A replay goes to the rules that its destination names, and to no other rule of the bus.

"FilterArns: A list of ARNs for rules to replay events to."
https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_ReplayDestination.html. MiniStack sends replayed events
to every rule that they match.
"""

from __future__ import annotations

from typing import Any

from ministack.services import eventbridge

from holdfast.targets.emulator.known import require


def apply() -> None:
    """Stop what is not asked for before it reaches a target; after ``rule_targets``, which replaced the delivery."""
    require(eventbridge._start_replay, "1ea7cca397a7", "eventbridge._start_replay")
    invoke = eventbridge._invoke_target

    def invoke_target(target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        if _asked_for(event, rule):
            invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_target


def _asked_for(event: dict[str, Any], rule: dict[str, Any]) -> bool:
    """Whether an event is live, or its replay names this rule, or no rule, or the rule is on a bus further on."""
    replay = eventbridge._replays.get(event.get("ReplayName") or "")
    if replay is None:
        return True
    destination = replay["Destination"]
    named = destination.get("FilterArns") or []
    here = destination["Arn"].rpartition("event-bus/")[2] == rule.get("EventBusName", "default")
    return not named or not here or rule["Arn"] in named
