"""Event logs and read models in the descriptor, and what is said about a wrong one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from descriptor_examples import load_text
from holdfast.errors import DescriptorError
from holdfast.stack.patterns import CqrsPattern
from holdfast.stack.schema import json_schema
from holdfast_fixtures.catalogue import reference_stacks

ACCOUNTS = next(one for one in reference_stacks() if one.name == "accounts").descriptor.read_text(encoding="utf-8")


def loaded(text: str, tmp_path: Path) -> CqrsPattern:
    pattern = load_text(text, tmp_path, {}).patterns["cqrs"]
    assert isinstance(pattern, CqrsPattern)
    return pattern


def test_the_reference_stack_loads_and_fits_the_schema(tmp_path: Path) -> None:
    """Its views are the read store, the query API and those of the two hooks, each once."""
    pattern = loaded(ACCOUNTS, tmp_path)
    assert pattern.views == ("balances", "balance_query", "rebuilt", "from_snapshot")
    assert not list(Draft202012Validator(json_schema()).iter_errors(tomllib.loads(ACCOUNTS)))


def test_without_a_query_clients_read_the_view_itself(tmp_path: Path) -> None:
    """And a fold may be a function."""
    text = ACCOUNTS.replace('query = "balance_query"\n', "", 1)
    start, end = text.index("[patterns.cqrs.fold]"), text.index("[bounds]")
    text = text[:start] + text[end:]
    text = text.replace('view = "balances"', 'view = "balances"\nfold = "folds:total"', 1)
    pattern = loaded(text, tmp_path)
    assert (pattern.reads, pattern.fold) == ("balances", "folds:total")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('log = "accounts"', 'log = "acounts"', "did you mean accounts?"),
        ('view = "balances"', 'view = "balance"', "there is no view balance"),
        ('query = "balance_query"', 'query = "query"', "there is no view query"),
        ('aggregate = "account_id"', 'aggregate = "account"', "the command deposit has no field account"),
        ('command = "close"', 'command = "closed"', "there is no command closed"),
        ('command = "close"', 'command = "rebuild"', "the command rebuild has no field account_id"),
        ('view = "rebuilt"', 'view = "built"', "there is no view built"),
        ('read_store = "balances"', 'read_store = "projector"', "is of type function, not table"),
        ('kind = "sum"', 'kind = "total"', "use one of: count, last, set, sum"),
        ('kind = "count"', 'kind = "count", path = "amount"', "path"),
        ('sequence = "version"', 'sequence = "version["', "Incomplete expression"),
        ("staleness_seconds = 5", "staleness_seconds = 0", "greater than 0"),
    ],
)
def test_a_wrong_one_is_told_where_and_how_to_mend_it(old: str, new: str, told: str, tmp_path: Path) -> None:
    """Each slip is an error that names the place and the remedy."""
    assert old in ACCOUNTS
    with pytest.raises(DescriptorError) as caught:
        load_text(ACCOUNTS.replace(old, new, 1), tmp_path, {})
    assert told in f"{caught.value.what}\n{caught.value.cause}\n{caught.value.remedy}"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('{ kind = "sql", url = "sqlite://", query = "DROP TABLE x" }', "begins with SELECT or WITH"),
        ('{ kind = "sql", url = "sqlite://", query = "SELECT 1", parameters = { a = "{acount_id}" } }', "account_id"),
        ('{ kind = "kinesis", stream = "events", match = "id" }', "is of type table, not stream"),
        ('{ kind = "rds-data", cluster = "events", secret = "s", query = "SELECT 1" }', "not cluster"),
    ],
)
def test_the_new_sources_are_checked(source: str, told: str, tmp_path: Path) -> None:
    """Queries that write, placeholders of no field, and components of another type."""
    document: dict[str, Any] = tomllib.loads(ACCOUNTS)
    assert document["views"]["balances"]
    start = ACCOUNTS.index("[views.balances]")
    end = ACCOUNTS.index("state =", start)
    with pytest.raises(DescriptorError) as caught:
        load_text(f"{ACCOUNTS[:start]}[views.balances]\nsource = {source}\n{ACCOUNTS[end:]}", tmp_path, {})
    assert told in f"{caught.value.what}\n{caught.value.cause}\n{caught.value.remedy}"
