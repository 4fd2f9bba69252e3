# ruff: noqa: E501 - tables of mistakes, one a line
"""Mistakes in a descriptor: one error that names the file, every key, the cause and the remedy, and no secret."""

from __future__ import annotations

import random
import re
import traceback
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from descriptor_examples import EXAMPLES, ORDERS, load_text
from holdfast.errors import DescriptorError
from holdfast.stack.loading import load_descriptor

SECRET = "s3cr3t-Zq9"


def mistaken(text: str, directory: Path, environ: dict[str, str] | None = None) -> str:
    """What a person is told about a descriptor that cannot be used."""
    with pytest.raises(DescriptorError) as caught:
        load_text(text, directory, environ or {})
    told = str(caught.value)
    assert "example.stack.toml" in told
    assert "remedy:" in told
    return told


def changed(*changes: tuple[str, str], text: str = ORDERS) -> str:
    """The example with some of its text replaced."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("old", "new", "key", "cause", "remedy"),
    [
        ('table = "ledger"', 'tabel = "ledger"', "effects.fulfilled.sources[0].tabel", "unknown key", "mean table?"),
        ("sources = [", "source = [", "effects.fulfilled.source", "unknown key", "mean sources?"),
        ("effect_seconds", "efect_seconds", "bounds.efect_seconds", "unknown key", "mean effect_seconds?"),
        ("[waive]", "[waived]", "waived", "unknown key", "mean waive?"),
        ("[patterns.storage-first]", "[patterns.storage-frist]", "patterns.storage-frist", "unknown", "storage-first?"),
        ('kind = "http"', 'kind = "htpp"', "commands.place_order.calls[0].kind", "'htpp'", "mean http?"),
        ('kind = "http", ', "", "commands.place_order.calls[0].kind", "missing", "eventbridge, execution, http"),
        ('type = "money"', 'type = "monney"', "commands.place_order.fields.amount.type", "'monney'", "mean money?"),
        ('type = "role"', 'type = "rolle"', "components.gateway_role.type", "'rolle'", "mean role?"),
        ("effect_seconds = 30", 'effect_seconds = "soon"', "bounds.effect_seconds", "should be a number", ""),
        ("effect_seconds = 30", "effect_seconds = 0", "bounds.effect_seconds", "greater than 0", ""),
        ('name = "webhook-orders"\n', "", "name", "missing", "add the key name"),
        ('name = "webhook-orders"', 'name = "Orders!"', "name", "small letter", ""),
        ('"SF-7" =', '"SF-seven" =', "waive.SF-seven", "clause id", ""),
        ('"SF-7" =', '"ES-7" =', "waive.ES-7", "no clause of the patterns", "SF-1..10, XX-1..2"),
        ('"SF-7" =', '"SF-11" =', "waive.SF-11", "no clause of the patterns", "SF-1..10"),
        ('key = "json.order_id"', 'key = "json.["', "dead_letters.dlq.key", "JMESPath", ""),
        ('queue = "dlq"\n', "", "dead_letters.dlq", "fit together", "either queue or bucket"),
        ('logical_id = "Api"', 'logical_id = "Api", name = "x"', "components.api", "fit together", "exactly one"),
        ('queue", logical_id = "OrdersQueue"', 'queue", stage = "x", logical_id = "Q"', "components.queue", "", "an api"),
        ('path = "/orders"', 'url = "http://x"', "commands.place_order.calls[0]", "fit together", "api (with path) or url"),
        ('path = "/orders"', 'body = "{key}"', "commands.place_order.calls[0]", "fit together", "json, form and body"),
        ('type = "money"', 'type = "money", min = 5, max = 1', "commands.place_order.fields.amount", "", "nothing to draw"),
        # between keys
        ('table = "ledger"', 'table = "leger"', "effects.fulfilled.sources[0].table", "no component leger", "mean ledger?"),
        ('table = "ledger"', 'table = "queue"', "effects.fulfilled.sources[0].table", "type queue, not table", "ledger"),
        ('api = "api"', 'api = "queue"', "commands.place_order.calls[0].api", "type queue, not api or function", "api"),
        ('workers = ["worker"]', 'workers = ["queue"]', "patterns.storage-first.workers[0]", "not function", "worker"),
        ('storage_roles = ["gateway_role"]', 'storage_roles = "api"', "patterns.storage-first.storage_roles", "", "_role"),
        ('store = "queue"', 'store = "queu"', "patterns.storage-first.store", "no component queu", "mean queue?"),
        ('queue = "dlq"', 'queue = "dlqs"', "dead_letters.dlq.queue", "no component dlqs", "mean dlq?"),
        ('command = "place_order"', 'command = "plaice"', "patterns.storage-first.command", "no command", "place_order?"),
        ('effect = "fulfilled"', 'effect = "done"', "patterns.storage-first.effect", "no effect done", "fulfilled"),
        ('dead_letters = "dlq"', 'dead_letters = "d"', "patterns.storage-first.dead_letters", "no dead-letter port d", "dlq"),
        ('dead_letters = "dlq"', 'status = "x"', "patterns.storage-first.status", "no status x", "none to name"),
        ('dead_letters = "dlq"', 'order = { group = "g" }', "patterns.storage-first.order.group", "no field g", "amount"),
        ('dead_letters = "dlq"', 'message = "m"', "patterns.storage-first.message", "no effect m", "fulfilled"),
        ('{ amount = "-1.00" }', '{ amuont = "-1" }', "impossible[0].fields.amuont", "no field amuont", "mean amount?"),
        ('"{amount}"', '"{amuont}"', "commands.place_order.calls[0].json.amount", "{amuont}", "mean amount?"),
        ('"{amount}"', '"{amount|sha1}"', "commands.place_order.calls[0].json.amount", "sha1", "mean sha256?"),
        ('"{amount}"', '"{queue.ulr}"', "commands.place_order.calls[0].json.amount", "no ulr", "mean url?"),
        ('"{amount}"', '"{ledger.url}"', "commands.place_order.calls[0].json.amount", "a table has no URL", "{ledger.arn}"),
        ('pk = "{key}"', 'pk = "{kay}"', "effects.fulfilled.sources[0].partition.pk", "{kay}", "mean key?"),
        ('"{key}", note', '"fixed", note', "commands.place_order.calls", "no call carries {key}", ""),
        ('in = "body"', 'in = "header"', "commands.place_order.idempotency.in", "no call has {key} there", ""),
        ("fields.amount", "fields.value", "commands.place_order.fields.value", "reserved", "another name"),
        ("fields.amount", "fields.queue", "commands.place_order.fields.queue", "component", "another name"),
        ("[deploy]", '[target]\ndefault = "aws"\n[deploy]', "target.aws", "missing", "pin the account"),
        ("[deploy]", "[deploy]\nparameters = { A = '{key}' }", "deploy.parameters.A", "{key}", "account"),
        ("[waive]", '[met_by]\nSF-7 = { how = "group-order", reason = "r" }\n[waive]', "met_by.SF-7", "waived", "one of"),
        ("[waive]", '[[seed]]\ntable = "queue"\nitem = { pk = "{key}" }\n[waive]', "seed[0].table", "type queue", "ledger"),
        ("[waive]", '[conserved.x]\neffect = "y"\npath = "z"\n[waive]', "conserved.x.effect", "no effect y", "fulfilled"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_key_cause_and_remedy(
    old: str, new: str, key: str, cause: str, remedy: str, tmp_path: Path
) -> None:
    """Every kind of mistake is told with the key as TOML writes it, what is wrong, and what to write."""
    told = mistaken(changed((old, new)), tmp_path)
    assert re.search(rf"(?m)(^|\s){re.escape(key)}(\s|$)", told), told
    assert cause in told
    assert remedy in told


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """Mistakes of single keys, between keys, and of the environment come in one message, each key once."""
    told = mistaken(
        changed(
            ('kind = "http"', 'kind = "htpp"'),
            ('type = "money"', 'type = "monney"'),
            ("effect_seconds = 30", 'effect_seconds = "soon"\nburts = 3'),
            ('workers = ["worker"]', 'workers = ["wroker"]'),
            ('queue = "dlq"', 'queue = "${DLQ}"'),
            ('table = "ledger"', 'table = "legder"'),
        ),
        tmp_path,
    )
    keys = (
        "commands.place_order.calls[0].kind",
        "commands.place_order.fields.amount.type",
        "bounds.effect_seconds",
        "bounds.burts",
        "patterns.storage-first.workers[0]",
        "dead_letters.dlq.queue",
        "effects.fulfilled.sources[0].table",
    )
    for key in keys:
        assert told.count(f"  {key}\n") == 1, key
    assert f"{len(keys)} keys cannot be used" in told


def test_a_name_that_another_mistake_took_away_is_no_second_mistake(tmp_path: Path) -> None:
    """A component with a misspelt type is told once, not again wherever it is used."""
    told = mistaken(changed(('ledger = { type = "table"', 'ledger = { type = "tabel"')), tmp_path)
    assert "components.ledger.type" in told
    assert "no component" not in told


def test_syntax_errors_name_the_line(tmp_path: Path) -> None:
    """A file that is not TOML is told with its line and column."""
    told = mistaken('name = "x"\nbroken = = 1\n', tmp_path)
    assert "is not TOML" in told
    assert "line 2" in told


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    """A missing file, a directory and bytes that are no text are told, not thrown."""
    (tmp_path / "latin.stack.toml").write_bytes(b'name = "caf\xe9"')
    for name, what in (("none.stack.toml", "no descriptor"), ("", "cannot be read"), ("latin.stack.toml", "not UTF-8")):
        with pytest.raises(DescriptorError, match=what) as caught:
            load_descriptor(tmp_path / name, {})
        assert caught.value.cause
        assert caught.value.remedy


def test_a_missing_variable_names_the_key_and_the_variable(tmp_path: Path) -> None:
    """Nothing is filled in silently, and a lone ${ is no variable."""
    told = mistaken(changed(('path = "/orders"', 'headers = { x-api-key = "${API_KEY}" }')), tmp_path)
    assert "commands.place_order.calls[0].headers.x-api-key" in told
    assert "API_KEY is not set" in told
    told = mistaken(changed(('path = "/orders"', 'path = "${util.x}"')), tmp_path)
    assert "commands.place_order.calls[0].path" in told
    assert "$${" in told


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('type = "money"', 'type = "${S}"'),
        ('kind = "http"', 'kind = "${S}"'),
        ('kind = "http"', 'kind = "http", method = "${S}"'),
        ("effect_seconds = 30", 'effect_seconds = "${S}"'),
        ('key = "json.order_id"', 'key = "json.[${S}"'),
        ('table = "ledger"', 'table = "${S}"'),
        ('table = "ledger"', 'table = "x-${S}-y"'),
        ('effect = "fulfilled"', 'effect = "${S}"'),
        ('name = "webhook-orders"', 'name = "${S}!"'),
        ('"no ordering promised"', "7"),
        ('fields = { amount = "-1.00" }', 'fields = "${S}"'),
        ('path = "/orders"', 'path = "/{nobody}${S}"'),
        ('"SF-7" = "no ordering promised"', '"SF-7" = "${S}"\n"SF-99" = "${S}"'),
    ],
)
def test_values_from_the_environment_are_never_echoed(old: str, new: str, tmp_path: Path) -> None:
    """Whatever is wrong with a key, a value that came from ${ENV} is in no message and no traceback."""
    path = tmp_path / "example.stack.toml"
    with_header = changed(('path = "/orders"', 'headers = { token = "${S}" }, path = "/orders"'))
    path.write_text(changed((old, new), text=with_header), encoding="utf-8")
    with pytest.raises(DescriptorError) as caught:
        load_descriptor(path, {"S": SECRET})
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in told
    assert "Zq9" not in told


LINES = [line for text in EXAMPLES.values() for line in text.splitlines() if line]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from(sorted(EXAMPLES)),
    seed=st.integers(0, 2**32),
    edits=st.integers(1, 5),
)
def test_no_edit_of_a_descriptor_ends_in_a_traceback(
    name: str, seed: int, edits: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Lines dropped, repeated, moved and words swapped at random: a descriptor loads, or is refused with a remedy."""
    rng = random.Random(seed)
    lines = EXAMPLES[name].splitlines()
    for _ in range(edits):
        at = rng.randrange(len(lines))
        match rng.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, rng.choice(LINES))
            case 2:
                words = lines[at].split('"')
                words[rng.randrange(len(words))] = rng.choice(["", "x", "{key}", "{", "queue", "${S}", "1"])
                lines[at] = '"'.join(words)
            case _:
                lines[at] = re.sub(
                    r"= .*", lambda _: rng.choice(["= 3", "= []", "= {}", '= "x"', "= [1]", "= true"]), lines[at]
                )
        lines = lines or [""]
    told = refusal("\n".join(lines), tmp_path_factory.getbasetemp())
    assert told is None or (told.remedy and SECRET not in str(told))


def refusal(text: str, directory: Path) -> DescriptorError | None:
    """The error a descriptor is refused with; None when it loads."""
    try:
        load_text(text, directory, {"S": SECRET, "API_KEY": SECRET, "AWS_ACCOUNT": "123456789012"})
    except DescriptorError as error:
        return error
    return None
