"""What the sweep has to know of the callers of a stack, from how it is deployed."""

from __future__ import annotations

from holdfast.stack.configuration import Configuration
from holdfast.stack.definitions import tasks_of
from holdfast.stack.patterns import Pattern, SagaPattern
from holdfast.sweep.kinds import Surroundings
from holdfast.sweep.points import Caller, Callers

HOUR_SECONDS = 3600
"""What is tried again for longer than this, with no limit of tries, is given up in no sweep."""


def surroundings(configuration: Configuration, pattern: Pattern, callers: Callers) -> Surroundings:
    """What is known of a stack's callers, from its configuration."""
    visibility: dict[Caller, float] = {}
    for function in configuration.functions:
        for mapping in function.mappings:
            queue = configuration.queue(mapping.source_arn)
            if queue is not None:
                visibility[callers.by_name[mapping.uuid]] = float(queue.visibility_seconds)
    states: dict[tuple[str, str], float] = {}
    express: set[str] = set()
    for machine in configuration.machines:
        if machine.express:
            express.add(machine.component)
        for task in tasks_of(machine.definition):
            seconds = task.state.get("TimeoutSeconds")
            if isinstance(seconds, int | float):
                states[machine.component, task.name] = float(seconds)
    once: set[tuple[str, str]] = set()
    if isinstance(pattern, SagaPattern) and pattern.state_machine is not None:
        once = {(pattern.state_machine, step.state) for step in pattern.steps if step.state and not step.idempotent}
    return Surroundings(
        timeout_seconds={one.component: float(one.timeout_seconds) for one in configuration.functions},
        visibility_seconds=visibility,
        state_seconds=states,
        express=frozenset(express),
        once=frozenset(once),
        enduring=frozenset(
            one.component
            for one in configuration.relays
            if one.retries is None and (one.event_age_seconds or HOUR_SECONDS) >= HOUR_SECONDS
        ),
    )
