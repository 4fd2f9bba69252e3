"""The ways of a saga through its machine: the way of success, failure exits, and what a way leaves behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from holdfast.definition.compensations import Compensations
from holdfast.definition.effects import Effects
from holdfast.definition.graph import Graph, Route, way_to
from holdfast.definition.model import Kind, State
from holdfast.definition.steps import SagaSteps, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureExit:
    """One way a task can fail.

    Attributes:
        state: id of the task, of a Fail in a branch, or of a Choice that may match nothing.
        file: its file.
        line: its line.
        errors: the errors that take this way; ``any other error`` stands for those that nothing names.
        ambiguous: whether they leave it open that the task's own effect took place.
        route: the catcher that takes them and the composites that fail on the way.
        in_effect: the steps that may have taken effect, are not undone, and are not past the pivot.
        to_undo: those of them that have to be undone: all, unless a compensation has failed for good before.
        must_run: the steps whose compensations run on every way from here, when nothing more fails.
        may_run: those whose compensations run on some way from here.
    """

    state: str
    file: str
    line: int
    errors: tuple[str, ...]
    ambiguous: bool
    route: Route
    in_effect: frozenset[str]
    to_undo: frozenset[str]
    must_run: frozenset[str]
    may_run: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """What becomes of a step from some state on.

    Attributes:
        ended: the shortest way to an end that does not undo it and does not come back to the way of success.
        rejoined: the shortest way back to the way of success without undoing it.
        undone: whether some way undoes it.
    """

    ended: tuple[str, ...] | None
    rejoined: tuple[str, ...] | None
    undone: bool


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine with its steps and both analyses, as the judges need it."""

    graph: Graph
    steps: SagaSteps
    effects: Effects
    compensations: Compensations
    exits: tuple[FailureExit, ...]

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """The steps by their names."""
        return {step.name: step for step in self.steps.steps}

    @cached_property
    def success(self) -> frozenset[str]:
        """The states on the way of success: reached without a failure or a compensation, and a good end ahead."""
        undoing = self.steps.compensations
        forward = self.graph.reachable([self.graph.definition.flow.start], past=lambda state: state not in undoing)
        forward -= undoing
        before: dict[str, list[str]] = {state: [] for state in forward}
        for state in forward:
            for following in self.graph.following(state):
                if following in before:
                    before[following].append(state)
        waiting = deque(state for state in forward if self._ends_well(state))
        good: set[str] = set()
        while waiting:
            state = waiting.popleft()
            if state not in good:
                good.add(state)
                waiting.extend(before[state])
        return frozenset(good)

    def _ends_well(self, state: str) -> bool:
        return not self.graph.following(state) and self.graph.states[state].kind is not Kind.FAIL

    def tasks_in(self, state: str) -> Iterator[State]:
        """The tasks of a state that an execution can come to: itself, and what is inside it."""
        own = self.graph.states[state]
        for task in (own, *(each for flow in own.flows for each in flow.walk())):
            if task.work is not None and self.effects.reached(task.id):
                yield task

    @cached_property
    def compensating(self) -> frozenset[str]:
        """The tasks one of whose failures may run a compensation."""
        return frozenset(each.state for each in self.exits if each.may_run)

    def certainly_before_pivot(self, state: str) -> bool:
        """Whether a failure of a state has to be compensated: known with steps or pivot, else from its followers.

        In a derived saga the pivot may not be known. A task is certainly before it when it, or one that follows it, is
        compensated for.
        """
        if not self.steps.derived or self.steps.pivot is not None:
            return True
        ahead = self.graph.reachable([state])
        return bool(ahead & (self.compensating | self.steps.compensations))

    def leaving(self, start: str, step: Step) -> Leaving:
        """Follow every way from a state while nothing more fails, and see what becomes of a step."""
        ended: tuple[str, ...] | None = None
        rejoined: tuple[str, ...] | None = None
        undone = False
        came_from: dict[str, str | None] = {start: None}
        waiting = deque([start])
        while waiting:
            state = waiting.popleft()
            if state in self.success:
                rejoined = rejoined or way_to(state, came_from)
                continue
            for onward in self.compensations.onward(state):
                if step.name in onward.runs:
                    undone = True
                elif onward.target is None:
                    ended = ended or way_to(state, came_from)
                elif onward.target not in came_from:
                    came_from[onward.target] = state
                    waiting.append(onward.target)
        return Leaving(ended=ended, rejoined=rejoined, undone=undone)
