"""Templates: what they fill, what they leave alone, and what they refuse."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import DescriptorError
from holdfast.stack.templates import literal, parse, placeholders, render, render_text

VALUES = {
    "key": "k-1",
    "value": 'say "hi" & go',
    "amount": 12,
    "ratio": 0.5,
    "flag": True,
    "none": None,
    "list": [1, "é"],
    "object": {"a": {"b": 7}},
    "queue.url": "http://127.0.0.1:1/q",
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{key}", "k-1"),
        ("/orders/{key}/lines", "/orders/k-1/lines"),
        ("{key}{amount}", "k-112"),
        ("{amount}", 12),
        ("{flag}", True),
        ("{none}", None),
        ("{list}", [1, "é"]),
        ("n={amount} r={ratio} f={flag} x={none} l={list}", 'n=12 r=0.5 f=true x=null l=[1,"é"]'),
        ("{object.a.b}", 7),
        ("{queue.url}", "http://127.0.0.1:1/q"),
        ("{key|upper}", "K-1"),
        ("{key|prefix:1}", "k"),
        ("{value|json}", '"say \\"hi\\" & go"'),
        ("{amount|json}", "12"),
        ("{value|urlencode}", "say%20%22hi%22%20%26%20go"),
        ("{key|base64}", "ay0x"),
        ("{key|sha256}", hashlib.sha256(b"k-1").hexdigest()),
        ("{key|sha256:12}", hashlib.sha256(b"k-1").hexdigest()[:12]),
        ("{key|md5:4|upper}", hashlib.md5(b"k-1").hexdigest()[:4].upper()),
        ("p#{key|sha256:2}#{key}", f"p#{hashlib.sha256(b'k-1').hexdigest()[:2]}#k-1"),
        ({"{key}": ["{amount}", {"x": "{key}!"}], "plain": 3}, {"k-1": [12, {"x": "k-1!"}], "plain": 3}),
    ],
)
def test_a_placeholder_alone_keeps_its_type_and_within_text_becomes_text(template: object, expected: object) -> None:
    """A text that is one placeholder keeps the type of its value; elsewhere a value is written as JSON writes it."""
    rendered = render(template, VALUES)
    assert rendered == expected
    assert type(rendered) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": {"b": 1}}',
        "{}",
        "{ key }",
        "{0}",
        "${key}",
        "$!{key",
        "#if($x){ $y }#end",
        "a { color: red }",
        "{key|}x{",
        '{"list":[{"a":1},{"b":2}]}',
        "query { order { id } }",
    ],
)
def test_text_that_merely_contains_braces_stays_as_it_is(text: str) -> None:
    """JSON text, Velocity, CSS and GraphQL pass through untouched, character by character."""
    assert render(text, VALUES) == text
    assert placeholders(text) == frozenset()


def test_json_text_may_hold_placeholders_next_to_its_own_braces() -> None:
    """Braces of JSON text directly beside a placeholder are not mistaken for its own."""
    text = '{"id":"{key}","n":{"m":{amount}},"v":{value|json}}'
    assert json.loads(render(text, VALUES)) == {"id": "k-1", "n": {"m": 12}, "v": 'say "hi" & go'}


def test_a_doubled_brace_is_the_text_in_braces() -> None:
    """{{name}} writes {name}, also when no such name exists."""
    assert render("{{key}} {{nobody|upper}} {key}", VALUES) == "{key} {nobody|upper} k-1"
    assert render("{{key}}", VALUES) == "{key}"


@given(st.text(alphabet=st.sampled_from('{}|$:ab1._- \n"')) | st.text())
def test_literal_text_renders_to_itself(text: str) -> None:
    """What the environment gives is never a template, whatever braces it holds."""
    assert render(literal(text), {}) == text
    assert render_text(literal(text), {}) == text


@given(st.text(), st.text())
def test_rendered_values_are_not_rendered_again(before: str, value: str) -> None:
    """A value that looks like a template is put in as it is, once."""
    assert render(literal(before) + "-{key}", {"key": value + "{key}"}) == f"{before}-{value}{{key}}"


def test_every_name_of_a_template_is_listed_without_its_filters() -> None:
    """placeholders() names each value a template needs, in keys and in nested JSON as well."""
    template = {"{field}": ["{key|sha256:4}", {"x": "{queue.url} {{not}} ${nor}"}]}
    assert placeholders(template) == {"field", "key", "queue.url"}
    assert [placeholder.filters for placeholder in parse("{key|prefix:3|upper}")] == [(("prefix", "3"), ("upper", ""))]


@pytest.mark.parametrize(
    ("template", "what", "remedy"),
    [
        ("{kez}", "{kez}", "did you mean key?"),
        ("x{queue.ulr}", "{queue.ulr}", "did you mean queue.url?"),
        ("{object.a.c}", "{object.a.c}", ""),
        ("{key|sha265}", "sha265", "did you mean sha256?"),
        ("{key|prefix}", "prefix", ""),
        ("{key|prefix:x}", "prefix", ""),
        ("{key|sha256:0}", "sha256", ""),
        ("{key|upper:2}", "upper", ""),
    ],
)
def test_an_unknown_name_or_filter_is_one_clear_error(template: str, what: str, remedy: str) -> None:
    """A template that cannot be filled is refused with the name and the closest one that exists."""
    with pytest.raises(DescriptorError) as caught:
        render([template], VALUES)
    assert what in caught.value.what
    assert remedy in caught.value.remedy
