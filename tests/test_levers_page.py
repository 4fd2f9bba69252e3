"""docs/levers.md says what the levers do."""

from __future__ import annotations

import re

import pytest

from holdfast.levers import LEVERS
from holdfast.stack.allowed_calls import CALLS, is_read
from levers_page import ACTS, PAGE, TABLES, between

AS_PERMISSION = {"UpdateStage": "PATCH"}
"""Where the IAM action has another name than the operation."""


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_those_of_the_code(name: str) -> None:
    """Every lever is there with its call, error class, bound, targets and permissions as the code has them."""
    _, table, _ = between(PAGE.read_text(encoding="utf-8"), name)
    assert table == TABLES[name](), "write them anew: python tests/levers_page.py"


@pytest.mark.parametrize("name", sorted(LEVERS))
def test_the_calls_are_those_that_the_lever_may_make(name: str) -> None:
    """A lever's calls pass the guard rail, and its permissions are for them, for reading and for its canary."""
    acts = ACTS[name]
    admitted = {operation for calls in CALLS.values() for operation in calls}
    assert set(acts.calls) <= admitted
    needed = {permission.partition(":")[2] for permission in LEVERS[name].permissions}
    changing = {each for each in needed if not is_read(each) and each != "GET"}
    assert changing == {AS_PERMISSION.get(each, each) for each in acts.calls} | set(acts.canary)


def test_every_lever_has_its_hazards() -> None:
    """The page says of every lever what to beware of."""
    page = PAGE.read_text(encoding="utf-8")
    hazards = page.partition("## Hazards")[2].partition("\n## ")[0]
    told = {
        name for line in re.findall(r"^\| (.+?) \|", hazards, re.MULTILINE) for name in re.findall(r"`(.+?)`", line)
    }
    assert told == set(LEVERS)
