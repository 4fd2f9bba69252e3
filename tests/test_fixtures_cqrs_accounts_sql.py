"""Tests of the accounts with a read model in SQL: the same stories, on SQLite, and on PostgreSQL where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy

from accounts_scenarios import (
    SCENARIOS,
    Scenario,
    delivered_again,
    every_tag,
    projector_killed_at_every_call,
    read_side_down,
)
from accounts_stack import Accounts, deployed
from holdfast.targets.embedded import EmbeddedTarget
from holdfast_fixtures.catalogue import mutants, reference_stacks
from holdfast_fixtures.overlay import materialise

[STACK] = [stack for stack in reference_stacks() if (stack.pattern, stack.name) == ("cqrs", "accounts_sql")]
MUTANTS = {mutant.name: mutant for mutant in mutants(STACK)}
POSTGRESQL = "HOLDFAST_TEST_POSTGRESQL"
"""Names the variable with the SQLAlchemy URL of an empty database, e.g. ``postgresql+psycopg://user@127.0.0.1/test``."""
PLAYED = {name: scenario for name, scenario in SCENARIOS.items() if scenario is not read_side_down}
"""No role of AWS is in the way of a database."""
SHOWN_BY: dict[str, Scenario] = {
    "added-in-the-database": delivered_again,
    "seen-in-a-transaction-of-its-own": projector_killed_at_every_call,
    "notes-cut-to-the-column": every_tag,
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def accounts(
    request: pytest.FixtureRequest, target: EmbeddedTarget, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Accounts]:
    """The accounts, on each of the databases."""
    url = f"sqlite:///{tmp_path_factory.mktemp('read-model') / 'accounts.db'}"
    if request.param == "postgresql":
        url = os.environ.get(POSTGRESQL, "")
        if not url:
            pytest.skip(f"{POSTGRESQL} names no database")
    environ = {"ACCOUNTS_READ_MODEL_URL": url}
    with deployed(target, STACK.descriptor, name=f"test-{request.param}", environ=environ) as found:
        yield found


@pytest.mark.parametrize("name", PLAYED)
def test_an_account_is_its_log_whatever_happens(accounts: Accounts, name: str) -> None:
    """The read model in SQL comes to show the log as the one in DynamoDB does, and the write side does not care."""
    assert PLAYED[name](accounts, name)


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_mutant_shows_its_bug(target: EmbeddedTarget, tmp_path: Path, name: str) -> None:
    """In the scenario that its bug is about a mutant leaves something else than the stack does."""
    descriptor = materialise(STACK.directory, MUTANTS[name], tmp_path / "copy")
    environ = {"ACCOUNTS_READ_MODEL_URL": f"sqlite:///{tmp_path / 'accounts.db'}"}
    with deployed(target, descriptor, name=f"test-{name}", environ=environ) as mutated:
        assert not SHOWN_BY[name](mutated, "shown")


def test_a_stack_that_is_gone_leaves_nothing_behind(target: EmbeddedTarget, tmp_path: Path) -> None:
    """A database of its own goes with it; of one that others use its rows do."""
    with deployed(target, STACK.descriptor, name="test-own") as alone:
        own = Path(sqlalchemy.make_url(alone.database.replace("<log>", alone.ids["EventsTable"])).database or "")
        assert own.exists()
    assert not own.exists()

    url = f"sqlite:///{tmp_path / 'shared.db'}"
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    names = sqlalchemy.text("SELECT account_id FROM balances")
    with deployed(target, STACK.descriptor, name="test-one", environ={"ACCOUNTS_READ_MODEL_URL": url}) as one:
        one.shown("a", one.accepted("a", "c1"))
        with deployed(target, STACK.descriptor, name="test-two", environ={"ACCOUNTS_READ_MODEL_URL": url}) as two:
            two.shown("a", two.accepted("a", "c1"))
        with engine.connect() as connection:
            assert connection.execute(names).scalars().all() == [f"{one.ids['EventsTable']}/a"]


def test_what_both_stacks_do_is_written_once() -> None:
    """All handlers but those of the read model are those of the stack with the read model in DynamoDB."""
    shared = {path.name for path in (STACK.directory / "handlers").glob("*.py") if path.is_symlink()}
    own = {path.name for path in (STACK.directory / "handlers").glob("*.py")} - shared

    assert own == {"read_model.py", "schema.py"}
    assert shared | {"read_model.py"} == {
        path.name for path in (STACK.directory.parent / "accounts" / "handlers").glob("*.py")
    }
