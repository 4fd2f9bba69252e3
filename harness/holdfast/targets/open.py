"""Opens the target that a descriptor, or the command line, asks for."""

from __future__ import annotations

from holdfast.targets.aws import AwsTarget
from holdfast.targets.base import Pin, Target, TargetKind
from holdfast.targets.embedded import EmbeddedTarget
from holdfast.targets.localstack import LocalStackTarget


def open_target(
    kind: TargetKind,
    *,
    localstack_endpoint: str | None = None,
    intercept: bool = False,
    pin: Pin | None = None,
    allow_aws: bool = False,
) -> Target:
    """Open a target; the caller closes it.

    Args:
        kind: which one.
        localstack_endpoint: where LocalStack is when the environment does not say.
        intercept: whether to start the interceptor in front of LocalStack.
        pin: the one AWS account and region that may be touched.
        allow_aws: whether the person opted into AWS.

    Raises:
        TargetError: it cannot be started or reached.
        GuardRailError: AWS without pin or opt-in, or another account or region than the pin's.
    """
    match kind:
        case "embedded":
            return EmbeddedTarget.start()
        case "localstack":
            return LocalStackTarget.connect(localstack_endpoint, intercept=intercept)
        case "aws":
            return AwsTarget.connect(pin, allowed=allow_aws)
