"""A queue with an attribute that hurts: a visibility timeout, a delay, a redrive policy."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.levers.guard import check_address
from holdfast.levers.settling import Settling
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

PROPAGATION_SECONDS = 60.0
CALL_SECONDS = 20.0
LONGEST_VISIBILITY_SECONDS = 43_200
LONGEST_DELAY_SECONDS = 900


@dataclass(slots=True, kw_only=True)
class QueueAttribute(ABC):
    """One attribute of a queue set to something else; what the levers below share.

    A change "can take up to 60 seconds ... to propagate", and only real messages would show it, so on AWS those 60 s
    are waited out before it counts. Restoring is compare-and-set on the attribute's value.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html

    Args:
        target: where the queue is.
        component: its name in the descriptor.
        resource: its ARN.
        url: its URL.
    """

    name: ClassVar[str]
    attribute: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]] = ("sqs:GetQueueAttributes", "sqs:SetQueueAttributes")
    propagation_seconds: ClassVar[float] = PROPAGATION_SECONDS
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.QUEUE_ATTRIBUTES

    target: Target
    component: str
    resource: str
    url: str
    key: str = field(default="", init=False)
    _placed: str = field(default="", init=False)
    _settling: Settling = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing changed."""
        self._settling = Settling(target=self.target, bound_seconds=PROPAGATION_SECONDS)

    @property
    @abstractmethod
    def error_class(self) -> ErrorClass:
        """Which code path it exercises."""

    @abstractmethod
    def _wanted(self, found: str) -> str:
        """The value to set, given the one found; raises `InjectionError` when there is none."""

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(target=target, component=snapshot.component, resource=snapshot.resource, url=snapshot.found["url"])

    def snapshot(self) -> Snapshot:
        """Read the attribute."""
        need_support(self.target, self.capability, f"{self.attribute} of {self.component} cannot be changed")
        check_address(self.name, self.resource, self.url)
        found = self._read()
        self._placed = self._wanted(found)
        if _same(found, self._placed):
            raise InjectionError(
                f"{self.attribute} of {self.component} is already {found}; nothing was changed",
                cause="it was configured so, or a run that was killed and whose journal is elsewhere left it so",
                remedy="choose another value, or restore it first",
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"value": found, "url": self.url},
            placed={"value": self._placed},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Set the attribute."""
        persistently(lambda: self._write(snapshot.placed["value"]), deadline_seconds=CALL_SECONDS)
        self._settling.injected()

    def proof(self) -> str:
        """It reads back as set, and the time that SQS may take to apply it is over."""
        if not self._settling.over() or not _same(self._read(), self._placed):
            return ""
        return f"{self.attribute} of {self.component} reads back {self._placed}{self._waited}"

    def hits(self) -> int:
        """Its effect on messages cannot be counted from outside."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Put the old value back; a value that is neither ours nor the old one is somebody else's and stays."""
        found, placed = snapshot.found["value"], snapshot.placed["value"]
        now = persistently(self._read, deadline_seconds=CALL_SECONDS)
        # The old value is written over itself too: for 60 s a read may answer what was there before ours.
        if _same(now, placed) or _same(now, found):
            persistently(lambda: self._write(found), deadline_seconds=CALL_SECONDS)
            self._settling.healed()

    def healed_proof(self, snapshot: Snapshot) -> str:
        """It reads back as found, or somebody else has set another value."""
        found, placed, now = snapshot.found["value"], snapshot.placed["value"], self._read()
        if not self._settling.over() or _same(now, placed):
            return ""
        if _same(now, found):
            return f"{self.attribute} of {self.component} reads back {found}, as found{self._waited}"
        return (
            f"{self.attribute} of {self.component} is {now or 'absent'}: somebody else changed it meanwhile, so it was "
            f"left alone ({found} was found)"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that sets the old value."""
        attributes = json.dumps({self.attribute: snapshot.found["value"]})
        return cli(self.target, "sqs", "set-queue-attributes", "--queue-url", self.url, "--attributes", attributes)

    @property
    def _client(self) -> Any:
        return self.target.client("sqs")

    @property
    def _waited(self) -> str:
        return f", and {PROPAGATION_SECONDS:g} s to propagate are over" if self.target.kind == "aws" else ""

    def _read(self) -> str:
        found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[self.attribute])
        return str(found.get("Attributes", {}).get(self.attribute, ""))

    def _write(self, value: str) -> None:
        self._client.set_queue_attributes(QueueUrl=self.url, Attributes={self.attribute: value})

    def _within(self, seconds: int, longest_seconds: int) -> str:
        if not 0 <= seconds <= longest_seconds:
            raise InjectionError(
                f"{self.attribute} cannot be {seconds} s; nothing was changed",
                cause=f"SQS accepts 0 to {longest_seconds} s",
                remedy="choose a value in that range",
            )
        return str(seconds)


@dataclass(slots=True, kw_only=True)
class QueueVisibility(QueueAttribute):
    """Another visibility timeout: near 0 messages are delivered again while they are handled, high they stall.

    Messages in flight keep the timeout they were received with. Lambda refuses to create a mapping while the timeout is
    below the function's own, so nothing should be deployed meanwhile.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html

    Args:
        seconds: the timeout, 0 to 43,200 s.
    """

    name: ClassVar[str] = "queue-visibility"
    attribute: ClassVar[str] = "VisibilityTimeout"

    seconds: int = 0
    _found_seconds: int = field(default=0, init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, *, seconds: int) -> Self:
        """The lever on a queue of a stack."""
        found = stack.resource(component)
        return cls(target=stack.target, component=component, resource=found.arn, url=found.url, seconds=seconds)

    @property
    def error_class(self) -> ErrorClass:
        """Duplicates below the timeout that was found, a stall above it."""
        return ErrorClass.STALLED if self.seconds > self._found_seconds else ErrorClass.DUPLICATE

    def _wanted(self, found: str) -> str:
        self._found_seconds = int(found)
        return self._within(self.seconds, LONGEST_VISIBILITY_SECONDS)


@dataclass(slots=True, kw_only=True)
class QueueDelay(QueueAttribute):
    """A delivery delay: each message stays hidden for so long, as lag would have it.

    On a standard queue it holds for new messages only, on a FIFO queue also for those that wait already.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html

    Args:
        seconds: the delay, 0 to 900 s.
    """

    name: ClassVar[str] = "queue-delay"
    attribute: ClassVar[str] = "DelaySeconds"
    error_class: ClassVar[ErrorClass] = ErrorClass.STALLED

    seconds: int = 0

    @classmethod
    def on(cls, stack: Stack, component: str, *, seconds: int) -> Self:
        """The lever on a queue of a stack."""
        found = stack.resource(component)
        return cls(target=stack.target, component=component, resource=found.arn, url=found.url, seconds=seconds)

    def _wanted(self, found: str) -> str:  # noqa: ARG002 - any delay is possible
        return self._within(self.seconds, LONGEST_DELAY_SECONDS)


@dataclass(slots=True, kw_only=True)
class QueueRedrive(QueueAttribute):
    """Early dead-lettering: a message goes to the dead-letter queue after its first receive that was not a success.

    Live traffic loses its retries meanwhile; what was dead-lettered stays so after the fault is healed, until it is
    redriven. Only on a queue that has a dead-letter queue.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
    """

    name: ClassVar[str] = "queue-redrive"
    attribute: ClassVar[str] = "RedrivePolicy"
    error_class: ClassVar[ErrorClass] = ErrorClass.STALLED

    @classmethod
    def on(cls, stack: Stack, component: str) -> Self:
        """The lever on a queue of a stack."""
        found = stack.resource(component)
        return cls(target=stack.target, component=component, resource=found.arn, url=found.url)

    def _wanted(self, found: str) -> str:
        if not found:
            raise InjectionError(
                f"{self.component} has no dead-letter queue; nothing was changed",
                remedy="put this fault on a queue with a RedrivePolicy",
            )
        return json.dumps({**json.loads(found), "maxReceiveCount": 1})


def _same(first: str, second: str) -> bool:
    return bool(_canonical(first) == _canonical(second))


def _canonical(value: str) -> Any:
    """A number, or a redrive policy with its count as a number; SQS takes it as text as well."""
    found = json.loads(value) if value else None
    if isinstance(found, dict) and "maxReceiveCount" in found:
        return {**found, "maxReceiveCount": int(found["maxReceiveCount"])}
    return found
