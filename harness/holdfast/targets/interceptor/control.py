"""The interceptor's HTTP interface, under ``/_holdfast/`` on the port of what it is around.

GET    /_holdfast/rules                     the rules in force
PUT    /_holdfast/rules                     put one in force
DELETE /_holdfast/rules/ID                  take one out
GET    /_holdfast/hits/ID                   how often it has hit, and how often it matched
GET    /_holdfast/calls?key=                AWS calls of invocations whose event contains the key, and of others
GET    /_holdfast/invocations?function=&key=
GET    /_holdfast/totals                     how many calls and invocations passed
GET    /_holdfast/running                    how many invocations have not ended, and how many of functions work
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from holdfast.targets.base import Rule
from holdfast.targets.interceptor.asgi import App, Message, Receive, Send, answer, read_all
from holdfast.targets.interceptor.rules import RuleBook, problems
from holdfast.targets.interceptor.tracing import Tracer

if TYPE_CHECKING:
    from pydantic import TypeAdapter

PREFIX = "/_holdfast/"


class Control:
    """Answers the control paths and passes everything else on.

    Args:
        app: what lies behind.
        rules: the aimed faults.
        tracer: remembers invocations and calls.
    """

    def __init__(self, app: App, rules: RuleBook, tracer: Tracer) -> None:
        self._app = app
        self._rules = rules
        self._tracer = tracer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a control request, or pass the request on."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        body = await read_all(receive)
        raw = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        path = unquote(raw[len(PREFIX) :])
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        status, content = await self._answer(scope["method"], path, query, body)
        await answer(send, status, {"content-type": "application/json"}, json.dumps(content).encode())

    async def _answer(  # noqa: PLR0911 - one return for each route
        self, method: str, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, Any]:
        what, _, name = path.partition("/")
        match method, what:
            case "GET", "rules":
                return 200, [asdict(rule) for rule in self._rules.all()]
            case "PUT", "rules":
                rule, wrong = rule_of(body)
                if rule is None:
                    return 400, {"error": wrong}
                self._rules.add(rule)
                return 200, {}
            case "DELETE", "rules":
                self._rules.remove(name)
                return 200, {}
            case "GET", "hits":
                return 200, {"hits": self._rules.hits(name), "matched": self._rules.matched(name)}
            case "GET", "calls":
                calls = await asyncio.to_thread(self._tracer.calls, query.get("key", ""))
                return 200, [asdict(call) for call in calls]
            case "GET", "totals":
                return 200, asdict(await asyncio.to_thread(self._tracer.totals))
            case "GET", "running":
                return 200, await asyncio.to_thread(self._under_way)
            case "GET", "invocations":
                function, key = query.get("function", ""), query.get("key", "")
                chosen = await asyncio.to_thread(self._tracer.select, function, key)
                return 200, [asdict(one.traced()) for one in chosen]
        return 404, {"error": f"{method} {path} is unknown"}

    def _under_way(self) -> dict[str, int]:
        return {"running": self._tracer.open_count(), "working": self._tracer.working_count()}


def rule_of(document: bytes) -> tuple[Rule | None, str]:
    """The rule that a JSON document describes, or what is wrong with it."""
    from pydantic import ValidationError

    try:
        rule = _rules().validate_json(document, strict=True)
    except ValidationError as error:
        told = (f"{'.'.join(map(str, one['loc'])) or 'the rule'}: {one['msg']}" for one in error.errors())
        return None, "; ".join(told)
    wrong = "; ".join(problems(rule))
    return (None, wrong) if wrong else (rule, "")


@cache
def _rules() -> TypeAdapter[Rule]:
    """Made once: it takes longer than to answer a request."""
    from pydantic import TypeAdapter

    return TypeAdapter(Rule)
