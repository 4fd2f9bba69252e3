"""A function's timeout or memory cut short."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot
from holdfast.levers.calls import cli
from holdfast.levers.function_configuration import (
    PERMISSIONS,
    SETTLE_SECONDS,
    change,
    check_reachable,
    check_restored,
    function_name,
    settled,
)
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack


@dataclass(slots=True, kw_only=True)
class _Limit:
    """One number of a function's configuration, lowered and put back.

    Only ``$LATEST`` has it; the running environments are replaced, so the next invocations are cold starts.
    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html

    Args:
        target: where the function is.
        component: its name in the descriptor.
        resource: its ARN.
        limit: what is set, in the unit of the parameter.
    """

    name: ClassVar[str]
    parameter: ClassVar[str]
    """Member of the configuration."""
    option: ClassVar[str]
    """The same in the AWS CLI."""
    unit: ClassVar[str]
    permissions: ClassVar[tuple[str, ...]] = PERMISSIONS
    propagation_seconds: ClassVar[float] = SETTLE_SECONDS
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.FUNCTION_CONFIGURATION
    error_class: ClassVar[ErrorClass]

    target: Target
    component: str
    resource: str
    limit: int = 0
    key: str = field(default="", init=False)
    _injected_at: float = field(default=0.0, init=False)

    @classmethod
    def on(cls, stack: Stack, component: str) -> Self:
        """The lever on a function of a stack."""
        return cls(target=stack.target, component=component, resource=stack.resource(component).arn)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            limit=snapshot.placed[cls.parameter],
        )

    def snapshot(self) -> Snapshot:
        """Read the limit.

        Raises:
            Inconclusive: callers go through a published version, which keeps its configuration.
            InjectionError: it is as low already.
        """
        check_reachable(self.target, self.component, self._function)
        found = int(self._read()[self.parameter])
        if found <= self.limit:
            raise InjectionError(
                f"the {self._what} of {self._function} is {self._said(found)} already; nothing was changed",
                cause="it is so by design, or another tool or a killed run whose journal is elsewhere left it so",
                remedy=f"raise it if it should be higher, e.g. {self._command('NUMBER')}",
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={self.parameter: found},
            placed={self.parameter: self.limit},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Lower the limit, unless somebody else has changed it since it was read."""

        def decide(now: Mapping[str, Any]) -> dict[str, Any] | None:
            if now[self.parameter] == self.limit:
                return None
            if now[self.parameter] != snapshot.found[self.parameter]:
                raise InjectionError(
                    f"somebody else has just changed the {self._what} of {self._function}; it was left alone",
                    remedy="try again when nobody deploys",
                )
            return {self.parameter: self.limit}

        change(self.target, self._function, decide)
        self._injected_at = time.time()

    def proof(self) -> str:
        """The limit reads back as placed, and Lambda says that the change has been applied."""
        now = self._read()
        if now[self.parameter] != self.limit or not settled(now):
            return ""
        return f"the {self._what} of {self._function} reads back {self._said(self.limit)} and the update is Successful"

    def hits(self) -> int:
        """What it did cannot be counted from outside."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Put the old limit back, unless somebody else has changed it."""
        before, placed = snapshot.found[self.parameter], snapshot.placed[self.parameter]
        change(
            self.target, self._function, lambda now: {self.parameter: before} if now[self.parameter] == placed else None
        )

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The limit reads back as found and has been applied, or somebody else has set another one.

        Raises:
            HealError: Lambda could not apply the change.
        """
        now = self._read()
        limit, before = now[self.parameter], snapshot.found[self.parameter]
        if limit == snapshot.placed[self.parameter]:
            return ""
        if limit != before:
            return (
                f"the {self._what} of {self._function} is {self._said(limit)}: somebody else changed it while it was "
                f"lowered, so it was left alone ({self._said(before)} was found)"
            )
        check_restored(now, self._function)
        return f"the {self._what} of {self._function} reads back {self._said(before)}, as found" if settled(now) else ""

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that restores the limit."""
        return self._command(str(snapshot.found[self.parameter]))

    @property
    def _function(self) -> str:
        return function_name(self.resource)

    @property
    def _what(self) -> str:
        return self.option.removeprefix("--").removesuffix("-size")

    def _said(self, limit: int) -> str:
        return f"{limit} {self.unit}"

    def _read(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.target.client("lambda").get_function_configuration(FunctionName=self._function)
        return found

    def _command(self, limit: str) -> str:
        words = ("lambda", "update-function-configuration", "--function-name", self._function, self.option, limit)
        return cli(self.target, *words)


@dataclass(slots=True, kw_only=True)
class FunctionTimeout(_Limit):
    """A timeout of 1 s: Lambda ends every invocation that takes longer, and the caller sees ``Sandbox.Timedout``.

    An invocation that takes less is not touched, so the fault bites only where the handler waits for something.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html

    Args:
        target: where the function is.
        component: its name in the descriptor.
        resource: its ARN.
        limit: the timeout, seconds.
    """

    name: ClassVar[str] = "function-timeout"
    parameter: ClassVar[str] = "Timeout"
    option: ClassVar[str] = "--timeout"
    unit: ClassVar[str] = "s"
    error_class: ClassVar[ErrorClass] = ErrorClass.TIMEOUT

    limit: int = 1

    def hits(self) -> int:
        """Invocations that failed after at least the timeout, where the target can see them."""
        interceptor = self.target.interceptor
        if interceptor is None or not self._injected_at:
            return 0
        return sum(
            call.failed and call.ended_seconds - call.started_seconds >= self.limit
            for call in interceptor.invocations(function=self._function)
            if call.started_seconds >= self._injected_at and call.ended_seconds
        )


@dataclass(slots=True, kw_only=True)
class FunctionMemory(_Limit):
    """The least memory, and with it the least processor: what needs more is killed, the rest is slow.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html

    Args:
        target: where the function is.
        component: its name in the descriptor.
        resource: its ARN.
        limit: the memory, MiB.
    """

    name: ClassVar[str] = "function-memory"
    parameter: ClassVar[str] = "MemorySize"
    option: ClassVar[str] = "--memory-size"
    unit: ClassVar[str] = "MB"
    error_class: ClassVar[ErrorClass] = ErrorClass.CRASH

    limit: int = 128
