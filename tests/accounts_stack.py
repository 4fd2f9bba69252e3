"""The accounts reference stacks as a test uses them: deployed, sent plain requests, read by plain clients."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import sqlalchemy
from boto3.dynamodb.types import TypeDeserializer

from holdfast.stack.loading import load_descriptor
from holdfast.targets.base import Interceptor, Rule
from holdfast.targets.deployment import deploy
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.waiting import eventually

SHOWN_SECONDS = 30.0
"""What is recorded is shown by then, all retries included, on a busy machine."""
STATE = ("balance", "entries", "last", "tags")
State = dict[str, Any]


def met(look: Callable[[], Any], until: Callable[[Any], bool], deadline_seconds: float = SHOWN_SECONDS) -> Any:
    """What a look returns once it meets a condition."""
    waited = eventually(look, until, deadline_seconds=deadline_seconds, longest_interval_seconds=0.2)
    assert waited.met, waited.value
    return waited.value


def folded(events: list[dict[str, Any]]) -> State | None:
    """What the read model must show of these events."""
    if not events or events[-1]["type"] == "closed":
        return None
    return {
        "balance": sum(int(one["amount"]) for one in events),
        "entries": len(events),
        "last": events[-1]["note"],
        "tags": sorted({one["tag"] for one in events}),
    }


@dataclass(frozen=True)
class Accounts:
    """A deployed reference stack.

    Attributes:
        target: where it is deployed.
        ids: physical ids by logical ids.
        database: SQLAlchemy URL of the read model, where it is not in DynamoDB.
    """

    target: EmbeddedTarget
    ids: dict[str, str]
    database: str = ""

    @property
    def faults(self) -> Interceptor:
        """Aims faults at one key."""
        assert self.target.interceptor is not None
        return self.target.interceptor

    def url(self, path: str) -> str:
        """The address of a path of the API."""
        return f"{self.target.api_url(self.ids['Api'], 'live')}/{path}"

    def send(self, account: str, command_id: str, *, kind: str = "deposits", **fields: Any) -> requests.Response:
        """Send a command; what is not given is an ordinary deposit's."""
        body = {"command_id": command_id, "amount": 7, "tag": "food", "note": f"note of {command_id}", **fields}
        headers = {"Content-Type": "application/json"}
        return requests.post(self.url(f"accounts/{account}/{kind}"), json.dumps(body), headers=headers, timeout=60)

    def accepted(self, account: str, command_id: str, **fields: Any) -> int:
        """Send a command until it is accepted, as a client does that was not answered; its version."""
        answer = met(
            lambda: self.send(account, command_id, **fields),
            lambda answer: answer.status_code < 500,
        )
        assert answer.status_code == 201, answer.text
        return int(answer.json()["version"])

    def events(self, account: str) -> list[dict[str, Any]]:
        """The log of an account."""
        found = self.target.client("dynamodb").query(
            TableName=self.ids["EventsTable"],
            KeyConditionExpression="account_id = :account_id",
            ExpressionAttributeValues={":account_id": {"S": account}},
            ConsistentRead=True,
        )
        read = TypeDeserializer().deserialize
        return [{name: read(value) for name, value in item.items()} for item in found["Items"]]

    def commands(self, account: str) -> list[tuple[int, str]]:
        """Versions and commands of the log of an account, in its order."""
        return [(int(one["version"]), str(one["command_id"])) for one in self.events(account)]

    def state(self, path: str) -> State | None:
        """What the API shows at a path; None when there is no such account."""
        answer = requests.get(self.url(path), timeout=60)
        if answer.status_code == 404:
            return None
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def shown(self, account: str, version: int = 0) -> State | None:
        """What the query API shows of an account, once it has seen a version."""
        found = self._found(account, version)
        return None if found is None else {name: found[name] for name in STATE}

    def version(self, account: str, version: int) -> int:
        """The version that the query API shows when it is asked for one; 0 when there is no such account."""
        found = self._found(account, version)
        return 0 if found is None else int(found["version"])

    def _found(self, account: str, version: int) -> State | None:
        answer = met(
            lambda: requests.get(self.url(f"accounts/{account}"), {"at_least": str(version)}, timeout=60),
            lambda answer: answer.status_code in (200, 404),
        )
        return None if answer.status_code == 404 else dict(answer.json())

    def sees(self, account: str, version: int, deadline_seconds: float) -> bool:
        """Whether the query API comes to see a version of an account."""
        url = self.url(f"accounts/{account}")
        return eventually(
            lambda: requests.get(url, {"at_least": str(version)}, timeout=60).status_code,
            lambda status: status in (200, 404),
            deadline_seconds=deadline_seconds,
            longest_interval_seconds=0.2,
        ).met

    def answers(self, account: str, version: int = 0) -> int:
        """The status of an answer of the query API, asked for a version."""
        return requests.get(self.url(f"accounts/{account}"), {"at_least": str(version)}, timeout=60).status_code

    def snapshot(self, account: str, name: str) -> None:
        """Take a snapshot, again until it is answered."""
        url = self.url(f"states/{account}")
        met(lambda: requests.post(url, json={"snapshot": name}, timeout=60).status_code, lambda status: status == 200)

    def rebuilt_row(self, generation: str, account: str) -> State | None:
        """What a rebuilt read model shows of an account."""
        if self.database:
            return self._rebuilt_in_sql(f"{self.ids['EventsTable']}/{generation}/{account}")
        found = self.target.client("dynamodb").get_item(
            TableName=self.ids["RebuiltTable"], Key={"account_id": {"S": f"{generation}/{account}"}}
        )
        if "Item" not in found:
            return None
        read = TypeDeserializer().deserialize
        return {name: read(found["Item"][name]) for name in STATE}

    def letters(self) -> list[dict[str, Any]]:
        """The messages about failures, as JSON."""
        return [json.loads(message.body) for message in self.target.peek_messages(self.ids["ProjectorFailures"])]

    def aim(self, key: str, number: int, **fault: Any) -> Rule:
        """Put a fault for one key in force; a function is named by its logical id."""
        name = self.ids[fault.pop("at")]
        rule = Rule(id=f"{name}-{key}-{number}", function=name, key=key, **fault)
        self.faults.add(rule)
        return rule

    def deliver(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        """Deliver events to the projector in this order, as its stream would; its answer."""
        records = [
            {
                "eventName": "INSERT",
                "dynamodb": {
                    "SequenceNumber": str(number),
                    "NewImage": self._images(event),
                },
            }
            for number, event in enumerate(events, start=1)
        ]
        answer = self.target.client("lambda").invoke(
            FunctionName=self.ids["ProjectorFunction"], Payload=json.dumps({"Records": records}).encode()
        )
        return dict(json.loads(answer["Payload"].read()))

    @contextmanager
    def detached(self) -> Iterator[None]:
        """The projector gets nothing from its stream for as long as the context lasts."""
        client = self.target.client("lambda")
        [mapping] = client.list_event_source_mappings(FunctionName=self.ids["ProjectorFunction"])["EventSourceMappings"]
        client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        try:
            yield
        finally:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    @contextmanager
    def denied(self, table: str, *functions: str) -> Iterator[None]:
        """Functions may not use a table for as long as the context lasts."""
        iam = self.target.client("iam")
        arn = f"arn:aws:dynamodb:{self.target.region}:{self.target.account}:table/{self.ids[table]}"
        document = {"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "dynamodb:*", "Resource": arn}}
        roles = [self.ids[f"{function}Role"] for function in functions]
        for role in roles:
            iam.put_role_policy(RoleName=role, PolicyName="denied", PolicyDocument=json.dumps(document))
        try:
            yield
        finally:
            for role in roles:
                iam.delete_role_policy(RoleName=role, PolicyName="denied")

    def rebuilt(self, generation: str) -> dict[str, Any]:
        """Build the read model anew; what the function answers."""
        answer = self.target.client("lambda").invoke(
            FunctionName=self.ids["RebuildFunction"], Payload=json.dumps({"generation": generation}).encode()
        )
        return dict(json.loads(answer["Payload"].read()))

    def _rebuilt_in_sql(self, account: str) -> State | None:
        engine = sqlalchemy.create_engine(self.database, poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            query = sqlalchemy.text("SELECT balance, entries, last, tags FROM rebuilt WHERE account_id = :account")
            found = connection.execute(query, {"account": account}).mappings().first()
        return None if found is None else {**found, "tags": json.loads(found["tags"])}

    @staticmethod
    def _images(event: dict[str, Any]) -> dict[str, Any]:
        return {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in event.items()}


@contextmanager
def deployed(
    target: EmbeddedTarget, descriptor_path: Path, *, name: str, environ: Mapping[str, str] | None = None
) -> Iterator[Accounts]:
    """Deploy a stack as its descriptor says, with this environment."""
    deployment = load_descriptor(descriptor_path, environ or {}).deploy
    assert deployment is not None
    template = descriptor_path.parent / deployment.template
    with deploy(target, template, stack_name=name, parameters=deployment.parameters) as made:
        found = target.client("cloudformation").describe_stack_resources(StackName=made.stack_name)
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found["StackResources"]}
        yield Accounts(target, ids, deployment.parameters.get("ReadModelUrl", ""))
