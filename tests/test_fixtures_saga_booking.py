"""Tests of the travel booking: what it does without any harness, and what each of its mutants does wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdfast.targets.embedded import EmbeddedTarget
from holdfast_fixtures.catalogue import mutants, reference_stacks
from holdfast_fixtures.overlay import materialise
from saga_stacks import Saga, deployed, met

[STACK] = [stack for stack in reference_stacks() if (stack.pattern, stack.name) == ("saga", "booking")]
MUTANTS = {mutant.name: mutant for mutant in mutants(STACK)}
FLIGHT, CAR = ["flight-taken", "flight-returned"], ["car-taken", "car-returned"]
DONE = ["flight-taken", "car-taken", "payment-taken", "confirmed"]
CAR_UNDONE = [FLIGHT[0], *CAR, FLIGHT[1]]
UNDONE = ["flight-taken", "car-taken", "payment-taken", "payment-returned", "car-returned", "flight-returned"]
Fault = dict[str, Any]
Left = tuple[list[str], str]


@dataclass(frozen=True)
class Scenario:
    """One trip, what happens to it, and what is left of it: its ledger in order, and its state."""

    ledger: list[str]
    state: str
    trip: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    starts: int = 1


WRITTEN_DOWN: Fault = {"at": "TripMachine", "state": "Open", "point": "call", "service": "dynamodb"}
PAID_IN_VAIN: Fault = {"at": "PayFunction", "action": "fail", "when": "after"}
SCENARIOS = {
    "undisturbed": Scenario(DONE, "completed"),
    "sent three times": Scenario(DONE, "completed", starts=3),
    "the trip cannot be written down": Scenario([], "cancelled", faults=({**WRITTEN_DOWN, "action": "throttle"},)),
    "the trip is written down and nobody hears of it": Scenario(
        DONE, "completed", faults=({**WRITTEN_DOWN, "action": "drop", "times": 1},)
    ),
    "no seat": Scenario([], "cancelled", {"flight": "sold-out"}),
    "no car": Scenario(FLIGHT, "cancelled", {"car": "sold-out"}),
    "no money": Scenario(CAR_UNDONE, "cancelled", {"payer": "empty"}),
    "the till is down": Scenario(CAR_UNDONE, "cancelled", faults=({"at": "PayFunction", "action": "fail"},)),
    "the flight is lost for good": Scenario(
        FLIGHT, "cancelled", faults=({"at": "BookFlightFunction", "action": "fail", "when": "after"},)
    ),
    "the car is lost for good": Scenario(
        CAR_UNDONE, "cancelled", faults=({"at": "BookCarFunction", "action": "fail", "when": "after"},)
    ),
    "the payment is lost for good": Scenario(UNDONE, "cancelled", faults=(PAID_IN_VAIN,)),
    "the answer of the payment is lost": Scenario(
        DONE, "completed", faults=({"at": "PayFunction", "action": "fail", "when": "after", "times": 1},)
    ),
    "the answer of the refund is lost": Scenario(
        UNDONE,
        "cancelled",
        faults=(PAID_IN_VAIN, {"at": "RefundFunction", "action": "fail", "when": "after", "times": 1}),
    ),
    "the cancellation of the car is throttled": Scenario(
        CAR_UNDONE,
        "cancelled",
        {"payer": "empty"},
        faults=({"at": "CancelCarFunction", "action": "throttle", "times": 1},),
    ),
    "the confirmation fails at first": Scenario(
        DONE, "completed", faults=({"at": "ConfirmFunction", "action": "fail", "times": 1},)
    ),
    "the confirmation fails for good": Scenario(
        DONE[:3], "working", faults=({"at": "ConfirmFunction", "action": "fail"},)
    ),
}
SHOWN_BY = {
    "compensated-in-forward-order": "the payment is lost for good",
    "car-not-caught": "no car",
    "payment-without-a-catch-all": "the till is down",
    "failed-car-not-cancelled": "the car is lost for good",
    "car-cancelled-in-one-try": "the cancellation of the car is throttled",
    "refunded-at-every-attempt": "the answer of the refund is lost",
    "unconfirmed-trips-refunded": "the confirmation fails at first",
    "every-start-is-a-trip": "sent three times",
}
"""The scenario in which a mutant leaves something else than the stack does. The others are judged by the suite alone:
they need a crowd, or a fault that lasts."""


@pytest.fixture(scope="module")
def booking(target: EmbeddedTarget) -> Iterator[Saga]:
    """The travel booking."""
    with deployed(target, STACK.descriptor, name="test-booking", path="trips", key="trip_id") as saga:
        yield saga


def trip(trip_id: str, **fields: Any) -> dict[str, Any]:
    """An ordinary trip."""
    known = {"flight": "north", "car": "small", "payer": "anna", "amount": 12, "note": f"note of {trip_id}"}
    return {**known, "trip_id": trip_id, **fields}


def ended(saga: Saga, *keys: str) -> dict[str, str]:
    """The status of the executions of some trips, or of all, once they have ended."""

    def look() -> dict[str, str]:
        found = {one["name"]: one["status"] for one in saga.executions("TripMachine")}
        return {name: status for name, status in found.items() if not keys or name in keys}

    return dict(met(look, lambda found: len(found) >= max(1, len(keys)) and "RUNNING" not in found.values()))


def state(saga: Saga, trip_id: str) -> str:
    """What the trip says about itself."""
    return str(saga.rows("TripsTable", trip_id=trip_id)[0]["state"])


def play(saga: Saga, key: str, scenario: Scenario, *, named: bool = True) -> Left:
    """What a scenario leaves: the ledger, the state; ``named`` where executions are named after trips."""
    for number, fault in enumerate(scenario.faults):
        saga.aim(key, number, **fault)
    for _ in range(scenario.starts):
        assert saga.post(trip(key, **scenario.trip)).status_code == 202
    ended(saga, *(key,) if named else ())
    return saga.ledger(key), state(saga, key)


@pytest.fixture(scope="module")
def played(booking: Saga) -> dict[str, Left]:
    """What each scenario has left; all are played at once."""
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        found = pool.map(lambda name: play(booking, name.replace(" ", "-"), SCENARIOS[name]), SCENARIOS)
        return dict(zip(SCENARIOS, found, strict=True))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_trip_is_done_whole_or_undone_whole_in_reverse(played: dict[str, Left], name: str) -> None:
    """Whatever happens to one trip, each step is done once and stands, or is undone once, the last one first."""
    assert played[name] == (SCENARIOS[name].ledger, SCENARIOS[name].state)


def test_a_trip_that_is_written_down_late_stays_as_it_ended(booking: Saga) -> None:
    """A first write that is performed when its state has given up, and another one has done it, calls nothing back."""
    late = {**WRITTEN_DOWN, "action": "delay", "delay_seconds": 10.0, "nth": 1}
    assert play(booking, "late-row", Scenario(DONE, "completed", faults=(late,))) == (DONE, "completed")
    met(booking.faults.running, lambda held: not held)
    assert state(booking, "late-row") == "completed"


def test_a_trip_that_is_not_started_is_reported_nowhere(booking: Saga) -> None:
    """Where the start fails its client is told so, and no row speaks of the trip."""
    booking.aim("lost", 0, at="StartFunction", action="refuse", point="call", service="states", error="AccessDenied")
    assert booking.post(trip("lost")).status_code == 503
    assert booking.rows("TripsTable", trip_id="lost") == []


def test_a_step_that_comes_late_finds_the_trip_withdrawn(booking: Saga) -> None:
    """Bookings and a payment that are delivered again after they were undone do nothing any more."""
    left = play(booking, "late", SCENARIOS["no money"])
    for function in ("BookFlightFunction", "BookCarFunction", "PayFunction"):
        answer = booking.target.client("lambda").invoke(
            FunctionName=booking.ids[function], Payload=json.dumps(trip("late")).encode()
        )
        assert b"WithdrawnError" in answer["Payload"].read()

    assert (booking.ledger("late"), state(booking, "late")) == left


def test_what_cannot_be_undone_is_surfaced_with_its_input(booking: Saga) -> None:
    """When the cancellation of the car fails for good the execution ends, and the queue of stuck trips has the trip."""
    booking.aim("stuck", 0, at="CancelCarFunction", action="fail")
    booking.post(trip("stuck", payer="empty"))

    [letter] = met(lambda: [one for one in booking.letters("StuckTrips") if one["trip"]["trip_id"] == "stuck"], bool)
    assert letter["trip"] == trip("stuck", payer="empty")
    assert ended(booking, "stuck") == {"stuck": "FAILED"}


def test_seats_and_money_are_conserved_and_never_oversold(booking: Saga) -> None:
    """Of twelve trips with money for four at most four are completed, and seats and money agree with them."""
    keys = [f"crowd-{number}" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda key: booking.post(trip(key, flight="scarce", payer="joint", amount=100)), keys))
    ended(booking, *keys)

    completed = sum(booking.ledger(key) == DONE for key in keys)
    [seats] = [one for one in booking.rows("StockTable", step="flight") if one["of"] == "scarce"]
    [money] = [one for one in booking.rows("StockTable", step="payment") if one["of"] == "joint"]
    assert 0 < completed <= 4
    assert (seats["available"], seats["taken"]) == (5 - completed, completed)
    assert (money["available"], money["taken"]) == (400 - 100 * completed, 100 * completed)


def test_an_execution_that_was_stopped_goes_on_when_it_is_redriven(booking: Saga) -> None:
    """Stopped while the trip is paid, it pays no second time and completes the trip."""
    client = booking.target.client("stepfunctions")
    booking.aim("stopped", 0, at="PayFunction", action="delay", when="after", delay_seconds=1.5, times=1)
    booking.post(trip("stopped"))
    met(lambda: booking.ledger("stopped"), lambda left: "payment-taken" in left)
    [arn] = [one["executionArn"] for one in booking.executions("TripMachine") if one["name"] == "stopped"]
    client.stop_execution(executionArn=arn)
    client.redrive_execution(executionArn=arn)
    ended(booking, "stopped")

    assert (booking.ledger("stopped"), state(booking, "stopped")) == (DONE, "completed")


def test_another_trip_under_the_same_id_is_refused(booking: Saga) -> None:
    """The same trip is taken as often as it is sent, while it runs and after; another one is not."""
    for _ in range(2):
        assert booking.post(trip("same")).status_code == 202
        ended(booking, "same")
    assert booking.post(trip("same", amount=13)).status_code == 409
    assert booking.ledger("same") == DONE


@pytest.mark.parametrize(
    "wrong",
    [
        {"trip_id": "a b"},
        {"trip_id": ""},
        {"flight": ""},
        {"car": 7},
        {"amount": 0},
        {"amount": "12"},
        {"amount": True},
        {"amount": 10**6},
        {"note": None},
        {"more": "fields"},
    ],
)
def test_a_wrong_trip_is_refused_and_not_started(booking: Saga, wrong: dict[str, Any]) -> None:
    """The function that starts trips looks at them first."""
    assert booking.post({**trip("wrong"), **wrong}).status_code == 400
    assert not [one for one in booking.executions("TripMachine") if one["name"] in ("wrong", "a b")]


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_mutant_shows_its_bug(target: EmbeddedTarget, tmp_path: Path, name: str) -> None:
    """In the scenario that its bug is about a mutant leaves something else than the stack does."""
    scenario = SCENARIOS[SHOWN_BY[name]]
    descriptor = materialise(STACK.directory, MUTANTS[name], tmp_path / "copy")
    with deployed(target, descriptor, name=f"test-{name}", path="trips", key="trip_id") as saga:
        left = play(saga, "shown", scenario, named=False)

    assert left != (scenario.ledger, scenario.state)
