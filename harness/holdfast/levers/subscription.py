"""A subscription that filters everything out."""

from __future__ import annotations

import json
import secrets
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

PROPAGATION_SECONDS = 900.0
CALL_SECONDS = 20.0
NO_FILTER = "{}"
"""What removes a filter policy."""


@dataclass(slots=True, kw_only=True)
class SubscriptionFilter:
    """A filter policy that no message passes, on one subscription of a topic; the others get theirs.

    It asks for an attribute, or with the scope MessageBody for a member of the body, that no message has. Messages
    meanwhile are not kept: they are lost to that subscription. "Additions or changes to a subscription filter policy
    require up to 15 minutes to fully take effect", which only real messages would show, so on AWS they are waited out,
    both when it is injected and when it is healed: too slow for most pipelines.
    https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html
    https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html

    Args:
        target: where the topic is.
        component: the topic, by its name in the descriptor.
        resource: ARN of the subscription.
    """

    name: ClassVar[str] = "subscription-filter"
    permissions: ClassVar[tuple[str, ...]] = (
        "sns:ListSubscriptionsByTopic",
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes",
    )
    propagation_seconds: ClassVar[float] = PROPAGATION_SECONDS
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.SUBSCRIPTION_FILTER
    error_class: ClassVar[ErrorClass] = ErrorClass.STALLED

    target: Target
    component: str
    resource: str
    key: str = field(default="", init=False)
    _placed: str = field(default="", init=False)
    _settling: Settling = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing changed."""
        self._settling = Settling(target=self.target, bound_seconds=PROPAGATION_SECONDS)

    @classmethod
    def on(cls, stack: Stack, component: str, *, to: str) -> Self:
        """The lever on the subscription of one component to a topic.

        Args:
            stack: the stack.
            component: the topic.
            to: the function or queue that is subscribed.

        Raises:
            InjectionError: it is not subscribed to the topic.
        """
        topic, endpoint = stack.resource(component), stack.resource(to)
        pages = stack.target.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic.arn)
        for page in pages:
            for each in page.get("Subscriptions", []):
                # one that waits for its confirmation has no ARN yet
                if each["Endpoint"] == endpoint.arn and str(each["SubscriptionArn"]).startswith("arn:"):
                    return cls(target=stack.target, component=component, resource=str(each["SubscriptionArn"]))
        raise InjectionError(
            f"{to} is not subscribed to {component}; nothing was changed",
            remedy="name a function or a queue that the topic delivers to",
        )

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(target=target, component=snapshot.component, resource=snapshot.resource)

    def snapshot(self) -> Snapshot:
        """Read the filter policy; empty means that there was none."""
        need_support(self.target, self.capability, f"a subscription of {self.component} cannot be filtered")
        self._placed = json.dumps({f"holdfast-{secrets.token_hex(6)}": ["nothing has this"]})
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"filter_policy": self._read()},
            placed={"filter_policy": self._placed},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Set the filter policy."""
        persistently(lambda: self._write(snapshot.placed["filter_policy"]), deadline_seconds=CALL_SECONDS)
        self._settling.injected()

    def proof(self) -> str:
        """It reads back as set, and the time that SNS may take to apply it is over."""
        if not self._settling.over() or not _same(self._read(), self._placed):
            return ""
        return f"the filter policy of {self.resource} reads back {self._placed}{self._waited}"

    def hits(self) -> int:
        """What was filtered out shows in metrics only, minutes later."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Put the old filter policy back, or remove ours if there was none; another one is left alone."""
        found, placed = snapshot.found["filter_policy"], snapshot.placed["filter_policy"]
        now = persistently(self._read, deadline_seconds=CALL_SECONDS)
        # The old one is written over itself too: for a while a read may answer what was there before ours.
        if _same(now, placed) or _same(now, found):
            persistently(lambda: self._write(found or NO_FILTER), deadline_seconds=CALL_SECONDS)
            self._settling.healed()

    def healed_proof(self, snapshot: Snapshot) -> str:
        """It reads back as found, or somebody else has set another one."""
        found, placed, now = snapshot.found["filter_policy"], snapshot.placed["filter_policy"], self._read()
        if not self._settling.over() or _same(now, placed):
            return ""
        if _same(now, found):
            return f"the filter policy of {self.resource} reads back as found{self._waited}"
        return (
            f"the filter policy of {self.resource} is {'another one' if now else 'absent'}: somebody else changed it "
            "meanwhile, so it was left alone"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that sets the old filter policy, or removes ours."""
        words = ("sns", "set-subscription-attributes", "--subscription-arn", self.resource)
        value = snapshot.found["filter_policy"] or NO_FILTER
        return cli(self.target, *words, "--attribute-name", "FilterPolicy", "--attribute-value", value)

    @property
    def _client(self) -> Any:
        return self.target.client("sns")

    @property
    def _waited(self) -> str:
        return (
            f", and {PROPAGATION_SECONDS / 60:g} minutes to take effect are over" if self.target.kind == "aws" else ""
        )

    def _read(self) -> str:
        found = self._client.get_subscription_attributes(SubscriptionArn=self.resource)["Attributes"]
        text = str(found.get("FilterPolicy", ""))
        return "" if _same(text, NO_FILTER) else text

    def _write(self, text: str) -> None:
        self._client.set_subscription_attributes(
            SubscriptionArn=self.resource, AttributeName="FilterPolicy", AttributeValue=text
        )


def _same(first: str, second: str) -> bool:
    return bool(json.loads(first or NO_FILTER) == json.loads(second or NO_FILTER))
