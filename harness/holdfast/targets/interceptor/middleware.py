"""Aimed faults at AWS calls, and the trace of those calls: ASGI middleware, whatever application lies behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import unquote, unquote_plus

from holdfast.targets.base import Action, CallerKind, Rule
from holdfast.targets.interceptor.asgi import (
    IN_MEMORY_BYTES,
    App,
    KeptBody,
    Message,
    Receive,
    Send,
    answer,
    drain,
    read_ahead,
)
from holdfast.targets.interceptor.cutting import cut
from holdfast.targets.interceptor.errors import error_answer
from holdfast.targets.interceptor.recognition import Call, Request, prepare, recognise, service_of
from holdfast.targets.interceptor.resources import in_path, resources_of
from holdfast.targets.interceptor.rules import RuleBook
from holdfast.targets.interceptor.tracing import MAX_CALL_CHARACTERS, Invocation, Process, Tracer

SEARCHED_BYTES = 8 * 1024 * 1024
"""How much of a body is read ahead: a whole call of every service but S3, and of S3 the usual part of an upload."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who made a call.

    Attributes:
        kind: what kind of caller it is.
        invocation: which invocation of a function; None for other callers.
        component: the component that a process is; empty for other callers.
    """

    kind: CallerKind
    invocation: Invocation | None = None
    component: str = ""

    @property
    def name(self) -> str:
        """Name of the function or component; empty for other callers."""
        return self.component if self.invocation is None else self.invocation.function

    @property
    def event(self) -> str | None:
        """The event that it handles; None where that is not known."""
        known = self.invocation is not None and self.invocation.event_known
        return self.invocation.event if known and self.invocation is not None else None


class Callers(Protocol):
    """Tells who makes a call."""

    async def find(self, scope: Message, headers: dict[str, str]) -> Caller | None:
        """Who made a request; None when it is the harness itself, whose calls pass untouched."""

    async def process(self, scope: Message, caller: Caller) -> Process | None:
        """The process that waits for the answer to a request; None when it cannot be told or must not be killed."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request on its way, and who made it."""

    scope: Message
    receive: Receive
    send: Send
    caller: Caller
    request: Request
    call: Call


class Interceptor:
    """Recognises, breaks and records AWS calls, and passes everything on.

    Args:
        app: what lies behind: an emulator, a reverse proxy.
        rules: the aimed faults.
        tracer: remembers the calls.
        callers: tells who calls.
    """

    def __init__(self, app: App, rules: RuleBook, tracer: Tracer, callers: Callers) -> None:
        self._app = app
        self._rules = rules
        self._tracer = tracer
        self._callers = callers
        self._prepared: set[str] = set()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, with the faults that are aimed at it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        caller = await self._callers.find(scope, headers)
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        request = Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers)
        service = service_of(request)
        if caller is None or (caller.invocation is None and not service):
            await self._app(scope, receive, send)
            return
        if service not in self._prepared:  # reading a model takes up to a tenth of a second
            await asyncio.to_thread(prepare, service)
            self._prepared.add(service)
        exchange = await self._recognised(_Exchange(scope, receive, send, caller, request, Call(service, "")))
        if caller.invocation is None and not exchange.call.protocol:
            await self._app(scope, exchange.receive, send)  # signed, but no call of a service: API Gateway's, say
            return
        await self._intercept(exchange)

    async def _recognised(self, exchange: _Exchange) -> _Exchange:
        """The exchange with its call, and with its body read ahead as far as that is needed."""
        request, receive = exchange.request, exchange.receive
        service = exchange.call.service
        searched = exchange.caller.event is None and self._rules.reads_calls(exchange.caller.kind)
        ahead = request.form or searched
        if ahead:
            body, receive = await read_ahead(receive, SEARCHED_BYTES)
            request = replace(request, body=body)
        call = recognise(service, request)
        if not ahead and not in_path(call):
            body, receive = await read_ahead(receive, SEARCHED_BYTES)
            request = replace(request, body=body)
        return replace(exchange, request=request, receive=receive, call=call)

    async def _intercept(self, exchange: _Exchange) -> None:
        """Do a recognised call with its faults, and record it."""
        caller, call = exchange.caller, exchange.call
        resources = resources_of(call, exchange.request)
        event, text = caller.event, ""
        if event is None:
            whole = self._rules.reads_calls(caller.kind)
            text = content_of(exchange.request, None if whole else MAX_CALL_CHARACTERS)
        rules = self._rules.claim_call(
            caller.name,
            text if event is None else event,
            call.service,
            call.operation,
            resources=resources,
            caller=caller.kind,
        )
        claims = _Claims(self._rules, rules)
        status = 0
        try:
            status = await self._perform(exchange, claims)
        finally:
            claims.release()
            self._tracer.call(
                caller.invocation,
                call.service,
                call.operation,
                status,
                resources=resources,
                text=text,
                component=caller.component,
            )

    async def _perform(self, exchange: _Exchange, claims: _Claims) -> int:
        """Do a call with its faults; the status that the caller saw, 0 for none."""
        while (rule := claims.first("delay", when="before")) is not None:
            claims.done(rule)
            with self._tracer.holding(exchange.caller.invocation):
                await asyncio.sleep(rule.delay_seconds)
        rule = claims.first("kill", when="before")
        victim = await self._callers.process(exchange.scope, exchange.caller) if rule is not None else None
        if rule is not None and victim is not None:
            claims.done(rule)
            _kill(victim)
            return 0
        rule = claims.first("cut")
        if rule is not None:
            claims.done(rule)
            await cut(exchange.send)
            return 0
        rule = claims.first("refuse", "throttle") or claims.first("fail", when="before")
        if rule is not None:
            claims.done(rule)
            await drain(exchange.receive)
            return await _refuse(exchange, rule)
        return await self._do(exchange, claims)

    async def _do(self, exchange: _Exchange, claims: _Claims) -> int:
        """Perform a call, once or twice, and then do to its answer what the rules say."""
        if not claims:
            return await self._run(exchange.scope, exchange.receive, exchange.send)
        duplicate = claims.first("duplicate")
        late = claims.first("drop", "fail-after") or claims.first("kill", "fail", when="after")
        victim: Process | None = None
        if late is not None and late.action == "kill":
            victim = await self._callers.process(exchange.scope, exchange.caller)
            late = late if victim is not None else None
        gate = _Gate(exchange.send, claims, swallow=late is not None, wait=duplicate is not None)
        with KeptBody() as kept:
            receive = exchange.receive
            if duplicate is not None:
                if not await kept.take(receive):
                    return 0  # its caller is gone before it was all there
                receive = kept.receiver(exchange.receive)
            status = await self._run(exchange.scope, receive, gate)
            if duplicate is not None:
                await self._run(exchange.scope, kept.receiver(exchange.receive), _nowhere)
                claims.done(duplicate)
                await gate.open()
        if late is None:
            return status
        claims.done(late)
        if victim is not None:
            _kill(victim)
        elif late.action == "drop":
            await cut(exchange.send)
        else:
            return await _refuse(exchange, late)
        return 0

    async def _run(self, scope: Message, receive: Receive, send: Send) -> int:
        """Let what lies behind perform a call; the status that it answered."""
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self._app(dict(scope), receive, watched)
        return status


class _Claims:
    """The rules that act on one call: each is done, or given back.

    Args:
        book: where they are counted.
        rules: the rules.
    """

    def __init__(self, book: RuleBook, rules: tuple[Rule, ...]) -> None:
        self._book = book
        self._left = list(rules)

    def __bool__(self) -> bool:
        """Whether any is left."""
        return bool(self._left)

    def first(self, *actions: Action, when: str = "") -> Rule | None:
        """The first rule left that has one of these actions, on this side of the call."""
        return next((rule for rule in self._left if rule.action in actions and when in ("", rule.when)), None)

    def done(self, rule: Rule) -> None:
        """Count a rule whose fault is done."""
        self._left.remove(rule)
        self._book.hit(rule)

    def release(self) -> None:
        """Give back what was not done."""
        for rule in self._left:
            self._book.release(rule)


class _Gate:
    """What an answer passes on its way to the caller: delays, and what holds it back.

    Args:
        send: leads to the caller.
        claims: the rules that act on the call.
        swallow: whether the answer is lost.
        wait: whether the answer waits until :meth:`open`; so much of it as fits into memory.
    """

    def __init__(self, send: Send, claims: _Claims, *, swallow: bool, wait: bool) -> None:
        self._send = send
        self._claims = claims
        self._swallow = swallow
        self._wait = wait
        self._waiting: list[Message] = []
        self._waiting_bytes = 0

    async def __call__(self, message: Message) -> None:
        """Pass one message of the answer."""
        if message["type"] == "http.response.start":
            while (rule := self._claims.first("delay", when="after")) is not None:
                self._claims.done(rule)
                await asyncio.sleep(rule.delay_seconds)
        if self._swallow:
            return
        if not self._wait:
            await self._send(message)
            return
        self._waiting.append(message)
        self._waiting_bytes += len(message.get("body", b""))
        if self._waiting_bytes > IN_MEMORY_BYTES:
            await self.open()

    async def open(self) -> None:
        """Let the answer go."""
        self._wait = False
        for message in self._waiting:
            await self._send(message)
        self._waiting.clear()


def content_of(request: Request, limit_characters: int | None = None) -> str:
    """The text of a call in which a key is looked for: path, query and what is read of the body.

    Args:
        request: the call.
        limit_characters: so much of the body is enough; None for all of it.
    """
    body = request.body if limit_characters is None else request.body[:limit_characters]
    text = body.decode("utf-8", errors="replace")
    if request.form:
        text = unquote_plus(text)
    elif "\\u" in text:
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(request.body), ensure_ascii=False)
    return "\n".join((unquote(request.path), unquote_plus(request.query), text))


async def _refuse(exchange: _Exchange, rule: Rule) -> int:
    code = rule.error or ("ThrottlingException" if rule.action == "throttle" else "InternalError")
    told = error_answer(exchange.call.service, exchange.request, code, f"injected by rule {rule.id}")
    await answer(exchange.send, told.status, told.headers, told.body)
    return told.status


async def _nowhere(message: Message) -> None:
    """Where the answer to a call goes that nobody made."""


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
