"""What clauses need of a descriptor or a target, beside what their provocations need."""

from __future__ import annotations

from holdfast.provocations.requirements import Situation, Supported
from holdfast.targets.base import Capability
from holdfast_suites.judging import shows

UNCHANGED_BODIES = Supported(Capability.BODY_UNCHANGED, "bodies are altered by the target itself")


def effect_shown(situation: Situation) -> str:
    """The effect must show something of the original."""
    effect = situation.pattern.effect
    if shows(situation, effect) is not None:
        return ""
    return f"the effect {effect} shows neither value nor body, so nothing can be compared"


def outbox_named(situation: Situation) -> str:
    """The descriptor must name the row and the message of an outbox."""
    if situation.pattern.row is not None and situation.pattern.message is not None:
        return ""
    return "the descriptor names no outbox (row, message); waive SF-6 where there is none"


def limit_declared(situation: Situation) -> str:
    """The descriptor must declare how many workers may run at once."""
    if situation.stack.descriptor.bounds.worker_concurrency is not None:
        return ""
    return "the descriptor declares no bounds.worker_concurrency; waive SF-8 where there is none"


def strong_reads_promised(situation: Situation) -> str:
    """The descriptor must promise strong reads, and name the port to read."""
    if situation.pattern.strong_reads and situation.pattern.read is not None:
        return ""
    return "the descriptor promises no strong reads (strong_reads, read); waive ES-10 with the reason"


def status_named(situation: Situation) -> str:
    """The descriptor must name a status that can be asked for."""
    if situation.pattern.status is not None:
        return ""
    return "the descriptor names no status port; waive ES-12 if there is no status to ask for"


def stored_object_named(situation: Situation) -> str:
    """The descriptor must name the object that a request is stored as."""
    port = situation.pattern.stored
    sources = situation.stack.descriptor.effects[port].sources if port is not None else []
    if any(source.kind == "s3-object" for source in sources):
        return ""
    return "the descriptor names no stored object (stored); waive ES-13 where no file is uploaded"


def queue_polled(situation: Situation) -> str:
    """A queue must feed a worker."""
    configuration = situation.configuration
    if any(configuration.queue(one.source_arn) for function in situation.workers() for one in function.mappings):
        return ""
    return "no worker is fed by a queue, so there is no such configuration; waive ES-14"


def hop_named(situation: Situation) -> str:
    """There must be a hop whose configuration can be read."""
    configuration = situation.configuration
    if configuration.queues or configuration.functions or configuration.relays:
        return ""
    return "the descriptor names no queue, function, rule or topic that could be read"


def function_named(situation: Situation) -> str:
    """There must be a function whose configuration can be read."""
    if situation.configuration.functions:
        return ""
    return "the descriptor names no function whose configuration could be read"


LIMIT_DEPLOYED = Supported(
    Capability.TEMPLATE_LIMITS,
    "the declared limit of workers cannot be looked up",
    lambda situation: not limit_declared(situation),
)
