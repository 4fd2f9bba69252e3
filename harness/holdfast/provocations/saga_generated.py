"""Generated workloads: sagas of special inputs, that meet, with faults, drawn as plans (`saga_plans`) and run together.

All plans are drawn before the first is run; the same seed draws the same. They run side by side, each with keys of its
own. One that leaves a saga neither done nor undone is made smaller as data. What decides is the last look, as ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from holdfast.provocations.bench import Bench
from holdfast.provocations.model import Moment, Provocation
from holdfast.provocations.requirements import Situation
from holdfast.provocations.saga_coverage import covered
from holdfast.provocations.saga_failures import AIMED_AT_STEPS, aims_at
from holdfast.provocations.saga_places import (
    business_failures,
    compensated_steps,
    contended,
    places,
    saga_of,
    steps_until_pivot,
)
from holdfast.provocations.saga_plan_runs import PlanRunner
from holdfast.provocations.saga_plans import (
    BrokenPlan,
    Plan,
    PlannedFault,
    PlannedKind,
    PlannedSaga,
    PlanRun,
    Run,
    Tried,
    about,
    telling,
)
from holdfast.provocations.saga_requirements import several_steps, steps_listed
from holdfast.provocations.saga_runs import look_at_quantities
from holdfast.stack.base import Json

DRAWN = 150
"""Plans that are drawn, as data."""

PLANS = 10
"""Plans that are run: of the drawn ones those that bring the most circumstances together."""

MOST_SAGAS = 3
MOST_FAULTS = 2
STOPPING: tuple[PlannedKind, ...] = ("fail", "fail after")
"""How a step is made to fail for good: before its effect, or after it."""

REPEATS = 2
SHRINKING_SECONDS = 15.0
"""No further round of smaller plans begins then: a small plan soon beats the smallest one much later."""

ROLE = "generated"
SHRINKING_ROLE = "shrinking"
SMALLEST_ROLE = "smallest plan"
"""The last run of the smallest plan that broke a promise: what a verdict shows first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What plans are drawn from.

    Attributes:
        inputs: the fields of each special input; the ordinary one, which has none, first.
        about: the inputs in words.
        failing: for each input the step that refuses it; empty where none does.
        before: for each step up to the pivot itself and those before it.
        steps: all steps that can be aimed at.
        undone: those whose compensations can be aimed at.
        breakable: the steps up to the pivot that may be made to fail for good.
    """

    inputs: tuple[dict[str, Json], ...]
    about: tuple[str, ...]
    failing: tuple[str, ...]
    before: dict[str, frozenset[str]]
    steps: tuple[str, ...]
    undone: tuple[str, ...]
    breakable: tuple[str, ...]


def choices_of(situation: Situation) -> Choices:
    """What the plans of a stack are drawn from."""
    saga = saga_of(situation)
    until_pivot = {step.name for step in steps_until_pivot(situation)}
    refused = [(step, fields) for step, fields in business_failures(situation) if step in until_pivot]
    special: list[tuple[str, dict[str, Json]]] = [("", {}), *refused]
    for fields in contended(situation):
        causes = [step for step, why in refused if why.items() <= fields.items()]
        special.append((causes[0] if causes else "", fields))
    before = saga.predecessors()
    steps = tuple(place.step for place in places(situation, saga.steps))
    # without a state machine a step fails for good when its queue gives up, and that is too long to wait for here
    breakable = until_pivot if saga.state_machine is not None else set()
    return Choices(
        inputs=tuple(fields for _, fields in special),
        about=about([fields for _, fields in special]),
        failing=tuple(step for step, _ in special),
        before={name: frozenset(before[name]) | {name} for name in sorted(until_pivot)},
        steps=steps,
        undone=tuple(place.step for place in places(situation, compensated_steps(situation), undo=True)),
        breakable=tuple(step for step in steps if step in breakable),
    )


def plans(choices: Choices) -> SearchStrategy[Plan]:
    """Plans of few sagas each, with faults only where the saga comes by."""

    @st.composite
    def saga(draw: DrawFn) -> PlannedSaga:
        which = draw(st.integers(0, len(choices.inputs) - 1))
        stopping = choices.failing[which]
        cause: tuple[PlannedFault, ...] = ()
        if not stopping and choices.breakable and draw(st.booleans()):
            stopping = draw(st.sampled_from(choices.breakable))
            cause = (PlannedFault(stopping, undo=False, kind=draw(st.sampled_from(STOPPING))),)
        passed = [name for name in choices.steps if not stopping or name in choices.before[stopping] - {stopping}]
        sites = [(name, False) for name in passed]
        if stopping:
            sites += [(name, True) for name in choices.undone if name in choices.before[stopping]]
        most = min(MOST_FAULTS - len(cause), len(sites))
        hit = draw(st.lists(st.sampled_from(sites), min_size=min(1, most), max_size=most, unique=True)) if sites else []
        passing: list[PlannedKind] = ["fail once", "answer lost"]
        more = [PlannedFault(name, undo=undo, kind=draw(st.sampled_from(passing))) for name, undo in hit]
        return PlannedSaga(which, draw(st.integers(0, 1)), tuple(sorted((*cause, *more))))

    return st.lists(saga(), min_size=1, max_size=MOST_SAGAS).map(lambda sagas: Plan(tuple(sagas)))


def faults_of(choices: Choices) -> list[PlannedFault]:
    """All faults that a plan may have, in the order of the steps."""
    found: list[PlannedFault] = []
    for name in choices.steps:
        kinds: list[PlannedKind] = ["fail once", "answer lost"]
        kinds += STOPPING if name in choices.breakable else ()
        found += [PlannedFault(name, undo=False, kind=kind) for kind in kinds]
        if name in choices.undone:
            found += [PlannedFault(name, undo=True, kind=kind) for kind in kinds[:2]]
    return found


def draw_plans(choices: Choices, seed_number: int, most: int = PLANS) -> list[Plan]:
    """Draw plans as data, and keep the most telling; the same seed draws the same."""
    drawn: list[Plan] = []

    @settings(
        max_examples=DRAWN,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @seed(seed_number)
    @given(plans(choices))
    def collect(plan: Plan) -> None:
        drawn.append(plan)

    collect()
    return telling(drawn, most)


def _generate(bench: Bench, clock: Callable[[], float] = time.monotonic) -> None:
    """Run the plans; the smallest within one that leaves a saga half done becomes a note of the verdict."""
    choices = choices_of(bench.situation)
    chosen = draw_plans(choices, bench.random.getrandbits(32))
    latest: dict[Plan, PlanRun] = {}
    visited: list[tuple[Plan, PlanRun]] = []

    def as_role(role: str) -> Run:
        runner = PlanRunner(bench, choices.inputs, role)

        def run(plans: Sequence[Plan]) -> list[bool]:
            ran = runner(plans)
            if late := sorted(key for one in ran for key in one.late):
                bench.note(f"not ended within {bench.bounds.saga_seconds:g} s: {', '.join(late)}")
            visited.extend(zip(plans, ran, strict=True))
            latest.update((plan, one) for plan, one in zip(plans, ran, strict=True) if one.findings)
            return [bool(one.findings) for one in ran]

        return run

    tried = Tried(run=as_role(ROLE), repeats=1)
    tried.once(chosen)
    look_at_quantities(bench)
    found = tried.broken(chosen)
    bench.figure("plans", len(chosen))
    if found is None:
        bench.keep_plan_coverage(covered(visited, faults_of(choices)))
        return
    ends = clock() + SHRINKING_SECONDS
    tried.run, tried.repeats, tried.time_left = as_role(SHRINKING_ROLE), REPEATS, lambda: clock() < ends
    smallest = tried.shrink(found)
    tried.run = as_role(SMALLEST_ROLE)
    tried.once([smallest])
    look_at_quantities(bench)
    broken = BrokenPlan(
        plan=smallest,
        inputs=choices.inputs,
        finding=latest[smallest].findings[0],
        violated=tried.violated[smallest],
        runs=tried.runs[smallest],
    )
    bench.keep_broken_plan(broken)
    told = smallest.told(choices.about)
    bench.keep_plan_coverage(covered(visited, faults_of(choices), smallest=smallest, told=told))
    bench.note(
        f"smallest plan that leaves a saga half done: {told} "
        f"({broken.reproduced} runs; found within {found.told(choices.about)})"
    )


GENERATED_SAGAS = Provocation(
    name="generated-sagas",
    provoke=_generate,
    # after the others, so that what is scarce is not taken from those that contend for it
    moment=Moment.SCARRING,
    requires=(several_steps, steps_listed, *AIMED_AT_STEPS),
    aims=aims_at("fail, or lose the answer", lambda situation: places(situation, saga_of(situation).steps)),
    commands=lambda _: PLANS * MOST_SAGAS,
)
