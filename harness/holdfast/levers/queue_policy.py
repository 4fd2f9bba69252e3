"""A queue denied by its own policy."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from holdfast.errors import Inconclusive, InjectionError
from holdfast.levers.base import Snapshot
from holdfast.levers.denial import Held, PolicyDenial
from holdfast.targets.base import Capability

_RECEIVING = frozenset({"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"})


class QueueDeny(PolicyDenial):
    """A Deny in a queue's policy; by default nobody of the stack can send to it.

    A change "can take up to 60 seconds ... to propagate". There is no compare-and-set, so the policy is read again
    right before each edit; where there was none, healing sends an empty one, which removes it. Receiving cannot be
    denied while a mapping polls the queue: a role that may not receive can leave the mapping disabled for good, and
    ``mapping-disable`` does the same safely. The canary is DeleteMessage with a handle that no message has.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """

    __slots__ = ()

    name: ClassVar[str] = "queue-deny"
    permissions: ClassVar[tuple[str, ...]] = (
        "sqs:GetQueueAttributes",
        "sqs:SetQueueAttributes",
        "sqs:DeleteMessage",
        "lambda:ListEventSourceMappings",
    )
    propagation_seconds: ClassVar[float] = 60.0
    capability: ClassVar[Capability] = Capability.QUEUE_POLICY
    data_plane: ClassVar[frozenset[str]] = frozenset({"sqs:SendMessage"}) | _RECEIVING
    default_actions: ClassVar[tuple[str, ...]] = ("sqs:SendMessage",)
    canary_action: ClassVar[str] = "sqs:DeleteMessage"

    def snapshot(self) -> Snapshot:
        """Read the policy; refuse to stop a mapping this way, and a rule where that would not be felt."""
        rules = self.target.supports(Capability.QUEUE_POLICY_FOR_RULES)
        if not rules.supported and any(each.startswith("events.") for each in self.principals):
            raise Inconclusive(f"EventBridge cannot be denied {self.component} here: {rules.reason}")
        receiving = sorted(_RECEIVING & set(self.actions))
        if receiving:
            mappings = self.target.client("lambda").list_event_source_mappings(EventSourceArn=self.resource)
            if mappings["EventSourceMappings"]:
                raise InjectionError(
                    f"{', '.join(receiving)} of {self.component} cannot be denied; nothing was changed",
                    cause="an event source mapping polls the queue, and a denied role can leave it disabled for good",
                    remedy="use mapping-disable instead",
                )
        return PolicyDenial.snapshot(self)

    def _read(self) -> Held:
        found = self._client.get_queue_attributes(QueueUrl=self.address, AttributeNames=["Policy"])
        return Held(str(found.get("Attributes", {}).get("Policy", "")))

    def _write(self, text: str, revision: str) -> None:  # noqa: ARG002 - SQS has no revisions
        self._client.set_queue_attributes(QueueUrl=self.address, Attributes={"Policy": text})

    def _canary(self) -> Any:
        return self._client.delete_message(QueueUrl=self.address, ReceiptHandle=self.sid)

    @property
    def _reading(self) -> tuple[str, ...]:
        words = ("sqs", "get-queue-attributes", "--queue-url", self.address)
        return (*words, "--attribute-names", "Policy", "--query", "Attributes.Policy")

    @property
    def _writing(self) -> tuple[str, ...]:
        return ("sqs", "set-queue-attributes", "--queue-url", self.address, "--attributes")

    @property
    def _deleting(self) -> tuple[str, ...]:
        return (*self._writing, json.dumps({"Policy": ""}))

    @property
    def _document(self) -> str:
        return "{Policy: tostring}"

    @property
    def _client(self) -> Any:
        return self.target.client("sqs")
