"""SG-14: what a state machine's definition alone says about the failures of a saga."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from holdfast.definition.compensations import Compensations
from holdfast.definition.deriving import derive_steps
from holdfast.definition.duration_rules import duration_findings
from holdfast.definition.effects import Effects
from holdfast.definition.error_names import NO_CHOICE_MATCHED, is_ambiguous
from holdfast.definition.findings import Finding
from holdfast.definition.graph import Graph, Route, fails_with
from holdfast.definition.leftovers import leftovers
from holdfast.definition.model import Definition, Kind
from holdfast.definition.order import order_findings
from holdfast.definition.paths import FailureExit, Machine
from holdfast.definition.pivot import pivot_findings
from holdfast.definition.rules import rule_findings
from holdfast.definition.steps import SagaSteps, check_steps
from holdfast.definition.surfacing import surfacing_findings
from holdfast.verdict.model import Verdict, merge


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """What a definition says.

    Attributes:
        definition: the state machine, nested ones inside.
        steps: the steps, declared or derived.
        exits: every way a task, or a Choice that matches nothing, can fail, with what may be in effect then and what
            runs from there.
        findings: the anomalies, in the order of their lines.
    """

    definition: Definition
    steps: SagaSteps
    exits: tuple[FailureExit, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """Violated, inconclusive, or holds; inconclusive too when no step is known."""
        if not self.steps.steps:
            return merge([Verdict.INCONCLUSIVE, *(finding.verdict for finding in self.findings)])
        return merge([Verdict.HOLDS, *(finding.verdict for finding in self.findings)])


def analyse(definition: Definition, steps: SagaSteps | None = None) -> Analysis:
    """Follow every failure of every task of a state machine to its end.

    Args:
        definition: the state machine; ``embedded`` puts nested machines inside.
        steps: what its states do for the saga; derived from the definition when not given.

    Raises:
        DefinitionError: the steps name states that the definition does not have.
    """
    steps = derive_steps(definition) if steps is None else steps
    check_steps(definition, steps)
    graph = Graph(definition)
    effects, giving_up = Effects(graph, steps), Effects(graph, steps, giving_up=True)
    compensations = Compensations(graph, steps, effects.of_items)
    exits = tuple(_exits(graph, effects, giving_up, compensations))
    machine = Machine(graph=graph, steps=steps, effects=giving_up, compensations=compensations, exits=exits)
    judges = (leftovers, pivot_findings, order_findings, rule_findings, duration_findings, surfacing_findings)
    found = [finding for judge in judges for finding in judge(machine)]
    ordered = sorted(dict.fromkeys(found), key=lambda each: (each.file, each.line, each.kind.value, each.state))
    return Analysis(definition=definition, steps=steps, exits=exits, findings=tuple(ordered))


def _exits(graph: Graph, effects: Effects, giving_up: Effects, compensations: Compensations) -> Iterable[FailureExit]:
    for state in graph.definition.flow.walk():
        if not effects.reached(state.id):
            continue
        if state.kind is Kind.FAIL and graph.places[state.id].composite is not None:
            errors: tuple[str, ...] = (fails_with(state),)
        elif state.may_match_nothing:
            errors = (NO_CHOICE_MATCHED,)
        elif state.work is not None:
            errors = graph.errors_of(state.id)
        else:
            continue
        routes: dict[Route, list[str]] = {}
        for error in errors:
            routes.setdefault(graph.route(state.id, error), []).append(error)
        for route, grouped in routes.items():
            ambiguous = state.work is not None and any(is_ambiguous(error) for error in grouped)
            yield FailureExit(
                state=state.id,
                file=state.file,
                line=state.line,
                errors=tuple(grouped),
                ambiguous=ambiguous,
                route=route,
                in_effect=effects.on_failure(state.id, ambiguous=ambiguous),
                to_undo=giving_up.on_failure(state.id, ambiguous=ambiguous),
                must_run=compensations.must_run(route.target),
                may_run=compensations.may_run(route.target),
            )
