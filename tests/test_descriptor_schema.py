"""The published JSON Schema and the reference of keys agree with what the loader accepts."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from descriptor_examples import EXAMPLES, ORDERS, load_text
from holdfast.stack.patterns import CLAUSES, CROSS_CUTTING_CLAUSES
from holdfast.stack.schema import json_schema, keys_at, kinds_at
from holdfast.stack.templates import FILTERS

REFERENCE = Path(__file__).parent.parent / "docs" / "descriptor.md"
SCHEMA = json_schema()


def test_the_schema_is_one_and_says_what_it_is_for() -> None:
    """It is valid JSON Schema 2020-12, JSON, titled, and every definition it refers to is there."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "Holdfast stack descriptor"
    references = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(SCHEMA)))
    assert references <= set(SCHEMA["$defs"])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_descriptors_that_load_fit_the_schema(name: str) -> None:
    """What people write, aliases, bare entries and ${ENV} included, is valid in an editor."""
    assert not list(Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(EXAMPLES[name])))


def test_variables_may_stand_for_numbers_and_choices() -> None:
    """The schema admits ${ENV} wherever the loader does, and nothing else instead of a number."""
    validator = Draft202012Validator(SCHEMA)
    document = tomllib.loads(ORDERS)
    document["bounds"] = {"effect_seconds": "${SECONDS:-30}", "burst": "${BURST}"}
    document["target"] = {"default": "${TARGET}", "aws": {"account": "${ACCOUNT}", "region": "${REGION}"}}
    assert not list(validator.iter_errors(document))
    document["bounds"] = {"effect_seconds": "soon"}
    assert list(validator.iter_errors(document))


@pytest.mark.parametrize(
    ("old", "new"),
    [("effect_seconds", "efect_seconds"), ('kind = "http"', 'kind = "htpp"'), ('type = "money"', 'type = "monney"')],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    """Editors mark unknown keys and kinds."""
    assert list(Draft202012Validator(SCHEMA).iter_errors(tomllib.loads(ORDERS.replace(old, new))))


def test_suggestions_know_the_keys_of_every_place() -> None:
    """The keys and kinds of a place are found through lists, bare entries and alternatives."""
    document = tomllib.loads(ORDERS)
    at = ("commands", "place_order", "calls", 0)
    assert {"path", "json", "sigv4"} <= set(keys_at(document, at))
    assert "queue" not in keys_at(document, at)
    assert "workers" in keys_at(document, ("patterns", "storage-first"))
    assert {"http", "sqs"} <= set(kinds_at({"commands": {"c": {"calls": [{}]}}}, ("commands", "c", "calls", 0)))
    assert kinds_at({"commands": {"c": {"calls": {}}}}, ("commands", "c", "calls")) == kinds_at(document, at[:-1])


def documented() -> str:
    """The reference of keys."""
    return REFERENCE.read_text(encoding="utf-8")


def properties(schema: Any) -> Iterator[str]:
    """The name of every key that the schema has anywhere."""
    for each in (schema, *schema["$defs"].values()):
        yield from each.get("properties", {})


def test_every_key_is_in_the_reference() -> None:
    """docs/descriptor.md names each key, each kind, each filter and each pattern in code type."""
    prose = re.sub(r"^```toml\n.*?^```", "", documented(), flags=re.MULTILINE | re.DOTALL)
    words = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`\n]+)`", prose))))
    kinds = {
        each["const"]
        for part in SCHEMA["$defs"].values()
        for each in part.get("properties", {}).values()
        if "const" in each
    }
    assert sorted({*properties(SCHEMA), *kinds, *FILTERS, *CLAUSES} - words) == []


def test_the_reference_names_no_key_that_is_not_there() -> None:
    """The first column of every table of keys holds only keys of the schema."""
    known = set(properties(SCHEMA))
    tables = re.findall(r"^\| key \|.*\n\|[-|]+\n((?:\|.*\n)+)", documented(), flags=re.MULTILINE)
    named = {name for rows in tables for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert len(named) > 80
    assert sorted(named - known) == []


def merged(base: Any, more: Any) -> Any:
    """Two documents, tables merged, anything else replaced."""
    if not (isinstance(base, dict) and isinstance(more, dict)):
        return more
    return base | {key: merged(base[key], value) if key in base else value for key, value in more.items()}


BLOCKS = re.findall(r"^```toml\n(.*?)^```", documented() if REFERENCE.exists() else "", flags=re.MULTILINE | re.DOTALL)


def test_the_reference_begins_with_a_whole_descriptor(tmp_path: Path) -> None:
    """The first example loads as it stands."""
    assert load_text(BLOCKS[0], tmp_path).patterns


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_every_example_of_the_reference_fits_the_first(number: int, tmp_path: Path) -> None:
    """Each further example, put into the first one, fits the schema and loads; so the documentation stays true."""
    document = merged(tomllib.loads(BLOCKS[0]), tomllib.loads(BLOCKS[number]))
    assert not list(Draft202012Validator(SCHEMA).iter_errors(document))
    load_text(toml(document), tmp_path, {"API_KEY": "k", "TICKETS_TABLE": "t", "AWS_PROFILE": ""})


def toml(value: Any, *, inline: bool = False) -> str:
    """A document as TOML, tables inline below the first level."""
    if isinstance(value, dict) and not inline:
        return "\n".join(f"{json.dumps(key)} = {toml(each, inline=True)}" for key, each in value.items())
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each, inline=True)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each, inline=True) for each in value) + "]"
    return json.dumps(value)


def test_the_clauses_that_may_be_waived_are_those_of_the_contract() -> None:
    """Every pattern has its own prefix, and the cross-cutting clauses theirs."""
    prefixes = [prefix for prefix, _ in (*CLAUSES.values(), CROSS_CUTTING_CLAUSES)]
    assert sorted(prefixes) == ["CQ", "ES", "SC", "SF", "SG", "XX"]
