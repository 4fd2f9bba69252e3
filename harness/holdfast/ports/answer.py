"""What came back from one call, and the document that JMESPath expressions see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.stack.base import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back from one call.

    Attributes:
        status: HTTP status; 0 when no whole answer came.
        code: AWS error code; empty when the service reported no error.
        headers: headers of the answer; their names are in lower case.
        text: the answer's body as text.
        error: why no whole answer came; empty when one did.
        sent: False when it is certain that nothing reached the other side.
        body: the exact payload that was sent, where a Python port wants it recorded.
    """

    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    error: str = ""
    sent: bool = True
    body: str | None = None

    @property
    def json(self) -> Json:
        """The answer's body as JSON; None when it is none."""
        try:
            return json.loads(self.text)
        except (ValueError, RecursionError):
            return None

    def document(self) -> dict[str, Json]:
        """What acknowledgement and ``save`` expressions see: ``{status, headers, json, text}``."""
        return {"status": self.status, "headers": dict(self.headers), "json": self.json, "text": self.text}

    def summary(self) -> str:
        """The status for the history: HTTP status and AWS error code, or why no answer came."""
        if self.code:
            return f"{self.status} {self.code}" if self.status and self.status != 200 else self.code
        if self.status and self.error:
            return f"{self.status}, but {self.error}"
        return str(self.status) if self.status else self.error


@dataclass(frozen=True, slots=True)
class Sent:
    """One call that was made.

    Attributes:
        body: the exact payload as text; None when there was none.
        answer: what came back.
        secrets: values in the request that must not be recorded.
    """

    body: str | None
    answer: Answer
    secrets: tuple[str, ...] = ()
