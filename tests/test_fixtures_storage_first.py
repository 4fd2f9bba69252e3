"""Tests of the Storage-First reference stacks: what they do without any harness, and that every mutant fits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from boto3.dynamodb.types import TypeDeserializer

from holdfast.stack.loading import load_descriptor
from holdfast.targets.cfn_template import check_parameters, read_template
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.packaging import package
from holdfast.waiting import eventually
from holdfast_fixtures.catalogue import ReferenceStack, mutants, reference_stacks
from holdfast_fixtures.overlay import Mutant, materialise

STACKS = {stack.name: stack for stack in reference_stacks() if stack.pattern == "storage-first"}
MUTANTS = [
    pytest.param(stack, mutant, id=f"{stack.name}-{mutant.name}")
    for stack in STACKS.values()
    for mutant in mutants(stack)
]
NOTE = 'a&b=c+d%20e "quoted" \\back\\slash é \U0001f600 \u2028 \x7f $input.body \t'
DELIVERY_SECONDS = 30.0
DEAD_LETTER_SECONDS = 60.0
"""Three deliveries, six seconds apart, on a busy machine."""


@dataclass(frozen=True)
class Running:
    """A deployed reference stack, used by plain requests and boto3."""

    target: EmbeddedTarget
    ids: dict[str, str]

    def post(self, order: dict[str, Any] | str) -> requests.Response:
        """Send an order through the API."""
        body = order if isinstance(order, str) else json.dumps(order, ensure_ascii=False)
        url = f"{self.target.api_url(self.ids['Api'], 'live')}/orders"
        return requests.post(url, data=body.encode(), headers={"Content-Type": "application/json"}, timeout=30)

    def entries(self, order_id: str) -> list[dict[str, Any]]:
        """The entries of an order in the ledger."""
        answer = self.target.client("dynamodb").query(
            TableName=self.ids["LedgerTable"],
            KeyConditionExpression="order_id = :order_id",
            ExpressionAttributeValues={":order_id": {"S": order_id}},
            ConsistentRead=True,
        )
        read = TypeDeserializer().deserialize
        return [{name: read(value) for name, value in item.items()} for item in answer["Items"]]

    def entered(self, *order_ids: str) -> Any:
        """The entries of orders, once each has one."""
        return met(lambda: [self.entries(order_id) for order_id in order_ids], all, DELIVERY_SECONDS)

    def letters(self, queue: str) -> list[str]:
        """The bodies of the messages in a queue."""
        return [message.body for message in self.target.peek_messages(self.ids[queue])]


def met(look: Callable[[], Any], until: Callable[[Any], bool], deadline_seconds: float) -> Any:
    """What a look returns once it meets a condition."""
    waited = eventually(look, until, deadline_seconds=deadline_seconds, longest_interval_seconds=0.3)
    assert waited.met, waited.value
    return waited.value


def running(target: EmbeddedTarget, stack: ReferenceStack) -> Iterator[Running]:
    """Deploy a stack as its descriptor says."""
    deployment = load_descriptor(stack.descriptor, {}).deploy
    assert deployment is not None
    template = stack.directory / deployment.template
    with deploy(target, template, stack_name=f"test-{stack.name}", parameters=deployment.parameters) as deployed:
        found = target.client("cloudformation").describe_stack_resources(StackName=deployed.stack_name)
        yield Running(target, {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found["StackResources"]})


@pytest.fixture(scope="module")
def webhooks(target: EmbeddedTarget) -> Iterator[Running]:
    """The webhook orders."""
    yield from running(target, STACKS["webhooks"])


@pytest.fixture(scope="module")
def outbox(target: EmbeddedTarget) -> Iterator[Running]:
    """The transactional outbox."""
    yield from running(target, STACKS["outbox"])


@pytest.fixture(scope="module", params=["webhooks", "outbox"])
def either(request: pytest.FixtureRequest) -> Running:
    """One of the two stacks."""
    found: Running = request.getfixturevalue(request.param)
    return found


def order(order_id: str, **fields: Any) -> dict[str, Any]:
    """An ordinary order."""
    return {"order_id": order_id, "customer": f"c-{order_id}", "amount": "12.50", "note": "n", **fields}


# -- what both do --------------------------------------------------------------------------------------------------


def test_a_payload_arrives_byte_for_byte(either: Running) -> None:
    """What the ledger keeps is what was sent: form characters, escapes, Unicode, odd blanks and deep JSON."""
    deep: Any = "bottom"
    for _ in range(20):
        deep = {"n": [deep]}
    sent = json.dumps(order("bytes", note=NOTE, details=deep), ensure_ascii=False, indent=1) + "\n "

    assert either.post(sent).status_code == 202
    [[entry]] = either.entered("bytes")

    assert entry["body"] == sent
    assert entry["note"] == NOTE


def test_a_repeated_order_takes_effect_once(either: Running) -> None:
    """The same order, sent three times, is acknowledged three times and entered once."""
    answers = [either.post(order("repeated")).status_code for _ in range(3)]
    either.post(order("after-repeated", customer="c-repeated"))
    either.entered("repeated", "after-repeated")

    assert answers == [202, 202, 202]
    assert len(either.entries("repeated")) == 1


def test_a_poisonous_order_is_dead_lettered_and_its_neighbours_are_not(webhooks: Running, outbox: Running) -> None:
    """An order that can never be entered ends in the dead-letter queue with its original; the others are entered."""
    poison = json.dumps(order("poison", amount="-1.00", note="ł & + %"), ensure_ascii=False)
    for stack in (webhooks, outbox):
        assert stack.post(order("before-poison")).status_code == 202
        assert stack.post(poison).status_code == 202
        assert stack.post(order("after-poison")).status_code == 202
    for stack in (webhooks, outbox):
        stack.entered("before-poison", "after-poison")

    [plain] = met(lambda: webhooks.letters("OrdersDlq"), bool, DEAD_LETTER_SECONDS)
    [wrapped] = met(lambda: outbox.letters("EventsDlq"), bool, DEAD_LETTER_SECONDS)

    assert plain == poison
    assert json.loads(wrapped)["body"] == poison
    assert webhooks.entries("poison") == outbox.entries("poison") == []


# -- webhooks ------------------------------------------------------------------------------------------------------


def test_an_order_at_the_size_limit_is_stored_and_one_above_it_refused(webhooks: Running) -> None:
    """The queue's largest message is the API's largest order; what is larger is refused, not acknowledged."""
    limit = load_descriptor(STACKS["webhooks"].descriptor, {}).bounds.max_body_bytes
    room = limit - len(json.dumps(order("at-limit", note="")))

    assert webhooks.post(order("at-limit", note="x" * room)).status_code == 202
    assert webhooks.post(order("at-limit", note="x" * (room + 1))).status_code == 400
    [[entry]] = webhooks.entered("at-limit")
    assert len(entry["body"]) == limit


def test_an_order_is_not_acknowledged_when_the_queue_may_not_be_written(webhooks: Running) -> None:
    """When the gateway's role is denied the queue, the client is told to come again."""
    with denied(webhooks, "GatewayRole", "sqs:SendMessage"):
        met(lambda: webhooks.post(order("denied")).status_code, lambda status: status == 503, DELIVERY_SECONDS)
    met(lambda: webhooks.post(order("allowed")).status_code, lambda status: status == 202, DELIVERY_SECONDS)


# -- outbox --------------------------------------------------------------------------------------------------------


def test_nothing_is_committed_when_the_outbox_may_not_be_written(outbox: Running) -> None:
    """When the writer's role is denied the outbox, the client is told so and the order is not committed either."""
    with denied(outbox, "WriterFunctionRole", "dynamodb:PutItem", outbox.ids["OutboxTable"]):
        met(lambda: outbox.post(order("denied")).status_code, lambda status: status == 503, DELIVERY_SECONDS)
        row = outbox.target.client("dynamodb").get_item(
            TableName=outbox.ids["OrdersTable"], Key={"order_id": {"S": "denied"}}, ConsistentRead=True
        )
    met(lambda: outbox.post(order("denied")).status_code, lambda status: status == 202, DELIVERY_SECONDS)

    assert "Item" not in row
    outbox.entered("denied")


def test_orders_of_one_customer_are_entered_in_their_order(outbox: Running) -> None:
    """Positions in the ledger follow the acknowledgements of each customer, customers interleaved."""
    names = [(customer, f"{customer}-{at}") for at in range(6) for customer in ("anna", "bela")]
    for customer, order_id in names:
        assert outbox.post(order(order_id, customer=customer)).status_code == 202

    found = outbox.entered(*(order_id for _, order_id in names))
    positions = {order_id: entry["position"] for (_, order_id), [entry] in zip(names, found, strict=True)}
    for customer in ("anna", "bela"):
        assert [positions[f"{customer}-{at}"] for at in range(6)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (order("another-body", note="first"), 202),
        (order("another-body", note="second"), 409),
        (order("no-customer", customer=""), 400),
        (order("odd-customer", customer="a b"), 400),
        (order("amount-is-no-text", amount=12), 400),
        ("[1, 2]", 400),
        ("{", 400),
        (order("too-large", note="x" * 70_000), 413),
    ],
)
def test_the_writer_refuses_what_it_cannot_keep(outbox: Running, sent: dict[str, Any] | str, status: int) -> None:
    """A malformed order, and another order under a used id, get a 4xx; nothing of them is stored."""
    assert outbox.post(sent).status_code == status


# -- descriptors and mutants ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["webhooks", "outbox"])
def test_a_descriptor_and_its_template_agree(name: str) -> None:
    """Every component named by a logical id is a resource of the template, or one that SAM derives from it."""
    stack = STACKS[name]
    descriptor = load_descriptor(stack.descriptor, {})
    assert descriptor.deploy is not None
    template = read_template(stack.directory / descriptor.deploy.template)

    check_parameters(stack.descriptor, template, descriptor.deploy.parameters)
    for component in descriptor.components.values():
        assert component.logical_id is not None
        assert component.logical_id in template["Resources"] or component.type == "role"


def test_every_clause_has_a_mutant() -> None:
    """Each clause of Storage-First, and each that every stack owes, is what some mutant must be caught by."""
    clauses = {mutant.clause for stack in STACKS.values() for mutant in mutants(stack)}

    assert clauses == {f"SF-{n}" for n in range(1, 11)} | {"XX-1", "XX-2"}


@pytest.mark.parametrize(("stack", "mutant"), MUTANTS)
def test_a_mutant_fits_its_stack(stack: ReferenceStack, mutant: Mutant, tmp_path: Path) -> None:
    """The overlay applies, its descriptor loads, its template packages, and it is not waived by its own stack."""
    descriptor_path = materialise(stack.directory, mutant, tmp_path / "copy")
    descriptor = load_descriptor(descriptor_path, {})

    assert mutant.clause not in descriptor.waive
    assert descriptor.deploy is not None
    assert package(descriptor_path.parent / descriptor.deploy.template, "bucket").artifacts


class denied:  # noqa: N801 - reads as a statement
    """A Deny on a role for as long as the context lasts."""

    def __init__(self, stack: Running, role: str, action: str, table: str = "") -> None:
        self._iam = stack.target.client("iam")
        self._role = stack.ids[role]
        place = f"arn:aws:dynamodb:{stack.target.region}:{stack.target.account}:table/{table}" if table else "*"
        self._statement = {"Effect": "Deny", "Action": action, "Resource": place}

    def __enter__(self) -> None:
        document = {"Version": "2012-10-17", "Statement": [self._statement]}
        self._iam.put_role_policy(RoleName=self._role, PolicyName="denied", PolicyDocument=json.dumps(document))

    def __exit__(self, *_: object) -> None:
        self._iam.delete_role_policy(RoleName=self._role, PolicyName="denied")
