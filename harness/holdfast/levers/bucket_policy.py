"""A bucket denied by its own policy."""

from __future__ import annotations

from typing import Any, ClassVar

from botocore.exceptions import ClientError

from holdfast.levers.denial import Held, PolicyDenial
from holdfast.stack.aws_errors import error_code
from holdfast.targets.base import Capability


class BucketDeny(PolicyDenial):
    """A Deny in a bucket's policy; by default the stack can neither read, write nor delete its objects.

    A bucket's configuration is eventually consistent, without a figure; 60 s is a bound to give up at, not a wait.
    There is no compare-and-set, so the policy is read again right before each edit. The canary looks for an object that
    does not exist; the root user is no canary, because no bucket policy keeps it out for good.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketPolicy.html
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
    """

    __slots__ = ()

    name: ClassVar[str] = "bucket-deny"
    permissions: ClassVar[tuple[str, ...]] = (
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        "s3:DeleteBucketPolicy",
        "s3:GetObject",
        "s3:ListBucket",
    )
    propagation_seconds: ClassVar[float] = 60.0
    capability: ClassVar[Capability] = Capability.BUCKET_POLICY
    data_plane: ClassVar[frozenset[str]] = frozenset(
        {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:AbortMultipartUpload"}
    )
    default_actions: ClassVar[tuple[str, ...]] = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    canary_action: ClassVar[str] = "s3:GetObject"
    root_is_bound: ClassVar[bool] = False

    @property
    def _resources(self) -> tuple[str, ...]:
        return (self.resource, f"{self.resource}/*")

    @property
    def _canary_resource(self) -> str:
        return f"{self.resource}/{self._canary_key}"

    @property
    def _canary_key(self) -> str:
        return f"holdfast-canary/{self.sid}"

    def _read(self) -> Held:
        try:
            return Held(str(self._client.get_bucket_policy(**self._bucket)["Policy"]))
        except ClientError as error:
            if error_code(error) == "NoSuchBucketPolicy":
                return Held("")
            raise

    def _write(self, text: str, revision: str) -> None:  # noqa: ARG002 - bucket policies have no revisions
        if text:
            self._client.put_bucket_policy(**self._bucket, Policy=text)
        else:
            self._client.delete_bucket_policy(**self._bucket)

    def _canary(self) -> Any:
        return self._client.head_object(**self._bucket, Key=self._canary_key)

    @property
    def _reading(self) -> tuple[str, ...]:
        return ("s3api", "get-bucket-policy", "--bucket", self.address, "--query", "Policy")

    @property
    def _writing(self) -> tuple[str, ...]:
        return ("s3api", "put-bucket-policy", "--bucket", self.address, "--policy")

    @property
    def _deleting(self) -> tuple[str, ...]:
        return ("s3api", "delete-bucket-policy", "--bucket", self.address)

    @property
    def _bucket(self) -> dict[str, str]:
        return {"Bucket": self.address, "ExpectedBucketOwner": self.target.account}

    @property
    def _client(self) -> Any:
        return self.target.client("s3")
