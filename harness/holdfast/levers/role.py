"""A right taken from a role."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import Inconclusive, InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot
from holdfast.levers.calls import cli, persistently, transient
from holdfast.stack.aws_errors import is_missing
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack


@dataclass(slots=True, kw_only=True)
class RoleDeny:
    """An inline policy of our own with an explicit Deny that ends by itself.

    Callers get ``AccessDenied``, which SDKs do not retry, so it is no model of an outage. Healing deletes that one
    policy and touches nothing else. IAM is "eventually consistent" without a figure; others measured 3 to 4 s, and now
    and then up to 60 s.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency

    Args:
        target: where the role is.
        component: the role, or the function whose execution role it is, by its name in the descriptor.
        resource: ARN of the role.
        actions: what is denied, e.g. ``("sqs:SendMessage",)``.
        resources: on what, ARNs.
        expires_seconds: the denial ends by itself after this long.
        policy: name of the inline policy; a fresh one for each lever.
    """

    name: ClassVar[str] = "role-deny"
    permissions: ClassVar[tuple[str, ...]] = (
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy",
        "iam:GetRolePolicy",
        "iam:SimulatePrincipalPolicy",
    )
    propagation_seconds: ClassVar[float] = 60.0
    aimed: ClassVar[bool] = False
    error_class: ClassVar[ErrorClass] = ErrorClass.DENIED

    target: Target
    component: str
    resource: str
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ("*",)
    expires_seconds: float = 900.0
    policy: str = field(default_factory=lambda: f"holdfast-{secrets.token_hex(4)}-deny")
    key: str = field(default="", init=False)
    _document: dict[str, Any] = field(default_factory=dict, init=False)

    @classmethod
    def on(
        cls,
        stack: Stack,
        component: str,
        *,
        actions: tuple[str, ...],
        resources: tuple[str, ...] = ("*",),
        expires_seconds: float = 900.0,
        run: str = "",
    ) -> Self:
        """The lever on a role of a stack, or on the execution role of a function.

        Args:
            stack: the stack.
            component: a role or a function.
            actions: what is denied.
            resources: on what, ARNs.
            expires_seconds: the denial ends by itself after this long.
            run: id of the run, for the policy's name.
        """
        found = stack.resource(component)
        policy = f"holdfast-{run or 'run'}-{secrets.token_hex(4)}"
        return cls(
            target=stack.target,
            component=component,
            resource=found.arn if found.type == "role" else found.role,
            actions=actions,
            resources=resources,
            expires_seconds=expires_seconds,
            policy=policy,
        )

    @classmethod
    def restoring(cls, target: Target, snapshot: Snapshot) -> Self:
        """The lever again, from its journal entry."""
        policy = snapshot.placed["policy"]
        return cls(target=target, component=snapshot.component, resource=snapshot.resource, policy=policy)

    def snapshot(self) -> Snapshot:
        """See that no policy has our name, and write the policy down."""
        support = self.target.supports(Capability.IAM_ENFORCED)
        if not support.supported:
            raise Inconclusive(f"a right cannot be taken from {self._role} here: {support.reason}")
        if self._present() is not None:
            raise InjectionError(
                f"{self._role} already has an inline policy {self.policy}; nothing was changed",
                remedy="let each lever have a policy name of its own",
            )
        self._document = self._deny()
        return Snapshot(
            lever=self.name,
            component=self.component,
            resource=self.resource,
            found={"policy": None},
            placed={"policy": self.policy, "document": self._document},
        )

    def inject(self, snapshot: Snapshot) -> None:
        """Add the policy."""
        document = json.dumps(snapshot.placed["document"])
        persistently(
            lambda: self._client.put_role_policy(RoleName=self._role, PolicyName=self.policy, PolicyDocument=document),
            deadline_seconds=20.0,
        )

    def proof(self) -> str:
        """IAM itself says that the calls are denied, or at least the policy reads back and has not ended."""
        if self._present() != self._document or self._ended():
            return ""
        denied = f"{', '.join(self.actions)} denied to {self._role}"
        decisions = self._simulated()
        if decisions == {"explicitDeny"}:
            return f"{denied}: IAM's own evaluation answers explicitDeny"
        if "allowed" in decisions:
            return ""
        return f"{denied}: the policy reads back; whether IAM applies it yet was not tried"

    def hits(self) -> int:
        """Denials cannot be counted from outside; the operations show them."""
        return 0

    def heal(self, snapshot: Snapshot) -> None:
        """Delete our policy, and nothing else."""
        name = snapshot.placed["policy"]
        persistently(lambda: self._delete(name), deadline_seconds=20.0)

    def healed_proof(self, snapshot: Snapshot) -> str:
        """Our policy is no longer there."""
        return "" if self._present() is not None else f"{self._role} has no inline policy {snapshot.placed['policy']}"

    def by_hand(self, snapshot: Snapshot) -> str:
        """The command that deletes our policy."""
        name = snapshot.placed["policy"]
        return cli(self.target, "iam", "delete-role-policy", "--role-name", self._role, "--policy-name", name)

    @property
    def _client(self) -> Any:
        return self.target.client("iam")

    @property
    def _role(self) -> str:
        return self.resource.rsplit("/", 1)[-1]

    def _deny(self) -> dict[str, Any]:
        ends = datetime.now(UTC) + timedelta(seconds=self.expires_seconds)
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "Holdfast",
                    "Effect": "Deny",
                    "Action": list(self.actions),
                    "Resource": list(self.resources),
                    "Condition": {"DateLessThan": {"aws:CurrentTime": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}},
                }
            ],
        }

    def _ended(self) -> bool:
        ends = self._document["Statement"][0]["Condition"]["DateLessThan"]["aws:CurrentTime"]
        return datetime.fromisoformat(ends).timestamp() <= time.time()

    def _present(self) -> dict[str, Any] | None:
        try:
            answer = self._client.get_role_policy(RoleName=self._role, PolicyName=self.policy)
        except ClientError as error:
            if is_missing(error):
                return None
            raise
        found = answer["PolicyDocument"]
        return dict(json.loads(found) if isinstance(found, str) else found)

    def _delete(self, name: str) -> None:
        try:
            self._client.delete_role_policy(RoleName=self._role, PolicyName=name)
        except ClientError as error:
            if not is_missing(error):
                raise

    def _simulated(self) -> set[str]:
        """What IAM's simulator decides for each denied call; empty where it may not be asked or does not understand.

        The time is given as context: the simulator does not fill in ``aws:CurrentTime`` by itself.
        """
        now = {
            "ContextKeyName": "aws:CurrentTime",
            "ContextKeyType": "date",
            "ContextKeyValues": [f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"],
        }
        decisions: set[str] = set()
        try:
            for resource in self.resources:
                answer = self._client.simulate_principal_policy(
                    PolicySourceArn=self.resource,
                    ActionNames=list(self.actions),
                    ResourceArns=[resource],
                    ContextEntries=[now],
                )
                decisions |= {result["EvalDecision"] for result in answer["EvaluationResults"]}
        except ClientError as error:
            if transient(error):
                raise
            return set()
        return decisions
