"""The definition analysis on a correct saga, and on one mutant of it for each kind of finding."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.definition import Analysis, FindingKind, SagaSteps, Step, analyse, derive_steps, embedded
from holdfast.definition.files import parse_text
from holdfast.verdict.model import Verdict
from saga_definitions import (
    ALL,
    STEPS,
    TRAVEL,
    Document,
    caught,
    defined,
    jsonata,
    judged,
    line_of,
    machine,
    mutant,
    step,
    task,
    text_of,
    told,
    undoing,
)

VIOLATED, INCONCLUSIVE = Verdict.VIOLATED, Verdict.INCONCLUSIVE
Expected = tuple[FindingKind, Verdict, str, tuple[str, ...], tuple[str, ...]]


@pytest.mark.parametrize("document", [TRAVEL, jsonata(TRAVEL)], ids=["JSONPath", "JSONata"])
def test_the_correct_saga_has_no_finding(document: Document) -> None:
    """A saga that compensates every failure, its own effect included, holds."""
    analysis = judged(document)
    assert told(analysis) == []
    assert analysis.verdict is Verdict.HOLDS


def test_every_failure_exit_tells_what_is_in_effect_and_what_runs() -> None:
    """The exits of a saga's steps list the steps done by then, their own included, and all of them undone."""
    exits = {each.state: each for each in judged(TRAVEL).exits}
    assert {name: (sorted(each.in_effect), sorted(each.must_run)) for name, each in exits.items()} == {
        "ReserveFlight": (["flight"], ["flight"]),
        "ReserveCar": (["car", "flight"], ["car", "flight"]),
        "ChargePayment": (["car", "flight", "payment"], ["car", "flight", "payment"]),
        "ConfirmBooking": (["confirmation"], []),
        "RefundPayment": (["car", "flight", "payment"], []),
        "CancelCar": (["car", "flight"], []),
        "CancelFlight": (["flight"], []),
        "Surface": (["car", "confirmation", "flight", "payment"], []),
    }


def _first_catcher(state: str, target: str) -> Any:
    return lambda states: states[state].update(Catch=[caught(target)])


MUTANTS: dict[str, tuple[Document, list[Expected]]] = {
    "the timed-out step's own effect is orphaned": (
        mutant(_first_catcher("ReserveCar", "CancelFlight")),
        [(FindingKind.ORPHANED, VIOLATED, "ReserveCar", ("car",), ("ReserveCar", "CancelFlight", "Failed"))],
    ),
    "a timeout is caught apart and undoes too little": (
        mutant(
            lambda states: states["ReserveCar"].update(
                Catch=[caught("CancelFlight", "States.Timeout"), caught("CancelCar")]
            )
        ),
        [(FindingKind.ORPHANED, VIOLATED, "ReserveCar", ("car",), ("ReserveCar", "CancelFlight", "Failed"))],
    ),
    "a definite refusal needs not undo its own step": (
        mutant(
            lambda states: states["ReserveCar"].update(Catch=[caught("CancelFlight", "CarTaken"), caught("CancelCar")])
        ),
        [],
    ),
    "a step before is not compensated": (
        mutant(lambda states: states["CancelCar"].update(Next="Failed")),
        [
            (FindingKind.UNCOMPENSATED, VIOLATED, "ReserveCar", ("flight",), ("ReserveCar", "CancelCar", "Failed")),
            (
                FindingKind.UNCOMPENSATED,
                VIOLATED,
                "ChargePayment",
                ("flight",),
                ("ChargePayment", "RefundPayment", "CancelCar", "Failed"),
            ),
        ],
    ),
    "one step has no catcher": (
        mutant(lambda states: states["ReserveCar"].pop("Catch")),
        [(FindingKind.MISSING_CATCHER, VIOLATED, "ReserveCar", ("flight", "car"), ("ReserveCar",))],
    ),
    "one step catches named errors only": (
        mutant(lambda states: states["ReserveCar"].update(Catch=[caught("CancelCar", "CarTaken")])),
        [(FindingKind.MISSING_CATCHER, VIOLATED, "ReserveCar", ("flight", "car"), ("ReserveCar",))],
    ),
    "TaskFailed does not catch the timeout": (
        mutant(lambda states: states["ReserveCar"].update(Catch=[caught("CancelCar", "States.TaskFailed")])),
        [(FindingKind.MISSING_CATCHER, VIOLATED, "ReserveCar", ("flight", "car"), ("ReserveCar",))],
    ),
    "TaskFailed and Timeout together are a catch-all": (
        mutant(
            lambda states: states["ReserveCar"].update(
                Catch=[caught("CancelCar", "States.TaskFailed", "States.Timeout")]
            )
        ),
        [],
    ),
    "a task has no timeout": (
        mutant(lambda states: states["ReserveCar"].pop("TimeoutSeconds")),
        [(FindingKind.MISSING_TIMEOUT, VIOLATED, "ReserveCar", (), ())],
    ),
    "States.ALL comes first": (
        mutant(
            lambda states: states["ReserveCar"].update(Catch=[caught("CancelCar"), caught("CancelFlight", "CarTaken")])
        ),
        [(FindingKind.MISORDERED_CATCHERS, VIOLATED, "ReserveCar", (), ())],
    ),
    "TaskFailed hides a named error": (
        mutant(
            lambda states: states["ReserveCar"].update(
                Catch=[
                    caught("CancelCar", "States.TaskFailed"),
                    caught("CancelFlight", "CarTaken"),
                    caught("CancelCar"),
                ]
            )
        ),
        [(FindingKind.MISORDERED_CATCHERS, VIOLATED, "ReserveCar", (), ())],
    ),
    "States.ALL is not alone": (
        mutant(lambda states: states["ReserveCar"].update(Catch=[caught("CancelCar", "CarTaken", "States.ALL")])),
        [(FindingKind.MISORDERED_CATCHERS, VIOLATED, "ReserveCar", (), ())],
    ),
    "a retrier is hidden": (
        mutant(lambda states: states["ReserveCar"].update(Retry=[ALL, {"ErrorEquals": ["Busy"], "MaxAttempts": 9}])),
        [(FindingKind.MISORDERED_RETRIERS, VIOLATED, "ReserveCar", (), ())],
    ),
    "a compensation is not retried": (
        mutant(lambda states: states["CancelCar"].pop("Retry")),
        [(FindingKind.COMPENSATION_NOT_RETRIED, VIOLATED, "CancelCar", ("car",), ())],
    ),
    "a compensation is retried no time": (
        mutant(lambda states: states["CancelCar"].update(Retry=[{**ALL, "MaxAttempts": 0}])),
        [(FindingKind.COMPENSATION_NOT_RETRIED, VIOLATED, "CancelCar", ("car",), ())],
    ),
    "a compensation is not retried after a timeout": (
        mutant(lambda states: states["CancelCar"].update(Retry=[{"ErrorEquals": ["States.TaskFailed"]}])),
        [(FindingKind.COMPENSATION_NOT_RETRIED, VIOLATED, "CancelCar", ("car",), ())],
    ),
    "a step after the pivot is not retried": (
        mutant(lambda states: states["ConfirmBooking"].pop("Retry")),
        [(FindingKind.STEP_NOT_RETRIED, VIOLATED, "ConfirmBooking", ("confirmation",), ())],
    ),
    "a step after the pivot is not retried after a timeout": (
        mutant(lambda states: states["ConfirmBooking"].update(Retry=[{"ErrorEquals": ["States.TaskFailed"]}])),
        [(FindingKind.STEP_NOT_RETRIED, VIOLATED, "ConfirmBooking", ("confirmation",), ())],
    ),
    "a compensation retries itself by hand": (
        mutant(
            lambda states: (
                states["CancelCar"].update(Catch=[caught("Tried")], Retry=[]),
                states.update(
                    Tried={"Type": "Choice", "Choices": [{"Next": "CancelCar"}], "Default": "Surface"},
                ),
            )
        ),
        [],
    ),
    "a compensation is not caught": (
        mutant(lambda states: states["CancelCar"].pop("Catch")),
        [(FindingKind.COMPENSATION_NOT_CAUGHT, VIOLATED, "CancelCar", ("car",), ("CancelCar",))],
    ),
    "compensations run forward": (
        mutant(
            lambda states: (
                states["CancelCar"].update(Next="Failed"),
                states["CancelFlight"].update(Next="CancelCar"),
                states["RefundPayment"].update(Next="CancelFlight"),
                states["ReserveCar"].update(Catch=[caught("CancelFlight")]),
            )
        ),
        [
            (
                FindingKind.OUT_OF_ORDER,
                VIOLATED,
                "CancelFlight",
                ("flight", "car"),
                ("ReserveCar", "CancelFlight", "CancelCar"),
            )
        ],
    ),
    "a compensation after the pivot": (
        mutant(_first_catcher("ConfirmBooking", "RefundPayment")),
        [
            (
                FindingKind.AFTER_PIVOT,
                VIOLATED,
                "ConfirmBooking",
                ("car", "flight", "payment"),
                ("ConfirmBooking", "RefundPayment"),
            )
        ],
    ),
    "a task on the way of the failure has no catcher": (
        mutant(
            lambda states: (
                states.update(Note=task("Note", "CancelFlight")),
                states["CancelCar"].update(Next="Note"),
            )
        ),
        [(FindingKind.MISSING_CATCHER, VIOLATED, "Note", ("flight",), ("Note",))],
    ),
    "a choice decides whether to compensate": (
        mutant(
            lambda states: (
                states.update(
                    Booked={"Type": "Choice", "Choices": [{"Next": "CancelFlight"}], "Default": "Failed"},
                ),
                states["CancelCar"].update(Next="Booked"),
            )
        ),
        [
            (
                FindingKind.UNCOMPENSATED,
                INCONCLUSIVE,
                "ReserveCar",
                ("flight",),
                ("ReserveCar", "CancelCar", "Booked", "Failed"),
            ),
            (
                FindingKind.UNCOMPENSATED,
                INCONCLUSIVE,
                "ChargePayment",
                ("flight",),
                ("ChargePayment", "RefundPayment", "CancelCar", "Booked", "Failed"),
            ),
        ],
    ),
    "a choice gives up with an earlier step in effect": (
        mutant(
            lambda states: (
                states["ReserveCar"].update(Next="CarFound"),
                states.update(
                    CarFound={"Type": "Choice", "Choices": [{"Next": "ChargePayment"}], "Default": "Failed"},
                ),
            )
        ),
        [(FindingKind.UNCOMPENSATED, VIOLATED, "CarFound", ("flight",), ("CarFound", "Failed"))],
    ),
    "a failed step is passed over": (
        mutant(_first_catcher("ReserveCar", "ChargePayment")),
        [(FindingKind.GOES_ON, INCONCLUSIVE, "ReserveCar", ("car",), ("ReserveCar", "ChargePayment"))],
    ),
    "a failed step is tried again later": (
        mutant(
            lambda states: (
                states["ReserveCar"].update(Catch=[caught("Later")]),
                states.update(Later={"Type": "Wait", "Seconds": 5, "Next": "ReserveCar"}),
            )
        ),
        [],
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_has_exactly_its_findings(name: str) -> None:
    """Each planted bug is found, with its smallest witness, and nothing else is."""
    document, expected = MUTANTS[name]
    assert told(judged(document)) == expected
    assert told(judged(jsonata(document))) == expected


def test_findings_name_lines_causes_and_remedies() -> None:
    """A finding points at the catcher it is about and says what to do."""
    document = mutant(_first_catcher("ReserveCar", "CancelFlight"))
    (finding,) = judged(document).findings
    assert finding.file == "trip.asl.json"
    # the second catcher in the file is the one of the second state
    assert finding.line > line_of(document, '"ReserveCar": {')
    assert finding.sentence == (
        "ReserveCar may have had its effect when it fails with States.Timeout and any other error, but"
        " ReserveCar > CancelFlight > Failed does not undo it."
    )
    assert finding.remedy == "lead this catcher to CancelCar first, and let that bear that nothing was done"


def test_a_retry_of_a_step_that_must_not_be_repeated_is_found() -> None:
    """A step declared not idempotent may be retried after refusals only, not when its effect is left open."""
    steps = SagaSteps(
        steps=tuple(
            Step(name=each.name, states=each.states, compensations=each.compensations, idempotent=each.name != "car")
            for each in STEPS.steps
        ),
        pivot="payment",
    )
    assert told(judged(TRAVEL, steps)) == [(FindingKind.RETRIED_NOT_IDEMPOTENT, VIOLATED, "ReserveCar", ("car",), ())]
    refused = mutant(lambda states: states["ReserveCar"].update(Retry=[{"ErrorEquals": ["Busy"]}]))
    assert told(judged(refused, steps)) == []


def test_a_declared_step_before_the_pivot_needs_a_compensation() -> None:
    """A step that nothing undoes is found, unless it is the pivot or comes later."""
    steps = SagaSteps(steps=(Step(name="flight", states=("ReserveFlight",)), *STEPS.steps[1:]), pivot="payment")
    assert (FindingKind.NO_COMPENSATION, VIOLATED, "ReserveFlight", ("flight",), ()) in told(judged(TRAVEL, steps))


def test_express_needs_idempotent_steps_and_five_minutes() -> None:
    """Express is violated by a step that must not be repeated and by a bound of five minutes or more."""
    quick = mutant(
        lambda states: [
            state.update(TimeoutSeconds=2, Retry=[{**ALL, "MaxAttempts": 1}])
            for state in states.values()
            if state["Type"] == "Task"
        ]
    )
    assert told(judged(quick, express=True)) == []
    assert told(judged(TRAVEL, express=True)) == [(FindingKind.EXPRESS_TOO_LONG, VIOLATED, "", (), ())]
    unknown = SagaSteps(
        steps=tuple(Step(name=each.name, states=each.states, compensations=each.compensations) for each in STEPS.steps),
        pivot="payment",
    )
    assert told(judged(quick, unknown, express=True)) == [
        (
            FindingKind.EXPRESS_NOT_IDEMPOTENT,
            INCONCLUSIVE,
            "",
            ("flight", "car", "payment", "confirmation"),
            (),
        )
    ]


def _parallel(catch: list[Document], **fields: Document) -> Document:
    branches = [
        machine({"ReserveFlight": task("ReserveFlight", None)}),
        machine({"ReserveCar": task("ReserveCar", None)}),
    ]
    return machine(
        {
            "Reserve": {"Type": "Parallel", "Branches": branches, "Next": "Done", "Catch": catch},
            "Done": {"Type": "Succeed"},
            "CancelCar": undoing("CancelCar", "CancelFlight"),
            "CancelFlight": undoing("CancelFlight", "Failed"),
            "Surface": task("Surface", "Failed"),
            "Failed": {"Type": "Fail"},
            **fields,
        }
    )


TWO = SagaSteps(steps=STEPS.steps[:2])


def test_parallel_branches_are_compensated_together() -> None:
    """When one branch fails, what the other may have done by then has to be undone as well."""
    assert told(judged(_parallel([caught("CancelCar")]), TWO)) == []
    assert told(judged(_parallel([caught("CancelCar", "States.BranchFailed")]), TWO)) == []
    assert told(judged(_parallel([caught("CancelFlight")]), TWO)) == [
        (FindingKind.ORPHANED, VIOLATED, "ReserveCar", ("car",), ("ReserveCar", "CancelFlight", "Failed")),
        (FindingKind.UNCOMPENSATED, VIOLATED, "ReserveFlight", ("car",), ("ReserveFlight", "CancelFlight", "Failed")),
    ]
    assert [each[:4] for each in told(judged(_parallel([]), TWO))] == [
        (FindingKind.MISSING_CATCHER, VIOLATED, "ReserveFlight", ("flight", "car")),
        (FindingKind.MISSING_CATCHER, VIOLATED, "ReserveCar", ("flight", "car")),
    ]


def test_parallel_compensations_have_no_order() -> None:
    """Compensations side by side are inconclusive, violated where an order is declared, and fine where none is."""
    document = mutant(
        lambda states: states.update(
            ReserveFlight=step("ReserveFlight", "ReserveCar", "Undo"),
            ReserveCar=step("ReserveCar", None, "Undo"),
            Undo={
                "Type": "Parallel",
                "Branches": [
                    machine({"CancelFlight": task("CancelFlight", None, Retry=[ALL])}),
                    machine({"CancelCar": task("CancelCar", None, Retry=[ALL])}),
                ],
                "Next": "Failed",
                "Catch": [caught("Surface")],
            },
        ),
        machine({"ReserveFlight": {}, "Surface": task("Surface", "Failed"), "Failed": {"Type": "Fail"}}),
    )
    flight, car = STEPS.steps[:2]

    def after(*names: str) -> SagaSteps:
        return SagaSteps(
            steps=(flight, Step(name="car", states=car.states, compensations=car.compensations, after=names))
        )

    unordered = (FindingKind.OUT_OF_ORDER, INCONCLUSIVE, "CancelFlight", ("flight", "car"), ("ReserveCar", "Undo"))
    assert told(judged(document, TWO)) == [unordered]
    assert told(judged(document, after("flight"))) == [(unordered[0], VIOLATED, *unordered[2:])]
    assert told(judged(document, after())) == []


def test_items_of_a_map_are_all_undone() -> None:
    """When one item fails, what other items have done has to be undone too, whoever failed."""

    def mapped(catch: list[Document]) -> Document:
        item = machine(
            {
                "ReserveSeat": step("ReserveSeat", None, "CancelSeat"),
                "CancelSeat": undoing("CancelSeat", "SeatFailed"),
                "Surface": task("Surface", "SeatFailed"),
                "SeatFailed": {"Type": "Fail"},
            }
        )
        undo = machine({"ReleaseSeat": task("ReleaseSeat", None, Retry=[ALL])})
        return machine(
            {
                "Seats": {"Type": "Map", "ItemProcessor": item, "End": True, "Catch": catch},
                "UndoSeats": {"Type": "Map", "Iterator": undo, "Next": "Failed", "Catch": [caught("Tell")]},
                "Tell": task("Tell", "Failed"),
                "Failed": {"Type": "Fail"},
            }
        )

    seat = SagaSteps(steps=(Step(name="seat", states=("ReserveSeat",), compensations=("CancelSeat", "ReleaseSeat")),))
    assert told(judged(mapped([caught("UndoSeats")]), seat)) == []
    assert told(judged(mapped([caught("Failed")]), seat)) == [
        (FindingKind.UNCOMPENSATED, VIOLATED, "SeatFailed", ("seat",), ("SeatFailed", "Failed")),
        (FindingKind.UNCOMPENSATED, VIOLATED, "Surface", ("seat",), ("Surface", "Failed")),
    ]


def test_a_nested_machine_is_judged_inside_the_one_that_waits_for_it() -> None:
    """Steps of a nested machine are undone by its caller; its timeout is a failed task there, not a timeout."""

    def trip(*errors: str) -> tuple[Document, Document]:
        child = machine({"ReserveFlight": task("ReserveFlight", "ReserveCar"), "ReserveCar": task("ReserveCar", None)})
        start = "arn:aws:states:::states:startExecution.sync:2"
        arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:bookings"
        parent = machine(
            {
                "Book": {
                    "Type": "Task",
                    "Resource": start,
                    "Parameters": {"StateMachineArn": arn},
                    "TimeoutSeconds": 60,
                    "End": True,
                    "Catch": [caught("CancelCar", *errors)],
                },
                "CancelCar": undoing("CancelCar", "CancelFlight"),
                "CancelFlight": undoing("CancelFlight", "Failed"),
                "Surface": task("Surface", "Failed"),
                "Failed": {"Type": "Fail"},
            }
        )
        return parent, child

    steps = SagaSteps(
        steps=(
            Step(name="flight", states=("Book/ReserveFlight",), compensations=("CancelFlight",)),
            Step(name="car", states=("Book/ReserveCar",), compensations=("CancelCar",)),
        )
    )

    def joined(parent: Document, child: Document) -> Analysis:
        both = [
            parse_text(text_of(parent), file="trip.asl.json", name="trip"),
            parse_text(text_of(child), file="bookings.asl.json", name="bookings"),
        ]
        (whole,) = embedded(both)
        return analyse(whole, steps)

    assert told(joined(*trip())) == []
    only_failed = joined(*trip("States.TaskFailed"))
    assert [each[:4] for each in told(only_failed)] == [
        (FindingKind.MISSING_CATCHER, VIOLATED, "Book", ("flight", "car"))
    ]
    assert only_failed.exits[0].errors == ("States.Timeout",)
    assert [each[:3] for each in told(judged(trip()[0], None))] == [
        (FindingKind.UNKNOWN_MACHINE, INCONCLUSIVE, "Book"),
    ]


def test_steps_are_derived_from_names_and_ways_of_failure() -> None:
    """Pairs of names on ways of failure are sure; what cannot be derived is said so."""
    steps = derive_steps(defined(TRAVEL))
    assert [(each.name, each.compensations, each.certain) for each in steps.steps] == [
        ("ReserveFlight", ("CancelFlight",), True),
        ("ReserveCar", ("CancelCar",), True),
        ("ChargePayment", ("RefundPayment",), True),
    ]
    assert steps.pivot is None
    assert [each.state for each in steps.undecided] == ["ConfirmBooking", "Surface"]


def test_a_derived_saga_is_never_violated_where_the_pivot_decides() -> None:
    """Without a declared pivot a failure of the last task is inconclusive; one before a compensated step is not."""
    analysis = judged(TRAVEL, None)
    assert analysis.verdict is INCONCLUSIVE
    assert {each.state for each in analysis.findings} == {"ConfirmBooking"}
    orphaned = judged(mutant(_first_catcher("ReserveCar", "CancelFlight")), None)
    assert (
        FindingKind.ORPHANED,
        VIOLATED,
        "ReserveCar",
        ("ReserveCar",),
        ("ReserveCar", "CancelFlight", "Failed"),
    ) in told(orphaned)


def test_alternatives_of_a_choice_are_not_steps() -> None:
    """Create and Delete that a choice leads to side by side undo nothing of each other."""
    document = machine(
        {
            "Which": {"Type": "Choice", "Choices": [{"Next": "CreateOrder"}], "Default": "DeleteOrder"},
            "CreateOrder": task("CreateOrder", None),
            "DeleteOrder": task("DeleteOrder", None),
        }
    )
    assert derive_steps(defined(document)).steps == ()
    assert judged(document, None).verdict is INCONCLUSIVE


def test_sdk_actions_pair_up_but_are_not_sure() -> None:
    """PutItem and DeleteItem of one table are a step and its compensation, probably."""

    def item(action: str, **fields: Any) -> Document:
        parameters = {"TableName": "orders"}
        resource = f"arn:aws:states:::dynamodb:{action}"
        return {"Type": "Task", "Resource": resource, "TimeoutSeconds": 5, "Parameters": parameters, **fields}

    document = machine(
        {
            "Store": item("putItem", Next="Pay", Catch=[caught("Clean")]),
            "Pay": task("Pay", None, Catch=[caught("Failed")]),
            "Clean": item("deleteItem", Next="Failed", Retry=[ALL], Catch=[caught("Failed")]),
            "Failed": {"Type": "Fail"},
        }
    )
    (found,) = derive_steps(defined(document)).steps
    assert (found.name, found.compensations, found.certain) == ("Store", ("Clean",), False)
    assert {finding.verdict for finding in judged(document, None).findings} == {INCONCLUSIVE}
