"""Of a compensation, or a step after the pivot, that fails for good somebody is told; what is left is told once."""

from __future__ import annotations

import pytest

from holdfast.definition import FindingKind
from holdfast.verdict.model import Verdict
from saga_definitions import Document, caught, jsonata, judged, mutant, task, told

VIOLATED, INCONCLUSIVE = Verdict.VIOLATED, Verdict.INCONCLUSIVE
Expected = tuple[FindingKind, Verdict, str, tuple[str, ...], tuple[str, ...]]

MUTANTS: dict[str, tuple[Document, list[Expected]]] = {
    "a compensation retries itself for ever": (
        mutant(lambda states: states["CancelCar"].update(Catch=[caught("CancelCar")], Retry=[])),
        [(FindingKind.COMPENSATION_ENDLESS, VIOLATED, "CancelCar", ("car",), ("CancelCar", "CancelCar"))],
    ),
    "a compensation that failed is waited for without end": (
        mutant(
            lambda states: (
                states["CancelCar"].update(Catch=[caught("Later")]),
                states.update(Later={"Type": "Wait", "Seconds": 5, "Next": "CancelCar"}),
            )
        ),
        [(FindingKind.COMPENSATION_ENDLESS, VIOLATED, "CancelCar", ("car",), ("CancelCar", "Later", "CancelCar"))],
    ),
    "a compensation that failed ends the execution": (
        mutant(lambda states: states["CancelCar"].update(Catch=[caught("Failed")])),
        [(FindingKind.COMPENSATION_NOT_TOLD, INCONCLUSIVE, "CancelCar", ("car",), ("CancelCar", "Failed"))],
    ),
    "a compensation that failed ends the execution well": (
        mutant(
            lambda states: (
                states["CancelCar"].update(Catch=[caught("Over")]),
                states.update(Over={"Type": "Succeed"}),
            )
        ),
        [(FindingKind.COMPENSATION_NOT_TOLD, VIOLATED, "CancelCar", ("car",), ("CancelCar", "Over"))],
    ),
    "a compensation that failed is passed over": (
        mutant(lambda states: states["CancelCar"].update(Catch=[caught("CancelFlight")])),
        [
            (
                FindingKind.COMPENSATION_NOT_TOLD,
                INCONCLUSIVE,
                "CancelCar",
                ("car",),
                ("CancelCar", "CancelFlight", "Failed"),
            )
        ],
    ),
    "a compensation that failed is told of where a success is too": (
        mutant(
            lambda states: (
                states["CancelFlight"].update(Next="Report"),
                states["CancelCar"].update(Catch=[caught("Report")]),
                states.update(Report=task("Report", "Failed")),
            )
        ),
        [
            (
                FindingKind.COMPENSATION_NOT_TOLD,
                INCONCLUSIVE,
                "CancelCar",
                ("car",),
                ("CancelCar", "Report", "Failed"),
            )
        ],
    ),
    "whether a compensation that failed is told of, data decide": (
        mutant(
            lambda states: (
                states["CancelCar"].update(Catch=[caught("Grave")]),
                states.update(Grave={"Type": "Choice", "Choices": [{"Next": "Surface"}], "Default": "Failed"}),
            )
        ),
        [(FindingKind.COMPENSATION_NOT_TOLD, INCONCLUSIVE, "CancelCar", ("car",), ("CancelCar", "Grave", "Failed"))],
    ),
    "a step after the pivot that failed ends the execution": (
        mutant(lambda states: states["ConfirmBooking"].update(Catch=[caught("Failed")])),
        [
            (
                FindingKind.STEP_NOT_TOLD,
                INCONCLUSIVE,
                "ConfirmBooking",
                ("confirmation",),
                ("ConfirmBooking", "Failed"),
            )
        ],
    ),
    "nothing catches a step after the pivot": (
        mutant(lambda states: states["ConfirmBooking"].pop("Catch")),
        [(FindingKind.STEP_NOT_TOLD, INCONCLUSIVE, "ConfirmBooking", ("confirmation",), ("ConfirmBooking",))],
    ),
    "only some failures of a step after the pivot are caught": (
        mutant(lambda states: states["ConfirmBooking"].update(Catch=[caught("Surface", "Busy")])),
        [(FindingKind.STEP_NOT_TOLD, INCONCLUSIVE, "ConfirmBooking", ("confirmation",), ("ConfirmBooking",))],
    ),
    "a step after the pivot that failed ends the execution well": (
        mutant(
            lambda states: (
                states["ConfirmBooking"].update(Catch=[caught("Over")]),
                states.update(Over={"Type": "Succeed"}),
            )
        ),
        [(FindingKind.STEP_NOT_TOLD, VIOLATED, "ConfirmBooking", ("confirmation",), ("ConfirmBooking", "Over"))],
    ),
    "a step after the pivot retries itself for ever": (
        mutant(lambda states: states["ConfirmBooking"].update(Catch=[caught("ConfirmBooking")], Retry=[])),
        [
            (
                FindingKind.STEP_ENDLESS,
                VIOLATED,
                "ConfirmBooking",
                ("confirmation",),
                ("ConfirmBooking", "ConfirmBooking"),
            )
        ],
    ),
    "a step that is left behind is told of once": (
        mutant(
            lambda states: (
                states["ReserveCar"].update(Catch=[caught("Note")]),
                states.update(Note=task("Note", "CancelFlight", Catch=[caught("Surface")])),
            )
        ),
        [
            (FindingKind.ORPHANED, VIOLATED, "ReserveCar", ("car",), ("ReserveCar", "Note", "CancelFlight", "Failed")),
            (FindingKind.UNCOMPENSATED, VIOLATED, "Note", ("flight",), ("Note", "Surface", "Failed")),
        ],
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_has_exactly_its_findings(name: str) -> None:
    """Each planted bug is found, with its smallest witness, and nothing else is."""
    document, expected = MUTANTS[name]
    assert told(judged(document)) == expected
    assert told(judged(jsonata(document))) == expected
