"""Which states are a saga's steps, what undoes each, and from which step on it only goes forward."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from holdfast.definition.model import Definition
from holdfast.errors import DefinitionError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a saga.

    Attributes:
        name: its name.
        states: the ids of the states that do it; any one of them does it whole.
        compensations: the ids of the states that undo it; any one of them undoes it whole. Empty: nothing undoes it.
        idempotent: whether doing it twice does it once; None when that is not known.
        after: the steps that it must be undone before; None stands for all earlier ones (reverse order).
        certain: whether this is declared, or derived beyond doubt; findings about other steps are inconclusive.
        evidence: what it was derived from, a phrase each; empty when it is declared.
    """

    name: str
    states: tuple[str, ...]
    compensations: tuple[str, ...] = ()
    idempotent: bool | None = None
    after: tuple[str, ...] | None = None
    certain: bool = True
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """A task whose part in the saga the definition does not tell: its id, and what speaks for what."""

    state: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class SagaSteps:
    """The steps of a saga, in the order in which they are done.

    Attributes:
        steps: the steps in order.
        pivot: name of the step after whose success the saga only goes forward; None: there is none, or, when the
            steps are derived, it is not known.
        read_only: ids of tasks that have no effect.
        derived: whether the steps were read from the definition rather than declared.
        undecided: tasks of which a derivation could not tell what they are.
    """

    steps: tuple[Step, ...]
    pivot: str | None = None
    read_only: frozenset[str] = frozenset()
    derived: bool = False
    undecided: tuple[Undecided, ...] = ()

    @cached_property
    def by_state(self) -> dict[str, Step]:
        """The step that each state does."""
        return {state: step for step in self.steps for state in step.states}

    @cached_property
    def compensations(self) -> frozenset[str]:
        """Ids of all states that undo something."""
        return frozenset(state for step in self.steps for state in step.compensations)

    def is_before_pivot(self, name: str) -> bool:
        """Whether a step comes before the pivot in the order of steps; all do when no pivot is known."""
        names = [step.name for step in self.steps]
        return self.pivot is None or names.index(name) < names.index(self.pivot)

    def is_after_pivot(self, name: str) -> bool:
        """Whether a step comes after the pivot in the order of steps; none does when no pivot is known."""
        return not self.is_before_pivot(name) and name != self.pivot


def check_steps(definition: Definition, steps: SagaSteps) -> None:
    """Refuse steps that do not fit a definition.

    Raises:
        DefinitionError: a state, a step or the pivot is named that is not there, or a state is used twice.
    """
    known = {state.id for state in definition.flow.walk()}
    names = [step.name for step in steps.steps]
    problems = [f"step {name} is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    done: dict[str, str] = {}
    for step in steps.steps:
        problems += [
            f"step {step.name} names state {state}, which {definition.name} does not have"
            for state in (*step.states, *step.compensations)
            if state not in known
        ]
        problems += [
            f"step {step.name} is to be undone before {each}" for each in step.after or () if each not in names
        ]
        for state in step.states:
            if state in done:
                problems.append(f"state {state} is said to do {done[state]} and {step.name}")
            if state in steps.compensations:
                problems.append(f"state {state} is said to do {step.name} and to undo a step")
            done[state] = step.name
    if steps.pivot is not None and steps.pivot not in names:
        problems.append(f"the pivot {steps.pivot} is no step")
    if problems:
        raise DefinitionError(
            f"{definition.file}: the steps do not fit the definition: {'; '.join(problems)}.",
            cause="a state was renamed, or a step names the wrong one",
            remedy="name states as the definition does; those of a nested machine as TASK/STATE",
        )
