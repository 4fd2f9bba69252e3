"""What a call or a read works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from holdfast.ports.transports.web import WebClient
from holdfast.stack.base import Json
from holdfast.stack.generate import Submission
from holdfast.stack.resolve import Resource, Stack
from holdfast.stack.templates import render
from holdfast.targets.base import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class PortContext:
    """What a call or a read works with; Python ports get it as their only argument.

    Attributes:
        stack: the resolved stack.
        submission: the command's key, value and fields.
        values: what placeholders stand for: the submission's, the components', and what earlier calls saved.
        timeout_seconds: how long one call may take.
        web: the HTTP client.
        lose_answer: whether an HTTP call leaves without reading its answer.
    """

    stack: Stack
    submission: Submission
    values: Mapping[str, Json]
    timeout_seconds: float
    web: WebClient = field(repr=False)
    lose_answer: bool = False

    @property
    def target(self) -> Target:
        """Where the stack is deployed."""
        return self.stack.target

    @property
    def key(self) -> str:
        """The idempotency key."""
        return self.submission.key

    @property
    def value(self) -> str | None:
        """The unique value of the command."""
        return self.submission.value

    def client(self, service: str) -> Any:
        """A boto3 client of the target, its retries off."""
        return self.stack.target.client(service)

    def resource(self, component: str) -> Resource:
        """A component of the descriptor, as it is deployed."""
        return self.stack.resource(component)

    def render(self, template: Json) -> Json:
        """Fill the placeholders of a template."""
        return render(template, self.values)
