"""The saga reference stacks as a test uses them: deployed, seeded, started by plain requests, read by plain clients."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from boto3.dynamodb.types import TypeDeserializer

from holdfast.stack.loading import load_descriptor
from holdfast.stack.seeding import dynamo_item
from holdfast.targets.base import Interceptor, Rule
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually

END_SECONDS = 90.0
"""Every saga here has ended by then, all retries included, on a busy machine."""


def met(look: Callable[[], Any], until: Callable[[Any], bool], deadline_seconds: float = END_SECONDS) -> Any:
    """What a look returns once it meets a condition."""
    waited = eventually(look, until, deadline_seconds=deadline_seconds, longest_interval_seconds=0.3)
    assert waited.met, waited.value
    return waited.value


@dataclass(frozen=True)
class Saga:
    """A deployed reference stack.

    Attributes:
        target: where it is deployed.
        ids: physical ids by logical ids.
        path: the path of its API below the stage.
        key: the field that is the idempotency key, and the partition key of the ledger.
    """

    target: EmbeddedTarget
    ids: dict[str, str]
    path: str
    key: str

    @property
    def faults(self) -> Interceptor:
        """Aims faults at one key."""
        assert self.target.interceptor is not None
        return self.target.interceptor

    def post(self, body: dict[str, Any]) -> requests.Response:
        """Start a saga through the API."""
        url = f"{self.target.api_url(self.ids['Api'], 'live')}/{self.path}"
        return requests.post(url, data=json.dumps(body), headers={"Content-Type": "application/json"}, timeout=60)

    def rows(self, table: str, **key: str) -> list[dict[str, Any]]:
        """The rows of a table with this partition key, as plain JSON; all of them without a key."""
        client, name = self.target.client("dynamodb"), self.ids[table]
        if key:
            [(attribute, value)] = key.items()
            found = client.query(
                TableName=name,
                KeyConditionExpression="#key = :value",
                ExpressionAttributeNames={"#key": attribute},
                ExpressionAttributeValues={":value": {"S": value}},
                ConsistentRead=True,
            )
        else:
            found = client.scan(TableName=name, ConsistentRead=True)
        read = TypeDeserializer().deserialize
        return [{name: read(value) for name, value in item.items()} for item in found["Items"]]

    def ledger(self, key: str) -> list[str]:
        """The kinds of the entries of one saga in the ledger, in their order."""
        entries = self.rows("LedgerTable", **{self.key: key})
        return [str(one["entry"]).partition("#")[0] for one in sorted(entries, key=lambda one: str(one["at"]))]

    def counts(self, key: str) -> dict[str, int]:
        """How many entries of each kind a saga has left."""
        return dict(Counter(self.ledger(key)))

    def letters(self, queue: str) -> list[dict[str, Any]]:
        """The messages in a queue, as JSON."""
        return [json.loads(message.body) for message in self.target.peek_messages(self.ids[queue])]

    def aim(self, key: str, number: int, **fault: Any) -> Rule:
        """Put a fault for one key in force; a component is named by its logical id."""
        logical_id = fault.pop("at")
        physical = self.ids[logical_id].rpartition(":")[2]
        rule = Rule(id=f"{physical}-{key}-{number}", function=physical, key=key, **fault)
        self.faults.add(rule)
        return rule

    def executions(self, machine: str) -> list[dict[str, Any]]:
        """The executions of a state machine."""
        found = self.target.client("stepfunctions").list_executions(stateMachineArn=self.ids[machine])
        return [dict(one) for one in found["executions"]]


@contextmanager
def deployed(target: EmbeddedTarget, descriptor_path: Path, *, name: str, path: str, key: str) -> Iterator[Saga]:
    """Deploy and seed a stack as its descriptor says."""
    descriptor = load_descriptor(descriptor_path, {})
    assert descriptor.deploy is not None
    template = descriptor_path.parent / descriptor.deploy.template
    with deploy(target, template, stack_name=name, parameters=descriptor.deploy.parameters) as made:
        found = target.client("cloudformation").describe_stack_resources(StackName=made.stack_name)
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found["StackResources"]}
        for seed in descriptor.seed:
            assert seed.table is not None
            assert seed.item is not None
            table = ids[str(descriptor.components[seed.table].logical_id)]
            target.client("dynamodb").put_item(TableName=table, Item=dynamo_item(seed.item))
        yield Saga(target, ids, path, key)
