"""Forward analysis: which steps may be in effect, not undone, when an execution comes to a state.

A may-analysis over the control-flow graph to its least fixpoint (Kildall 1973; Nielson, Nielson and Hankin, *Principles
of Program Analysis*, 2.1). Facts are independent of each other, so a flow is analysed twice, once entered with nothing
and once with everything in effect: what it makes of any other set follows bit by bit. Branches of a Parallel, and the
items of a Map, run side by side: whatever another of them may have in effect at any moment may be so when one fails.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.definition.error_names import NO_CHOICE_MATCHED, catcher_of, is_ambiguous, retrier_of
from holdfast.definition.graph import Graph, error_outside, fails_with
from holdfast.definition.model import Flow, Kind, State
from holdfast.definition.steps import SagaSteps


@dataclass(slots=True)
class _Summary:
    """What a flow makes of the facts it is entered with.

    Attributes:
        entries: facts on entry, by state; states that cannot be reached are missing.
        done: facts when the flow ends well; None when it cannot.
        escapes: facts when it ends with an error, by error.
        ever: facts that may hold at some moment.
    """

    entries: dict[str, int] = field(default_factory=dict)
    done: int | None = None
    escapes: dict[str, int] = field(default_factory=dict)
    ever: int = 0


@dataclass(slots=True)
class _Outcome:
    """One way on from a state: to one of the same flow, out of the flow by ``error``, or, with neither, to its end."""

    facts: int
    target: str | None = None
    error: str | None = None


class Effects:
    """The facts of a machine: which steps may be in effect on entry to a state, and on its failure.

    Bit i stands for step i being in effect and not undone, the bit after the last step for the pivot being passed.
    """

    def __init__(self, graph: Graph, steps: SagaSteps, *, giving_up: bool = False) -> None:
        """See the class.

        Args:
            graph: the machine.
            steps: what its states do.
            giving_up: whether a compensation that fails for good is the end of what has to be undone: from there on
                the saga can only be handed to somebody.
        """
        self._graph = graph
        self._giving_up = giving_up
        self._names = [step.name for step in steps.steps]
        self._index = {name: at for at, name in enumerate(self._names)}
        self._committed = 1 << len(self._names)
        self._all = (self._committed << 1) - 1
        self._does = {state: 1 << self._index[step.name] for state, step in steps.by_state.items()}
        self._undoes: dict[str, int] = {}
        for step in steps.steps:
            for state in step.compensations:
                self._undoes[state] = self._undoes.get(state, 0) | 1 << self._index[step.name]
        self._pivot = 0 if steps.pivot is None else 1 << self._index[steps.pivot]
        in_maps = {
            state
            for state in graph.states
            if any(composite.kind is Kind.MAP for composite, _ in graph.composites(state))
        }
        self._of_items = self._mask(state for state in in_maps if state in self._does)
        self._summaries: dict[int, tuple[_Summary, _Summary]] = {}
        self._entries: dict[str, int] = {}
        self._beside: dict[str, int] = {}
        self._place(graph.definition.flow, 0, 0)

    def reached(self, state: str) -> bool:
        """Whether an execution can come to a state."""
        return state in self._entries

    def on_entry(self, state: str) -> frozenset[str]:
        """The steps that may be in effect when an execution comes to a state."""
        return self._named(self._entries.get(state, 0))

    def on_failure(self, state: str, *, ambiguous: bool) -> frozenset[str]:
        """The steps that may be in effect when a state fails.

        Args:
            state: a state that can be reached.
            ambiguous: whether the error leaves it open that the state's own effect took place.
        """
        facts = self._entries.get(state, 0)
        if ambiguous:
            facts |= self._does.get(state, 0) | self._inside(self._graph.states[state])
        return self._named(facts)

    def passed_pivot(self, state: str) -> bool:
        """Whether an execution may have passed the pivot when it comes to a state."""
        return bool(self._entries.get(state, 0) & ~self._beside.get(state, 0) & self._committed)

    def beside(self, state: str) -> frozenset[str]:
        """Of the steps that may be in effect on entry, those that are so only by what runs side by side."""
        return self._named(self._beside.get(state, 0))

    @property
    def of_items(self) -> frozenset[str]:
        """The steps that are done for each item of a Map."""
        return self._named(self._of_items)

    def _mask(self, states: Iterable[str]) -> int:
        mask = 0
        for state in states:
            mask |= self._does[state]
        return mask

    def _named(self, facts: int) -> frozenset[str]:
        return frozenset(name for at, name in enumerate(self._names) if facts >> at & 1)

    def _place(self, flow: Flow, facts: int, beside: int) -> None:
        """Fill in the facts on entry, from the outside in.

        Args:
            flow: where.
            facts: facts on entry to the flow.
            beside: what may be in effect of what runs side by side with it.
        """
        nothing, everything = self._summary(flow)
        for state in flow.states:
            if state.id not in nothing.entries:
                continue
            on_entry = nothing.entries[state.id] | (facts & everything.entries[state.id])
            self._entries[state.id] = on_entry | beside
            self._beside[state.id] = beside & ~on_entry
            for branch, inner in enumerate(state.flows):
                self._place(inner, on_entry, beside | self._siblings(state, branch))

    def _siblings(self, composite: State, branch: int) -> int:
        """What may be in effect of the other branches, or of the other items."""
        ever = 0
        for other, flow in enumerate(composite.flows):
            if other != branch or composite.kind is Kind.MAP:
                ever |= self._summary(flow)[0].ever
        return ever

    def _inside(self, state: State) -> int:
        ever = 0
        for flow in state.flows:
            ever |= self._summary(flow)[0].ever
        return ever

    def _summary(self, flow: Flow) -> tuple[_Summary, _Summary]:
        key = id(flow)
        if key not in self._summaries:
            self._summaries[key] = (self._analysed(flow, 0), self._analysed(flow, self._all))
        return self._summaries[key]

    def _analysed(self, flow: Flow, facts: int) -> _Summary:
        summary = _Summary(entries={flow.start: facts})
        by_id = {state.id: state for state in flow.states}
        waiting = deque([flow.start])
        while waiting:
            state = by_id[waiting.popleft()]
            on_entry = summary.entries[state.id]
            summary.ever |= on_entry | self._inside(state)
            for outcome in self._outcomes(state, on_entry):
                summary.ever |= outcome.facts
                if outcome.target is not None:
                    known = summary.entries.get(outcome.target)
                    if known is None or outcome.facts | known != known:
                        summary.entries[outcome.target] = outcome.facts | (known or 0)
                        waiting.append(outcome.target)
                elif outcome.error is not None:
                    summary.escapes[outcome.error] = summary.escapes.get(outcome.error, 0) | outcome.facts
                else:
                    summary.done = outcome.facts | (summary.done or 0)
        return summary

    def _outcomes(self, state: State, facts: int) -> Iterable[_Outcome]:
        if state.kind is Kind.FAIL:
            yield _Outcome(facts, error=fails_with(state))
            return
        if state.kind is Kind.CHOICE:
            yield from (_Outcome(facts, target=target) for target in state.choices)
            if state.may_match_nothing:
                yield _Outcome(facts, error=NO_CHOICE_MATCHED)
            return
        done = self._after_flows(state, facts) if state.flows else facts
        if done is not None:
            yield _Outcome(self._succeeded(state, done), target=state.next)
        if state.flows:
            yield from self._escaped(state, facts)
        if state.work is not None:
            for error in self._graph.errors_of(state.id):
                own = self._does.get(state.id, 0) | self._inside(state) if is_ambiguous(error) else 0
                given_up = self._giving_up and state.id in self._undoes
                yield self._failed(state, error, facts & self._committed if given_up else facts | own)

    def _succeeded(self, state: State, facts: int) -> int:
        facts |= self._does.get(state.id, 0)
        facts &= ~self._undoes.get(state.id, 0)
        if self._does.get(state.id, 0) & self._pivot:
            return self._committed
        return facts

    def _failed(self, state: State, error: str, facts: int) -> _Outcome:
        catcher = catcher_of(state, error)
        return _Outcome(facts, target=catcher.next) if catcher else _Outcome(facts, error=error)

    def _after_flows(self, state: State, facts: int) -> int | None:
        """Facts when all branches ended well; None when one cannot."""
        gained, kept = 0, self._all
        for flow in state.flows:
            nothing, everything = self._summary(flow)
            if nothing.done is None or everything.done is None:
                if state.kind is Kind.MAP:
                    continue  # no items, no failure
                return None
            gained |= nothing.done
            # with no items nothing is undone, but then nothing was done for them either
            kept &= everything.done | (self._all & ~self._of_items if state.kind is Kind.MAP else 0)
        if state.tolerates_failures:
            gained |= self._inside(state)
            kept = self._all
        return gained | (facts & kept)

    def _escaped(self, state: State, facts: int) -> Iterable[_Outcome]:
        """What happens when one branch fails and the others are stopped wherever they are."""
        for branch, flow in enumerate(state.flows):
            nothing, everything = self._summary(flow)
            for inner_error, gained in nothing.escapes.items():
                left = gained | (facts & everything.escapes[inner_error]) | self._siblings(state, branch)
                left |= self._does.get(state.id, 0)
                error = error_outside(state, inner_error)
                if retrier_of(state, error) is not None:
                    yield _Outcome(left, target=state.id)
                yield self._failed(state, error, left)
