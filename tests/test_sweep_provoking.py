"""What the analysis of a definition says is shown by faults at the tasks that it names, and breaks promises there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from holdfast.definition import Analysis, FindingKind
from holdfast.opening import Options
from holdfast.provocations.saga_definitions import analysis_of
from holdfast.sweep.judging import Mark
from holdfast.sweep.kinds import Kind, Surroundings, delay_seconds, inapplicable
from holdfast.sweep.levers import points_told
from holdfast.sweep.plan import Schedule
from holdfast.sweep.points import Point
from holdfast.sweep.provoking import Provoker
from holdfast.sweep.sweeping import opened
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.verdict.model import Verdict
from holdfast_fixtures.catalogue import mutants, reference_stacks
from holdfast_fixtures.overlay import materialise
from saga_definitions import TRAVEL, Document, caught, judged, mutant
from sweep_examples import MACHINE, PUT

POINTS = [
    Point(caller=MACHINE, service="lambda", operation="Invoke", state=name)
    for name, state in TRAVEL["States"].items()
    if state["Type"] == "Task"
]


def provoker(document: Document) -> Provoker:
    """Of a definition whose every task calls a function."""
    return Provoker.of(judged(document), [*POINTS, PUT])


def told(*schedules: Schedule) -> list[str]:
    """Each fault as ``STATE KIND``, those of one schedule joined."""
    return [" then ".join(f"{one.point.state} {one.kind.value}" for one in schedule.faults) for schedule in schedules]


BUGS: dict[FindingKind, tuple[Document, list[str]]] = {
    FindingKind.ORPHANED: (
        mutant(lambda states: states["ReserveCar"].update(Catch=[caught("CancelFlight")])),
        ["ReserveCar lost-for-good"],
    ),
    FindingKind.MISSING_CATCHER: (
        mutant(lambda states: states["ReserveCar"].pop("Catch")),
        ["ReserveCar lost-for-good", "ReserveCar for-good"],
    ),
    FindingKind.MISSING_TIMEOUT: (
        mutant(lambda states: states["ConfirmBooking"].pop("TimeoutSeconds")),
        ["ConfirmBooking delayed"],
    ),
    FindingKind.OUT_OF_ORDER: (
        mutant(
            lambda states: (
                states["CancelCar"].update(Next="Failed"),
                states["CancelFlight"].update(Next="CancelCar"),
                states["RefundPayment"].update(Next="CancelFlight"),
                states["ReserveCar"].update(Catch=[caught("CancelFlight")]),
            )
        ),
        ["ReserveCar lost-for-good", "ReserveCar for-good"],
    ),
    FindingKind.AFTER_PIVOT: (
        mutant(lambda states: states["ConfirmBooking"].update(Catch=[caught("RefundPayment")])),
        ["ConfirmBooking lost-for-good", "ConfirmBooking for-good"],
    ),
    FindingKind.COMPENSATION_NOT_RETRIED: (
        mutant(lambda states: states["CancelCar"].pop("Retry")),
        [
            "ChargePayment lost-for-good then CancelCar refused",
            "ChargePayment for-good then CancelCar refused",
            "ChargePayment lost-for-good then CancelCar throttled",
            "ChargePayment for-good then CancelCar throttled",
        ],
    ),
    FindingKind.STEP_NOT_RETRIED: (
        mutant(lambda states: states["ConfirmBooking"].pop("Retry")),
        ["ConfirmBooking refused", "ConfirmBooking throttled"],
    ),
    FindingKind.COMPENSATION_ENDLESS: (
        mutant(lambda states: states["CancelCar"].update(Catch=[caught("CancelCar")])),
        [
            "ChargePayment lost-for-good then CancelCar for-good",
            "ChargePayment for-good then CancelCar for-good",
        ],
    ),
    FindingKind.MISORDERED_CATCHERS: (
        mutant(lambda states: states["ReserveCar"].update(Catch=[caught("CancelCar"), caught("CancelCar", "Taken")])),
        [],
    ),
}


@pytest.mark.parametrize("kind", BUGS)
def test_a_finding_is_shown_at_its_task(kind: FindingKind) -> None:
    """The faults are at the task that fails; where only a failure leads there, the last such step fails first."""
    document, expected = BUGS[kind]
    analysis = judged(document)
    (finding,) = [one for one in analysis.findings if one.kind is kind]
    assert told(*provoker(document).showing(finding)) == expected


def test_every_task_is_visited_elsewhere() -> None:
    """A failure that passes and two that do not, at every task that is reached while at most one step fails before."""
    shown = told(*provoker(TRAVEL).elsewhere())
    assert len(shown) == len(set(shown))
    before = "ChargePayment lost-for-good then "
    kinds = ("refused", "lost-for-good", "for-good")
    steps = ("ReserveFlight", "ReserveCar", "ChargePayment", "ConfirmBooking")
    undoing = ("RefundPayment", "CancelCar", "CancelFlight")
    surfacing = "ConfirmBooking lost-for-good then "
    assert set(shown) == {
        *(f"{state} {kind}" for state in steps for kind in kinds),
        *(f"{before}{state} {kind}" for state in undoing for kind in kinds),
        *(f"{surfacing}Surface {kind}" for kind in kinds if kind != "for-good"),
    }


def test_the_way_of_a_schedule_is_what_its_failures_lead_to() -> None:
    """The states that are struck, and those that follow when they fail."""
    (schedule,) = provoker(TRAVEL).at("CancelFlight", Kind.FOR_GOOD, Kind.FOR_GOOD)
    assert told(schedule) == ["ChargePayment for-good then CancelFlight for-good"]
    undoing = {"RefundPayment", "CancelCar", "CancelFlight"}
    assert provoker(TRAVEL).way(schedule) == {"ChargePayment", *undoing, "Surface", "Failed"}


def test_a_state_without_a_timeout_is_held_only_where_it_is_said_for_how_long() -> None:
    """A sweep leaves it alone; who provokes a missing timeout says how long a call is held."""
    point = POINTS[0]
    known = Surroundings(state_seconds={(MACHINE.component, "ReserveCar"): 5.0})
    assert "waits as long as its execution lives" in inapplicable(point, Kind.DELAYED, known)
    held = replace(known, unbounded_seconds=95.0)
    assert inapplicable(point, Kind.DELAYED, held) == ""
    assert delay_seconds(point, held) == 95.0
    assert delay_seconds(replace(point, state="ReserveCar"), held) == delay_seconds(
        replace(point, state="ReserveCar"), known
    )


FLAGGED = [
    ("booking", "failed-car-not-cancelled", FindingKind.ORPHANED),
    ("orders", "refunded-after-the-pivot", FindingKind.AFTER_PIVOT),
    ("orders", "refunded-after-the-pivot", FindingKind.STEP_NOT_RETRIED),
    ("transfer", "credit-not-caught", FindingKind.MISSING_CATCHER),
]


@pytest.mark.parametrize(("stack", "name", "kind"), FLAGGED)
def test_what_is_flagged_is_violated_when_provoked(
    stack: str, name: str, kind: FindingKind, embedded: EmbeddedTarget, tmp_path: Path
) -> None:
    """A finding about a deployed mutant breaks a promise of the saga; benchmarks/agreement.py does so with all."""
    (reference,) = [one for one in reference_stacks() if one.name == stack]
    (planted,) = [one for one in mutants(reference) if one.name == name]
    descriptor = materialise(reference.directory, planted, tmp_path / "stack")
    with opened(descriptor, options=Options(folder=tmp_path / "holdfast", environ={}), target=embedded) as ready:
        runner = ready.runners["saga"]
        analysis: Analysis = analysis_of(runner.situation)
        (finding,) = [one for one in analysis.findings if one.kind is kind]
        assert finding.verdict is Verdict.VIOLATED
        schedules = Provoker.of(analysis, points_told(runner.situation, runner.callers)).showing(finding)
        assert Mark.VIOLATED in {one.judgement.mark for one in runner.run(schedules)}
