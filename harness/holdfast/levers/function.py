"""A function throttled to zero."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.stack.aws_errors import error_code
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

ALREADY_RUNNING_SECONDS = 1.0
"""An invocation admitted just before the throttle may be traced just after it; it is no sign of failure."""


@dataclass(slots=True, kw_only=True)
class FunctionThrottle:
    """Reserved concurrency 0: Lambda refuses every invocation of the function, all versions and aliases.

    Synchronous callers get 429 ``TooManyRequestsException``; asynchronous events go to the dead-letter queue or the
    failure destination without a retry; a queue's mapping keeps receiving, so receive counts rise. AWS publishes no
    figure for how soon the limit is felt; 30 s is a bound to give up at, not a wait.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
    https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html

    Args:
        target: where the function is.
        component: its name in the descriptor.
        resource: its ARN.
        canary_safe: an invocation with the empty event ``{}`` does no harm, so it may prove the throttle.
    """

    name: ClassVar[str] = "function-throttle"
    permissions: ClassVar[tuple[str, ...]] = (
        "lambda:GetFunctionConcurrency",
        "lambda:PutFunctionConcurrency",
        "lambda:DeleteFunctionConcurrency",
        "lambda:GetFunctionConfiguration",
        "lambda:InvokeFunction",
    )
    propagation_seconds: ClassVar[float] = 30.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.FUNCTION_THROTTLE
    error_class: ClassVar[ErrorClass] = ErrorClass.THROTTLE

    target: Target
    component: str
    resource: str
    canary_safe: bool = False
    key: str = field(default="", init=False)
    _injected_at: float = field(default=0.0, init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, *, canary_safe: bool = False) -> Self:
        """The lever on a function of a stack."""
        found = stack.resource(component)
        return cls(target=stack.target, component=component, resource=found.arn, canary_safe=canary_safe)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(target=target, component=snapshot.component, resource=snapshot.resource)

    def snapshot(self) -> Snapshot:
        """Read the reserved concurrency; None means that there was none."""
        need_support(self.target, self.capability, f"{self._function} cannot be throttled to zero")
        found = self._reserved()
        if found == 0:
            raise InjectionError(
                f"{self._function} is already throttled to zero; nothing was changed",
                cause="another tool, or a run that was killed and whose journal is elsewhere, left it so",
                remedy=f"restore it, e.g. {self._delete_command()}",
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"reserved_concurrency": found},
            placed={"reserved_concurrency": 0},
        )

    def inject(self, snapshot: Snapshot) -> None:  # noqa: ARG002 - what is placed is always 0
        """Set the reserved concurrency to 0."""
        persistently(lambda: self._put(0), deadline_seconds=20.0)
        self._injected_at = time.time()

    def proof(self) -> str:
        """The limit reads back 0 and, where that can be seen, no invocation succeeds."""
        if self._reserved() != 0:
            return ""
        read_back = f"reserved concurrency of {self._function} reads back 0"
        if self.canary_safe:
            return f"{read_back} and an invocation is refused with 429" if self._canary_is_refused() else ""
        interceptor = self.target.interceptor
        if interceptor is not None:
            since = [
                invocation
                for invocation in interceptor.invocations(function=self._function)
                if invocation.started_seconds > self._injected_at + ALREADY_RUNNING_SECONDS
            ]
            succeeded = [call for call in since if call.ended_seconds and not call.failed]
            return "" if succeeded else f"{read_back} and none of its {len(since)} invocations since then succeeded"
        state = self._client.get_function_configuration(FunctionName=self._function).get("State", "unknown")
        return f"{read_back} while the function is {state}; that invocations are refused was not tried"

    def hits(self) -> int:
        """Refusals cannot be counted from outside."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Put the old limit back, or remove it if there was none; a limit that is no longer 0 is left alone."""
        if persistently(self._reserved, deadline_seconds=20.0) != 0:
            return
        before = snapshot.found["reserved_concurrency"]
        if before is None:
            persistently(
                lambda: self._client.delete_function_concurrency(FunctionName=self._function), deadline_seconds=20.0
            )
        else:
            persistently(lambda: self._put(before), deadline_seconds=20.0)

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The limit reads back as found, or somebody else has set another one."""
        before, now = snapshot.found["reserved_concurrency"], self._reserved()
        if now == before:
            return f"reserved concurrency of {self._function} reads back {_said(before)}, as found"
        if now == 0:
            return ""
        return (
            f"reserved concurrency of {self._function} is {_said(now)}: somebody else changed it while it was "
            f"throttled, so it was left alone ({_said(before)} was found)"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that restores the limit."""
        before = snapshot.found["reserved_concurrency"]
        if before is None:
            return self._delete_command()
        words = ("lambda", "put-function-concurrency", "--function-name", self._function)
        return cli(self.target, *words, "--reserved-concurrent-executions", str(before))

    @property
    def _client(self) -> Any:
        return self.target.client("lambda")

    @property
    def _function(self) -> str:
        # without a version or alias: the limit is the whole function's
        return self.resource.split(":function:", 1)[-1].split(":", 1)[0]

    def _reserved(self) -> int | None:
        found: int | None = self._client.get_function_concurrency(FunctionName=self._function).get(
            "ReservedConcurrentExecutions"
        )
        return found

    def _put(self, limit: int) -> None:
        self._client.put_function_concurrency(FunctionName=self._function, ReservedConcurrentExecutions=limit)

    def _canary_is_refused(self) -> bool:
        try:
            self._client.invoke(FunctionName=self._function, InvocationType="RequestResponse", Payload=b"{}")
        except ClientError as error:
            if error_code(error) == "TooManyRequestsException":
                return True
            raise
        return False

    def _delete_command(self) -> str:
        return cli(self.target, "lambda", "delete-function-concurrency", "--function-name", self._function)


def _said(limit: int | None) -> str:
    return "absent" if limit is None else str(limit)
