"""Generated values: deterministic, within their bounds, tame for most clauses and wild for SF-4."""

from __future__ import annotations

import json
import random
import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from holdfast.errors import DescriptorError
from holdfast.stack.commands import Command
from holdfast.stack.generate import draw, strategies

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def command(fields: dict[str, Any], **call: Any) -> Command:
    """A command of one call with these fields."""
    call = call or {"kind": "http", "url": "http://127.0.0.1", "json": {"k": "{key}", "v": "{value}"}}
    return Command.model_validate({"calls": call, "fields": fields})


ALL = {
    "n": {"type": "integer", "min": -3, "max": 3},
    "x": {"type": "number", "min": 0.25, "max": 0.75},
    "money": {"type": "money", "min": 0.005, "max": 1.237},
    "cents": {"type": "money", "unit": "cents", "min": 1, "max": 2},
    "choice": {"type": "enum", "values": ["a", 2, None]},
    "words": {"type": "text", "min_length": 3, "max_length": 9},
    "hex": {"type": "text", "alphabet": "0123456789abcdef", "min_length": 8, "max_length": 8},
    "any": {"type": "json"},
    "id": {"type": "uuid"},
    "at": {"type": "timestamp"},
}


@given(st.integers(0, 2**32), st.from_regex(r"[a-z0-9-]{1,20}", fullmatch=True))
def test_a_submission_is_determined_by_the_key_and_the_random_state(seed: int, key: str) -> None:
    """The same seed draws the same submission; every field keeps within its declared bounds."""
    first, second = (draw(command(ALL), key, random.Random(seed), now=lambda: NOW) for _ in range(2))
    assert first == second
    assert first.key == key
    assert re.fullmatch(rf"v-{re.escape(key)}-[0-9a-f]{{8}}", first.value)
    fields = first.fields
    assert -3 <= fields["n"] <= 3
    assert 0.25 <= fields["x"] <= 0.75
    assert re.fullmatch(r"\d+\.\d\d", fields["money"])
    assert 0.01 <= float(fields["money"]) <= 1.23
    assert fields["cents"] in range(100, 201)
    assert fields["choice"] in ("a", 2, None)
    assert re.fullmatch(r"[A-Za-z0-9]{3,9}", fields["words"])
    assert re.fullmatch(r"[0-9a-f]{8}", fields["hex"])
    assert json.loads(json.dumps(fields["any"])) == fields["any"]
    assert uuid.UUID(fields["id"]).version == 4
    assert fields["at"] == "2026-11-23T08:30:00.000Z"


def test_different_submissions_carry_different_values() -> None:
    """One random state never repeats the unique value, even for one key."""
    rng = random.Random(7)
    assert len({draw(command({}), "k", rng).value for _ in range(200)}) == 200


def test_overrides_replace_fields_and_leave_the_others_as_they_were() -> None:
    """A poison field changes nothing else of the submission that the same seed draws."""
    plain = draw(command(ALL), "k", random.Random(1), now=lambda: NOW)
    other = draw(command(ALL), "k", random.Random(1), {"money": "-1.00", "value": "mine"}, now=lambda: NOW)
    assert other.value == "mine"
    assert other.fields == {**plain.fields, "money": "-1.00"}


@pytest.mark.parametrize(("overrides", "remedy"), [({"mony": 1}, "did you mean money?"), ({"value": 3}, "text")])
def test_an_override_of_nothing_is_refused(overrides: dict[str, Any], remedy: str) -> None:
    """A misspelt field is an error with a suggestion, never silently ignored."""
    with pytest.raises(DescriptorError) as caught:
        draw(command(ALL), "k", random.Random(1), overrides)
    assert remedy in caught.value.remedy


BODY = {"k": "{key}", "v": "{value}", "t": "{words}", "h": "{hex}", "j": "{any}", "n": "{n}"}
WILD = command(ALL, kind="http", url="http://127.0.0.1", json=BODY)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_wild_overrides_fit_the_command_they_are_for(data: st.DataObject) -> None:
    """SF-4's overrides are accepted by draw, can be encoded, and keep to declared lengths and alphabets."""
    overrides = data.draw(strategies(WILD, most_characters=3_000))
    assert set(overrides) == {"value", "words", "hex", "any"}
    submission = draw(WILD, "k", random.Random(0), overrides)
    json.dumps(overrides, ensure_ascii=False).encode()
    assert 1 <= len(submission.value) <= 3_000
    assert 3 <= len(submission.fields["words"]) <= 9
    assert re.fullmatch(r"[0-9a-f]{8}", submission.fields["hex"])


def depth(value: Any) -> int:
    """How deep objects and lists nest."""
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max((depth(each) for each in inner), default=0)


@pytest.mark.parametrize(
    "planted",
    [
        lambda o: "&" in o["value"],
        lambda o: "+" in o["value"],
        lambda o: "%" in o["value"],
        lambda o: "=" in o["value"],
        lambda o: '"' in o["value"],
        lambda o: "\\" in o["value"],
        lambda o: any(ord(c) < 0x20 for c in o["value"]),
        lambda o: any(ord(c) > 0xFFFF for c in o["value"]),
        lambda o: len(o["value"]) > 2_000,
        lambda o: depth(o["any"]) >= 5,
    ],
    ids=["ampersand", "plus", "percent", "equals", "quote", "backslash", "control", "astral", "large", "deep"],
)
def test_the_payloads_that_break_mappings_are_found(planted: Any) -> None:
    """A mapping that mishandles any of these kinds of payload meets one within 300 examples."""
    profile = settings(
        max_examples=300, phases=(Phase.generate,), database=None, suppress_health_check=list(HealthCheck)
    )
    overrides = find(strategies(WILD), planted, settings=profile, random=random.Random(3))
    assert planted(overrides)


def test_what_travels_outside_the_body_keeps_its_tame_value() -> None:
    """Values in paths, headers, attributes or object keys are not varied: these places have rules of their own."""
    tagged = command(
        {"words": ALL["words"], "other": {"type": "text"}},
        kind="sqs", queue="q", body="{key} {words} {other}", attributes={"v": "{value}", "w": "{words}"},
    )  # fmt: skip
    overrides = find(strategies(tagged), lambda _: True, settings=settings(database=None))
    assert set(overrides) == {"other"}


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_raw_messages_hold_only_characters_that_queues_admit(data: st.DataObject) -> None:
    """SQS refuses most control characters in a raw message, so they would prove nothing there."""
    raw = command({}, kind="sqs", queue="q", body="{key}:{value}")
    value = data.draw(strategies(raw, most_characters=500))["value"]
    allowed = "\t\n\r"
    assert all(c in allowed or ord(c) >= 0x20 for c in value)
    assert not {"\ufffe", "\uffff"} & set(value)
