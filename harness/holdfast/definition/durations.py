"""How long an execution can take at worst."""

from __future__ import annotations

import math
from collections.abc import Container

from holdfast.definition.model import Flow, Kind, State


def longest_seconds(flow: Flow, *, until: Container[str] | None = None) -> float | None:
    """The longest that a flow can take by its timeouts, waits and retries; None when they do not bound it.

    A loop, a task without a timeout, a timeout known at run time only, and a Map, whose items are not known, bound
    nothing.

    Args:
        flow: a machine's, or one inside it.
        until: ids of states; a way counts up to the last of them only. All of it when not given.
    """
    states = {state.id: state for state in flow.states}
    if until is not None:
        states = _leading_to(states, until)
        if flow.start not in states:
            return 0.0
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
            stack += [(each, False) for each in _next(states[name]) if each in states and each not in longest]
    return longest[flow.start]


def _leading_to(states: dict[str, State], until: Container[str]) -> dict[str, State]:
    """The states from which one of others can be reached, these included."""
    before: dict[str, list[str]] = {name: [] for name in states}
    for name, state in states.items():
        for each in _next(state):
            before[each].append(name)
    waiting = [
        name
        for name, state in states.items()
        if name in until or any(each.id in until for flow in state.flows for each in flow.walk())
    ]
    kept: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting += before[name]
    return {name: state for name, state in states.items() if name in kept}


def _next(state: State) -> list[str]:
    following = [*state.choices, *(catcher.next for catcher in state.catchers)]
    return following if state.next is None else [*following, state.next]


def _total(state: State, longest: dict[str, float | None]) -> float | None:
    total = own = _own(state)
    for each in _next(state):
        after = longest.get(each, 0.0)
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
        inner = [longest_seconds(flow) for flow in state.flows]
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
