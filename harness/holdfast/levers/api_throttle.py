"""What both throttles of API Gateway share: the stage that they are on, the limits they set, and the canary request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

import urllib3

from holdfast.errors import ResourceError
from holdfast.history.model import ErrorClass
from holdfast.targets.base import Target

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

CANARY_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class ApiThrottle:
    """Limits of 0 for all of a stage.

    AWS publishes no figure for how soon they are felt; 60 s is a bound to give up at.

    Args:
        target: where the API is.
        component: its name in the descriptor.
        resource: ARN of the stage.
        url: base URL of the stage; only for the canary.
        canary_path: a path that may be asked with GET at any time, e.g. ``/health``; empty for none.
        requests_per_second: the rate that is left.
        burst: the size of the bucket that is left, requests.
    """

    permissions: ClassVar[tuple[str, ...]] = ("apigateway:GET", "apigateway:PATCH")
    propagation_seconds: ClassVar[float] = 60.0
    aimed: ClassVar[bool] = False
    error_class: ClassVar[ErrorClass] = ErrorClass.THROTTLE
    kind: ClassVar[str]
    """What messages call such an API."""
    collection: ClassVar[str]
    """What the ARN of such an API has before its id."""

    target: Target
    component: str
    resource: str
    url: str = ""
    canary_path: str = ""
    requests_per_second: float = 0.0
    burst: int = 0
    key: str = field(default="", init=False)

    @classmethod
    def on(cls, stack: Stack, component: str, *, canary_path: str = "") -> Self:
        """The lever on the stage of an API of a stack.

        Raises:
            ResourceError: the component is no API of this kind.
        """
        found = stack.resource(component)
        if found.type != "api" or f"/{cls.collection}/" not in found.arn:
            raise ResourceError(f"{component} is no {cls.kind}, so it has no stage that could be throttled this way")
        return cls(
            target=stack.target,
            component=component,
            resource=f"{found.arn}/stages/{found.stage}",
            url=found.url,
            canary_path=canary_path,
        )

    def hits(self) -> int:
        """Refusals cannot be counted from outside; the operations show them."""
        return 0

    def tried(self, read_back: str) -> str:
        """What read back as placed, with what a canary shows where one may be sent; empty where it is not refused."""
        if not self.canary_path:
            return f"{read_back}; that requests are refused was not tried"
        return f"{read_back} and a request is refused with 429" if refused(f"{self.url}{self.canary_path}") else ""

    @property
    def place(self) -> tuple[str, str]:
        """The ids of the API and of its stage."""
        _, _, api, _, stage = self.resource.rsplit("/", 4)
        return api, stage

    @property
    def said(self) -> str:
        """How messages call the stage."""
        return f"stage {self.place[1]} of {self.component}"


def refused(url: str) -> bool:
    """Whether GET answers 429: API Gateway refused it before any integration ran.

    Args:
        url: of a path that may be asked at any time.
    """
    with urllib3.PoolManager(timeout=CANARY_SECONDS, retries=False) as http:
        try:
            return http.request("GET", url, redirect=False).status == 429
        except urllib3.exceptions.HTTPError:
            return False
