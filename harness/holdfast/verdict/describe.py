"""Findings as plain text that a person reads: the sentence, then one line per event of the witness, in time order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from holdfast.history.model import FaultWindow, Observation, Operation
from holdfast.verdict.model import Finding

Event = Operation | Observation | FaultWindow

VALUE_CHARACTERS = 60
"""Longest value shown whole; a longer one loses its middle."""

VALUES_SHOWN = 4
"""Values of one observation that are shown; how many more there are is said."""


_VEILS: list[Callable[[str], str]] = []


@contextmanager
def veiled(clean: Callable[[str], str]) -> Iterator[None]:
    """Have secrets taken out of every text, on any thread, before a part of it is shown: lest half of one stays.

    Checkers judge what was sent and seen as it is; only the excerpts that they show are without secrets.

    Args:
        clean: removes secrets from a text.
    """
    _VEILS.append(clean)
    try:
        yield
    finally:
        _VEILS.remove(clean)


def shown(text: str) -> str:
    """A text as a part of it may be shown."""
    for clean in tuple(_VEILS):
        text = clean(text)
    return text


def shorten(text: str, limit: int = VALUE_CHARACTERS) -> str:
    """The text in quotes on one line, control and non-ASCII characters escaped, cut in its middle when it is long.

    Args:
        text: any text.
        limit: longest text in characters, before escaping, that is shown whole.
    """
    text = shown(text)
    if len(text) <= limit:
        return ascii(text)
    head, tail = text[: limit // 2], text[limit // 2 - limit :]
    return f"{head!a}...{tail!a} ({len(text)} characters)"


def times(count: int) -> str:
    """A count in words: ``0 times``, ``1 time``, ``2 times``."""
    return "1 time" if count == 1 else f"{count} times"


def moment(seconds: float) -> str:
    """A point in time of the run, e.g. ``t=+1.204s``."""
    return f"t={seconds:+.3f}s"


def began_seconds(event: Event) -> float:
    """When an event began, seconds since the start of the run."""
    return event.invoked_seconds if isinstance(event, Operation) else event.started_seconds


def span_seconds(finding: Finding) -> tuple[float, float] | None:
    """From the first event of a finding's witness to the end of its last; None where it has no events."""
    if not finding.witness:
        return None
    return min(map(began_seconds, finding.witness)), max(map(_ended_seconds, finding.witness))


def in_time_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Events by the time they began; those of one moment keep their order."""
    return tuple(sorted(events, key=began_seconds))


def event_line(event: Event) -> str:
    """One event on one line."""
    if isinstance(event, Operation):
        return _operation(event)
    if isinstance(event, Observation):
        return _observation(event)
    return _window(event)


def describe(finding: Finding) -> tuple[str, ...]:
    """A finding as lines: title and sentence, then its witness in time order, indented."""
    return (
        f"{finding.title}: {finding.sentence}",
        *(f"  {event_line(event)}" for event in in_time_order(finding.witness)),
    )


def _ended_seconds(event: Event) -> float:
    if isinstance(event, FaultWindow):
        return event.ended_seconds
    return event.invoked_seconds if event.completed_seconds is None else event.completed_seconds


def _operation(operation: Operation) -> str:
    latency_seconds = operation.latency_seconds
    answered = "no answer" if latency_seconds is None else f"{latency_seconds * 1000:.0f} ms"
    status = f" {operation.status}" if operation.status else ""
    role = f" as {operation.role}" if operation.role else ""
    place = f", group {operation.group} #{operation.sequence}" if operation.group else ""
    value = "" if operation.value is None else f", value {shorten(operation.value)}"
    return (
        f"{moment(operation.invoked_seconds)}  submitted {operation.command} key={operation.key}{role}"
        f" -> {operation.outcome}{status} ({answered}){place}{value}"
    )


def _observation(observation: Observation) -> str:
    details = ""
    if observation.state:
        details += f", state {shorten(observation.state)}"
    details += _listed("values", observation.values) + _listed("bodies", observation.bodies)
    details += _listed("positions", observation.orders)
    if not observation.complete:
        details += ", incomplete read"
    return (
        f"{moment(observation.started_seconds)}  effect '{observation.port}' of {observation.key}: "
        f"{times(observation.count)}{details}"
    )


def _listed(name: str, values: tuple[str, ...]) -> str:
    if not values:
        return ""
    shown = ", ".join(shorten(value) for value in values[:VALUES_SHOWN])
    more = f" and {len(values) - VALUES_SHOWN} more" if len(values) > VALUES_SHOWN else ""
    return f", {name} {shown}{more}"


def _window(window: FaultWindow) -> str:
    aimed = f" for key {window.key}" if window.key else ""
    hits = f", hit {times(window.hits)}" if window.hits else ""
    proof = window.proof or "unproven"
    return (
        f"{moment(window.started_seconds)}  fault window {window.lever} on {window.component}{aimed} "
        f"{window.started_seconds:.1f}s..{window.ended_seconds:.1f}s{hits}: {proof}"
    )
