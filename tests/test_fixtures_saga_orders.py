"""Tests of the order saga: what it does without any harness, and what each of its mutants does wrong."""

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

[STACK] = [stack for stack in reference_stacks() if (stack.pattern, stack.name) == ("saga", "orders")]
MUTANTS = {mutant.name: mutant for mutant in mutants(STACK)}
DONE = {"reserved": 1, "charged": 1, "shipped": 1, "confirmed": 1}
UNDONE = {"reserved": 1, "charged": 1, "refunded": 1, "released": 1}
Fault = dict[str, Any]
Played = dict[str, tuple[list[str], dict[str, int], str]]


@dataclass(frozen=True)
class Scenario:
    """One order, what happens to it, and what is left of it."""

    left: dict[str, int]
    state: str
    order: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    starts: int = 1
    again: dict[str, Any] = field(default_factory=dict)


REFUND_NEEDED: Fault = {"at": "ChargeFunction", "action": "fail", "when": "after"}
SCENARIOS = {
    "undisturbed": Scenario(DONE, "completed"),
    "sent three times": Scenario(DONE, "completed", starts=3),
    "sent again with a card that is declined": Scenario(DONE, "completed", starts=2, again={"card": "declined"}),
    "declined": Scenario({"reserved": 1, "released": 1}, "cancelled", {"card": "declined"}),
    "sold out": Scenario({}, "cancelled", {"sku": "sold-out"}),
    "sold out and the answer of the release is lost": Scenario(
        {},
        "cancelled",
        {"sku": "sold-out"},
        faults=({"at": "ReleaseFunction", "action": "fail", "when": "after", "times": 1},),
    ),
    "the reservation is lost for good": Scenario(
        {"reserved": 1, "released": 1},
        "cancelled",
        faults=({"at": "ReserveFunction", "action": "fail", "when": "after"},),
    ),
    "the till is down": Scenario(
        {"reserved": 1, "released": 1}, "cancelled", faults=({"at": "ChargeFunction", "action": "fail"},)
    ),
    "the charge is lost for good": Scenario(UNDONE, "cancelled", faults=(REFUND_NEEDED,)),
    "the answer of the charge is lost": Scenario(
        DONE, "completed", faults=({"at": "ChargeFunction", "action": "fail", "when": "after", "times": 1},)
    ),
    "the refund fails at first": Scenario(
        UNDONE, "cancelled", faults=(REFUND_NEEDED, {"at": "RefundFunction", "action": "fail", "times": 2})
    ),
    "the release is throttled": Scenario(
        UNDONE, "cancelled", faults=(REFUND_NEEDED, {"at": "ReleaseFunction", "action": "throttle", "times": 1})
    ),
    "the answer of the release is lost": Scenario(
        UNDONE,
        "cancelled",
        faults=(REFUND_NEEDED, {"at": "ReleaseFunction", "action": "fail", "when": "after", "times": 1}),
    ),
    "the shipment is throttled": Scenario(
        DONE,
        "completed",
        faults=({"at": "OrderMachine", "action": "throttle", "point": "call", "service": "dynamodb", "nth": 2},),
    ),
    "the confirmation fails for good": Scenario(
        {"reserved": 1, "charged": 1, "shipped": 1},
        "working",
        faults=({"at": "ConfirmFunction", "action": "fail"},),
    ),
}
SHOWN_BY = {
    "declined-charge-answered": "declined",
    "only-declined-cards-caught": "the till is down",
    "compensated-in-forward-order": "the charge is lost for good",
    "release-not-retried": "the release is throttled",
    "charged-at-every-attempt": "the answer of the charge is lost",
    "released-whatever-its-state": "the answer of the release is lost",
    "withdrawal-released-again": "sold out and the answer of the release is lost",
    "failed-charge-not-refunded": "the charge is lost for good",
    "every-start-ships": "sent three times",
    "refunded-after-the-pivot": "the shipment is throttled",
    "completed-before-confirmed": "the confirmation fails for good",
    "repeated-order-starts-anew": "sent again with a card that is declined",
}
"""The scenario in which a mutant leaves something else than the stack does. The others are judged by the suite alone:
they need a crowd, or a fault that lasts, or show in the definition only."""


@pytest.fixture(scope="module")
def orders(target: EmbeddedTarget) -> Iterator[Saga]:
    """The order saga."""
    with deployed(target, STACK.descriptor, name="test-orders", path="orders", key="order_id") as saga:
        yield saga


def order(order_id: str, **fields: Any) -> dict[str, Any]:
    """An ordinary order."""
    known = {"sku": "lamp", "quantity": 1, "card": "visa", "amount": "12.50", "note": f"note of {order_id}"}
    return {**known, "order_id": order_id, **fields}


def ended(saga: Saga, *keys: str) -> list[dict[str, Any]]:
    """The executions of some orders, or of all, once they have ended."""

    def look() -> list[dict[str, Any]]:
        return [one for one in saga.executions("OrderMachine") if not keys or one["name"] in keys]

    return list(met(look, lambda found: bool(found) and all(one["status"] != "RUNNING" for one in found)))


def state(saga: Saga, order_id: str) -> str:
    """What the order says about itself."""
    return str(saga.rows("OrdersTable", order_id=order_id)[0]["state"])


def play(saga: Saga, key: str, scenario: Scenario, *, named: bool = True) -> tuple[list[str], dict[str, int], str]:
    """What a scenario leaves: the ledger, its counts, the state; ``named`` where executions are named after orders."""
    mine = (key,) if named else ()
    for number, fault in enumerate(scenario.faults):
        saga.aim(key, number, **fault)
    assert saga.post(order(key, **scenario.order)).status_code == 202
    if scenario.again:
        ended(saga, *mine)
    for _ in range(scenario.starts - 1):
        assert saga.post(order(key, **scenario.order, **scenario.again)).status_code in (202, 409)
    ended(saga, *mine)
    return saga.ledger(key), saga.counts(key), state(saga, key)


@pytest.fixture(scope="module")
def played(orders: Saga) -> Played:
    """What each scenario has left; all are played at once."""
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        found = pool.map(lambda name: play(orders, name.replace(" ", "-"), SCENARIOS[name]), SCENARIOS)
        return dict(zip(SCENARIOS, found, strict=True))


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_order_is_done_whole_or_undone_whole(played: Played, name: str) -> None:
    """Whatever happens to one order, each step is done once and stands, or is undone once; the state agrees."""
    scenario = SCENARIOS[name]
    _, left, said = played[name]

    assert (left, said) == (scenario.left, scenario.state)


def test_compensations_run_in_the_reverse_order_of_the_steps(played: Played) -> None:
    """What was done last is undone first."""
    ledger, _, _ = played["the charge is lost for good"]

    assert ledger == ["reserved", "charged", "refunded", "released"]


def test_a_charge_that_comes_late_finds_the_order_withdrawn(orders: Saga) -> None:
    """A charge and a reservation that are delivered again after they were undone do nothing any more."""
    key = "late"
    play(orders, key, SCENARIOS["declined"])
    for function in ("ChargeFunction", "ReserveFunction"):
        answer = orders.target.client("lambda").invoke(
            FunctionName=orders.ids[function], Payload=json.dumps(order(key)).encode()
        )
        assert b"WithdrawnError" in answer["Payload"].read()

    assert orders.counts(key) == {"reserved": 1, "released": 1}


def test_what_cannot_be_undone_is_surfaced_with_its_input(orders: Saga) -> None:
    """When the refund fails for good the execution ends, and the queue of stuck orders has the whole order."""
    orders.aim("stuck", 0, **REFUND_NEEDED)
    orders.aim("stuck", 1, at="RefundFunction", action="fail")
    orders.post(order("stuck"))

    [letter] = met(lambda: [one for one in orders.letters("StuckOrders") if one["order_id"] == "stuck"], bool)
    assert letter["input"] == order("stuck")
    assert {one["name"]: one["status"] for one in ended(orders)}["stuck"] == "FAILED"


def test_scarce_goods_are_never_oversold(orders: Saga) -> None:
    """Of twelve orders for five goods at most five are completed, and the stock agrees with them."""
    keys = [f"crowd-{number}" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda key: orders.post(order(key, sku="scarce")), keys))
    ended(orders, *keys)

    completed = sum(orders.counts(key) == DONE for key in keys)
    [stock] = orders.rows("StockTable", sku="scarce")
    assert (stock["available"], stock["taken"]) == (5 - completed, completed)
    assert all(orders.counts(key) in (DONE, {}) for key in keys)
    assert completed > 0


def test_an_execution_that_was_stopped_goes_on_when_it_is_redriven(orders: Saga) -> None:
    """Stopped while the card is charged, it charges no second time and completes the order."""
    client = orders.target.client("stepfunctions")
    orders.aim("stopped", 0, at="ChargeFunction", action="delay", when="after", delay_seconds=2.0, times=1)
    orders.post(order("stopped"))
    met(lambda: orders.counts("stopped"), lambda left: "charged" in left)
    [arn] = [one["executionArn"] for one in orders.executions("OrderMachine") if one["name"] == "stopped"]
    client.stop_execution(executionArn=arn)
    client.redrive_execution(executionArn=arn)
    ended(orders, "stopped")

    assert (orders.counts("stopped"), state(orders, "stopped")) == (DONE, "completed")


@pytest.mark.parametrize(
    "wrong",
    [
        {"order_id": "a b"},
        {"order_id": ""},
        {"sku": ""},
        {"quantity": 0},
        {"quantity": "1"},
        {"amount": "-1.00"},
        {"amount": 12},
        {"note": None},
    ],
)
def test_a_wrong_order_is_refused_and_not_started(orders: Saga, wrong: dict[str, Any]) -> None:
    """The API asks the order's model before it starts anything."""
    assert orders.post({**order("wrong"), **wrong}).status_code == 400
    assert not [one for one in orders.executions("OrderMachine") if one["name"] in ("wrong", "a b")]


def test_an_order_reaches_the_saga_as_it_was_sent(orders: Saga) -> None:
    """Quotes, apostrophes, slashes and characters beyond ASCII pass the API's template unharmed."""
    note = 'it\'s "so" \\ / é \U0001f600 \u2028 \n\t $input.body'
    assert orders.post(order("bytes", note=note)).status_code == 202
    ended(orders, "bytes")

    assert {one["note"] for one in orders.rows("LedgerTable", order_id="bytes")} == {note}


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_mutant_shows_its_bug(target: EmbeddedTarget, tmp_path: Path, name: str) -> None:
    """In the scenario that its bug is about a mutant leaves something else than the stack does."""
    scenario = SCENARIOS[SHOWN_BY[name]]
    descriptor = materialise(STACK.directory, MUTANTS[name], tmp_path / "copy")
    with deployed(target, descriptor, name=f"test-{name}", path="orders", key="order_id") as saga:
        ledger, left, said = play(saga, "shown", scenario, named=False)

    in_reverse = [kind for kind in ledger if kind in ("refunded", "released")] != ["released", "refunded"]
    assert (left, said, in_reverse) != (scenario.left, scenario.state, True)
