"""Failures that are easily overlooked: of pivots that nothing undoes, of Choices, of services, of tolerated items."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.definition import FindingKind, SagaSteps, Step
from holdfast.definition.error_names import is_ambiguous
from holdfast.verdict.model import Verdict
from saga_definitions import ALL, Document, caught, judged, machine, step, task, told, undoing

VIOLATED, INCONCLUSIVE = Verdict.VIOLATED, Verdict.INCONCLUSIVE

RESERVED_AND_PAID = SagaSteps(
    steps=(
        Step(name="reserve", states=("Reserve",), compensations=("CancelReserve",)),
        Step(name="pay", states=("Pay",)),
    ),
    pivot="pay",
)


def _paid(*catch: Document, **changed: Any) -> Document:
    """A reservation, then a payment that nothing undoes, which is the pivot."""
    return machine(
        {
            "Reserve": step("Reserve", "Pay", "CancelReserve"),
            "Pay": task("Pay", None, Catch=list(catch) or [caught("CancelReserve")]),
            "CancelReserve": undoing("CancelReserve", "Failed"),
            "Surface": task("Surface", "Failed"),
            "Failed": {"Type": "Fail"},
            **changed,
        }
    )


def _orphaned(verdict: Verdict) -> list[tuple[FindingKind, Verdict, str, tuple[str, ...], tuple[str, ...]]]:
    return [(FindingKind.ORPHANED, verdict, "Pay", ("pay",), ("Pay", "CancelReserve"))]


def test_a_pivot_that_nothing_undoes_may_have_had_its_effect() -> None:
    """Steps undone after a failure that leaves an uncompensated pivot's effect open are violated."""
    assert told(judged(_paid(), RESERVED_AND_PAID)) == _orphaned(VIOLATED)
    refused = _paid(caught("CancelReserve", "Declined"), caught("Surface"))
    # a refusal undoes; whatever leaves it open is handed to somebody, with the reservation in effect
    assert [each[0] for each in told(judged(refused, RESERVED_AND_PAID))] == [FindingKind.UNCOMPENSATED]


def test_a_compensation_that_asks_for_the_pivot_undoes_nothing_of_a_success() -> None:
    """A refused compensation that leads to the way of success has asked; one that does not is inconclusive."""
    cancel = undoing("CancelReserve", "Failed")
    paid = {"Type": "Succeed"}

    def refusing(target: str) -> Document:
        return cancel | {"Catch": [caught(target, "AlreadyPaid"), caught("Surface")]}

    onward = task("Pay", "Paid", Catch=[caught("CancelReserve")])
    asked = _paid(Pay=onward, CancelReserve=refusing("Paid"), Paid=paid)
    assert told(judged(asked, RESERVED_AND_PAID)) == []
    told_of = _paid(Pay=onward, CancelReserve=refusing("Surface"), Paid=paid)
    assert told(judged(told_of, RESERVED_AND_PAID)) == _orphaned(INCONCLUSIVE)


def test_a_choice_that_asks_for_the_pivot_undoes_nothing_of_a_success() -> None:
    """Where a Choice decides whether anything is undone, a pivot left in effect is no finding of its own."""
    look = task("Look", "Known", Catch=[caught("Surface")])
    known = {"Type": "Choice", "Choices": [{"Next": "Paid"}], "Default": "CancelReserve"}
    document = _paid(Pay=task("Pay", "Paid", Catch=[caught("Look")]), Look=look, Known=known, Paid={"Type": "Succeed"})
    assert FindingKind.ORPHANED not in {each[0] for each in told(judged(document, RESERVED_AND_PAID))}


OPEN = (
    "States.QueryEvaluationError",
    "States.ResultPathMatchFailure",
    "Runtime.ExitError",
    "States.Http.StatusCode.502",
)
DEFINITE = (
    "States.Permissions",
    "States.ParameterPathFailure",
    "Runtime.ImportModuleError",
    "States.Http.StatusCode.404",
)


@pytest.mark.parametrize("error", [*OPEN, *DEFINITE, "SeatTaken"])
def test_errors_of_the_services_leave_the_effect_open_unless_they_come_before_it(error: str) -> None:
    """A step that fails after its effect by an error of Step Functions or Lambda has to be undone itself."""
    document = machine(
        {
            "ReserveCar": task("ReserveCar", "Pay", Catch=[caught("CancelCar")]),
            "Pay": task("Pay", None, Catch=[caught("CancelCar", error), caught("Refund")]),
            "Refund": undoing("Refund", "CancelCar"),
            "CancelCar": undoing("CancelCar", "Failed"),
            "Surface": task("Surface", "Failed"),
            "Failed": {"Type": "Fail"},
        }
    )
    steps = SagaSteps(
        steps=(
            Step(name="car", states=("ReserveCar",), compensations=("CancelCar",)),
            Step(name="pay", states=("Pay",), compensations=("Refund",)),
        )
    )
    orphaned = [(FindingKind.ORPHANED, VIOLATED, "Pay", ("pay",), ("Pay", "CancelCar", "Failed"))]
    assert is_ambiguous(error) is (error in OPEN)
    assert told(judged(document, steps)) == (orphaned if error in OPEN else [])


def _chosen(**choice: Any) -> Document:
    return machine(
        {
            "Reserve": step("Reserve", "Which", "CancelReserve"),
            "Which": {"Type": "Choice", "Choices": [{"Next": "Note"}, {"Next": "Paid"}], **choice},
            "Note": task("Note", "Paid", Catch=[caught("CancelReserve")]),
            "Paid": {"Type": "Succeed"},
            "CancelReserve": undoing("CancelReserve", "Failed"),
            "Surface": task("Surface", "Failed"),
            "Failed": {"Type": "Fail"},
        }
    )


RESERVED = SagaSteps(steps=RESERVED_AND_PAID.steps[:1])


def test_a_choice_without_a_default_may_fail() -> None:
    """A Choice that no rule of which matches ends the execution, with steps in effect; whether it does, data decide."""
    analysis = judged(_chosen(), RESERVED)
    assert told(analysis) == [(FindingKind.MISSING_CATCHER, INCONCLUSIVE, "Which", ("reserve",), ("Which",))]
    assert "whether one of its rules always matches, data decide" in analysis.findings[0].sentence
    assert [(each.state, each.errors) for each in analysis.exits if each.state == "Which"] == [
        ("Which", ("States.NoChoiceMatched",))
    ]
    assert told(judged(_chosen(Default="Paid"), RESERVED)) == []


def test_a_choice_without_a_default_is_caught_around_its_branch() -> None:
    """A branch whose Choice matches nothing fails, and the Parallel's catcher compensates."""
    branch = machine(
        {
            "Reserve": task("Reserve", "Which"),
            "Which": {"Type": "Choice", "Choices": [{"Next": "Reserved"}]},
            "Reserved": {"Type": "Succeed"},
        }
    )

    def saga(target: str) -> Document:
        both: Document = {"Type": "Parallel", "Branches": [branch], "End": True, "Catch": [caught(target)]}
        return machine(
            {
                "Both": both,
                "CancelReserve": undoing("CancelReserve", "Failed"),
                "Surface": task("Surface", "Failed"),
                "Failed": {"Type": "Fail"},
            }
        )

    assert told(judged(saga("CancelReserve"), RESERVED)) == []
    found = {(kind, verdict, state) for kind, verdict, state, *_ in told(judged(saga("Failed"), RESERVED))}
    assert (FindingKind.UNCOMPENSATED, INCONCLUSIVE, "Which") in found


@pytest.mark.parametrize(
    ("tolerated", "flagged"),
    [({}, False), ({"ToleratedFailureCount": 0}, False), ({"ToleratedFailureCount": 2}, True)],
)
def test_a_failed_compensation_that_a_map_tolerates_is_told_to_nobody(tolerated: Document, *, flagged: bool) -> None:
    """A Map that passes over failed items does not come to its catcher, so what that tells is not told."""
    undo = machine({"CancelReserve": task("CancelReserve", None, Retry=[ALL])})
    document = machine(
        {
            "Reserve": step("Reserve", None, "UndoAll"),
            "UndoAll": {
                "Type": "Map",
                "ItemProcessor": undo,
                "Next": "Failed",
                "Catch": [caught("Surface")],
                **tolerated,
            },
            "Surface": task("Surface", "Failed"),
            "Failed": {"Type": "Fail"},
        }
    )
    untold = (
        FindingKind.COMPENSATION_NOT_TOLD,
        INCONCLUSIVE,
        "CancelReserve",
        ("reserve",),
        ("CancelReserve", "UndoAll"),
    )
    assert (untold in told(judged(document, RESERVED))) is flagged
