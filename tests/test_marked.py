"""Fields that a descriptor marks as secret: found in what is sent, answered and read, and hidden in every text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from descriptor_examples import ORDERS
from holdfast.errors import DescriptorError
from holdfast.ports.redact import Redactor
from holdfast.redaction import cleaning
from holdfast.stack.commands import Command
from holdfast.stack.generate import Submission
from holdfast.stack.loading import load_descriptor
from holdfast.stack.marked import Known, Marked
from holdfast.verdict.describe import shorten, veiled

FINGERPRINT = re.compile(r"\[redacted [0-9a-f]{8}\]")


def marked(*marks: str, **commands: Any) -> Marked:
    """Marks, and commands that make one HTTP call with this JSON."""
    made = {
        name: Command.model_validate({"calls": [{"kind": "http", "url": "http://x", "json": sent}], "fields": fields})
        for name, (sent, fields) in commands.items()
    }
    return Marked(marks, made, Known())


def clean(marks: Marked, text: str) -> str:
    """The text as it may be shown."""
    return Redactor(environ={}, marked=marks).clean(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"card": "4929-8d10", "b": 1}',
        '{"a": [{"card":"4929-8d10"}]}',
        '{"card": 49298010}',
        '{"card": {"S": "4929-8d10"}, "b": {"N": "1"}}',
        '{"card": ["4929-8d10", "x]\\"y"], "b": 2}',
        "{'card': '4929-8d10', 'b': 1}",
        "card=4929-8d10&b=1",
        "https://x.example/pay?a=1&card=4929-8d10",
        "card: 4929-8d10",
        "card: 4111 4929 1111 4929",
        "{'card': Decimal('4929'), 'b': 1}",
        "Order(id=1, card=Card(number='4929', owner=Owner('4929')), b=1)",
        "<order><card>4929-8d10</card></order>",
        json.dumps({"body": json.dumps({"card": "4929-8d10"})}),
        json.dumps({"a": json.dumps({"b": json.dumps({"card": 'quo"te 4929-8d10'})})}),
        '{"a": 1, "card": "4929-8d10 that is cut in its mid',
    ],
)
def test_a_marked_field_is_hidden_by_its_name(text: str) -> None:
    """Its value goes from text of any kind, also one that nobody has seen before."""
    cleaned = clean(marked("card"), text)
    assert "4929" not in cleaned
    assert FINGERPRINT.search(cleaned), cleaned


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner, max_size=3), max_leaves=4))
def test_what_is_json_stays_json(value: Any) -> None:
    """A document keeps its shape and its other fields, whatever stands in the marked one."""
    document = {"before": 'a "quoted" one', "card": value, "after": [1, {"b": "c"}]}
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
        cleaned = json.loads(clean(marked("card"), text))
        assert {**cleaned, "card": None} == {**document, "card": None}
        assert value == "" or cleaned["card"] != value
    twice = json.loads(clean(marked("card"), json.dumps({"body": json.dumps(document)})))
    assert {**json.loads(twice["body"]), "card": None} == {**document, "card": None}


def test_other_fields_stay() -> None:
    """Neither a longer name nor the same name under another parent is meant by a mark."""
    text = '{"card_type": "visa", "discard": "yes", "ssn": 1, "holder": {"ssn": 22}}'
    assert clean(marked("card", "customer.ssn"), text) == text
    assert clean(marked("card"), '{"card": null, "b": ""}') == '{"card": null, "b": ""}'


def test_a_mark_of_several_names_means_the_field_below_the_others() -> None:
    """`customer.ssn` is the `ssn` of a `customer`."""
    cleaned = clean(marked("customer.ssn"), '{"ssn": "one", "customer": {"name": "two", "ssn": "three"}}')
    assert json.loads(cleaned)["ssn"] == "one"
    assert json.loads(cleaned)["customer"]["name"] == "two"
    assert FINGERPRINT.fullmatch(json.loads(cleaned)["customer"]["ssn"])


def test_equal_values_look_equal_and_different_ones_different() -> None:
    """A fingerprint is the same for the same value wherever it stands in one run, and another in the next."""
    marks = marked("card")
    marks.learn({"card": "4929-8d10"})
    cleaned = clean(marks, '{"card": "4929-8d10"} 4929-8d10 {"card": "4929-8d11"} {\\"card\\": \\"4929-8d10\\"}')
    first, alone, other, escaped = FINGERPRINT.findall(cleaned)
    assert first == alone == escaped != other
    assert clean(marked("card"), '{"card": "4929-8d10"}') != clean(marks, '{"card": "4929-8d10"}')


def test_values_are_learnt_wherever_they_are_sent_or_read() -> None:
    """Fixed ones, generated ones under another name, those in forms, and those in JSON inside of JSON."""
    fields = {"pan": {"type": "enum", "values": ["drawn-one-1", "drawn-two-2"]}, "other": {"type": "text"}}
    marks = marked("card", "pin", pay=({"card": "{pan}", "pin": "fixed-pin-9", "x": "{other}"}, fields))
    assert marks.hidden_fields == {"pan"}
    assert not marks.hides_value
    marks.learn(json.dumps({"body": json.dumps({"card": "nested-card-3"})}))
    marks.learn("card=form-card-4&x=visible-5")
    marks.learn_submission(
        Submission("k-1", "v-1", {"pan": "given-card-6", "other": "visible-7"}), {"pan": "given-card-6"}
    )
    told = "drawn-one-1 drawn-two-2 fixed-pin-9 nested-card-3 form-card-4 given-card-6"
    assert FINGERPRINT.sub("", clean(marks, told)).strip() == ""
    assert clean(marks, "visible-5 visible-7") == "visible-5 visible-7"


def test_the_unique_value_is_secret_where_it_is_sent_in_a_marked_field() -> None:
    """Then what effects show for it is secret, too; the key never is."""
    marks = marked("note", pay=({"id": "{key}", "note": "{value}"}, {}))
    assert marks.hides_value
    marks.learn_submission(Submission("key-0001", "v-0001-ab"), {"key": "key-0001", "value": "v-0001-ab"})
    marks.learn({"note": "key-0001"}, but="key-0001")
    assert clean(marks, "key-0001") == "key-0001"
    assert FINGERPRINT.fullmatch(clean(marks, "v-0001-ab"))


def test_an_excerpt_holds_no_half_of_a_secret() -> None:
    """What is secret is taken out before a text is cut to what a finding shows."""
    marks = marked("card")
    text = json.dumps({"a": "x" * 15, "card": "0123456789" * 9})
    with veiled(Redactor(environ={}, marked=marks).clean):
        assert "0123" not in shorten(text)
    assert "0123" in shorten(text)


# -- in a descriptor -------------------------------------------------------------------------------------------------


def loaded(directory: Path, marks: str, text: str = ORDERS) -> Any:
    """The example with these marks."""
    path = directory / "example.stack.toml"
    path.write_text(f"secret_fields = {marks}\n{text}", encoding="utf-8")
    return load_descriptor(path, {})


def test_a_descriptor_marks_fields(tmp_path: Path) -> None:
    """One mark may stand without its brackets; what the descriptor gives the fields itself is known at once."""
    descriptor = loaded(tmp_path, '"amount"')
    assert descriptor.marked.hidden_fields == {"amount"}
    assert "-1.00" not in cleaning(descriptor)("amount = -1.00 or -1.00, it was")


@pytest.mark.parametrize(
    ("marks", "cause", "remedy"),
    [
        ('["ammount"]', "something is called amount", "did you mean amount?"),
        ('["order_id"]', "carries {key} in a marked field", "leave that field out"),
        ('["customer..ssn"]', "not the name of a field", "correct it"),
        ('["card number"]', "not the name of a field", "correct it"),
        ("7", "should be text", "correct it"),
    ],
)
def test_mistakes_in_marks_are_told(tmp_path: Path, marks: str, cause: str, remedy: str) -> None:
    """A slip of the pen, the key, and what is no name: each with cause and remedy."""
    with pytest.raises(DescriptorError) as caught:
        loaded(tmp_path, marks)
    assert "secret_fields" in str(caught.value)
    assert cause in str(caught.value)
    assert remedy in str(caught.value)


def test_a_mistake_within_a_marked_field_shows_no_value(tmp_path: Path) -> None:
    """The key is told, and what stands there is not."""
    text = ORDERS.replace('type = "money"', 'type = "s3cr3t-Zq9"')
    assert text != ORDERS
    with pytest.raises(DescriptorError) as caught:
        loaded(tmp_path, '["amount"]', text)
    assert "fields.amount.type" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
