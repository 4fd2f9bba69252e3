"""What the components of a stack are on a target."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.errors import GuardRailError
from holdfast.targets.base import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One component as it exists on the target.

    Attributes:
        component: its name in the descriptor.
        type: its type in the descriptor, e.g. ``queue``.
        name: physical name; the id of an API.
        arn: ARN; empty where there is none (an API elsewhere, a process).
        url: URL of a queue, base URL of an API through the target, function URL as AWS names it; else empty.
        stage: stage of an API; else empty.
        role: ARN of the execution role of a function or state machine; else empty.
    """

    component: str
    type: str
    name: str
    arn: str = ""
    url: str = ""
    stage: str = ""
    role: str = ""


def execution_arns(machine_arn: str) -> list[str]:
    """What matches the ARNs of all executions of a state machine, as a policy names them."""
    return [f"{machine_arn.replace(':stateMachine:', ':execution:')}:*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """One event source mapping of a function.

    Attributes:
        uuid: its id.
        source_arn: the queue or stream it polls.
        function_arn: the function, version or alias it invokes.
        enabled: whether it is on, or on its way to be.
        state: as AWS says it, e.g. ``Enabled``, ``Disabling``.
        batch_size: most records in one invocation.
        response_types: e.g. ``("ReportBatchItemFailures",)``.
        maximum_concurrency: most concurrent invocations of a queue mapping; None when unbounded.
        maximum_retry_attempts: attempts of a stream mapping; None on queues, -1 when unbounded.
        maximum_record_age_seconds: of what a stream mapping still tries; None on queues, -1 when unbounded.
        on_failure_arn: where a stream mapping sends what it gives up; empty when nowhere.
    """

    uuid: str
    source_arn: str
    function_arn: str
    enabled: bool
    state: str
    batch_size: int
    response_types: tuple[str, ...] = ()
    maximum_concurrency: int | None = None
    maximum_retry_attempts: int | None = None
    maximum_record_age_seconds: int | None = None
    on_failure_arn: str = ""


@dataclass(frozen=True, slots=True)
class Arn:
    """The parts of an ARN; region and account are empty where the service has none.

    Attributes:
        service: e.g. ``sqs``.
        region: e.g. ``eu-west-1``.
        account: 12 digits.
        resource: all that follows.
    """

    service: str
    region: str
    account: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn | None:
        """The parts of an ARN; None when the text is none."""
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn":
            return None
        return cls(parts[2], parts[3], parts[4], parts[5])


def partition(region: str) -> str:
    """The partition a region belongs to."""
    return "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"


def check_place(component: str, arn: str, target: Target) -> None:
    """Refuse an ARN that lies outside the target's account and region.

    Raises:
        GuardRailError: it does.
    """
    parts = Arn.parse(arn)
    if parts is None:
        return
    for what, found, pinned in (
        ("account", parts.account, target.account),
        ("region", parts.region, target.region),
    ):
        if found and found != pinned:
            refuse_place(component, what, found, pinned)


def refuse_place(component: str, what: str, found: str, pinned: str) -> None:
    """Refuse a component that lies elsewhere.

    Raises:
        GuardRailError: always.
    """
    raise GuardRailError(
        f"The component {component} is in {what} {found}, but the target is pinned to {what} {pinned}.",
        cause="Holdfast reads and breaks nothing outside the account and region of its target",
        remedy="correct the component, or the target's account and region",
    )
