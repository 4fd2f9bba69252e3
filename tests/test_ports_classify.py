"""The outcome of an answer: acknowledged, refused or unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import PortError
from holdfast.history.model import Outcome
from holdfast.ports.answer import Answer
from holdfast.ports.classify import classify
from holdfast.ports.expression import check_expression, search
from holdfast.stack.commands import Acknowledgement

OK, FAIL, UNKNOWN = Outcome.OK, Outcome.FAIL, Outcome.UNKNOWN


def rule(acknowledged: Any = None, refused: Any = None) -> Acknowledgement:
    """A rule with these sides, the others by default."""
    given_sides = {"acknowledged": acknowledged, "refused": refused}
    return Acknowledgement.model_validate({name: side for name, side in given_sides.items() if side is not None})


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, OK),
        (202, OK),
        (299, OK),
        (301, UNKNOWN),
        (304, UNKNOWN),
        (400, FAIL),
        (404, FAIL),
        (408, UNKNOWN),
        (409, FAIL),
        (425, FAIL),
        (429, FAIL),
        (500, UNKNOWN),
        (503, UNKNOWN),
        (504, UNKNOWN),
        (100, UNKNOWN),
        (799, UNKNOWN),
    ],
)
def test_statuses_by_default(status: int, outcome: Outcome) -> None:
    """2xx acknowledges, 4xx but 408 refuses, anything else is unknown."""
    assert classify(Acknowledgement(), Answer(status=status)) is outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer(error="no answer within 2 s"), UNKNOWN),
        (Answer(error="refused", sent=False), FAIL),
        (Answer(), UNKNOWN),
        (Answer(status=200, error="cut in the middle"), UNKNOWN),
        (Answer(status=200, code="FunctionError"), UNKNOWN),
        (Answer(status=400, code="ThrottlingException"), FAIL),
        (Answer(status=500, code="InternalFailure"), UNKNOWN),
    ],
)
def test_answers_that_are_no_plain_status(answer: Answer, outcome: Outcome) -> None:
    """What never left is refused; what was cut, or carries a function error, is unknown."""
    assert classify(Acknowledgement(), answer) is outcome


@pytest.mark.parametrize(
    ("acknowledged", "refused", "status", "outcome"),
    [
        ([200, 409], None, 409, OK),
        ([202], None, 200, UNKNOWN),
        (["2xx"], [207], 207, FAIL),
        ([409], [409], 409, UNKNOWN),
        (["4xx"], ["4xx"], 404, UNKNOWN),
        (["2xx"], [408], 408, FAIL),
        (["2xx"], ["5xx"], 503, FAIL),
        (["2xx"], [404], 400, UNKNOWN),
    ],
)
def test_statuses_as_declared(acknowledged: Any, refused: Any, status: int, outcome: Outcome) -> None:
    """A status named exactly outweighs its class; claims of equal weight contradict each other."""
    assert classify(rule(acknowledged, refused), Answer(status=status)) is outcome


@pytest.mark.parametrize(
    ("acknowledged", "refused", "answer", "outcome"),
    [
        ("json.accepted == `true`", None, Answer(status=200, text='{"accepted": true}'), OK),
        ("json.accepted == `true`", None, Answer(status=200, text='{"accepted": false}'), UNKNOWN),
        ("json.accepted", None, Answer(status=200, text='{"accepted": "yes"}'), UNKNOWN),
        ("json.accepted", None, Answer(status=404, text="no json"), FAIL),
        ("contains(json.messages, 'ok')", None, Answer(status=400, text="{}"), FAIL),
        (None, "json.error != null", Answer(status=200, text='{"error": "no stock"}'), FAIL),
        ("json.a == `1`", "json.a == `1`", Answer(status=200, text='{"a": 1}'), UNKNOWN),
        ("headers.location != null", None, Answer(status=303, headers={"location": "/x"}), OK),
        ("text == 'OK'", None, Answer(status=200, text="OK"), OK),
        ("status == `200`", None, Answer(status=200, code="FunctionError", text="{}"), UNKNOWN),
        (None, "json.errorType == 'Bad'", Answer(status=200, code="FunctionError", text='{"errorType": "Bad"}'), FAIL),
    ],
)
def test_expressions(acknowledged: Any, refused: Any, answer: Answer, outcome: Outcome) -> None:
    """An expression decides where it is true or false; where it is neither, the answer is unknown."""
    assert classify(rule(acknowledged, refused), answer) is outcome


sides = st.one_of(
    st.none(),
    st.lists(st.one_of(st.integers(100, 599), st.sampled_from(["1xx", "2xx", "3xx", "4xx", "5xx"])), max_size=4),
    st.sampled_from(["json.ok", "status < `300`", "text", "json", "contains(text, 'a')", "length(json) > `1`", "@"]),
)


@given(
    st.integers(),
    st.text(),
    st.sampled_from(["", "ThrottlingException"]),
    st.sampled_from(["", "cut"]),
    st.booleans(),
    sides,
    sides,
)
def test_classification_is_total(
    status: int, text: str, code: str, error: str, sent: bool, acknowledged: Any, refused: Any
) -> None:
    """Every answer under every rule has exactly one outcome, the same each time."""
    answer = Answer(status=status, text=text, code=code, error=error, sent=sent)
    outcome = classify(rule(acknowledged, refused), answer)
    assert outcome in set(Outcome)
    assert classify(rule(acknowledged, refused), answer) is outcome
    assert outcome is not OK or (sent and not error and not code and status != 0)


@given(st.integers())
def test_unknown_stays_unknown(status: int) -> None:
    """By default no 5xx, no 408 and no status outside HTTP is ever taken for an acknowledgement or a refusal."""
    outcome = classify(Acknowledgement(), Answer(status=status))
    assert (outcome is OK) == (200 <= status <= 299)
    assert (outcome is FAIL) == (400 <= status <= 499 and status != 408)


@pytest.mark.parametrize(
    "expression", ["'ok'", "`1`", '`"x"`', "[status]", "{a: status}", "json.items[*].id", "json[]"]
)
def test_expressions_that_are_never_true(expression: str) -> None:
    """An acknowledgement that can never be true or false is refused before anything is sent."""
    with pytest.raises(PortError) as caught:
        check_expression(expression, "commands.place.acknowledgement.acknowledged", boolean=True)
    assert str(caught.value) == (
        f"commands.place.acknowledgement.acknowledged: {expression!r} can never be true or false\n"
        "  cause:  it always yields a text, a number, a list or an object\n"
        "  remedy: write a condition, e.g. json.accepted == `true`, or a list of statuses such as [200, 202]"
    )


def test_expressions_that_cannot_be_parsed() -> None:
    """A slip in an expression is shown with the parser's own words."""
    with pytest.raises(PortError) as caught:
        check_expression("json..id", "commands.place.calls[0].save.id")
    assert str(caught.value).splitlines()[0] == (
        "commands.place.calls[0].save.id: 'json..id' is not a JMESPath expression"
    )
    assert "Parse error at column 5" in caught.value.cause


@pytest.mark.parametrize(
    "expression", ["`true`", "json.ok", "status == `200`", "!json.error", "status > `1` && json.a"]
)
def test_expressions_that_may_be_true(expression: str) -> None:
    """Whatever may be true or false is let through."""
    check_expression(expression, "where", boolean=True)


def test_json_inside_text() -> None:
    """``from_json`` reads a message inside a message, and is null for text that is no JSON."""
    assert search("from_json(Message).id", {"Message": '{"id": 7}'}) == 7
    assert search("from_json(Message).id", {"Message": "no json"}) is None
    assert search("from_json(Message)", {}) is None
