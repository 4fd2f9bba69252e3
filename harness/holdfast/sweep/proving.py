"""Whether what a trace shows proves that a fault bit, and that nothing else did."""

from __future__ import annotations

from holdfast.provocations.tracing import Trace
from holdfast.sweep.kinds import Kind
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Callers, Point, visited


def unproven(schedule: Schedule, trace: Trace, callers: Callers) -> tuple[str, ...]:
    """The delays that ended before their caller gave up, and so have shown nothing, each with why.

    Args:
        schedule: the faults of a command.
        trace: what the command caused.
        callers: the callers of the stack.
    """
    told = []
    for fault in schedule.faults:
        if fault.kind is not Kind.DELAYED or fault.point.caller.type != "function":
            continue
        function = callers.physical(fault.point.caller)
        gave_up = any(one.failed for one in trace.invocations if one.function == function)
        if not gave_up and not _again(fault.point, trace, callers):
            told.append(f"{fault.point.name} was delayed, and its caller waited for it")
    return tuple(told)


def starved(schedule: Schedule, trace: Trace, callers: Callers) -> bool:
    """Whether a function ran out of time because the machine was busy, and not because a fault held its call.

    Args:
        schedule: the faults of a command.
        trace: what the command caused.
        callers: the callers of the stack.
    """
    held = {callers.physical(fault.point.caller) for fault in schedule.faults if fault.kind is Kind.DELAYED}
    return any(one.starved for one in trace.invocations if one.function not in held)


def _again(point: Point, trace: Trace, callers: Callers) -> bool:
    """Whether the caller made the call another time."""
    return any(
        one.nth > point.nth
        and (one.caller, one.service, one.operation) == (point.caller, point.service, point.operation)
        for one in visited(trace, callers).points
    )
