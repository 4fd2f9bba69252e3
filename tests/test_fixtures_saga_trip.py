"""Tests of the trip saga: what it does without any harness, and what each of its mutants does wrong."""

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

[STACK] = [stack for stack in reference_stacks() if (stack.pattern, stack.name) == ("saga", "trip")]
MUTANTS = {mutant.name: mutant for mutant in mutants(STACK)}
DONE = ["flight-booked", "hotel-booked", "car-booked", "confirmed"]
NO_CAR = ["flight-booked", "hotel-booked", "hotel-cancelled", "flight-cancelled"]
QUIET_LOOKS = 5
"""So often in a row nothing is queued and nothing runs, before a trip counts as ended."""
DEPTHS: list[Any] = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
Fault = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One trip, what happens to it, and what is left of it in its order."""

    left: list[str]
    state: str
    trip: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    starts: int = 1


def lost(function: str, **more: Any) -> Fault:
    """A function that has taken effect and then fails."""
    return {"at": function, "action": "fail", "when": "after", **more}


SCENARIOS = {
    "undisturbed": Scenario(DONE, "completed"),
    "sent three times": Scenario(DONE, "completed", starts=3),
    "no flight": Scenario([], "cancelled", {"flight": "sold-out"}),
    "no hotel": Scenario(["flight-booked", "flight-cancelled"], "cancelled", {"hotel": "sold-out"}),
    "no car": Scenario(NO_CAR, "cancelled", {"car": "sold-out"}),
    "the hotel is down": Scenario(
        ["flight-booked", "flight-cancelled"], "cancelled", faults=({"at": "HotelFunction", "action": "fail"},)
    ),
    "the car is down": Scenario(NO_CAR, "cancelled", faults=({"at": "CarFunction", "action": "fail"},)),
    "the hotel books and then fails once": Scenario(DONE, "completed", faults=(lost("HotelFunction", times=1),)),
    "the hotel books and cannot say so": Scenario(
        DONE,
        "completed",
        faults=({"at": "HotelFunction", "action": "refuse", "point": "call", "operation": "PutEvents"},),
    ),
    "the flight is cancelled twice": Scenario(
        NO_CAR, "cancelled", {"car": "sold-out"}, (lost("FlightUndoFunction", times=1),)
    ),
    "the cancellation fails at first": Scenario(
        NO_CAR, "cancelled", {"car": "sold-out"}, ({"at": "FlightUndoFunction", "action": "fail", "times": 1},)
    ),
    "the trip cannot be closed for good": Scenario(
        DONE[:-1], "working", faults=({"at": "CloseFunction", "action": "fail", "times": 3},)
    ),
}
SHOWN_BY = {
    "sold-out-and-silent": "no hotel",
    "nobody-reads-what-failed": "the hotel is down",
    "flight-cancelled-before-the-hotel": "no car",
    "one-try-to-cancel": "the cancellation fails at first",
    "booked-at-every-delivery": "the hotel books and then fails once",
    "given-back-at-every-delivery": "the flight is cancelled twice",
    "what-failed-was-not-booked": "the hotel books and cannot say so",
    "every-request-is-a-trip": "sent three times",
    "unconfirmed-trips-cancelled": "the trip cannot be closed for good",
    "completed-without-a-car": "no car",
}
"""The scenario in which a mutant leaves something else than the stack does; the others need more than one trip."""


@pytest.fixture(scope="module")
def trips(target: EmbeddedTarget) -> Iterator[Saga]:
    """The trip saga."""
    with deployed(target, STACK.descriptor, name="test-trip", path="trips", key="trip_id") as saga:
        yield saga


def trip(trip_id: str, **fields: Any) -> dict[str, Any]:
    """An ordinary trip."""
    known = {"flight": "north", "hotel": "astoria", "car": "small", "note": f"note of {trip_id}"}
    return {**known, "trip_id": trip_id, **fields}


def at_rest(saga: Saga, unread: str = "") -> None:
    """Wait until nothing is queued, but for what is stuck or in a queue that nobody reads, and nothing runs."""
    sqs = saga.target.client("sqs")
    queues = [url for name, url in saga.ids.items() if name.endswith("Queue") and name != unread]
    looks = 0

    def look() -> int:
        nonlocal looks
        counts = [sqs.get_queue_attributes(QueueUrl=url, AttributeNames=DEPTHS)["Attributes"] for url in queues]
        quiet = saga.faults.running() == 0 and not any(int(value) for count in counts for value in count.values())
        looks = looks + 1 if quiet else 0
        return looks

    met(look, lambda count: count >= QUIET_LOOKS, deadline_seconds=120.0)


def state(saga: Saga, trip_id: str) -> str:
    """What the trip says about itself."""
    return str(saga.rows("TripsTable", trip_id=trip_id)[0]["state"])


def start(saga: Saga, key: str, scenario: Scenario) -> None:
    """Aim the faults of a scenario and send its trip."""
    for number, fault in enumerate(scenario.faults):
        saga.aim(key, number, **fault)
    for _ in range(scenario.starts):
        assert saga.post(trip(key, **scenario.trip)).status_code == 202


Played = dict[str, tuple[list[str], str]]


@pytest.fixture(scope="module")
def played(trips: Saga) -> Played:
    """What each scenario has left; all are played at once."""
    keys = {name: name.replace(" ", "-") for name in SCENARIOS}
    for name, key in keys.items():
        start(trips, key, SCENARIOS[name])
    at_rest(trips)
    return {name: (trips.ledger(key), state(trips, key)) for name, key in keys.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_trip_is_booked_whole_or_cancelled_in_reverse(played: Played, name: str) -> None:
    """Whatever happens to one trip, it has all its bookings once, or gives them back, last first; the state agrees."""
    assert played[name] == (SCENARIOS[name].left, SCENARIOS[name].state)


def test_what_could_not_be_closed_is_surfaced_with_the_trip(trips: Saga, played: Played) -> None:
    """A message that failed for good and that nothing can undo lies in the queue of stuck trips."""
    assert played
    stuck = trip("the-trip-cannot-be-closed-for-good")
    assert [one["detail"] for one in trips.letters("StuckTrips") if one["detail"]["trip_id"] == stuck["trip_id"]] == [
        stuck
    ]


def test_a_cancellation_that_comes_early_keeps_the_booking_away(trips: Saga) -> None:
    """A flight whose cancellation overtakes its booking is never booked."""
    body = json.dumps({"detail-type": "hotel.cancelled", "detail": trip("early")})
    trips.target.client("sqs").send_message(QueueUrl=trips.ids["FlightUndoQueue"], MessageBody=body)
    at_rest(trips)
    trips.post(trip("early"))
    at_rest(trips)

    assert (trips.ledger("early"), state(trips, "early")) == ([], "cancelled")


def test_scarce_seats_are_never_oversold(trips: Saga) -> None:
    """Of twelve trips for five seats, some without a hotel, at most five have one, and the offer agrees with them."""
    hotels = ["astoria", "astoria", "sold-out"]
    keys = {f"crowd-{number}": hotels[number % 3] for number in range(12)}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda key: trips.post(trip(key, flight="scarce", hotel=keys[key])), keys))
    at_rest(trips)

    completed = sum(trips.ledger(key) == DONE for key in keys)
    [seats] = [one for one in trips.rows("OffersTable") if one["offer"] == "scarce"]
    assert (seats["available"], seats["taken"]) == (5 - completed, completed)
    assert completed > 0
    assert all(trips.ledger(key) in (DONE, [], ["flight-booked", "flight-cancelled"]) for key in keys)


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"flight": ""}, 400),
        ({"car": 7}, 400),
        ({"note": None}, 400),
        ({"trip_id": "undisturbed", "car": "large"}, 409),
    ],
)
def test_a_wrong_trip_is_refused(trips: Saga, played: Played, wrong: dict[str, Any], status: int) -> None:
    """A malformed trip, and another trip under a used id, get a 4xx; nothing of them is booked."""
    assert played
    assert trips.post({**trip("wrong"), **wrong}).status_code == status
    assert trips.ledger("wrong") == []


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_mutant_shows_its_bug(target: EmbeddedTarget, tmp_path: Path, name: str) -> None:
    """In the scenario that its bug is about a mutant leaves something else than the stack does."""
    scenario = SCENARIOS[SHOWN_BY[name]]
    descriptor = materialise(STACK.directory, MUTANTS[name], tmp_path / "copy")
    with deployed(target, descriptor, name=f"test-{name}", path="trips", key="trip_id") as saga:
        start(saga, "shown", scenario)
        at_rest(saga, "HotelFailedQueue" if name == "nobody-reads-what-failed" else "")
        left = (saga.ledger("shown"), state(saga, "shown"))

    assert left != (scenario.left, scenario.state)
