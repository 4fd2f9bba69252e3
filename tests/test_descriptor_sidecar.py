"""An application and its sidecar in the descriptor, and what is said about a wrong one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from descriptor_examples import load_text
from holdfast.errors import DescriptorError
from holdfast.stack.patterns import SidecarPattern
from holdfast.stack.schema import json_schema
from holdfast_fixtures.catalogue import reference_stacks

PARCELS = next(one for one in reference_stacks() if one.name == "parcels").descriptor.read_text(encoding="utf-8")


def test_the_reference_stack_loads_and_fits_the_schema(tmp_path: Path) -> None:
    """What is left out has its default, and what is declared is taken."""
    pattern = load_text(PARCELS, tmp_path, {}).patterns["sidecar"]
    assert isinstance(pattern, SidecarPattern)
    assert (pattern.outage_statuses, pattern.drained_to) == ([429, 502, 503, 504], "store")
    assert (pattern.bounds.answer_seconds, pattern.bounds.backlog) == (4.0, 24)
    assert not list(Draft202012Validator(json_schema()).iter_errors(tomllib.loads(PARCELS)))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('\nchannel = "channel"', '\nchannel = "chanel"', "there is no channel chanel"),
        ('\nsidecar = "sidecar"', '\nsidecar = "parcels"', "is of type table, not process"),
        ('application = "application"\nsidecar', 'application = "app"\nsidecar', "there is no component app"),
        ('behind = "rewrite"', 'behind = "rewrit"', "did you mean rewrite?"),
        ('read = "shown"', 'read = "registered"', "the effect registered does not ask the application"),
        ('read = "shown"', 'read = "show"', "there is no effect show"),
        ("/live", "/{key}", "the placeholder {key} stands for nothing here"),
        ("answer_seconds = 4", "answer_seconds = 5", "is given up after 5 s, so an answer after more than 5 s"),
        ("answer_seconds = 4", "answer_seconds = 0", "greater than 0"),
        ("backlog = 24", "backlogs = 24", "did you mean backlog?"),
    ],
)
def test_a_wrong_sidecar_is_told(old: str, new: str, told: str, tmp_path: Path) -> None:
    """References that lead nowhere, reads that ask nobody and deadlines that nobody waits for are refused."""
    assert PARCELS.count(old) == 1, old
    with pytest.raises(DescriptorError, match=told.replace("{", r"\{").replace("?", r"\?")):
        load_text(PARCELS.replace(old, new), tmp_path, {})
