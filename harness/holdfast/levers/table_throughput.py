"""A table that can hardly be used: an on-demand cap of 1, or a provisioned capacity of 1."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.levers.settling import stale_seconds
from holdfast.stack.aws_errors import error_code
from holdfast.targets.base import Capability, Target
from holdfast.waiting import eventually

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

ACTIVE = "ACTIVE"
CALL_SECONDS = 20.0
LEAST_UNITS = 1
NO_CAP = -1
"""What removes an on-demand cap."""
CANARY_KEYS = 100
"""As many as one BatchGetItem takes: a hundred times what the table may serve in a second."""
FREE_DECREASES = 4
MOST_DECREASES = 27
"""A table may be decreased four times a day at any time, then once an hour without a decrease: 27 times at most."""
_THROTTLED = frozenset(
    {"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException", "Throttling"}
)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, kw_only=True)
class TableThroughput(ABC):
    """What a table serves set to the least; what the two levers below share.

    Requests beyond it are throttled, which SDKs retry: the right model of a busy table. The canary reads a hundred
    items that do not exist, in one call that changes nothing, and must be throttled at least in part. UpdateTable is
    asynchronous and refused while the table is ``UPDATING``. Only the table itself is changed; its indexes keep what
    they have.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html

    Written to the documentation: the emulators accept the change and throttle nothing.

    Args:
        target: where the table is.
        component: its name in the descriptor.
        resource: its ARN.
        now: wall clock, UTC.
    """

    name: ClassVar[str]
    parameter: ClassVar[str]
    """Name of the UpdateTable parameter, and of the member that DescribeTable answers."""
    members: ClassVar[tuple[str, str]]
    """Its members for reading and writing."""
    permissions: ClassVar[tuple[str, ...]] = (
        "dynamodb:DescribeTable",
        "dynamodb:UpdateTable",
        "dynamodb:BatchGetItem",
    )
    # the burst capacity of 300 s hides the fault until it is used up
    propagation_seconds: ClassVar[float] = 330.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.TABLE_THROTTLE
    error_class: ClassVar[ErrorClass] = ErrorClass.THROTTLE

    target: Target
    component: str
    resource: str
    now: Callable[[], datetime] = _utc_now
    key: str = field(default="", init=False)

    @classmethod
    def on(cls, stack: Stack, component: str) -> Self:
        """The lever on a table of a stack."""
        return cls(target=stack.target, component=component, resource=stack.resource(component).arn)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(target=target, component=snapshot.component, resource=snapshot.resource)

    @abstractmethod
    def _refuse(self, table: dict[str, Any]) -> None:
        """Raise `InjectionError` where the lever cannot act on this table, or could not put it back."""

    def snapshot(self) -> Snapshot:
        """Read what the table serves."""
        need_support(self.target, self.capability, f"{self.component} cannot be throttled")
        table = self._describe()
        if table["TableStatus"] != ACTIVE:
            raise InjectionError(
                f"{self.component} cannot be changed: it is {table['TableStatus']}; nothing was changed",
                cause="DynamoDB refuses a second UpdateTable while the first is under way",
                remedy="wait until the table is ACTIVE",
            )
        self._refuse(table)
        found, placed = self._units(table), dict.fromkeys(self.members, LEAST_UNITS)
        if found == placed:
            raise InjectionError(
                f"{self.parameter} of {self.component} is already {_said(found)}; nothing was changed",
                cause="DynamoDB refuses a change that changes nothing",
                remedy="give the table more first; a run that was killed may have left it so, see its journal",
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"units": found},
            placed={"units": placed},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Set the least."""
        self._change(from_units=snapshot.found["units"], to_units=snapshot.placed["units"])

    def proof(self) -> str:
        """The table is ``ACTIVE`` again with the least, and the canary is throttled."""
        table = self._describe()
        units = self._units(table)
        if table["TableStatus"] != ACTIVE or units != dict.fromkeys(self.members, LEAST_UNITS):
            return ""
        if not self._canary_is_throttled(table):
            return ""
        return f"{self.parameter} of {self.component} reads back {_said(units)}, and {CANARY_KEYS} reads are throttled"

    def hits(self) -> int:
        """Throttles show in metrics only, minutes later."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Put the old units back once the table can be changed; units that are not ours are left alone."""
        eventually(
            self._persistently_described,
            lambda table: table["TableStatus"] != ACTIVE or self._units(table) == snapshot.placed["units"],
            deadline_seconds=stale_seconds(self.target),
        )
        self._change(from_units=snapshot.placed["units"], to_units=snapshot.found["units"])

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The units read back as found with the table ``ACTIVE``, or somebody else has set others."""
        table = self._describe()
        found, placed, units = snapshot.found["units"], snapshot.placed["units"], self._units(table)
        if table["TableStatus"] != ACTIVE or units == placed:
            return ""
        if units == found:
            return f"{self.parameter} of {self.component} reads back {_said(found)}, as found"
        return (
            f"{self.parameter} of {self.component} is {_said(units)}: somebody else changed it meanwhile, so it was "
            f"left alone ({_said(found)} was found)"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that puts the old units back."""
        words = ("dynamodb", "update-table", "--table-name", self._table)
        return cli(self.target, *words, f"--{_dashed(self.parameter)}", json.dumps(snapshot.found["units"]))

    @property
    def _client(self) -> Any:
        return self.target.client("dynamodb")

    @property
    def _table(self) -> str:
        return self.resource.rpartition("/")[2]

    def _describe(self) -> dict[str, Any]:
        return dict(self._client.describe_table(TableName=self._table)["Table"])

    def _persistently_described(self) -> dict[str, Any]:
        return persistently(self._describe, deadline_seconds=CALL_SECONDS)

    def _units(self, table: dict[str, Any]) -> dict[str, int]:
        found = table.get(self.parameter) or {}
        return {member: int(found.get(member, NO_CAP)) for member in self.members}

    def _change(self, *, from_units: dict[str, int], to_units: dict[str, int]) -> None:
        """Compare and set; where another change is under way, once that has ended: only then do the units count."""
        eventually(
            self._persistently_described,
            lambda table: table["TableStatus"] != "UPDATING",
            deadline_seconds=self.propagation_seconds,
        )

        def once() -> None:
            if self._units(self._describe()) == from_units:
                self._client.update_table(TableName=self._table, **{self.parameter: to_units})

        persistently(once, deadline_seconds=self.propagation_seconds)

    def _canary_is_throttled(self, table: dict[str, Any]) -> bool:
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        keys = [
            {each["AttributeName"]: _nobody(types[each["AttributeName"]], number) for each in table["KeySchema"]}
            for number in range(CANARY_KEYS)
        ]
        try:
            answer = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys, "ConsistentRead": True}})
        except ClientError as error:
            if error_code(error) in _THROTTLED:
                return True
            raise
        return bool(answer.get("UnprocessedKeys"))


class TableCap(TableThroughput):
    """On-demand throughput capped at one request unit a second each for reading and writing.

    It may be set "at any time", and -1 removes it. AWS calls it a target and no guaranteed ceiling, so the canary
    decides whether it bites.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode-max-throughput.html
    """

    __slots__ = ()

    name: ClassVar[str] = "table-cap"
    parameter: ClassVar[str] = "OnDemandThroughput"
    members: ClassVar[tuple[str, str]] = ("MaxReadRequestUnits", "MaxWriteRequestUnits")

    def _refuse(self, table: dict[str, Any]) -> None:
        if not _on_demand(table):
            raise InjectionError(
                f"{self.component} is not an on-demand table; nothing was changed",
                remedy="use table-capacity, which is for provisioned tables",
            )


class TableCapacity(TableThroughput):
    """Provisioned capacity of one unit each for reading and writing.

    Hazards: a table may be decreased only four times a day at any time, then once for each hour without a decrease (27
    a day, quota L-F3CA5463), so every use costs one; the lever refuses when none is left. Increasing it again is not
    limited. DynamoDB keeps 300 s of unused capacity as burst, which hides the fault on a table that was large and idle.
    Autoscaling raises the capacity again by itself: what it sets counts as somebody else's and is left alone, so take
    the table out of autoscaling first. A run killed while the table is ``UPDATING`` is healed once that has ended.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/burst-adaptive-capacity.html
    """

    __slots__ = ()

    name: ClassVar[str] = "table-capacity"
    parameter: ClassVar[str] = "ProvisionedThroughput"
    members: ClassVar[tuple[str, str]] = ("ReadCapacityUnits", "WriteCapacityUnits")

    def _refuse(self, table: dict[str, Any]) -> None:
        if _on_demand(table):
            raise InjectionError(
                f"{self.component} is an on-demand table; nothing was changed",
                remedy="use table-cap, which is for on-demand tables",
            )
        told = table["ProvisionedThroughput"]
        decreases = int(told.get("NumberOfDecreasesToday", 0))
        last = told.get("LastDecreaseDateTime")
        rested = last is None or self.now() - last >= timedelta(hours=1)
        if decreases >= MOST_DECREASES or (decreases >= FREE_DECREASES and not rested):
            raise InjectionError(
                f"{self.component} was decreased {decreases} times today; nothing was changed",
                cause=f"DynamoDB allows {FREE_DECREASES} decreases a day, then one for each hour without one",
                remedy="wait an hour, or until midnight UTC",
            )


def _on_demand(table: dict[str, Any]) -> bool:
    # a table that was always provisioned has no summary
    return bool(table.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST")


def _nobody(attribute_type: str, number: int) -> dict[str, Any]:
    """A key that no item has."""
    text = f"holdfast-canary-{number}"
    if attribute_type == "N":
        return {"N": str(-(10**30) - number)}
    return {"B": text.encode()} if attribute_type == "B" else {"S": text}


def _said(units: dict[str, int]) -> str:
    return ", ".join(f"{name} {'unbounded' if value == NO_CAP else value}" for name, value in units.items())


def _dashed(parameter: str) -> str:
    """``OnDemandThroughput`` as the CLI writes it: ``on-demand-throughput``."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in parameter).lstrip("-")
