"""A caller's permission to invoke a function taken away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently
from holdfast.levers.function_configuration import STALE, function_name
from holdfast.stack.aws_errors import is_missing
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

_ARGUMENTS: Mapping[tuple[str, str], str] = {
    ("arnlike", "aws:sourcearn"): "SourceArn",
    ("stringequals", "aws:sourceaccount"): "SourceAccount",
    ("stringequals", "aws:principalorgid"): "PrincipalOrgID",
    ("stringequals", "lambda:functionurlauthtype"): "FunctionUrlAuthType",
    ("bool", "lambda:invokedviafunctionurl"): "InvokedViaFunctionUrl",
}
"""The conditions that AddPermission can make; an event source token is missing, because it is a secret."""

_OPTIONS: Mapping[str, str] = {
    "StatementId": "--statement-id",
    "Action": "--action",
    "Principal": "--principal",
    "SourceArn": "--source-arn",
    "SourceAccount": "--source-account",
    "PrincipalOrgID": "--principal-org-id",
    "FunctionUrlAuthType": "--function-url-auth-type",
    "Qualifier": "--qualifier",
}


@dataclass(slots=True, kw_only=True)
class PermissionCut:
    """One statement of a function's resource policy removed: API Gateway, EventBridge, SNS or S3 may no longer invoke.

    What the refusal looks like depends on the caller: API Gateway answers 500, EventBridge and SNS retry and drop.
    Restoring adds the statement again under the same Sid. AWS publishes no figure for how soon it is felt; 60 s is a
    bound to give up at. Written to the documentation: no emulator that runs without Docker enforces these policies.
    https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
    https://docs.aws.amazon.com/lambda/latest/api/API_RemovePermission.html

    Args:
        target: where the function is.
        component: its name in the descriptor.
        resource: its ARN.
        statement: Sid of the statement.
        qualifier: the version or alias whose policy it is; empty for the function's own.
    """

    name: ClassVar[str] = "permission-cut"
    permissions: ClassVar[tuple[str, ...]] = ("lambda:GetPolicy", "lambda:RemovePermission", "lambda:AddPermission")
    propagation_seconds: ClassVar[float] = 60.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.INVOKE_PERMISSIONS
    error_class: ClassVar[ErrorClass] = ErrorClass.DENIED

    target: Target
    component: str
    resource: str
    statement: str
    qualifier: str = ""
    key: str = field(default="", init=False)
    _principal: str = field(default="", init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, *, principal: str, qualifier: str = "") -> tuple[Self, ...]:
        """One lever for each statement that lets a principal in; all of them are needed to keep it out.

        Args:
            stack: the stack.
            component: the function.
            principal: e.g. ``apigateway.amazonaws.com``.
            qualifier: the version or alias that is invoked; empty for the function itself.

        Raises:
            Inconclusive: no statement lets it in.
        """
        arn = stack.resource(component).arn
        statements, _ = _policy(stack.target, function_name(arn), qualifier)
        found = tuple(
            cls(target=stack.target, component=component, resource=arn, statement=each["Sid"], qualifier=qualifier)
            for each in statements
            if _principal_of(each) == principal
        )
        if not found:
            raise Inconclusive(f"no statement of {component}'s resource policy lets {principal} in")
        return found

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        return cls(
            target=target,
            component=snapshot.component,
            resource=snapshot.resource,
            statement=snapshot.placed["removed"],
            qualifier=snapshot.placed["qualifier"],
        )

    def snapshot(self) -> Snapshot:
        """Read the statement, as the arguments that add it again.

        Raises:
            Inconclusive: nobody enforces it here, or AddPermission could not make it again exactly.
            InjectionError: it is not there.
        """
        need_support(self.target, self.capability, f"a permission to invoke {self._function} cannot be cut")
        statement, _ = self._read()
        if statement is None:
            raise InjectionError(
                f"the resource policy of {self._function} has no statement {self.statement}; nothing was changed",
                cause="another tool, or a run that was killed and whose journal is elsewhere, removed it",
                remedy="deploy the function's permissions again",
            )
        arguments = _arguments(statement)
        if arguments is None:
            raise Inconclusive(
                f"statement {self.statement} of {self._function} has conditions that AddPermission could not make "
                "again without keeping a secret, so it is not removed"
            )
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"statement": arguments},
            placed={"removed": self.statement, "qualifier": self.qualifier},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Remove the statement, unless somebody else has changed it since it was read."""
        self._principal = snapshot.found["statement"]["Principal"]

        def attempt() -> None:
            statement, revision = self._read()
            if statement is None:
                return
            if _arguments(statement) != snapshot.found["statement"]:
                raise InjectionError(
                    f"somebody else has just changed statement {self.statement} of {self._function}; it was left alone",
                    remedy="try again when nobody deploys",
                )
            self._client.remove_permission(
                FunctionName=self._function, StatementId=self.statement, RevisionId=revision, **self._qualified
            )

        persistently(attempt, deadline_seconds=20.0, passing=(STALE,))

    def proof(self) -> str:
        """The statement is not there; says how many others still let the same principal in."""
        statements, _ = _policy(self.target, self._function, self.qualifier)
        if any(each.get("Sid") == self.statement for each in statements):
            return ""
        gone = f"the resource policy of {self._function} has no statement {self.statement}; a refusal was not tried"
        others = sum(_principal_of(each) == self._principal for each in statements) if self._principal else 0
        return f"{gone}, and {others} other statements let {self._principal} in" if others else gone

    def hits(self) -> int:
        """Refusals cannot be counted from outside."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Add the statement again; one that somebody else has added under its Sid is left alone."""

        def attempt() -> None:
            statement, revision = self._read()
            if statement is None:
                expected = {"RevisionId": revision} if revision else {}
                self._client.add_permission(
                    FunctionName=self._function, **snapshot.found["statement"], **self._qualified, **expected
                )

        # ResourceConflictException when somebody else adds the same Sid at the same time: it is read again
        persistently(attempt, deadline_seconds=20.0, passing=(STALE,))

    def healed_proof(self, snapshot: Snapshot) -> str:
        """The statement reads back as found, or somebody else has put another one under its Sid."""
        statement, _ = self._read()
        if statement is None:
            return ""
        if _arguments(statement) == snapshot.found["statement"]:
            return f"statement {self.statement} of {self._function} reads back as found"
        return (
            f"statement {self.statement} of {self._function} is another one: somebody else added it while it was "
            "removed, so it was left alone"
        )

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that adds the statement again."""
        arguments = {**snapshot.found["statement"], **self._qualified}
        words = [word for name, option in _OPTIONS.items() if name in arguments for word in (option, arguments[name])]
        if arguments.get("InvokedViaFunctionUrl"):
            words.append("--invoked-via-function-url")
        return cli(self.target, "lambda", "add-permission", "--function-name", self._function, *words)

    @property
    def _client(self) -> Any:
        return self.target.client("lambda")

    @property
    def _function(self) -> str:
        return function_name(self.resource)

    @property
    def _qualified(self) -> dict[str, str]:
        return {"Qualifier": self.qualifier} if self.qualifier else {}

    def _read(self) -> tuple[Mapping[str, Any] | None, str]:
        """The statement as it is now, and the policy's revision; empty when there is no policy."""
        statements, revision = _policy(self.target, self._function, self.qualifier)
        return next((each for each in statements if each.get("Sid") == self.statement), None), revision


def _policy(target: Target, function: str, qualifier: str) -> tuple[list[Mapping[str, Any]], str]:
    """The statements and the revision of a function's resource policy."""
    qualified = {"Qualifier": qualifier} if qualifier else {}
    try:
        answer = target.client("lambda").get_policy(FunctionName=function, **qualified)
    except ClientError as error:
        if not is_missing(error):
            raise
        # no policy answers as no function does; of a function that is gone, the next call says so
        return [], ""
    return list(json.loads(answer["Policy"])["Statement"]), str(answer.get("RevisionId", ""))


def _principal_of(statement: Mapping[str, Any]) -> str:
    """The one principal of a statement; empty when it is none that AddPermission could make."""
    found = statement.get("Principal")
    if isinstance(found, Mapping):
        found = found.get("Service") or found.get("AWS")
    return found if isinstance(found, str) else ""


def _arguments(statement: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments with which AddPermission makes a statement; None when it cannot."""
    principal, action = _principal_of(statement), statement.get("Action")
    # a deleted role or user leaves an id that AWS does not take back
    if not principal or principal.startswith(("AIDA", "AROA")) or not isinstance(action, str):
        return None
    if statement.get("Effect") != "Allow":
        return None
    arguments: dict[str, Any] = {"StatementId": statement["Sid"], "Action": action, "Principal": principal}
    for operator, conditions in (statement.get("Condition") or {}).items():
        for key, value in conditions.items():
            name = _ARGUMENTS.get((operator.lower(), key.lower()))
            if name is None or not isinstance(value, str | bool):
                return None
            arguments[name] = str(value).lower() == "true" if name == "InvokedViaFunctionUrl" else value
    return arguments
