"""Executions of a state machine: one aborted and redriven, or one task of them made to fail."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import GuardRailError, HealError, Inconclusive
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.levers.role import RoleDeny
from holdfast.stack.aws_errors import error_code
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

SHORTEST_PREFIX = 8
"""A run's prefix is the time in milliseconds in base 36; a shorter one could be the beginning of any name."""
ERROR = "Holdfast.Aborted"
_GONE = "ExecutionDoesNotExist"


@dataclass(slots=True, kw_only=True)
class ExecutionAbort:
    """StopExecution on a running execution that the harness itself started; healed by redriving it.

    An abort is no error that a state can catch, so no compensation runs; a task that is under way is not stopped.
    RedriveExecution goes on from the step that was aborted, with the same definition and input, within 14 days; both
    exist for Standard workflows only. The cause that is given tells this abort from anybody else's. Calls take effect
    at once, reads follow; 30 s is a bound to give up at.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html
    https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html

    Args:
        target: where it runs.
        component: its state machine, by its name in the descriptor.
        resource: ARN of the execution.
        prefix: begins the names of all executions that the harness started.
        cause: tells this abort from others; a fresh one for each lever.
        key: whose execution it is, where that is known.
    """

    name: ClassVar[str] = "execution-abort"
    permissions: ClassVar[tuple[str, ...]] = (
        "states:ListExecutions",
        "states:DescribeExecution",
        "states:DescribeStateMachine",
        "states:StopExecution",
        "states:RedriveExecution",
    )
    propagation_seconds: ClassVar[float] = 30.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.EXECUTION_REDRIVE
    error_class: ClassVar[ErrorClass] = ErrorClass.ABORT

    target: Target
    component: str
    resource: str
    prefix: str
    cause: str = field(default_factory=lambda: f"holdfast-{secrets.token_hex(8)}")
    key: str = ""
    _aborted: bool = field(default=False, init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, *, prefix: str) -> tuple[Self, ...]:
        """One lever for each running execution of a state machine that the harness started.

        Args:
            stack: the stack.
            component: the state machine.
            prefix: begins the names of all executions that the harness started, e.g. the run's prefix.
        """
        machine = stack.resource(component).arn
        pages = stack.target.client("stepfunctions").get_paginator("list_executions")
        return tuple(
            cls(target=stack.target, component=component, resource=each["executionArn"], prefix=prefix)
            for page in pages.paginate(stateMachineArn=machine, statusFilter="RUNNING")
            for each in page["executions"]
            if each["name"].startswith(prefix)
        )

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            prefix=snapshot.placed["prefix"],
            cause=snapshot.placed["cause"],
        )

    def snapshot(self) -> Snapshot:
        """See that it runs, is the harness' own and can be redriven.

        Raises:
            GuardRailError: somebody else started it.
            Inconclusive: it is over, or an aborted execution could not be redriven.
        """
        if len(self.prefix) < SHORTEST_PREFIX or not self._name.startswith(self.prefix):
            raise GuardRailError(
                f"execution {self._name} of {self.component} was not started by this run; nothing was changed",
                cause=f"its name does not begin with the run's prefix {self.prefix!r}, or that is too short to tell",
                remedy=f"only executions whose names begin with the run's prefix ({SHORTEST_PREFIX} characters or "
                "more) may be aborted; let {key} begin the execution's name",
            )
        need_support(self.target, self.capability, f"an aborted execution of {self.component} could not be resumed")
        found = self._read()
        if found["status"] != "RUNNING":
            raise Inconclusive(f"execution {self._name} of {self.component} is {found['status']}, so it cannot abort")
        machine = self._client.describe_state_machine(stateMachineArn=found["stateMachineArn"])
        if machine.get("type", "STANDARD") != "STANDARD":
            raise Inconclusive(f"{self.component} is an Express workflow, which can neither be stopped nor redriven")
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"status": "RUNNING", "redrives": int(found.get("redriveCount", 0))},
            placed={"status": "ABORTED", "cause": self.cause, "prefix": self.prefix},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - what is placed is always the same
        """Abort it."""
        persistently(
            lambda: self._client.stop_execution(executionArn=self.resource, error=ERROR, cause=self.cause),
            deadline_seconds=20.0,
        )

    def proof(self) -> str:
        """It reads back ``ABORTED``, for the cause that was given."""
        if not self._ours(self._read()):
            return ""
        self._aborted = True
        return f"execution {self._name} reads back ABORTED by this run"

    def hits(self) -> int:
        """One abort is one execution."""
        return int(self._aborted)

    def heal(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - the cause says whether it is still to be redriven
        """Redrive it, unless it is no longer aborted for the cause that was given.

        Raises:
            HealError: Step Functions does not let it be redriven.
        """

        def attempt() -> None:
            found = self._found()
            if found is None or not self._ours(found):
                return
            if found.get("redriveStatus", "REDRIVABLE") == "NOT_REDRIVABLE":
                raise HealError(
                    f"execution {self._name} of {self.component} is aborted and cannot be redriven: "
                    f"{found.get('redriveStatusReason') or 'no reason given'}",
                    remedy="start it again, as its caller would",
                )
            # the token makes a repeated call the same redrive
            self._client.redrive_execution(executionArn=self.resource, clientToken=self.cause)

        persistently(attempt, deadline_seconds=20.0, passing=("ExecutionLimitExceeded",))

    def healed_proof(self, snapshot: Snapshot) -> str:
        """It was redriven, or somebody else has done something to it."""
        found = self._found()
        if found is None:
            return f"execution {self._name} no longer exists, and the fault with it"
        if self._ours(found):
            return ""
        redrives = int(found.get("redriveCount", 0)) - snapshot.found["redrives"]
        if redrives > 0:
            return f"execution {self._name} was redriven and is {found['status']}"
        return f"execution {self._name} is {found['status']}, not aborted by this run"

    def by_hand(self, snapshot: Snapshot) -> str:  # noqa: ARG002 - the execution says it all
        """The command that redrives it."""
        return cli(self.target, "stepfunctions", "redrive-execution", "--execution-arn", self.resource)

    @property
    def _client(self) -> Any:
        return self.target.client("stepfunctions")

    @property
    def _name(self) -> str:
        return self.resource.rsplit(":", 1)[-1]

    def _read(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._client.describe_execution(executionArn=self.resource)
        return found

    def _found(self) -> Mapping[str, Any] | None:
        try:
            return self._read()
        except ClientError as error:
            if error_code(error) == _GONE:
                return None
            raise

    def _ours(self, found: Mapping[str, Any]) -> bool:
        return found["status"] == "ABORTED" and found.get("cause") == self.cause


def task_deny(
    stack: Stack, state_machine: str, function: str, *, expires_seconds: float = 900.0, run: str = ""
) -> RoleDeny:
    """A lever that makes exactly the tasks fail that invoke one function: the state machine's role may not.

    The task fails with ``Lambda.AWSLambdaException`` (AccessDenied), which no default retry covers; throttle the
    function instead where a retryable error is wanted. Written to the documentation.
    https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html

    Args:
        stack: the stack.
        state_machine: the component whose role is denied.
        function: the component that it may no longer invoke.
        expires_seconds: the denial ends by itself after this long.
        run: id of the run, for the policy's name.

    Raises:
        Inconclusive: the target invokes functions whatever the role may do.
    """
    support = stack.target.supports(Capability.TASK_ROLE_ENFORCED)
    if not support.supported:
        raise Inconclusive(f"the tasks of {state_machine} that invoke {function} cannot be denied: {support.reason}")
    arn = stack.resource(function).arn
    return RoleDeny.on(
        stack,
        state_machine,
        actions=("lambda:InvokeFunction",),
        resources=(arn, f"{arn}:*"),  # and its versions and aliases
        expires_seconds=expires_seconds,
        run=run,
    )
