"""What time decides about a saga by its definition: its machine's timeout, heartbeats, and what runs as Express."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.definition import Definition, FindingKind, SagaSteps, Step, analyse, embedded, read_definitions
from holdfast.definition.files import parse_text
from holdfast.provocations.saga_definitions import steps_of
from holdfast.stack.loading import load_descriptor
from holdfast.stack.patterns import SagaPattern
from holdfast.verdict.model import Verdict
from holdfast_fixtures.catalogue import reference_stacks
from saga_definitions import ALL, Document, caught, judged, machine, mutant, task, text_of, told, undoing

VIOLATED, INCONCLUSIVE = Verdict.VIOLATED, Verdict.INCONCLUSIVE
SEAT = SagaSteps(
    steps=(Step(name="seat", states=("ReserveSeat",), compensations=("CancelSeat",), idempotent=False),), pivot=None
)


def _limited(seconds: float, **more: Document) -> Document:
    """A seat is reserved (4 s), undone (at worst 4 + 1 + 4 s), and its failure told of (10 s)."""
    cancel = undoing("CancelSeat", "Failed") | {"TimeoutSeconds": 4, "Retry": [{**ALL, "MaxAttempts": 1}]}
    return machine(
        {
            "ReserveSeat": task("ReserveSeat", "Told", TimeoutSeconds=4, Catch=[caught("CancelSeat")]),
            "Told": {"Type": "Wait", "Seconds": 500, "End": True},
            "CancelSeat": cancel,
            "Surface": task("Surface", "Failed"),
            "Failed": {"Type": "Fail"},
            **more,
        },
        TimeoutSeconds=seconds,
    )


@pytest.mark.parametrize(
    ("seconds", "violated"), [(5, True), (12, True), (13, True), (14, False), (499, False), (600, False)]
)
def test_a_machine_lives_longer_than_its_steps_and_compensations(seconds: float, *, violated: bool) -> None:
    """A timeout of the machine is violated unless it is longer than the longest way to the last compensation.

    What comes after the last step or compensation leaves nothing half done.
    """
    too_long = (FindingKind.MACHINE_TOO_LONG, VIOLATED, "", ("seat",), ())
    assert told(judged(_limited(seconds), SEAT)) == ([too_long] if violated else [])


def test_a_machine_whose_states_are_not_bounded_is_not_known() -> None:
    """A timeout that is known at run time only makes the timeout of the machine inconclusive."""
    open_end = undoing("CancelSeat", "Failed") | {"TimeoutSecondsPath": "$.limit"}
    open_end.pop("TimeoutSeconds")
    assert told(judged(_limited(900, CancelSeat=open_end), SEAT)) == [
        (FindingKind.MACHINE_TOO_LONG, INCONCLUSIVE, "", ("seat",), ())
    ]


@pytest.mark.parametrize("key", ["HeartbeatSeconds", "HeartbeatSecondsPath"])
def test_a_task_with_heartbeats_alone_may_end(key: str) -> None:
    """A task with a heartbeat and no timeout ends when none comes, so whether it waits for ever is inconclusive."""
    document = mutant(
        lambda states: (states["ReserveCar"].pop("TimeoutSeconds"), states["ReserveCar"].update({key: 5}))
    )
    (finding,) = judged(document).findings
    assert (finding.kind, finding.verdict, finding.state) == (FindingKind.MISSING_TIMEOUT, INCONCLUSIVE, "ReserveCar")
    assert "while heartbeats come" in finding.sentence
    both = mutant(lambda states: states["ReserveCar"].update({key: 5}))
    assert told(judged(both)) == []


def _parent(resource: str) -> Document:
    start = {
        "Type": "Task",
        "Resource": resource,
        "Parameters": {"StateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:seats"},
        "TimeoutSeconds": 60,
        "End": True,
        "Catch": [caught("CancelSeat")],
    }
    states = {
        "Book": start,
        "CancelSeat": undoing("CancelSeat", "Failed"),
        "Surface": task("Surface", "Failed"),
        "Failed": {"Type": "Fail"},
    }
    return machine(states)


SYNC_EXPRESS = "arn:aws:states:::aws-sdk:sfn:startSyncExecution"
SYNC = "arn:aws:states:::states:startExecution.sync:2"


@pytest.mark.parametrize(
    ("resource", "express", "flagged"),
    [(SYNC_EXPRESS, True, True), (SYNC_EXPRESS, None, True), (SYNC, False, False), (SYNC, None, False)],
)
def test_an_express_machine_inside_is_judged_as_express(resource: str, express: bool | None, *, flagged: bool) -> None:
    """The steps and the time of a nested Express workflow are judged, whatever the machine that starts it is."""
    child = machine({"ReserveSeat": task("ReserveSeat", None, TimeoutSeconds=400)})
    both: list[Definition] = [
        parse_text(text_of(_parent(resource)), file="trip.asl.json", name="trip", express=False),
        parse_text(text_of(child), file="seats.asl.json", name="seats", express=express),
    ]
    (whole,) = embedded(both)
    steps = SagaSteps(
        steps=(Step(name="seat", states=("Book/ReserveSeat",), compensations=("CancelSeat",), idempotent=False),)
    )
    found = [
        (FindingKind.EXPRESS_TOO_LONG, VIOLATED, "Book", (), ()),
        (FindingKind.EXPRESS_NOT_IDEMPOTENT, VIOLATED, "Book", ("seat",), ()),
    ]
    assert told(analyse(whole, steps)) == (found if flagged else [])


@pytest.mark.parametrize(
    ("config", "flagged"),
    [
        ({"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, True),
        ({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, False),
        ({"Mode": "INLINE"}, False),
    ],
)
def test_items_that_run_as_express_are_judged_as_express(config: Document, *, flagged: bool) -> None:
    """The steps of the items of a distributed Map must bear to be repeated where the items are Express workflows."""
    item = machine(
        {
            "ReserveSeat": task("ReserveSeat", None, Catch=[caught("CancelSeat")]),
            "CancelSeat": task(
                "CancelSeat", None, TimeoutSeconds=5, Retry=[{**ALL, "MaxAttempts": 1}], Catch=[caught("Surface")]
            ),
            "Surface": task("Surface", None),
        },
        ProcessorConfig=config,
    )
    seats: Document = {"Type": "Map", "ItemProcessor": item, "End": True, "Catch": [caught("UndoSeats")]}
    undo = machine({"ReleaseSeat": task("ReleaseSeat", None, Retry=[ALL])})
    document = machine(
        {
            "Seats": seats,
            "UndoSeats": {"Type": "Map", "Iterator": undo, "Next": "Failed", "Catch": [caught("Tell")]},
            "Tell": task("Tell", "Failed"),
            "Failed": {"Type": "Fail"},
        }
    )
    step = Step(name="seat", states=("ReserveSeat",), compensations=("CancelSeat", "ReleaseSeat"), idempotent=False)
    found = [(FindingKind.EXPRESS_NOT_IDEMPOTENT, VIOLATED, "Seats", ("seat",), ())]
    assert told(judged(document, SagaSteps(steps=(step,)))) == (found if flagged else [])


def test_a_machine_without_a_timeout_of_its_own_is_never_too_long() -> None:
    """The machine's own timeout is judged only where there is one."""
    document = _limited(5)
    document.pop("TimeoutSeconds")
    assert told(judged(document, SEAT)) == []


@pytest.mark.parametrize(("seconds", "flagged"), [(5, True), (100_000, False)])
@pytest.mark.parametrize("name", ["booking", "orders"])
def test_a_reference_machine_ends_in_time_unless_its_timeout_is_short(
    name: str, seconds: float, *, flagged: bool
) -> None:
    """A timeout of the machine changes nothing about a correct saga when it is long, and breaks it when it is short."""
    stack = next(one for one in reference_stacks() if one.name == name)
    loaded = load_descriptor(stack.descriptor, {})
    assert loaded.deploy is not None
    (definition,) = read_definitions(stack.directory / loaded.deploy.template)
    saga = loaded.patterns["saga"]
    assert isinstance(saga, SagaPattern)
    found = analyse(replace(definition, timeout_seconds=seconds), steps_of(saga)).findings
    assert [(one.kind, one.verdict) for one in found] == [(FindingKind.MACHINE_TOO_LONG, VIOLATED)] * flagged
