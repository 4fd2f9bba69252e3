"""Backward analysis: which compensations run on every way from a state to the end, when nothing more fails.

A must-analysis to its greatest fixpoint, along the ways that are open while every task succeeds; what a further failure
leaves behind is judged at that failure. All branches of a Parallel run, so their compensations add up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.definition.error_names import catcher_of
from holdfast.definition.graph import Graph, error_outside, fails_with
from holdfast.definition.model import Flow, Kind, State
from holdfast.definition.steps import SagaSteps

_NEVER = -1
"""All bits: what runs on every one of no ways at all."""

_DONE = ""
"""The outcome of a flow that ends well; any other outcome is the name of an error."""


@dataclass(slots=True)
class _Edge:
    """One way on: what runs on it, and the state it leads to, or the outcome that it ends the flow with."""

    runs: int
    target: str | None = None
    outcome: str = _DONE


@dataclass(slots=True)
class _Summary:
    """What runs on every way from a state, or from the start, to each outcome of its flow."""

    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    start: str = ""

    def runs(self, outcome: str) -> int:
        """What runs on every way through the flow to an outcome; ``_NEVER`` when there is none."""
        return self.outcomes.get(outcome, {}).get(self.start, _NEVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """One way on from a state, across the borders of flows.

    Attributes:
        target: the next state; None when the execution ends.
        runs: the steps whose compensations run on the way: those of the state itself, of all that is inside it, and
            of the branches that end with it.
    """

    target: str | None
    runs: frozenset[str]


class Compensations:
    """The compensations of a machine: which run from where."""

    def __init__(self, graph: Graph, steps: SagaSteps, of_items: frozenset[str]) -> None:
        self._graph = graph
        self._names = [step.name for step in steps.steps]
        self._undoes: dict[str, int] = {}
        for at, step in enumerate(steps.steps):
            for state in step.compensations:
                self._undoes[state] = self._undoes.get(state, 0) | 1 << at
        self._all = (1 << len(self._names)) - 1
        self._of_items = sum(1 << at for at, name in enumerate(self._names) if name in of_items)
        self._summaries: dict[int, _Summary] = {}
        self._from: dict[str, int] = {}
        self._place(graph.definition.flow, {})

    def must_run(self, state: str | None) -> frozenset[str]:
        """The steps that are undone on every way from a state to the end; none from nowhere."""
        return frozenset() if state is None else self._named(self._from[state] & self._all)

    def may_run(self, state: str | None) -> frozenset[str]:
        """The steps that are undone on some way from a state, or in a branch beside it."""
        if state is None:
            return frozenset()
        starts = [state]
        for composite, branch in self._graph.composites(state):
            starts += [flow.start for at, flow in enumerate(composite.flows) if at != branch]
        found = 0
        for each in self._graph.reachable(starts):
            found |= self._undoes.get(each, 0)
        return self._named(found)

    def onward(self, state: str) -> tuple[Onward, ...]:
        """Every way on from a state while nothing fails; a composite is passed in one go, with what runs inside it."""
        return tuple(
            self._onward(state, edge) for edge in self._edges(self._graph.states[state]) if edge.runs != _NEVER
        )

    def _onward(self, state: str, edge: _Edge) -> Onward:
        runs, target, outcome = edge.runs, edge.target, edge.outcome
        here = state
        while target is None:
            place = self._graph.places[here]
            if place.composite is None:
                return Onward(target=None, runs=self._named(runs))
            composite = self._graph.states[place.composite]
            if outcome == _DONE:
                if composite.kind is not Kind.MAP:
                    for at, flow in enumerate(composite.flows):
                        sibling = self._summary(flow).runs(_DONE)
                        runs |= 0 if at == place.branch or sibling == _NEVER else sibling
                runs |= self._undoes.get(composite.id, 0)
                target = composite.next
            else:
                outcome = error_outside(composite, outcome)
                catcher = catcher_of(composite, outcome)
                target = catcher.next if catcher else None
            here = composite.id
        return Onward(target=target, runs=self._named(runs))

    def _named(self, mask: int) -> frozenset[str]:
        return frozenset(name for at, name in enumerate(self._names) if mask >> at & 1)

    def _place(self, flow: Flow, beyond: dict[str, int]) -> None:
        """Fill in what must run, from the outside in.

        Args:
            flow: where.
            beyond: what runs on every way from each outcome of the flow on; nothing where none is given.
        """
        summary = self._summary(flow)
        for state in flow.states:
            must = _NEVER
            for outcome, by_state in summary.outcomes.items():
                if by_state[state.id] != _NEVER:
                    must &= by_state[state.id] | beyond.get(outcome, 0)
            self._from[state.id] = must
        for state in flow.states:
            if state.flows:
                self._place_inside(state, beyond)

    def _place_inside(self, composite: State, beyond: dict[str, int]) -> None:
        following = beyond.get(_DONE, 0) if composite.next is None else self._from[composite.next]
        following |= self._undoes.get(composite.id, 0)
        for branch, flow in enumerate(composite.flows):
            after = {_DONE: following}
            if composite.kind is not Kind.MAP:
                for at, other in enumerate(composite.flows):
                    after[_DONE] |= self._summary(other).runs(_DONE) if at != branch else 0
            for outcome in self._summary(flow).outcomes:
                if outcome != _DONE:
                    error = error_outside(composite, outcome)
                    catcher = catcher_of(composite, error)
                    after[outcome] = self._from[catcher.next] if catcher else beyond.get(error, 0)
            self._place(flow, after)

    def _summary(self, flow: Flow) -> _Summary:
        key = id(flow)
        if key not in self._summaries:
            edges = {state.id: tuple(self._edges(state)) for state in flow.states}
            outcomes = {edge.outcome for each in edges.values() for edge in each if edge.target is None}
            self._summaries[key] = _Summary(
                outcomes={outcome: _greatest(edges, outcome) for outcome in sorted(outcomes)}, start=flow.start
            )
        return self._summaries[key]

    def _edges(self, state: State) -> Iterable[_Edge]:
        if state.kind is Kind.FAIL:
            yield _Edge(0, outcome=fails_with(state))
            return
        if state.kind is Kind.CHOICE:
            yield from (_Edge(0, target=target) for target in state.choices)
            return
        runs = self._undoes.get(state.id, 0)
        for flow in state.flows:
            inside = self._summary(flow).runs(_DONE)
            if state.kind is Kind.MAP:
                inside &= self._of_items
            runs |= inside
        yield _Edge(runs, target=state.next)
        for flow in state.flows:
            for outcome in self._summary(flow).outcomes:
                inside = self._summary(flow).runs(outcome)
                if outcome == _DONE or inside == _NEVER:
                    continue
                error = error_outside(state, outcome)
                catcher = catcher_of(state, error)
                yield _Edge(inside, target=catcher.next) if catcher else _Edge(inside, outcome=error)


def _greatest(edges: dict[str, tuple[_Edge, ...]], outcome: str) -> dict[str, int]:
    """What runs on every way from each state to an outcome, as the greatest fixpoint."""
    values = dict.fromkeys(edges, _NEVER)
    changed = True
    while changed:
        changed = False
        # most ways lead down the text: from the last state up, one round settles them
        for state, onward in reversed(edges.items()):
            value = _NEVER
            for edge in onward:
                if edge.target is not None:
                    value &= edge.runs | values[edge.target]
                elif edge.outcome == outcome:
                    value &= edge.runs
            if value != values[state]:
                values[state] = value
                changed = True
    return values
