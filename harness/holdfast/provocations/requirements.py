"""What a provocation or a clause needs of a stack and its target, said once: as a reason, or nothing.

A requirement is a pure function of a `Situation`. The campaign asks it before it provokes anything, and
``holdfast doctor`` asks the same one without provoking anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holdfast.stack.configuration import Configuration, FunctionConfiguration
from holdfast.stack.deliveries import not_waited_for
from holdfast.stack.patterns import Pattern
from holdfast.stack.resolve import Stack
from holdfast.targets.base import Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A stack as it is deployed, and the pattern under test.

    Attributes:
        stack: the resolved stack.
        pattern: the pattern under test.
        configuration: how the stack's queues and functions are deployed.
    """

    stack: Stack
    pattern: Pattern
    configuration: Configuration

    def workers(self) -> tuple[FunctionConfiguration, ...]:
        """The workers' configuration."""
        found = (self.configuration.function(worker) for worker in self.pattern.workers)
        return tuple(function for function in found if function is not None)


Requirement = Callable[[Situation], str]
"""Why something cannot be done in a situation, one sentence; empty when it can."""


def unmet(requirements: Iterable[Requirement], situation: Situation) -> tuple[str, ...]:
    """The reasons of all requirements that are not met, each once."""
    reasons = (requirement(situation) for requirement in requirements)
    return tuple(dict.fromkeys(reason for reason in reasons if reason))


def _always(_: Situation) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Supported:
    """The target must have a capability; a requirement.

    Attributes:
        capability: which.
        otherwise: what cannot be done without it.
        when: whether it matters for this stack.
    """

    capability: Capability
    otherwise: str
    when: Callable[[Situation], bool] = _always

    def __call__(self, situation: Situation) -> str:
        """Why not; empty when the target has it, or it does not matter."""
        if not self.when(situation):
            return ""
        support = situation.stack.target.supports(self.capability)
        return (
            ""
            if support.supported
            else f"{self.otherwise} on the {situation.stack.target.kind} target: {support.reason}"
        )


# -- what the descriptor must say --------------------------------------------------------------------------------------


def workers_named(situation: Situation) -> str:
    """The descriptor must name the functions that process what was stored."""
    return "" if situation.pattern.workers else "the descriptor names no workers for this pattern"


def functions_named(situation: Situation) -> str:
    """The descriptor must name functions that handle a request."""
    named = [*situation.pattern.ingest, *situation.pattern.workers]
    return "" if named else "the descriptor names no functions (ingest, workers) for this pattern"


def dead_letters_named(situation: Situation) -> str:
    """The descriptor must say where dead letters are."""
    named = situation.pattern.dead_letters
    return "" if named is not None else "the descriptor names no dead_letters port for this pattern"


def dead_letters_redrivable(situation: Situation) -> str:
    """Dead letters must lie in a queue: S3 has no redrive."""
    name = situation.pattern.dead_letters
    if name is None or situation.stack.descriptor.dead_letters[name].queue is not None:
        return ""
    return f"dead_letters {name}: objects in a bucket cannot be redriven"


def key_placed(situation: Situation) -> str:
    """The descriptor must say where the idempotency key travels."""
    command = situation.stack.descriptor.commands[situation.pattern.command]
    if command.idempotency is not None:
        return ""
    return "the descriptor does not say where the idempotency key travels (idempotency = ...)"


def order_promised(situation: Situation) -> str:
    """The descriptor must promise an order."""
    return "" if situation.pattern.order is not None else "the descriptor promises no order (order = { group = ... })"


def impossible_named(situation: Situation) -> str:
    """The descriptor must name a request that is accepted and can never succeed."""
    if situation.stack.descriptor.impossible:
        return ""
    return "the descriptor names no impossible input (a request that is accepted and can never succeed)"


def store_named(situation: Situation) -> str:
    """The descriptor must say which role stores requests where."""
    if situation.pattern.store is not None and situation.pattern.storage_roles:
        return ""
    return "the descriptor does not say which role stores requests where (store, storage_roles)"


def original_seen(situation: Situation) -> str:
    """The stored original must be visible: through a port, or by peeking into the queue that stores it."""
    pattern, stack = situation.pattern, situation.stack
    if pattern.stored is not None:
        return ""
    if pattern.store is None:
        return "the descriptor names neither the store nor a port that shows the stored original"
    if stack.resource(pattern.store).type != "queue":
        return f"name the port that shows the stored original (stored = ...): store:{pattern.store} is no queue"
    return Supported(Capability.QUEUE_PEEK, f"the originals in {pattern.store} cannot be looked at")(situation)


# -- what the target must have ---------------------------------------------------------------------------------------


def interceptor_there(situation: Situation) -> str:
    """The target must have an interceptor."""
    target = situation.stack.target
    if target.interceptor is not None:
        return ""
    hint = " (--intercept puts one in front)" if target.kind == "localstack" else ""
    return f"the {target.kind} target has no interceptor, so no fault can be aimed at one command{hint}"


def calls_alone(situation: Situation) -> bool:
    """Whether the target's interceptor sees the calls of functions, but not their invocations: a reverse proxy."""
    target = situation.stack.target
    return target.supports(Capability.CALL_FAULTS).supported and not (
        target.supports(Capability.INVOCATION_FAULTS).supported
    )


def invocations_seen(situation: Situation) -> str:
    """The target must have an interceptor that sees invocations."""
    missing = interceptor_there(situation)
    if missing or not calls_alone(situation):
        return missing
    return f"the interceptor of the {situation.stack.target.kind} target sees calls, not invocations"


INVOCATION_FAULTS = Supported(Capability.INVOCATION_FAULTS, "no fault can be aimed at the invocations of one command")
CALL_FAULTS = Supported(Capability.CALL_FAULTS, "no fault can be aimed at one AWS call of one command")
INVOCATION_OR_CALL_FAULTS = Supported(
    INVOCATION_FAULTS.capability, INVOCATION_FAULTS.otherwise, lambda situation: not calls_alone(situation)
)
"""For what can be done at the calls of functions as well as at their invocations."""


def failing_alone(situation: Situation) -> str:
    """A delivery that fails at one of its calls must not take the others of its batch along."""
    for function in situation.workers():
        for mapping in function.mappings:
            if mapping.batch_size > 1 and "ReportBatchItemFailures" not in mapping.response_types:
                return (
                    f"{function.component} is given batches and reports no single failures, so a fault at the calls of"
                    " one request would befall its neighbours"
                )
    return ""


def redeliveries_in_time(situation: Situation) -> str:
    """Redeliveries must come within the declared time."""
    bounds = situation.stack.descriptor.bounds
    return not_waited_for(situation.configuration, situation.pattern.workers, bounds)


def _partial_batches(situation: Situation) -> bool:
    mappings = (mapping for function in situation.workers() for mapping in function.mappings)
    return any("ReportBatchItemFailures" in mapping.response_types for mapping in mappings)


def _streams(situation: Situation) -> bool:
    sources = (mapping.source_arn for function in situation.workers() for mapping in function.mappings)
    return any("/stream/" in source for source in sources)


def _asynchronous(situation: Situation) -> bool:
    return any(function.asynchronous_callers and not function.mappings for function in situation.workers())


def _relays_with_dead_letters(situation: Situation) -> bool:
    configuration = situation.configuration
    rules = {name for name, one in situation.stack.descriptor.components.items() if one.type == "rule"}
    return any(relay.dead_letter_arn for relay in configuration.relays if relay.component in rules)


def _fifo(situation: Situation) -> bool:
    sources = (mapping.source_arn for function in situation.workers() for mapping in function.mappings)
    return any(source.endswith(".fifo") for source in sources)


REDELIVERY: tuple[Requirement, ...] = (
    Supported(Capability.SQS_PARTIAL_BATCH, "a batch that failed in part is not delivered again", _partial_batches),
    Supported(Capability.STREAM_RETRIES, "a failing record of a stream is not retried", _streams),
    Supported(Capability.ASYNC_RETRIES, "a failing asynchronous invocation is not retried", _asynchronous),
    Supported(Capability.RULE_DEAD_LETTERS, "what a rule's target refuses is lost", _relays_with_dead_letters),
)
"""What redelivers to the workers of a stack, as far as the stack has it."""

ORDER_KEPT = Supported(Capability.FIFO_ORDER, "a FIFO queue keeps no order", _fifo)
STREAM_DETACHED = Supported(
    Capability.STREAM_MAPPING_DISABLE, "the stream mapping of a worker cannot be switched off", _streams
)
