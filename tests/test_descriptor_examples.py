"""Very different real stacks, written down without Python, and the requests their descriptors mean."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import find, settings

from descriptor_examples import ENVIRON, EXAMPLES, load_text
from holdfast.errors import DescriptorError
from holdfast.stack.base import Part
from holdfast.stack.descriptor import Descriptor
from holdfast.stack.generate import Submission, strategies
from holdfast.stack.resolve import Resource, Stack
from holdfast.stack.templates import render

ACCOUNT, REGION = "123456789012", "eu-west-1"
MD5 = hashlib.md5(b"k-1").hexdigest()
SHA256 = hashlib.sha256(b"k-1").hexdigest()


class Nowhere:
    """A target that is only a place."""

    account = ACCOUNT
    region = REGION


def stack_of(descriptor: Descriptor) -> Stack:
    """The stack with invented resources, named after their components."""
    resources = {
        name: Resource(component=name, type=component.type, name=f"the-{name}", arn=f"arn:{name}", url=f"http://{name}")
        for name, component in descriptor.components.items()
    }
    return Stack(descriptor, Path("x.stack.toml"), Nowhere(), resources)  # type: ignore[arg-type]


def rendered(part: Part, descriptor: Descriptor, **fields: Any) -> dict[str, Any]:
    """What a call or source means for one submission, by the keys of the TOML; what is left out is left out."""
    values = stack_of(descriptor).values(Submission("k-1", 'say "hi"', MappingProxyType(fields)))
    values |= {"upload_url": "http://signed/?a=b", "form_token": "t-1"}
    result = render(part.model_dump(by_alias=True, exclude_unset=True), values)
    assert isinstance(result, dict)
    return result


def test_an_api_key_travels_in_a_header_and_typed_fields_in_the_body(tmp_path: Path) -> None:
    """An HTTP API behind an API key: secrets from the environment, typed JSON, the key encoded in the path."""
    descriptor = load_text(EXAMPLES["api-key"], tmp_path)
    (call,) = descriptor.commands["open"].calls
    assert rendered(call, descriptor, priority=3, dry="no") == {
        "kind": "http",
        "method": "PUT",
        "api": "api",
        "path": "/tickets/k-1",
        "query": {"dry_run": "no"},
        "headers": {"X-Api-Key": ENVIRON["API_KEY"], "Idempotency-Key": "k-1"},
        "json": {"title": 'say "hi"', "priority": 3, "tags": [3, "p3"]},
    }
    idempotency = descriptor.commands["open"].idempotency
    assert idempotency is not None
    assert (idempotency.key_in, idempotency.window_seconds, idempotency.conflict) == ("header", 3600, "refused")


def test_a_signed_api_takes_a_form_and_answers_through_a_function_url(tmp_path: Path) -> None:
    """SigV4 on both sides, each for its own service."""
    descriptor = load_text(EXAMPLES["sigv4"], tmp_path)
    (call,) = descriptor.commands["book"].calls
    (source,) = descriptor.effects["booked"].sources
    sent = rendered(call, descriptor, cents=1250)
    assert (sent["sigv4"], sent["form"]) == ("execute-api", {"id": "k-1", "text": 'say "hi"', "cents": 1250})
    read = rendered(source, descriptor)
    assert (read["sigv4"], read["api"], read["query"], read["absent"]) == (
        "lambda",
        "fn_url",
        {"id": "k-1"},
        [404, 410],
    )


def test_a_fifo_queue_gets_attributes_a_group_and_a_deduplication_id(tmp_path: Path) -> None:
    """An SQS FIFO message with computed ids, whose effect is a message on another queue."""
    descriptor = load_text(EXAMPLES["fifo"], tmp_path)
    (call,) = descriptor.commands["ship"].calls
    assert rendered(call, descriptor, tenant="acme", extra={"deep": [1]}) == {
        "kind": "sqs",
        "queue": "inbox",
        "json": {"parcel": "k-1", "what": 'say "hi"', "extra": {"deep": [1]}},
        "attributes": {"tenant": "acme", "trace": MD5},
        "group_id": "acme",
        "deduplication_id": SHA256[:32],
    }
    assert render(descriptor.components["outbox"].name, {"account": ACCOUNT, "region": REGION}) == (
        f"arn:aws:sqs:{REGION}:{ACCOUNT}:labels"
    )


def test_a_topic_gets_json_text_and_its_effects_are_combined(tmp_path: Path) -> None:
    """An SNS message whose body is JSON text, counted in an index with a hashed key and in S3 JSON."""
    descriptor = load_text(EXAMPLES["sns"], tmp_path)
    (call,) = descriptor.commands["sign_up"].calls
    sent = rendered(call, descriptor, at="2026-11-23T00:00:00.000Z")
    assert json.loads(sent["body"]) == {"user": "k-1", "name": 'say "hi"', "at": "2026-11-23T00:00:00.000Z"}
    index, stored = descriptor.effects["welcomed"].sources
    assert rendered(index, descriptor)["partition"] == {"user_hash": SHA256[:12]}
    assert rendered(stored, descriptor)["object_key"] == "users/k-/k-1.json"
    assert (rendered(stored, descriptor)["content"], descriptor.effects["welcomed"].combine) == ("json", "all")


def test_an_event_has_a_detail_and_moves_numbers_sets_and_sums(tmp_path: Path) -> None:
    """EventBridge, and effects as delta, membership, sum over items and value of an attribute."""
    descriptor = load_text(EXAMPLES["bus"], tmp_path)
    (call,) = descriptor.commands["pay"].calls
    assert rendered(call, descriptor, cents=120, account_id="a-1") == {
        "kind": "eventbridge",
        "bus": "bus",
        "source": "shop.eu-west-1",
        "detail_type": "Payment",
        "detail": {"id": "k-1", "note": 'say "hi"', "cents": 120, "meta": {"account": "a-1"}},
    }
    measures = {
        name: rendered(effect.sources[0], descriptor, cents=120, account_id="a-1")["measure"]
        for name, effect in descriptor.effects.items()
    }
    assert measures == {
        "balance": {"kind": "delta", "path": "balance", "start": 1000.0, "step": 120},
        "seen": {"kind": "member", "path": "payments", "element": "k-1"},
        "turnover": {"kind": "sum", "path": "cents", "step": 120},
        "flag": {"kind": "attribute", "path": "paid", "equals": True},
    }
    assert descriptor.conserved["money"].total == 2000
    assert [seed.item["id"] for seed in descriptor.seed if seed.item is not None] == ["a-1", "a-2"]


def test_an_invocation_has_a_payload_that_names_other_components(tmp_path: Path) -> None:
    """An asynchronous Lambda payload with the physical name of a bucket; effects are objects under a prefix."""
    descriptor = load_text(EXAMPLES["lambda"], tmp_path)
    (call,) = descriptor.commands["resize"].calls
    sent = rendered(call, descriptor, width=32)
    assert sent["payload"] == {"image": "k-1", "width": 32, "into": "the-images", "note": 'say "hi"'}
    assert sent["asynchronous"] is True
    assert rendered(descriptor.effects["resized"].sources[0], descriptor, width=32)["prefix"] == "out/k-1/32/"
    assert descriptor.met_by["ES-4"].how == "dead-letter"


def test_an_execution_has_a_name_and_an_input(tmp_path: Path) -> None:
    """A Step Functions execution named after its key, judged step by step."""
    descriptor = load_text(EXAMPLES["step-functions"], tmp_path)
    (call,) = descriptor.commands["book"].calls
    sent = rendered(call, descriptor, fail_at="none")
    assert (sent["name"], sent["input"]) == ("k-1", {"order": "k-1", "note": 'say "hi"', "fail_at": "none"})
    reserved = rendered(descriptor.effects["reserved"].sources[0], descriptor)
    assert (reserved["partition"], reserved["sort_prefix"]) == ({"pk": "order#k-1"}, {"sk": "reserve#"})
    saga = descriptor.claims.saga
    assert saga is not None
    assert [(step.name, step.undone) for step in saga.steps] == [("reserve", "released")]


def test_an_upload_asks_for_a_url_first_and_uses_what_it_was_given(tmp_path: Path) -> None:
    """Two calls in a row: values saved from the first answer fill the second request."""
    descriptor = load_text(EXAMPLES["presigned"], tmp_path)
    ask, put = descriptor.commands["upload"].calls
    assert ask.save == {"upload_url": "json.url", "form_token": 'headers."x-token"'}
    assert rendered(put, descriptor, amount="12.50") == {
        "kind": "http",
        "method": "PUT",
        "url": "http://signed/?a=b",
        "headers": {"X-Token": "t-1"},
        "body": 'name,amount\nsay "hi",12.50\n',
    }


def test_a_saved_value_is_known_only_after_the_call_that_saves_it(tmp_path: Path) -> None:
    """The first call cannot use what its own answer will give."""
    text = EXAMPLES["presigned"].replace('path = "/uploads"', 'path = "/uploads/{upload_url}"')
    with pytest.raises(DescriptorError, match=r"commands.upload.calls\[0\].path"):
        load_text(text, tmp_path)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_command_has_wild_payloads_where_its_body_is_free(name: str, tmp_path: Path) -> None:
    """SF-4 can vary the value of each of these stacks."""
    for command in load_text(EXAMPLES[name], tmp_path).commands.values():
        overrides = find(strategies(command), lambda _: True, settings=settings(database=None))
        assert "value" in overrides
