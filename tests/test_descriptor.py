"""Loading descriptors: what is read, what is filled in, and how many ways of writing mean the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from descriptor_examples import ENVIRON, EXAMPLES, ORDERS, load_text
from holdfast.stack.commands import HttpCall
from holdfast.stack.effects import DeltaMeasure, DynamoGetSource, DynamoQuerySource
from holdfast.stack.loading import load_descriptor
from holdfast.stack.templates import render


def test_a_descriptor_loads_with_its_names_and_defaults(tmp_path: Path) -> None:
    """The storage-first example reads as it is written, and what it leaves out has its default."""
    descriptor = load_text(ORDERS, tmp_path)
    pattern = descriptor.patterns["storage-first"]
    assert (pattern.command, pattern.effect, pattern.workers, pattern.store) == (
        "place_order",
        "fulfilled",
        ["worker"],
        "queue",
    )
    assert descriptor.bounds.effect_seconds == 30
    assert descriptor.bounds.recovery_seconds == 120
    assert descriptor.target.default == "embedded"
    assert descriptor.commands["place_order"].acknowledgement.acknowledged == ["2xx"]
    assert descriptor.waive == {"SF-7": "no ordering promised"}


def test_one_entry_may_stand_without_brackets(tmp_path: Path) -> None:
    """A bare call, source, worker or input means the list with that one entry."""
    listed = load_text(ORDERS, tmp_path)
    bare = ORDERS.replace("calls = [{", "calls = {").replace('"{amount}" } }]', '"{amount}" } }')
    bare = bare.replace("sources = [{", "sources = {").replace('body = "body" }]', 'body = "body" }')
    bare = bare.replace('workers = ["worker"]', 'workers = "worker"').replace("[[impossible]]", "[impossible]")
    assert bare.count("[{") == 0
    assert load_text(bare, tmp_path) == listed


def test_a_table_of_its_own_means_the_same_as_an_inline_table(tmp_path: Path) -> None:
    """Two people who lay out the same stack differently get the same descriptor."""
    call = 'calls = [{ kind = "http", api = "api", path = "/orders", json = { order_id = "{key}", note = "{value}", amount = "{amount}" } }]\n'  # noqa: E501 - as in the example
    assert call in ORDERS
    laid_out = ORDERS.replace(call, "") + (
        '[[commands.place_order.calls]]\nkind = "http"\napi = "api"\npath = "/orders"\n'
        '[commands.place_order.calls.json]\norder_id = "{key}"\nnote = "{value}"\namount = "{amount}"\n'
    )
    assert load_text(laid_out, tmp_path) == load_text(ORDERS, tmp_path)


def test_environment_variables_fill_any_text(tmp_path: Path) -> None:
    """${NAME}, its default, an empty variable, the escape, and numbers written as text."""
    text = ORDERS.replace('path = "/orders"', 'path = "${STAGE:-v1}/${EMPTY:-orders}/$${x}/${GIVEN}"')
    text = text.replace("effect_seconds = 30", 'effect_seconds = "${SECONDS}"')
    descriptor = load_text(text, tmp_path, {"EMPTY": "", "GIVEN": "a b", "SECONDS": "12.5"})
    (call,) = descriptor.commands["place_order"].calls
    assert isinstance(call, HttpCall)
    assert call.path == "v1/orders/${x}/a b"
    assert descriptor.bounds.effect_seconds == 12.5


def test_a_default_may_hold_placeholders(tmp_path: Path) -> None:
    """Braces in a default belong to it, and what follows the variable stays where it is."""
    text = ORDERS.replace('path = "/orders"', 'path = "${STAGE:-{key}/{value}s}/orders{key}"')
    (call,) = load_text(text, tmp_path).commands["place_order"].calls
    assert isinstance(call, HttpCall)
    assert call.path == "{key}/{value}s/orders{key}"
    (given,) = load_text(text, tmp_path, {"STAGE": "v1"}).commands["place_order"].calls
    assert isinstance(given, HttpCall)
    assert given.path == "v1/orders{key}"


def test_what_the_environment_gives_is_never_a_template(tmp_path: Path) -> None:
    """A secret that happens to look like a placeholder is sent as it is."""
    text = ORDERS.replace('path = "/orders"', 'headers = { token = "${TOKEN}" }')
    (call,) = load_text(text, tmp_path, {"TOKEN": "a{key}b{nobody}$1"}).commands["place_order"].calls
    assert isinstance(call, HttpCall)
    assert render(call.headers["token"], {"key": "k"}) == "a{key}b{nobody}$1"


def test_the_descriptor_knows_its_secrets(tmp_path: Path) -> None:
    """Every value from the environment is known as a secret; defaults are not."""
    descriptor = load_text(EXAMPLES["api-key"], tmp_path)
    assert descriptor.secrets == {ENVIRON["API_KEY"], ENVIRON["AWS_ACCOUNT"]}
    assert descriptor.target.aws is not None
    assert descriptor.target.aws.profile == "chaos"
    assert load_text(ORDERS, tmp_path).secrets == frozenset()


def test_dead_letters_may_leave_the_original_to_the_store(tmp_path: Path) -> None:
    """An empty original means that the dead letter does not hold it; left out, it is the body."""
    assert load_text(EXAMPLES["presigned"], tmp_path).dead_letters["failed"].original is None
    without = ORDERS.replace('original = "body"\n', "")
    assert load_text(without, tmp_path).dead_letters["dlq"].original == "body"


def test_one_effect_may_add_a_generated_amount(tmp_path: Path) -> None:
    """A delta's step is a number or a template, so an account that grows by the amount is countable."""
    (source,) = load_text(EXAMPLES["bus"], tmp_path).effects["balance"].sources
    assert isinstance(source, DynamoGetSource)
    assert isinstance(source.measure, DeltaMeasure)
    assert (source.measure.start, source.measure.step) == (1000.0, "{cents}")


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_a_descriptor_does_not_change_when_it_is_written_out_and_read_again(name: str, tmp_path: Path) -> None:
    """The model's own JSON, by the names of the TOML, is the same descriptor."""
    descriptor = load_text(EXAMPLES[name], tmp_path)
    again = type(descriptor).model_validate_json(descriptor.model_dump_json(by_alias=True))
    assert again.model_dump() == descriptor.model_dump()


def test_descriptors_of_the_repository_load() -> None:
    """Every reference stack's descriptor is free of mistakes."""
    found = sorted((Path(__file__).parent.parent / "fixtures").rglob("*.stack.toml"))
    assert found
    for path in found:
        assert load_descriptor(path, {}).patterns


def test_queries_may_go_through_an_index_with_a_computed_key(tmp_path: Path) -> None:
    """The partition of an index may be a hash of the key, its sort key a prefix."""
    source = load_text(EXAMPLES["sns"], tmp_path).effects["welcomed"].sources[0]
    assert isinstance(source, DynamoQuerySource)
    assert source.index == "by-user"
    digest = hashlib.sha256(b"k-1").hexdigest()
    assert render(source.partition, {"key": "k-1"}) == {"user_hash": digest[:12]}
    assert source.sort_prefix == {"kind_at": "welcome#"}
