"""Tests of the transfer saga: what it does without any harness, and what each of its mutants does wrong."""

from __future__ import annotations

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

[STACK] = [stack for stack in reference_stacks() if (stack.pattern, stack.name) == ("saga", "transfer")]
MUTANTS = {mutant.name: mutant for mutant in mutants(STACK)}
MONEY = 2_000_500
DONE = {"debited": 1, "credited": 1}
RETURNED = {"debited": 1, "returned": 1}
WRITE = {"at": "TransferMachine", "point": "call", "service": "dynamodb", "operation": "TransactWriteItems"}
"""The calls of Debit, Credit and Return, in the order in which they are made."""
Fault = dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """One transfer, what happens to it, and what is left of it; where it depends, all that may be."""

    left: dict[str, int]
    state: str
    transfer: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    starts: int = 1
    again: dict[str, Any] = field(default_factory=dict)


SCENARIOS = {
    "undisturbed": Scenario(DONE, "completed"),
    "sent three times": Scenario(DONE, "completed", starts=3),
    "sent again for another account": Scenario(DONE, "completed", starts=2, again={"to": "closed", "amount": 99}),
    "too little money": Scenario({}, "cancelled", {"from": "poor"}),
    "the account is closed": Scenario(RETURNED, "cancelled", {"to": "closed"}),
    "the answer of the debit is lost": Scenario(DONE, "completed", faults=({**WRITE, "action": "drop", "nth": 1},)),
    "the answer of the credit is lost": Scenario(DONE, "completed", faults=({**WRITE, "action": "drop", "nth": 2},)),
    "every answer of the debit is lost": Scenario(
        RETURNED, "cancelled", faults=tuple({**WRITE, "action": "drop", "nth": nth} for nth in (1, 2, 3))
    ),
    "the debit is refused": Scenario({}, "cancelled", faults=({**WRITE, "action": "refuse", "times": 3},)),
    "every answer of the credit is lost": Scenario(
        DONE, "completed", faults=tuple({**WRITE, "action": "drop", "nth": nth} for nth in (2, 3, 4))
    ),
    # Three attempts of the credit come before it.
    "the return is throttled": Scenario(
        RETURNED, "cancelled", {"to": "closed"}, ({**WRITE, "action": "throttle", "nth": 5},)
    ),
    "the answer of the return is lost": Scenario(
        RETURNED, "cancelled", {"to": "closed"}, ({**WRITE, "action": "drop", "nth": 5},)
    ),
}
SHOWN_BY = {
    "every-execution-is-a-transfer": "sent three times",
    "a-repeat-cancels-the-first": "sent three times",
    "failed-debit-not-returned": "every answer of the debit is lost",
    "credit-not-caught": "the account is closed",
    "return-not-retried": "the return is throttled",
    "credited-at-every-attempt": "the answer of the credit is lost",
    "refused-with-success": "the account is closed",
}
"""The scenario in which a mutant leaves something else than the stack does; the others need a crowd."""


@pytest.fixture(scope="module")
def transfers(target: EmbeddedTarget) -> Iterator[Saga]:
    """The transfer saga."""
    with deployed(target, STACK.descriptor, name="test-transfer", path="transfers", key="transfer_id") as saga:
        yield saga


def transfer(transfer_id: str, **fields: Any) -> dict[str, Any]:
    """An ordinary transfer."""
    known = {"from": "anna", "to": "cleo", "amount": 100, "note": f"note of {transfer_id}"}
    return {**known, "transfer_id": transfer_id, **fields}


def state(saga: Saga, transfer_id: str) -> str:
    """What the transfer says about itself."""
    return str(saga.rows("TransfersTable", transfer_id=transfer_id)[0]["state"])


def money(saga: Saga) -> int:
    """All the money there is."""
    return int(sum(one["balance"] for one in saga.rows("AccountsTable")))


def play(saga: Saga, key: str, scenario: Scenario) -> tuple[dict[str, int], str]:
    """What a scenario leaves: the counts of the ledger's entries, and the state."""
    for number, fault in enumerate(scenario.faults):
        saga.aim(key, number, **fault)
    assert saga.post(transfer(key, **scenario.transfer)).status_code == 200
    for _ in range(scenario.starts - 1):
        saga.post(transfer(key, **scenario.transfer, **scenario.again))
    return saga.counts(key), state(saga, key)


Played = dict[str, tuple[dict[str, int], str]]


@pytest.fixture(scope="module")
def played(transfers: Saga) -> Played:
    """What each scenario has left; all are played at once."""
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        found = pool.map(lambda name: play(transfers, name.replace(" ", "-"), SCENARIOS[name]), SCENARIOS)
        return dict(zip(SCENARIOS, found, strict=True))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_transfer_is_made_or_returned(played: Played, name: str) -> None:
    """Whatever happens to one transfer, the money is in one of the two accounts, and the state agrees."""
    assert played[name] == (SCENARIOS[name].left, SCENARIOS[name].state)


def test_no_money_appears_or_disappears(transfers: Saga, played: Played) -> None:
    """After all that, and with many transfers at once, the accounts hold what they held."""
    assert played
    keys = [f"crowd-{number}" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda key: transfers.post(transfer(key, **{"from": "scarce"})), keys))

    made = sum(transfers.counts(key) == DONE for key in keys)
    [scarce] = [one for one in transfers.rows("AccountsTable") if one["account"] == "scarce"]
    assert scarce["balance"] == 500 - 100 * made >= 0
    assert made > 0
    assert money(transfers) == MONEY


def test_the_same_transfer_at_the_same_time_is_made_once(transfers: Saga) -> None:
    """Ten executions of one transfer side by side move the money once, and no answer says it was refused."""
    before = money(transfers)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: transfers.post(transfer("twins")).json(), range(10)))

    assert transfers.counts("twins") == DONE
    assert {one["status"] for one in answers} == {"SUCCEEDED"}
    assert money(transfers) == before


def test_the_answer_says_what_has_become_of_the_transfer(transfers: Saga) -> None:
    """A transfer that was made, one that was refused, and both sent again, are answered alike."""
    for _ in range(2):
        assert transfers.post(transfer("told")).json() == {"status": "SUCCEEDED", "error": ""}
        refused = transfers.post(transfer("told-not", to="closed")).json()
        assert (refused["status"], refused["error"]) == ("FAILED", "TransferRefused")


def test_what_cannot_be_returned_is_surfaced_with_its_input(transfers: Saga) -> None:
    """When the return fails for good the queue of stuck transfers has the whole transfer."""
    for nth in range(5, 10):
        transfers.aim("stuck", nth, **WRITE, action="refuse", nth=nth)
    assert transfers.post(transfer("stuck", to="closed")).json()["error"] == "TransferStuck"

    [letter] = met(lambda: [one for one in transfers.letters("StuckTransfers") if one["transfer_id"] == "stuck"], bool)
    assert letter["input"] == transfer("stuck", to="closed")


@pytest.mark.parametrize("wrong", [{"transfer_id": "a b"}, {"from": ""}, {"amount": 0}, {"amount": "1"}, {"to": None}])
def test_a_wrong_transfer_is_refused(transfers: Saga, wrong: dict[str, Any]) -> None:
    """The API asks the transfer's model before it starts anything."""
    assert transfers.post({**transfer("wrong"), **wrong}).status_code == 400
    assert transfers.counts("wrong") == {}


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_mutant_shows_its_bug(target: EmbeddedTarget, tmp_path: Path, name: str) -> None:
    """In the scenario that its bug is about a mutant leaves something else than the stack does."""
    scenario = SCENARIOS[SHOWN_BY[name]]
    descriptor = materialise(STACK.directory, MUTANTS[name], tmp_path / "copy")
    with deployed(target, descriptor, name=f"test-{name}", path="transfers", key="transfer_id") as saga:
        left = play(saga, "shown", scenario)

    assert left != (scenario.left, scenario.state)


def test_two_debits_at_once_are_one_for_who_reads_the_balance_first(target: EmbeddedTarget, tmp_path: Path) -> None:
    """The mutant that reads the balance and then writes it loses debits in a crowd."""
    descriptor = materialise(STACK.directory, MUTANTS["balance-read-then-written"], tmp_path / "copy")
    with deployed(target, descriptor, name="test-balance", path="transfers", key="transfer_id") as saga:
        keys = [f"crowd-{number}" for number in range(24)]
        with ThreadPoolExecutor(24) as pool:
            list(pool.map(lambda key: saga.post(transfer(key)), keys))

        assert money(saga) > MONEY
