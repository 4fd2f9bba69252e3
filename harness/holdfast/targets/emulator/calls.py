"""Aimed faults at the AWS calls of functions, and the trace of those calls: an ASGI application around MiniStack's.

Which invocation a call belongs to is told by the tracing header that the SDKs copy from ``_X_AMZN_TRACE_ID`` (each
invocation has its own, see ``patches.function_errors``). Requests without it, from other HTTP clients, are looked up
by the loopback connection among the live processes of functions, but only while a rule about calls is in force.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from holdfast.targets.base import Rule
from holdfast.targets.emulator.interception import RULES, TRACER
from holdfast.targets.emulator.operations import Request, error_answer, operation_of, service_of
from holdfast.targets.emulator.tracing import Invocation

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_OWN = "holdfast"
"""In the user agent of every request that the harness itself makes: no function made it."""

_ROOT_USER = re.compile(r"Credential=\d{12}/")
"""Signed by the account's root user, as no function does."""

_ROOT = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})")


class Calls:
    """The interceptor of AWS calls.

    Args:
        app: the emulator.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, with the faults that are aimed at it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        invocation = await _caller(scope, headers)
        if invocation is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers)
        if request.form:
            request, receive = await _with_body(request, receive)
        service = service_of(request)
        if "x-amz-target" in headers or request.form:
            operation = operation_of(service, request)
        else:  # the first look at a REST model takes a tenth of a second
            operation = await asyncio.to_thread(operation_of, service, request)
        rules = RULES.claim_call(invocation.function, invocation.event, service, operation)
        status = await self._perform(rules, invocation, service, request, (scope, receive, send))
        TRACER.call(invocation, service, operation, status)

    async def _perform(
        self,
        rules: tuple[Rule, ...],
        invocation: Invocation,
        service: str,
        request: Request,
        call: tuple[Message, Receive, Send],
    ) -> int:
        """Do the call with its faults; the status that the caller saw, 0 for none."""
        scope, receive, send = call
        before = [rule for rule in rules if rule.when == "before" and rule.action in ("delay", "kill")]
        for rule in before:
            RULES.hit(rule)
            if rule.action == "kill":
                _kill(invocation)
                return 0
            await asyncio.sleep(rule.delay_seconds)
        refusal = next((rule for rule in rules if rule.action in ("refuse", "throttle", "fail")), None)
        if refusal is not None:
            RULES.hit(refusal)
            code = refusal.error or ("ThrottlingException" if refusal.action == "throttle" else "InternalError")
            answer = error_answer(service, request, code, f"injected by rule {refusal.id}")
            await _answer(send, answer.status, dict(answer.headers), answer.body)
            return answer.status
        after = [rule for rule in rules if rule.action == "drop" or rule.when == "after"]
        status = 0
        held: list[Message] = []

        async def pass_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            if after:
                held.append(message)
            else:
                await send(message)

        await self._app(scope, receive, pass_on)
        for rule in after:
            RULES.hit(rule)
            if rule.action == "delay":
                await asyncio.sleep(rule.delay_seconds)
            elif rule.action == "kill":
                _kill(invocation)
                return 0
            else:
                await _cut(send)
                return 0
        for message in held:
            await send(message)
        return status


async def _answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    told.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


async def _cut(send: Send) -> None:
    """Begin an answer and end the connection: the caller sees it break."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000000")]})


def _kill(invocation: Invocation) -> None:
    if invocation.process is not None:
        with suppress(ProcessLookupError):
            os.kill(invocation.process.pid, signal.SIGKILL)


async def _with_body(request: Request, receive: Receive) -> tuple[Request, Receive]:
    """The request with its body read, and a receiver that gives the body once more."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
    told = False

    async def again() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(request.method, request.path, request.query, request.headers, body), again


async def _caller(scope: Message, headers: dict[str, str]) -> Invocation | None:
    root = _ROOT.search(headers.get("x-amzn-trace-id", ""))
    if root is not None:
        return TRACER.by_root(root.group(1))
    if _OWN in headers.get("user-agent", "") or _ROOT_USER.search(headers.get("authorization", "")):
        return None
    if not any(rule.point == "call" for rule in RULES.all()) or not scope.get("client"):
        return None
    running = TRACER.running()
    return await asyncio.to_thread(_by_connection, scope["client"][1], running) if running else None


def _by_connection(port: int, running: tuple[Invocation, ...]) -> Invocation | None:
    """The invocation whose process, or a child of it, holds the client end of a connection."""
    import psutil

    for invocation in running:
        assert invocation.process is not None
        with suppress(psutil.Error):
            process = psutil.Process(invocation.process.pid)
            for holder in (process, *process.children(recursive=True)):
                if any(one.laddr and one.laddr.port == port for one in holder.net_connections(kind="tcp")):
                    return invocation
    return None
