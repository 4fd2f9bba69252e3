"""The interceptor's HTTP interface, under ``/_holdfast/`` on the emulator's own port.

GET    /_holdfast/rules                     the rules in force
PUT    /_holdfast/rules                     put one in force
DELETE /_holdfast/rules/ID                  take one out
GET    /_holdfast/hits/ID                   how often it has hit
GET    /_holdfast/calls?key=                AWS calls of invocations whose event contains the key
GET    /_holdfast/invocations?function=&key=
GET    /_holdfast/running                    how many invocations have not ended
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import parse_qs, unquote

from holdfast.targets.base import Rule
from holdfast.targets.emulator.calls import App, Message, Receive, Send
from holdfast.targets.emulator.interception import RULES, TRACER

PREFIX = "/_holdfast/"
_FIELDS = frozenset(field.name for field in fields(Rule))


class Control:
    """Answers the control paths and passes everything else on.

    Args:
        app: what lies behind.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a control request, or pass the request on."""
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = bool(message.get("more_body"))
        path = unquote(scope["raw_path"].decode()[len(PREFIX) :])
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        status, answer = await _answer(scope["method"], path, query, body)
        content = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _answer(  # noqa: PLR0911 - one return for each route
    method: str, path: str, query: dict[str, str], body: bytes
) -> tuple[int, Any]:
    what, _, name = path.partition("/")
    match method, what:
        case "GET", "rules":
            return 200, [asdict(rule) for rule in RULES.all()]
        case "PUT", "rules":
            told = json.loads(body)
            if set(told) - _FIELDS:
                return 400, {"error": f"unknown fields {sorted(set(told) - _FIELDS)}"}
            RULES.add(Rule(**told))
            return 200, {}
        case "DELETE", "rules":
            RULES.remove(name)
            return 200, {}
        case "GET", "hits":
            return 200, {"hits": RULES.hits(name)}
        case "GET", "calls":
            chosen = await asyncio.to_thread(TRACER.select, "", query.get("key", ""))
            return 200, [asdict(call) for one in chosen for call in tuple(one.calls)]
        case "GET", "running":
            return 200, {"running": await asyncio.to_thread(TRACER.open_count)}
        case "GET", "invocations":
            chosen = await asyncio.to_thread(TRACER.select, query.get("function", ""), query.get("key", ""))
            return 200, [asdict(one.traced()) for one in chosen]
    return 404, {"error": f"{method} {path} is unknown"}
