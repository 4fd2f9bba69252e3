"""A right taken from a role."""

from __future__ import annotations

import fnmatch
import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from botocore.exceptions import ClientError

from holdfast.errors import InjectionError
from holdfast.history.model import ErrorClass
from holdfast.levers.base import Snapshot, need_support
from holdfast.levers.calls import cli, persistently, transient
from holdfast.stack.aws_errors import is_missing
from holdfast.targets.base import Capability, Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

OWN = "holdfast-"
"""Begins the name of every inline policy that Holdfast adds; the guard rail lets no other be changed."""

_POLLING = frozenset(
    {
        *("sqs:receivemessage", "sqs:deletemessage", "sqs:getqueueattributes"),
        *("dynamodb:describestream", "dynamodb:getrecords", "dynamodb:getsharditerator", "dynamodb:liststreams"),
        *("kinesis:describestream", "kinesis:getrecords", "kinesis:getsharditerator", "kinesis:subscribetoshard"),
    }
)
"""What a mapping polls with, in the name of the function's role:
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions and
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-eventsourcemapping.html."""


@dataclass(slots=True, kw_only=True)
class RoleDeny:
    """An inline policy of our own with an explicit Deny that ends by itself.

    Callers get ``AccessDenied``, which SDKs do not retry, so it is no model of an outage. Healing deletes that one
    policy and touches nothing else. IAM is "eventually consistent" without a figure; others measured 3 to 4 s, and now
    and then up to 60 s. What the mappings of a function poll with cannot be denied to its role: that can leave them
    disabled for good, which deleting the policy would not undo; ``mapping-disable`` does the same safely.
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
        polled: UUIDs of the mappings that would poll with what is denied.
    """

    name: ClassVar[str] = "role-deny"
    permissions: ClassVar[tuple[str, ...]] = (
        "iam:PutRolePolicy",
        "iam:DeleteRolePolicy",
        "iam:GetRolePolicy",
        "iam:ListRolePolicies",
        "iam:SimulatePrincipalPolicy",
    )
    propagation_seconds: ClassVar[float] = 60.0
    aimed: ClassVar[bool] = False
    capability: ClassVar[Capability] = Capability.IAM_ENFORCED
    error_class: ClassVar[ErrorClass] = ErrorClass.DENIED

    target: Target
    component: str
    resource: str
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ("*",)
    expires_seconds: float = 900.0
    policy: str = field(default_factory=lambda: f"{OWN}{secrets.token_hex(4)}-deny")
    polled: tuple[str, ...] = ()
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
        role = found.arn if found.type == "role" else found.role
        policy = f"{OWN}{run or 'run'}-{secrets.token_hex(4)}"
        return cls(
            target=stack.target,
            component=component,
            resource=role,
            polled=_polled(stack, role) if _denied_polling(actions) else (),
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
        """See that no policy of ours is in force, also of a run on another machine, and write the policy down."""
        need_support(self.target, self.capability, f"a right cannot be taken from {self._role}")
        if self.polled:
            raise InjectionError(
                f"{', '.join(_denied_polling(self.actions))} cannot be denied to {self._role}; nothing was changed",
                cause=f"event source mapping {self.polled[0]} polls with this role, and a denied role can leave it "
                "disabled for good",
                remedy="use mapping-disable instead",
            )
        earlier = self._in_force()
        if earlier:
            raise InjectionError(
                f"{self._role} already has the inline policy {earlier}; nothing was changed",
                cause="another run has a fault there, or one that was killed, and whose journal is elsewhere, left it",
                remedy="wait until that run is done, run `holdfast heal` there, or wait until it has ended by itself",
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
        if self._present() != self._document or _ended(self._document):
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

    def _in_force(self) -> str:
        """A policy of Holdfast's that has not ended; empty without one."""
        for page in self._client.get_paginator("list_role_policies").paginate(RoleName=self._role):
            for name in page["PolicyNames"]:
                found = self._present(name) if name.startswith(OWN) else None
                if found is not None and not _ended(found):
                    return str(name)
        return ""

    def _present(self, name: str = "") -> dict[str, Any] | None:
        try:
            answer = self._client.get_role_policy(RoleName=self._role, PolicyName=name or self.policy)
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


def _ended(document: dict[str, Any]) -> bool:
    """Whether a denial is over by itself."""
    told = document["Statement"][0].get("Condition", {}).get("DateLessThan", {}).get("aws:CurrentTime")
    return told is not None and datetime.fromisoformat(told).timestamp() <= time.time()


def _denied_polling(actions: tuple[str, ...]) -> tuple[str, ...]:
    """Which of the denied actions, wildcards included, are those that mappings poll with."""
    return tuple(each for each in actions if fnmatch.filter(_POLLING, each.lower()))


def _polled(stack: Stack, role: str) -> tuple[str, ...]:
    """The mappings of the stack's functions that run as a role."""
    functions = [each for each in stack.resources.values() if each.type == "function" and each.role == role]
    return tuple(mapping.uuid for each in functions for mapping in stack.mappings(each.component))
