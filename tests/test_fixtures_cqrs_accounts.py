"""Tests of the accounts: what they do without any harness, and what each of their mutants does wrong."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest

from accounts_scenarios import (
    SCENARIOS,
    Scenario,
    a_crowd,
    delivered_after_the_end,
    delivered_again,
    delivered_out_of_order,
    every_tag,
    killed_at_every_call,
    poisoned,
    projector_killed_at_every_call,
    read_before_it_is_projected,
    read_over_and_over,
    read_side_down,
    rebuilt,
    refused_by_the_table,
    snapshot_between,
    withdrawn_too_much,
    write_side_down,
)
from accounts_stack import Accounts, deployed, folded, met
from holdfast.targets.embedded import EmbeddedTarget
from holdfast_fixtures.catalogue import mutants, reference_stacks
from holdfast_fixtures.overlay import materialise

[STACK] = [stack for stack in reference_stacks() if (stack.pattern, stack.name) == ("cqrs", "accounts")]
MUTANTS = {mutant.name: mutant for mutant in mutants(STACK)}

SHOWN_BY: dict[str, Scenario] = {
    "a-tag-that-came-later": every_tag,
    "recorded-after-the-event": killed_at_every_call,
    "versions-from-a-counter": killed_at_every_call,
    "storage-error-accepted": refused_by_the_table,
    "last-writer-wins": a_crowd,
    "lost-race-accepted": a_crowd,
    "no-deduplication": delivered_again,
    "applied-out-of-order": delivered_out_of_order,
    "closed-without-a-trace": delivered_after_the_end,
    "checkpoint-before-apply": projector_killed_at_every_call,
    "rebuilt-by-an-old-copy": rebuilt,
    "writes-need-the-read-model": read_side_down,
    "queries-ask-the-log": write_side_down,
    "poison-swallowed": poisoned,
    "poison-blocks-for-good": poisoned,
    "two-caches": read_over_and_over,
    "version-not-waited-for": read_before_it_is_projected,
    "snapshot-off-by-one": snapshot_between,
    "snapshot-in-two-writes": snapshot_between,
    "recorded-then-refused": withdrawn_too_much,
}
"""The scenario in which a mutant leaves something else than the stack does. The others show in the time that they take
or in the configuration only."""


@pytest.fixture(scope="module")
def accounts(target: EmbeddedTarget) -> Iterator[Accounts]:
    """The accounts."""
    with deployed(target, STACK.descriptor, name="test-accounts") as found:
        yield found


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_account_is_its_log_whatever_happens(accounts: Accounts, name: str) -> None:
    """Each accepted command is in the log once, each refused one is not, and the read model comes to show the log."""
    assert SCENARIOS[name](accounts, name)


def test_a_repeated_command_is_recorded_once(accounts: Accounts) -> None:
    """The same command gets the same version; another one under its id is refused, and on another account too."""
    assert [accounts.accepted("repeated", "repeated-1") for _ in range(3)] == [1, 1, 1]
    assert accounts.send("repeated", "repeated-1", amount=8).status_code == 409
    assert accounts.send("repeated-too", "repeated-1").status_code == 409
    assert accounts.commands("repeated") == [(1, "repeated-1")]
    assert accounts.commands("repeated-too") == []


def test_a_withdrawal_that_emptied_the_account_can_be_repeated(accounts: Accounts) -> None:
    """A command that was accepted is accepted again, though the balance would no longer allow it."""
    accounts.accepted("emptied", "emptied-1", amount=5)

    assert [accounts.accepted("emptied", "emptied-2", kind="withdrawals", amount=5) for _ in range(2)] == [2, 2]


def test_an_account_is_opened_once_and_its_limit_holds(accounts: Accounts) -> None:
    """An opening grants a limit; a second one, and one after a deposit, are refused."""
    accounts.accepted("opened", "opened-1", kind="openings", amount=10)
    accounts.accepted("opened-late", "opened-late-1")

    assert accounts.send("opened", "opened-2", kind="openings", amount=99).status_code == 409
    assert accounts.send("opened-late", "opened-late-2", kind="openings", amount=99).status_code == 409
    assert accounts.accepted("opened", "opened-3", kind="withdrawals", amount=10) == 2
    assert accounts.send("opened", "opened-4", kind="withdrawals", amount=1).status_code == 409


def test_withdrawals_at_the_same_time_never_take_more_than_there_is(accounts: Accounts) -> None:
    """Of twelve withdrawals of a third of the balance three are accepted."""
    accounts.accepted("scarce", "scarce-0", amount=9)
    with ThreadPoolExecutor(12) as pool:
        statuses = list(
            pool.map(
                lambda number: accounts.send("scarce", f"scarce-{number}", kind="withdrawals", amount=3).status_code,
                range(1, 13),
            )
        )

    assert sorted(statuses) == [201] * 3 + [409] * 9
    assert [version for version, _ in accounts.commands("scarce")] == [1, 2, 3, 4]
    assert accounts.shown("scarce", 4) == {"balance": 0, "entries": 4, "last": ANY, "tags": ["food"]}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"amount": 0}, 400),
        ({"amount": True}, 400),
        ({"amount": 1_000_001}, 400),
        ({"tag": 7}, 400),
        ({"note": None}, 400),
        ({"kind": "gifts"}, 404),
        ({"command_id": "a b"}, 400),
    ],
)
def test_a_wrong_command_is_refused(accounts: Accounts, fields: dict[str, Any], status: int) -> None:
    """A malformed command gets a 4xx and leaves no event."""
    assert accounts.send("wrong", **{"command_id": "wrong", **fields}).status_code == status
    assert accounts.commands("wrong") == []


def test_what_the_stream_gives_up_is_reported(accounts: Accounts) -> None:
    """An event at which the projector always dies is reported, and a later one brings it along from the log."""
    for nth in range(1, 30):
        accounts.aim("given-up-1", nth, at="ProjectorFunction", action="fail", nth=nth, times=1)
    accounts.accepted("given-up", "given-up-1")
    met(lambda: [one for one in accounts.letters() if "DDBStreamBatchInfo" in one], bool, 60.0)
    accounts.accepted("given-up", "given-up-2")

    assert accounts.shown("given-up", 2) == folded(accounts.events("given-up"))


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_mutant_shows_its_bug(target: EmbeddedTarget, tmp_path: Path, name: str) -> None:
    """In the scenario that its bug is about a mutant leaves something else than the stack does."""
    descriptor = materialise(STACK.directory, MUTANTS[name], tmp_path / "copy")
    with deployed(target, descriptor, name=f"test-{name}") as mutated:
        assert not SHOWN_BY[name](mutated, "shown")
