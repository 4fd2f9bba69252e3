"""What the sweep has to know of the callers of a stack, from how it is deployed."""

from __future__ import annotations

from holdfast.stack.configuration import Configuration
from holdfast.stack.definitions import Task, tasks_of
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
    computed: dict[tuple[str, str], str] = {}
    express: set[str] = set()
    for machine in configuration.machines:
        if machine.express:
            express.add(machine.component)
        for task in tasks_of(machine.definition):
            seconds, named = _waits(task)
            if seconds is not None:
                states[machine.component, task.name] = seconds
            elif named:
                computed[machine.component, task.name] = named
    once: set[tuple[str, str]] = set()
    if isinstance(pattern, SagaPattern) and pattern.state_machine is not None:
        once = {(pattern.state_machine, step.state) for step in pattern.steps if step.state and not step.idempotent}
    return Surroundings(
        timeout_seconds={one.component: float(one.timeout_seconds) for one in configuration.functions},
        visibility_seconds=visibility,
        state_seconds=states,
        computed=computed,
        express=frozenset(express),
        once=frozenset(once),
        enduring=frozenset(
            one.component
            for one in configuration.relays
            if one.retries is None and (one.event_age_seconds or HOUR_SECONDS) >= HOUR_SECONDS
        ),
    )


def _waits(task: Task) -> tuple[float | None, str]:
    """How long a state waits for its task; else what tells that only when it runs, empty where nothing does.

    A call that is held keeps the worker from its work, so no heartbeat comes either; only a task that waits for its
    token has heartbeats to miss (docs.aws.amazon.com/step-functions/latest/dg/state-task.html).
    """
    fields = ("TimeoutSeconds", "HeartbeatSeconds") if task.waits_for_callback else ("TimeoutSeconds",)
    told = {name: task.state[name] for field in fields for name in (field, f"{field}Path") if name in task.state}
    numbers = [float(value) for value in told.values() if isinstance(value, int | float)]
    named = [name for name, value in told.items() if isinstance(value, str)]
    return (min(numbers) if numbers else None), " and ".join(named)
