"""How full the queues of a stack are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.stack.resolve import Stack

if TYPE_CHECKING:
    from holdfast.provocations.bench import Bench

_WAITING = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def queue_depth(stack: Stack) -> int:
    """Messages waiting or in flight in all queues of the descriptor that are no dead-letter store."""
    sqs = stack.target.client("sqs")
    dead = {port.queue for port in stack.descriptor.dead_letters.values()}
    total = 0
    for name, component in stack.descriptor.components.items():
        if component.type == "queue" and name not in dead:
            answer = sqs.get_queue_attributes(QueueUrl=stack.resource(name).url, AttributeNames=list(_WAITING))
            total += sum(int(answer["Attributes"].get(attribute, 0)) for attribute in _WAITING)
    return total


def other_dead_letters(bench: Bench) -> tuple[str, ...]:
    """Keys of dead letters that this run did not ask for."""
    if bench.pattern.dead_letters is None:
        return ()
    letters = bench.ports.dead_letters(bench.pattern.dead_letters)
    return tuple(letter.key for letter in letters if not letter.key.startswith(bench.prefix))
