"""What a thousand commands ask of the services: invocations, repeated ones, requests and state transitions. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from holdfast.history.executions import Execution
from holdfast.targets.base import TracedCall, TracedInvocation

THOUSAND = 1_000


def per_thousand(
    keys: Collection[str],
    *,
    invocations: Callable[[str], Sequence[TracedInvocation]],
    calls: Callable[[str], Sequence[TracedCall]],
    executions: Iterable[Execution] = (),
) -> dict[str, float]:
    """Counts for a thousand commands, by name; none where the trace does not tell of every command.

    An invocation that handled several of the commands, and a request that carried several, count once. Requests are
    those that functions and services made for the commands; the client's own are not among them.

    Args:
        keys: of the commands.
        invocations: the traced invocations whose event contains a key.
        calls: the traced calls of such invocations, and others that carried the key.
        executions: of the commands, with their histories.
    """
    handled: dict[str, TracedInvocation] = {}
    made: dict[int, TracedCall] = {}
    repeated = 0
    for key in keys:
        own = [one for one in invocations(key) if not one.by_service]
        told = [call for call in calls(key) if call.function]
        if not own and not told:
            return {}
        handled |= {one.request_id: one for one in own}
        made |= {call.order: call for call in told}
        repeated += sum(number - 1 for number in Counter(one.function for one in own).values())
    if not keys:
        return {}
    counts = {
        "invocations_per_thousand": len(handled),
        "retries_per_thousand": repeated,
        **{
            f"requests_per_thousand:{call}": number
            for call, number in sorted(Counter(f"{one.service}:{one.operation}" for one in made.values()).items())
        },
    }
    # a visit is a transition, and so is every further attempt at its task: docs.aws.amazon.com/step-functions, pricing
    transitions = sum(
        1 + max(0, len(visit.attempts) - 1) for one in executions if one.key in keys for visit in one.visits
    )
    if transitions:
        counts["transitions_per_thousand"] = transitions
    return {name: number * THOUSAND / len(keys) for name, number in counts.items()}
