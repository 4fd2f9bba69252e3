"""A rule switched off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.levers.settling import Settling
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

SETTLING_SECONDS = 60.0
CALL_SECONDS = 20.0
DISABLED, ENABLED = "DISABLED", "ENABLED"
_DEFINITION = ("ScheduleExpression", "EventPattern", "Description")


@dataclass(slots=True, kw_only=True)
class RuleDisable:
    """A disabled EventBridge rule: events meanwhile match nothing and are lost to its targets, unless archived.

    A rule has three states; EnableRule gives ``ENABLED`` alone, so ``ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS`` is
    put back by PutRule with the rule's own definition; with a role it is refused, as iam:PassRole would be needed. AWS
    asks to "allow a short period of time for changes to take
    effect" without a figure, and only real events would show it: a minute is waited on AWS. Rules that an AWS service
    manages refuse to be changed.
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DisableRule.html
    https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_EnableRule.html
    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail-management.html

    Args:
        target: where the rule is.
        component: its name in the descriptor.
        resource: its ARN.
    """

    name: ClassVar[str] = "rule-disable"
    permissions: ClassVar[tuple[str, ...]] = (
        "events:DescribeRule",
        "events:DisableRule",
        "events:EnableRule",
        "events:PutRule",
    )
    propagation_seconds: ClassVar[float] = SETTLING_SECONDS
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.RULE_DISABLE
    error_class: ClassVar[ErrorClass] = ErrorClass.STALLED

    target: Target
    component: str
    resource: str
    key: str = field(default="", init=False)
    _settling: Settling = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing changed."""
        self._settling = Settling(target=self.target, bound_seconds=SETTLING_SECONDS)

    @classmethod
    def on(cls, stack: Stack, component: str) -> Self:
        """The lever on a rule of a stack."""
        return cls(target=stack.target, component=component, resource=stack.resource(component).arn)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(target=target, component=snapshot.component, resource=snapshot.resource)

    def snapshot(self) -> Snapshot:
        """Read the state."""
        need_support(self.target, self.capability, f"{self.component} cannot be switched off")
        rule = self._describe()
        if rule.get("ManagedBy"):
            raise InjectionError(
                f"{self.component} cannot be switched off; nothing was changed",
                cause=f"{rule['ManagedBy']} manages the rule, and EventBridge refuses to change it",
                remedy="put this fault on a rule of the stack's own",
            )
        if rule["State"] not in (DISABLED, ENABLED) and rule.get("RoleArn"):
            raise InjectionError(
                f"{self.component} cannot be switched off; nothing was changed",
                cause=f"its state {rule['State']} is put back by PutRule, which would have to pass on its role",
                remedy="put this fault on a rule without a role, or in the state ENABLED",
            )
        if rule["State"] == DISABLED:
            raise InjectionError(
                f"{self.component} is switched off already; nothing was changed",
                cause="another tool, or a run that was killed and whose journal is elsewhere, left it so",
                remedy=f"switch it on, e.g. {self._enable_command(ENABLED)}",
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"state": rule["State"]},
            placed={"state": DISABLED},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - what is placed is always the same
        """Switch it off."""
        persistently(lambda: self._client.disable_rule(**self._named), deadline_seconds=CALL_SECONDS)
        self._settling.injected()

    def proof(self) -> str:
        """Its state is ``DISABLED``, and the time that EventBridge may take is over."""
        if not self._settling.over() or self._describe()["State"] != DISABLED:
            return ""
        return f"rule {self._named['Name']} reads back {DISABLED}{self._waited}"

    def hits(self) -> int:
        """Events that match nothing cannot be counted."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Put the old state back, unless somebody else has switched it on."""
        if persistently(self._describe, deadline_seconds=CALL_SECONDS)["State"] == DISABLED:
            persistently(lambda: self._enable(snapshot.found["state"]), deadline_seconds=CALL_SECONDS)
            self._settling.healed()

    def healed_proof(self, snapshot: Snapshot) -> str:
        """Its state is the one found, or another one that somebody else has set."""
        found, now = snapshot.found["state"], self._describe()["State"]
        if not self._settling.over() or now == DISABLED:
            return ""
        if now == found:
            return f"rule {self._named['Name']} reads back {found}, as found{self._waited}"
        return (
            f"rule {self._named['Name']} is {now}: somebody else switched it on meanwhile, so it was left alone "
            f"({found} was found)"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that puts the old state back."""
        return self._enable_command(snapshot.found["state"])

    @property
    def _client(self) -> Any:
        return self.target.client("events")

    @property
    def _named(self) -> dict[str, str]:
        # arn:...:rule/NAME on the default bus, arn:...:rule/BUS/NAME on others; a partner's bus has slashes itself
        bus, _, name = self.resource.partition(":rule/")[2].rpartition("/")
        return {"Name": name, "EventBusName": bus or "default"}

    @property
    def _waited(self) -> str:
        return f", and {SETTLING_SECONDS:g} s to take effect are over" if self.target.kind == "aws" else ""

    def _describe(self) -> dict[str, Any]:
        return dict(self._client.describe_rule(**self._named))

    def _enable(self, state: str) -> None:
        if state == ENABLED:
            self._client.enable_rule(**self._named)
            return
        rule = self._describe()
        kept = {name: rule[name] for name in _DEFINITION if rule.get(name)}
        self._client.put_rule(**self._named, **kept, State=state)

    def _enable_command(self, state: str) -> str:
        named = ("--name", self._named["Name"], "--event-bus-name", self._named["EventBusName"])
        if state == ENABLED:
            return cli(self.target, "events", "enable-rule", *named)
        rest = " with the schedule, pattern and description that `aws events describe-rule` shows"
        return cli(self.target, "events", "put-rule", *named, "--state", state) + rest
