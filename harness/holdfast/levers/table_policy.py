"""A table denied by its own policy."""

from __future__ import annotations

from typing import Any, ClassVar

from botocore.exceptions import ClientError

from holdfast.levers.denial import Held, PolicyDenial
from holdfast.stack.aws_errors import error_code
from holdfast.targets.base import Capability

NO_POLICY = "NO_POLICY"


class TableDeny(PolicyDenial):
    """A Deny in a DynamoDB table's resource-based policy; by default the stack can neither read nor write its items.

    Every edit is a compare-and-set on the policy's revision. It is applied eventually, after a few seconds; 60 s is a
    bound to give up at. For 15 s after an edit the next one is blocked, so healing may take that long. The canary is
    DescribeTimeToLive.
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutResourcePolicy.html
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-considerations.html
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-iam-actions.html

    Written to the documentation: the emulators accept such a policy and do not apply it.
    """

    __slots__ = ()

    name: ClassVar[str] = "table-deny"
    permissions: ClassVar[tuple[str, ...]] = (
        "dynamodb:GetResourcePolicy",
        "dynamodb:PutResourcePolicy",
        "dynamodb:DeleteResourcePolicy",
        "dynamodb:DescribeTimeToLive",
    )
    propagation_seconds: ClassVar[float] = 60.0
    capability: ClassVar[Capability] = Capability.TABLE_POLICY
    data_plane: ClassVar[frozenset[str]] = frozenset(
        f"dynamodb:{action}"
        for action in (
            "BatchGetItem",
            "BatchWriteItem",
            "ConditionCheckItem",
            "DeleteItem",
            "GetItem",
            "PartiQLDelete",
            "PartiQLInsert",
            "PartiQLSelect",
            "PartiQLUpdate",
            "PutItem",
            "Query",
            "Scan",
            "UpdateItem",
        )
    )
    default_actions: ClassVar[tuple[str, ...]] = tuple(sorted(data_plane))
    canary_action: ClassVar[str] = "dynamodb:DescribeTimeToLive"
    # a revision that is no longer the policy's, and an edit within 15 s of the last one
    conflicts: ClassVar[frozenset[str]] = frozenset({"PolicyNotFoundException", "LimitExceededException"})

    @property
    def _resources(self) -> tuple[str, ...]:
        return (self.resource, f"{self.resource}/index/*")

    def _read(self) -> Held:
        try:
            found = self._client.get_resource_policy(ResourceArn=self.resource)
        except ClientError as error:
            if error_code(error) == "PolicyNotFoundException":
                return Held("", NO_POLICY)
            raise
        return Held(str(found["Policy"]), str(found["RevisionId"]))

    def _write(self, text: str, revision: str) -> None:
        if text:
            self._client.put_resource_policy(ResourceArn=self.resource, Policy=text, ExpectedRevisionId=revision)
        else:
            self._client.delete_resource_policy(ResourceArn=self.resource, ExpectedRevisionId=revision)

    def _canary(self) -> Any:
        return self._client.describe_time_to_live(TableName=self.address)

    @property
    def _reading(self) -> tuple[str, ...]:
        return ("dynamodb", "get-resource-policy", "--resource-arn", self.resource, "--query", "Policy")

    @property
    def _writing(self) -> tuple[str, ...]:
        return ("dynamodb", "put-resource-policy", "--resource-arn", self.resource, "--policy")

    @property
    def _deleting(self) -> tuple[str, ...]:
        return ("dynamodb", "delete-resource-policy", "--resource-arn", self.resource)

    @property
    def _client(self) -> Any:
        return self.target.client("dynamodb")
