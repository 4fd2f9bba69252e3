"""The control-flow graph of a machine: who can follow whom, and where an error goes.

States are addressed by their ids. Flows (the machine, the branches of a Parallel, the items of a Map, a nested machine)
are numbered; each but the machine's own is owned by a state, its *composite*.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.definition.error_names import OTHER, TIMEOUT, TOLERANCE_EXCEEDED, catcher_of, named_errors
from holdfast.definition.model import Catcher, Definition, Flow, Kind, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a flow is: the composite that owns it (None for the machine's own), and its number among the branches."""

    composite: str | None
    branch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where an error ends up.

    Attributes:
        owner: the state whose catcher takes it; None when nobody does and the execution fails.
        catcher: that catcher.
        crossed: the composites that fail on the way, innermost first.
    """

    owner: str | None
    catcher: Catcher | None
    crossed: tuple[str, ...]

    @property
    def target(self) -> str | None:
        """The state it goes on at; None when the execution fails."""
        return self.catcher.next if self.catcher else None


@dataclass(slots=True)
class Graph:
    """A machine with the neighbours of each state at hand."""

    definition: Definition
    states: dict[str, State] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    _inside: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._add(self.definition.flow, Place(composite=None))

    def _add(self, flow: Flow, place: Place) -> None:
        for state in flow.states:
            self.states[state.id] = state
            self.places[state.id] = place
            for branch, inner in enumerate(state.flows):
                self._add(inner, Place(composite=state.id, branch=branch))

    def composites(self, state: str) -> Iterator[tuple[State, int]]:
        """The composites around a state, innermost first, each with the number of the branch it is in."""
        place = self.places[state]
        while place.composite is not None:
            yield self.states[place.composite], place.branch
            place = self.places[place.composite]

    def route(self, state: str, error: str) -> Route:
        """Where an error of a state goes: to a catcher of its own or of a composite around it, or nowhere."""
        current = self.states[state]
        crossed: list[str] = []
        while True:
            catcher = catcher_of(current, error)
            if catcher is not None:
                return Route(owner=current.id, catcher=catcher, crossed=tuple(crossed))
            place = self.places[current.id]
            if place.composite is None:
                return Route(owner=None, catcher=None, crossed=tuple(crossed))
            current = self.states[place.composite]
            crossed.append(current.id)
            error = error_outside(current, error)

    def tolerated(self, state: str, error: str) -> State | None:
        """The Map around a state that may pass over an error of it and go on; None when nothing does."""
        crossed = (self.states[each] for each in self.route(state, error).crossed)
        return next((each for each in crossed if each.tolerates_failures), None)

    def errors_of(self, state: str) -> tuple[str, ...]:
        """The errors to tell apart when a task fails: timeout, those named by catchers on the way out, and others."""
        names = list(named_errors(self.states[state]))
        for composite, _ in self.composites(state):
            names += named_errors(composite)
            if composite.work is not None:
                break
        return tuple(dict.fromkeys((TIMEOUT, *names, OTHER)))

    def following(self, state: str) -> tuple[str, ...]:
        """Where an execution can go from a state when no task fails, entering and leaving branches; Map may be skipped.

        A Fail inside a branch goes where the error of its composite is caught.
        """
        if state not in self._inside:
            self._inside[state] = tuple(dict.fromkeys(self._following(self.states[state])))
        return self._inside[state]

    def _following(self, state: State) -> Iterable[str]:
        if state.flows:
            yield from (flow.start for flow in state.flows)
        if not state.flows or state.kind is Kind.MAP:
            yield from self.after(state.id)

    def after(self, state: str) -> Iterable[str]:
        """Where an execution can go once a state, with all that is inside it, is done."""
        current = self.states[state]
        if current.kind is Kind.CHOICE:
            return current.choices
        if current.kind is Kind.FAIL:
            target = self.route(state, current.error or OTHER).target
            return () if target is None else (target,)
        if current.next is not None:
            return (current.next,)
        place = self.places[state]
        return () if place.composite is None else self.after(place.composite)

    def reachable(self, starts: Iterable[str], *, past: Callable[[str], bool] = lambda _: True) -> set[str]:
        """The states that can be reached along ``following``, the starts included.

        Args:
            starts: where to begin.
            past: whether to go on beyond a state.
        """
        seen: set[str] = set()
        waiting = deque(starts)
        while waiting:
            state = waiting.popleft()
            if state in seen:
                continue
            seen.add(state)
            if past(state):
                waiting.extend(self.following(state))
        return seen

    def forward_order(self) -> list[str]:
        """The states that can be reached when no task fails, each before those that follow it, loops aside."""
        start = self.definition.flow.start
        finished: list[str] = []
        seen = {start}
        # with its last neighbour visited first, the first one ends up in front
        waiting = [(start, iter(self.following(start)[::-1]))]
        while waiting:
            state, onward = waiting[-1]
            following = next(onward, None)
            if following is None:
                finished.append(state)
                waiting.pop()
            elif following not in seen:
                seen.add(following)
                waiting.append((following, iter(self.following(following)[::-1])))
        return finished[::-1]


def way_to(state: str, came_from: Mapping[str, str | None]) -> tuple[str, ...]:
    """The way that a search took to a state, which is included.

    Args:
        state: where it came to.
        came_from: the state before each that was visited; None for the first.
    """
    way: list[str] = []
    at: str | None = state
    while at is not None:
        way.append(at)
        at = came_from[at]
    return tuple(reversed(way))


def error_outside(composite: State, error: str) -> str:
    """The name that an error inside a composite has outside it.

    Of a nested machine every error, its timeouts too, is ``States.TaskFailed`` to the task that waits for it
    (docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html). A Map that tolerates failures fails by
    there being too many of them.
    """
    if composite.tolerates_failures:
        return TOLERANCE_EXCEEDED
    return OTHER if composite.work is not None else error


def fails_with(state: State) -> str:
    """The error of a Fail state."""
    return state.error or OTHER
