"""The levers on tables against AWS as documented: what no emulator shows. No AWS account has been used."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from holdfast.errors import InjectionError
from holdfast.levers import (
    LEVERS,
    Snapshot,
    TableCap,
    TableCapacity,
    TableDeny,
    settling,
)
from holdfast.levers.base import Lever
from stubbed_aws import ACCOUNT, REGION, SESSION, RefusedError, StubbedAws

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/worker"
TABLE = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/orders"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds in which a read may be stale are tenths here."""
    monkeypatch.setattr(settling, "_STALE_SECONDS", 0.5)


def restored(target: StubbedAws, snapshot: Snapshot) -> Lever:
    """The lever of a journal entry."""
    return LEVERS[snapshot.lever].restoring(target, snapshot)


@dataclass
class Table:
    """A table as DynamoDB documents it: changes take a while, during which the old units are answered."""

    units: dict[str, dict[str, int]]
    on_demand: bool = False
    decreases: int = 0
    decreased: datetime | None = None
    status: str = "ACTIVE"
    throttles: bool = True
    looks_until_changed: int = 2
    stale_looks: int = 0
    _coming: dict[str, dict[str, int]] | None = None
    _looks: int = 0

    def target(self) -> StubbedAws:
        """A target that has this table."""
        return StubbedAws({"DescribeTable": self.describe, "UpdateTable": self.update, "BatchGetItem": self.read})

    def describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        assert parameters == {"TableName": "orders"}
        status = self.status
        if self._coming is not None:
            self._looks += 1
            if self._looks <= self.stale_looks:
                status = "ACTIVE"
            elif self._looks > self.stale_looks + self.looks_until_changed:
                self.units, self._coming, self.status = self._coming, None, "ACTIVE"
                status = self.status
        throughput: dict[str, Any] = {"NumberOfDecreasesToday": self.decreases} if self.decreases else {}
        if self.decreased is not None:
            throughput["LastDecreaseDateTime"] = self.decreased
        told: dict[str, Any] = {
            "TableStatus": status,
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "B"},
                {"AttributeName": "at", "AttributeType": "N"},
            ],
            **self.units,
        }
        told["ProvisionedThroughput"] = {**throughput, **told.get("ProvisionedThroughput", {})}
        if self.on_demand:
            told["BillingModeSummary"] = {"BillingMode": "PAY_PER_REQUEST"}
        return {"Table": told}

    def update(self, parameters: dict[str, Any]) -> dict[str, Any]:
        change = {name: dict(value) for name, value in parameters.items() if name != "TableName"}
        if self.status != "ACTIVE":
            raise RefusedError("ResourceInUseException")
        if change == self.units:
            raise RefusedError("ValidationException")
        self._coming, self._looks, self.status = change, 0, "UPDATING"
        return {}

    def read(self, parameters: dict[str, Any]) -> dict[str, Any]:
        request = parameters["RequestItems"]["orders"]
        assert request["ConsistentRead"]
        assert len({json.dumps(key, default=str) for key in request["Keys"]}) == 100
        least = all(value == 1 for units in self.units.values() for value in units.values())
        return {"Responses": {}, "UnprocessedKeys": parameters["RequestItems"] if self.throttles and least else {}}


def provisioned(read: int = 5, write: int = 6) -> dict[str, dict[str, int]]:
    return {"ProvisionedThroughput": {"ReadCapacityUnits": read, "WriteCapacityUnits": write}}


def capped(read: int, write: int) -> dict[str, dict[str, int]]:
    return {"OnDemandThroughput": {"MaxReadRequestUnits": read, "MaxWriteRequestUnits": write}}


def capacity(table: Table, target: StubbedAws | None = None) -> TableCapacity:
    return TableCapacity(target=target or table.target(), component="orders", resource=TABLE, now=lambda: NOW)


def cap(table: Table, target: StubbedAws | None = None) -> TableCap:
    return TableCap(target=target or table.target(), component="orders", resource=TABLE)


@pytest.mark.parametrize("found", [capped(-1, -1), capped(40, -1), {}])
def test_a_cap_bites_when_reads_are_throttled_and_is_put_back(found: dict[str, dict[str, int]]) -> None:
    """The cap is felt once the table is ACTIVE and the canary's reads come back unprocessed; -1 removes it."""
    table = Table(units=dict(found), on_demand=True)
    target = table.target()
    lever = cap(table, target)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert lever.proof() == ""
    assert [lever.proof(), lever.proof()][-1].endswith("and 100 reads are throttled")
    again = restored(target, snapshot)
    again.heal(snapshot)
    assert [again.healed_proof(snapshot) for _ in range(3)][-1].endswith("as found")
    before = found.get("OnDemandThroughput", capped(-1, -1)["OnDemandThroughput"])
    assert target.made("UpdateTable") == [
        {"TableName": "orders", **capped(1, 1)},
        {"TableName": "orders", "OnDemandThroughput": before},
    ]
    assert f"--on-demand-throughput '{json.dumps(before)}'" in lever.by_hand(snapshot)


def test_capacity_that_a_burst_hides_is_not_proven() -> None:
    """As long as no read is throttled, saved-up capacity hides the fault, and it has not bitten."""
    table = Table(units=provisioned(), throttles=False, looks_until_changed=0)
    lever = capacity(table)
    lever.inject(lever.snapshot())
    assert [lever.proof() for _ in range(3)] == ["", "", ""]
    table.throttles = True
    assert lever.proof()


def test_a_run_killed_while_the_table_is_updating_is_healed_when_it_can_be() -> None:
    """While the change is under way the old units are answered; healing waits for its end and does not trust them."""
    table = Table(units=provisioned(), looks_until_changed=3)
    target = table.target()
    lever = capacity(table, target)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    again = restored(target, snapshot)
    again.heal(snapshot)
    assert target.made("UpdateTable")[-1] == {"TableName": "orders", **provisioned()}
    assert [again.healed_proof(snapshot) for _ in range(5)][-1].endswith("as found")


def test_a_table_that_still_reads_as_before_the_change_is_looked_at_again() -> None:
    """A read right after UpdateTable may answer what was there before; healing does not take it for healed."""
    table = Table(units=provisioned(), stale_looks=2, looks_until_changed=1)
    target = table.target()
    lever = capacity(table, target)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    table.stale_looks = 2
    restored(target, snapshot).heal(snapshot)
    assert target.made("UpdateTable")[-1] == {"TableName": "orders", **provisioned()}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (Table(units=provisioned(), status="UPDATING"), "it is UPDATING"),
        (Table(units=provisioned(1, 1)), "already ReadCapacityUnits 1"),
        (Table(units=capped(-1, -1), on_demand=True), "is an on-demand table"),
        (Table(units=provisioned(), decreases=4, decreased=NOW - timedelta(minutes=59)), "was decreased 4 times"),
        (Table(units=provisioned(), decreases=27, decreased=NOW - timedelta(hours=2)), "was decreased 27 times"),
    ],
)
def test_capacity_is_not_lowered_where_it_could_not_be(table: Table, reason: str) -> None:
    """A table in transition, an unchanged one, an on-demand one and one without decreases left are refused before."""
    target = table.target()
    with pytest.raises(InjectionError, match=reason):
        capacity(table, target).snapshot()
    assert target.made("UpdateTable") == []


@pytest.mark.parametrize(
    ("decreases", "minutes"),
    [(0, 1), (3, 1), (4, 60), (26, 61)],
)
def test_capacity_is_lowered_while_a_decrease_is_left(decreases: int, minutes: int) -> None:
    """Four times a day at any time, afterwards once an hour without a decrease."""
    table = Table(units=provisioned(), decreases=decreases, decreased=NOW - timedelta(minutes=minutes))
    assert capacity(table).snapshot().found == {"units": provisioned()["ProvisionedThroughput"]}


def test_a_provisioned_table_has_no_cap() -> None:
    """Each of the two levers names the other for the other kind of table."""
    table = Table(units=provisioned())
    with pytest.raises(InjectionError, match="is not an on-demand table") as refused:
        cap(table).snapshot()
    assert "table-capacity" in refused.value.remedy


@dataclass
class Policy:
    """A table's policy as DynamoDB documents it: revisions, conflicts, and reads that lag."""

    text: str = ""
    revision: int = 0
    lagging: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    on_conflict: str = ""
    refuses_all: bool = False

    def target(self) -> StubbedAws:
        """A target that has this policy."""
        return StubbedAws(
            {
                "GetResourcePolicy": self.get,
                "PutResourcePolicy": self.put,
                "DeleteResourcePolicy": self.delete,
                "DescribeTimeToLive": self.canary,
            }
        )

    def get(self, parameters: dict[str, Any]) -> dict[str, Any]:
        assert parameters == {"ResourceArn": TABLE}
        text = self.lagging.pop(0) if self.lagging else self.text
        if not text:
            raise RefusedError("PolicyNotFoundException")
        return {"Policy": text, "RevisionId": str(self.revision)}

    def put(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._expect(parameters)
        self.text, self.revision = parameters["Policy"], self.revision + 1
        return {"RevisionId": str(self.revision)}

    def delete(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._expect(parameters)
        self.text = ""
        return {"RevisionId": str(self.revision)}

    def canary(self, parameters: dict[str, Any]) -> dict[str, Any]:
        assert parameters == {"TableName": "orders"}
        if self.refuses_all or "Canary" in self.text:
            raise RefusedError("AccessDeniedException")
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}

    def _expect(self, parameters: dict[str, Any]) -> None:
        if self.conflicts:
            self.text, self.revision = self.on_conflict, self.revision + 1
            raise RefusedError(self.conflicts.pop())
        actual = str(self.revision) if self.text else "NO_POLICY"
        if parameters["ExpectedRevisionId"] != actual:
            raise RefusedError("PolicyNotFoundException")


THEIRS = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "Theirs", "Effect": "Allow"}]}, indent=2)


def table_deny(target: StubbedAws, **extra: Any) -> TableDeny:
    return TableDeny(
        target=target,
        component="orders",
        resource=TABLE,
        address="orders",
        principals=(ROLE,),
        actions=("dynamodb:PutItem",),
        **extra,
    )


@pytest.mark.parametrize("found", ["", THEIRS])
def test_a_table_is_denied_by_revision_and_given_back(found: str) -> None:
    """Every edit names the revision it rests on, the canary shows that it is applied, and the text is put back."""
    policy = Policy(text=found)
    target = policy.target()
    lever = table_deny(target)
    snapshot = lever.snapshot()
    assert lever.proof() == ""
    lever.inject(snapshot)
    assert lever.proof().endswith("the harness's own dynamodb:DescribeTimeToLive is refused by it")
    denial, canary = json.loads(policy.text)["Statement"][-2:]
    assert denial["Principal"] == {"AWS": [ROLE]}
    assert denial["Resource"] == [TABLE, f"{TABLE}/index/*"]
    assert canary["Condition"]["StringEquals"] == {"aws:userid": SESSION["UserId"]}
    assert lever.healed_proof(snapshot) == ""
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot)
    assert policy.text == found


@pytest.mark.parametrize("code", ["PolicyNotFoundException", "LimitExceededException", "ResourceInUseException"])
def test_an_edit_that_meets_another_one_is_read_and_made_again(code: str) -> None:
    """Somebody else's edit between our read and our write is kept, and ours is made on top of it."""
    policy = Policy(conflicts=[code], on_conflict=THEIRS)
    lever = table_deny(policy.target())
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    assert [each["Sid"] for each in json.loads(policy.text)["Statement"]][:2] == ["Theirs", lever.sid]
    assert lever.proof()
    lever.heal(snapshot)
    assert json.loads(policy.text) == json.loads(THEIRS)
    assert "somebody else" in lever.healed_proof(snapshot)


def test_a_policy_that_still_reads_as_before_is_looked_at_again() -> None:
    """A read right after the edit may answer the policy from before; healing does not take it for healed."""
    policy = Policy()
    target = policy.target()
    lever = table_deny(target)
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    policy.lagging = ["", ""]
    restored(target, snapshot).heal(snapshot)
    assert policy.text == ""


def test_a_canary_that_is_refused_anyway_is_not_used() -> None:
    """Without the canary's permission its refusal would prove nothing, and the proof says that nothing was tried."""
    policy = Policy(refuses_all=True)
    lever = table_deny(policy.target())
    snapshot = lever.snapshot()
    assert [each["Sid"] for each in snapshot.placed["statements"]] == [lever.sid]
    lever.inject(snapshot)
    assert lever.proof().endswith("whether the policy is applied yet was not tried")
    lever.now = lambda: datetime.now(UTC) + timedelta(seconds=lever.expires_seconds + 1)
    assert lever.proof() == ""
    lever.heal(snapshot)
    assert lever.healed_proof(snapshot)


def test_a_policy_that_is_still_applied_is_not_healed() -> None:
    """The statements are gone before DynamoDB stops applying them; as long as the canary is refused it is not over."""
    policy = Policy()
    lever = table_deny(policy.target())
    snapshot = lever.snapshot()
    lever.inject(snapshot)
    lever.heal(snapshot)
    policy.refuses_all = True
    assert (policy.text, lever.healed_proof(snapshot)) == ("", "")
    policy.refuses_all = False
    assert lever.healed_proof(snapshot)


@pytest.mark.parametrize("principal", [f"arn:aws:iam::{ACCOUNT}:role/ci", f"arn:aws:iam::{ACCOUNT}:role/team/ci"])
def test_the_harness_does_not_deny_its_own_role(principal: str) -> None:
    """A harness that runs as a role of the stack would lock itself out of the data it has to judge."""
    policy = Policy()
    lever = table_deny(policy.target())
    lever.principals = (ROLE, principal)
    with pytest.raises(InjectionError, match="to the harness itself"):
        lever.snapshot()
    assert policy.text == ""
