"""The interceptor of an emulator in another process, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import urllib3

from holdfast.errors import InterceptorEnded, TargetError
from holdfast.targets.base import Rule, TracedCall, TracedInvocation, TracedTotals


class InterceptorClient:
    """Speaks to the control interface of ``holdfast.targets.emulator``.

    Args:
        pool: connections to the emulator; may be shared between threads.
    """

    def __init__(self, pool: urllib3.HTTPConnectionPool) -> None:
        self._pool = pool

    def add(self, rule: Rule) -> None:
        """Put a rule in force."""
        self._ask("PUT", "rules", json=asdict(rule))

    def remove(self, rule_id: str) -> None:
        """Take a rule out; unknown ids are ignored."""
        self._ask("DELETE", f"rules/{quote(rule_id, safe='')}")

    def rules(self) -> tuple[Rule, ...]:
        """The rules in force."""
        return tuple(Rule(**told) for told in self._ask("GET", "rules"))

    def hits(self, rule_id: str) -> int:
        """How often a rule has hit so far, also after it was removed."""
        return int(self._ask("GET", f"hits/{quote(rule_id, safe='')}")["hits"])

    def calls(self, key: str) -> tuple[TracedCall, ...]:
        """The AWS calls made by invocations whose event contains the key, in order."""
        return tuple(TracedCall(**told) for told in self._ask("GET", "calls", fields={"key": key}))

    def invocations(self, function: str = "", key: str = "") -> tuple[TracedInvocation, ...]:
        """The invocations of a function whose event contains the key, in order."""
        fields = {"function": function, "key": key}
        return tuple(TracedInvocation(**told) for told in self._ask("GET", "invocations", fields=fields))

    def totals(self) -> TracedTotals:
        """How many calls and invocations passed since it began."""
        return TracedTotals(**self._ask("GET", "totals"))

    def running(self) -> int:
        """How many invocations have not ended."""
        return int(self._ask("GET", "running")["running"])

    def working(self) -> int:
        """How many invocations of functions have not ended and are not held."""
        return int(self._ask("GET", "running")["working"])

    def _ask(
        self, method: str, path: str, *, json: Mapping[str, Any] | None = None, fields: Mapping[str, str] | None = None
    ) -> Any:
        def send() -> urllib3.BaseHTTPResponse:
            return self._pool.request(
                method,
                f"/_holdfast/{path}",
                json=dict(json) if json is not None else None,
                fields=dict(fields) if fields is not None else None,
            )

        try:
            try:
                answer = send()
            except urllib3.exceptions.ProtocolError:
                if method != "GET":
                    raise
                answer = send()  # a connection that was idle was closed just as it was taken
            content = answer.json()
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            ended = isinstance(error.__cause__, ConnectionRefusedError)
            raise (InterceptorEnded if ended else TargetError)(
                "the interceptor does not answer", cause=str(error), remedy="was the target closed?"
            ) from error
        if answer.status != 200:
            raise TargetError(f"the interceptor refused {method} {path}", cause=str(content.get("error")))
        return content
