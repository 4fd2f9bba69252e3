"""One environment variable of a function set to something else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from holdfast.errors import HealError, Inconclusive, InjectionError
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
    variables,
)
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

PARKED = "HOLDFAST_FOUND_"
"""Begins the name of the variable under which the value found waits in the function's own environment."""


@dataclass(slots=True, kw_only=True)
class FunctionVariable:
    """One environment variable set or added: a wrong table name, an endpoint that nobody listens at.

    Lambda replaces the environment as a whole, and any value in it may be a secret, so no value is ever written to the
    journal: the value found waits in the function's own environment under a name of the lever's, put there by the same
    call and taken away by the one that restores it. Every write is compare-and-set on the ``RevisionId``. Only
    ``$LATEST`` is changed; the running environments are replaced, so the next invocations are cold starts.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html

    Args:
        target: where the function is.
        component: its name in the descriptor.
        resource: its ARN.
        variable: name of the variable.
        value: what it is set to; needed to inject, not to heal.
    """

    name: ClassVar[str] = "function-variable"
    permissions: ClassVar[tuple[str, ...]] = PERMISSIONS
    propagation_seconds: ClassVar[float] = SETTLE_SECONDS
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.FUNCTION_CONFIGURATION
    error_class: ClassVar[ErrorClass] = ErrorClass.FAILURE

    target: Target
    component: str
    resource: str
    variable: str
    value: str = field(default="", repr=False)
    key: str = field(default="", init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, *, variable: str, value: str) -> Self:
        """The lever on a function of a stack."""
        arn = stack.resource(component).arn
        return cls(target=stack.target, component=component, resource=arn, variable=variable, value=value)

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        variable = snapshot.placed["variable"]
        return cls(target=target, component=snapshot.component, resource=snapshot.resource, variable=variable)

    def snapshot(self) -> Snapshot:
        """See whether the variable is there; its value is not kept.

        Raises:
            Inconclusive: callers go through a published version, or the environment cannot be decrypted.
            InjectionError: it has that value already, or an earlier fault is still on it.
        """
        check_reachable(self.target, self.component, self._function)
        now = variables(self._read())
        if now is None:
            raise Inconclusive(
                f"the environment of {self._function} cannot be decrypted, so it could not be put back as it was; "
                "allow kms:Decrypt on its key"
            )
        if self._parked in now or now.get(self.variable) == self.value:
            raise InjectionError(
                f"{self.variable} of {self._function} is already what it would be set to; nothing was changed",
                cause="it is so by design, or another tool or a killed run whose journal is elsewhere left it so",
                remedy=f"if {self._parked} is there, {self._command(found=True)}",
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"present": self.variable in now},
            placed={"variable": self.variable, "sha256": _digest(self.value)},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Set the variable, and park the value found beside it in the same call."""

        def decide(configuration: Mapping[str, Any]) -> dict[str, Any] | None:
            now = variables(configuration)
            if now is None:
                raise InjectionError(
                    f"the environment of {self._function} can no longer be decrypted; nothing was changed",
                    remedy="allow kms:Decrypt on its key",
                )
            if (self.variable in now) != snapshot.found["present"]:
                if now.get(self.variable) == self.value:
                    return None
                raise InjectionError(
                    f"somebody else has just changed the environment of {self._function}; it was left alone",
                    remedy="try again when nobody deploys",
                )
            if self._parked in now:
                return None
            parked = {self._parked: now[self.variable]} if snapshot.found["present"] else {}
            return {"Environment": {"Variables": {**now, **parked, self.variable: self.value}}}

        change(self.target, self._function, decide)

    def proof(self) -> str:
        """The variable reads back as placed, and Lambda says that the change has been applied."""
        now = self._read()
        if (variables(now) or {}).get(self.variable) != self.value or not settled(now):
            return ""
        return f"{self.variable} of {self._function} reads back as it was set and the update is Successful"

    def hits(self) -> int:
        """What it did cannot be counted from outside."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Put back the value found, or remove the variable; a value that is no longer the lever's is left alone.

        Raises:
            HealError: the environment cannot be decrypted, or the value found is no longer there.
        """
        change(self.target, self._function, lambda configuration: self._restored(configuration, snapshot))

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The variable no longer has the lever's value, nothing of the lever's is left, and that has been applied.

        Raises:
            HealError: Lambda could not apply the change, or the environment cannot be decrypted.
        """
        configuration = self._read()
        now = self._readable(configuration)
        if self._parked in now or _digest(now.get(self.variable)) == snapshot.placed["sha256"]:
            return ""
        check_restored(configuration, self._function)
        if not settled(configuration):
            return ""
        if not snapshot.found["present"]:
            left = f"{self.variable} of {self._function} was set by somebody else meanwhile, so it was left alone"
            gone = f"{self._function} has no variable {self.variable}, as found"
            return left if self.variable in now else gone
        return f"{self.variable} of {self._function} no longer has the lever's value, and nothing else of it is left"

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that restores the variable, without ever showing a value."""
        return self._command(found=snapshot.found["present"])

    @property
    def _function(self) -> str:
        return function_name(self.resource)

    @property
    def _parked(self) -> str:
        return f"{PARKED}{self.variable}"

    def _read(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.target.client("lambda").get_function_configuration(FunctionName=self._function)
        return found

    def _readable(self, configuration: Mapping[str, Any]) -> dict[str, str]:
        now = variables(configuration)
        if now is None:
            raise HealError(
                f"the environment of {self._function} cannot be decrypted, so writing it back would destroy it",
                remedy="allow kms:Decrypt on its key, then run `holdfast heal`",
            )
        return now

    def _restored(self, configuration: Mapping[str, Any], snapshot: Snapshot) -> dict[str, Any] | None:
        now = self._readable(configuration)
        wanted = {name: value for name, value in now.items() if name != self._parked}
        if _digest(now.get(self.variable)) == snapshot.placed["sha256"]:
            if not snapshot.found["present"]:
                del wanted[self.variable]
            elif self._parked in now:
                wanted[self.variable] = now[self._parked]
            else:
                raise HealError(
                    f"somebody else removed {self._parked} of {self._function}, which held what {self.variable} was",
                    remedy=f"set {self.variable} of {self._function} as its deployment does",
                )
        return {"Environment": {"Variables": wanted}} if wanted != now else None

    def _command(self, *, found: bool) -> str:
        """A pipeline, so that no value of the environment is ever shown or kept in a file."""
        function = ("--function-name", self._function)
        read = cli(self.target, "lambda", "get-function-configuration", *function, "--query", "Environment")
        put = f".{self.variable} = .{self._parked} | del(.{self._parked})" if found else f"del(.{self.variable})"
        words = ("lambda", "update-function-configuration", *function, "--environment", "file:///dev/stdin")
        return f"{read} --output json | jq '{{Variables: (.Variables | {put})}}' | {cli(self.target, *words)}"


def _digest(value: str | None) -> str:
    """Enough to know the lever's own value again, which may itself have come from a secret."""
    return "" if value is None else hashlib.sha256(value.encode()).hexdigest()
