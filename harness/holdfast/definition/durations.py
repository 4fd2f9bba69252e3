"""How long an execution can take at worst."""

from __future__ import annotations

import math

from holdfast.definition.graph import Graph
from holdfast.definition.model import Flow, Kind, State


def longest_seconds(graph: Graph) -> float | None:
    """The longest that an execution can take by its timeouts, waits and retries; None when they do not bound it.

    A loop, a task without a timeout, a timeout known at run time only, and a Map, whose items are not known, bound
    nothing.
    """
    return _flow(graph.definition.flow)


def _flow(flow: Flow) -> float | None:
    states = {state.id: state for state in flow.states}
    longest: dict[str, float | None] = {}
    # depth first without recursion: a machine may have thousands of states in a row
    stack = [(flow.start, False)]
    on_way: set[str] = set()
    while stack:
        name, leaving = stack.pop()
        if leaving:
            on_way.discard(name)
            longest[name] = _total(states[name], longest)
        elif name in on_way:
            return None
        elif name not in longest:
            on_way.add(name)
            stack.append((name, True))
            stack += [(each, False) for each in _next(states[name]) if each not in longest]
    return longest[flow.start]


def _next(state: State) -> list[str]:
    following = [*state.choices, *(catcher.next for catcher in state.catchers)]
    return following if state.next is None else [*following, state.next]


def _total(state: State, longest: dict[str, float | None]) -> float | None:
    total = own = _own(state)
    for each in _next(state):
        after = longest[each]
        if own is None or after is None or total is None:
            return None
        total = max(total, own + after)
    return total


def _own(state: State) -> float | None:
    """How long a state takes at worst, its retries included."""
    if state.kind is Kind.WAIT:
        return state.wait_seconds
    if state.kind is Kind.MAP:
        return None
    if state.kind is Kind.TASK:
        once = state.work.timeout_seconds if state.work else None
    else:
        inner = [_flow(flow) for flow in state.flows]
        once = None if None in inner else max((each for each in inner if each is not None), default=0.0)
    if once is None:
        return None
    total = once
    for retrier in state.retriers:
        for attempt in range(min(retrier.maximum_attempts, 1000)):
            wait = _wait(retrier.interval_seconds, retrier.backoff_rate, attempt)
            total += once + min(wait, retrier.maximum_delay_seconds or math.inf)
    return total


def _wait(interval_seconds: float, backoff_rate: float, attempt: int) -> float:
    try:
        return interval_seconds * backoff_rate**attempt
    except OverflowError:
        return math.inf
