"""Who is at the other end of a loopback connection, and the callers of a proxy."""

from __future__ import annotations

import asyncio
import os
import re
import time
from contextlib import suppress
from weakref import WeakKeyDictionary

import psutil

from holdfast.targets.clients import OWN
from holdfast.targets.interceptor.asgi import Message
from holdfast.targets.interceptor.cutting import CONNECTION, Connection
from holdfast.targets.interceptor.middleware import Caller
from holdfast.targets.interceptor.processes import component_in, component_of
from holdfast.targets.interceptor.rules import RuleBook
from holdfast.targets.interceptor.tracing import Process, Tracer

_ROOT = re.compile(r"Root=(1-[0-9a-f]{8}-[0-9a-f]{24})")
_FUNCTION = "AWS_LAMBDA_FUNCTION_NAME"
"""Lambda's own variable: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html."""

_ON_LAMBDA = "exec-env/AWS_Lambda"
"""In the user agent of every SDK on Lambda, from ``AWS_EXECUTION_ENV``."""


def trace_root(headers: dict[str, str]) -> str:
    """The root of the tracing header; empty without one."""
    found = _ROOT.search(headers.get("x-amzn-trace-id", ""))
    return found.group(1) if found else ""


def holder(scope: Message) -> psutil.Process | None:
    """The process on this machine that holds the client end of a request's connection; None when none can be seen."""
    if not scope.get("client") or not scope.get("server"):
        return None
    client, server = tuple(scope["client"][:2]), tuple(scope["server"][:2])
    with suppress(psutil.Error, OSError):
        for one in psutil.net_connections(kind="tcp"):
            if one.pid and one.laddr and one.raddr and (*one.laddr,) == client and (*one.raddr,) == server:
                return psutil.Process(one.pid)
    return None


def killable(scope: Message, caller: Caller) -> psutil.Process | None:
    """The process that waits for the answer to a request, unless it is this one or one that this one descends from.

    Where the caller is a component, only a process that has its name in the environment.
    """
    found = holder(scope)
    with suppress(psutil.Error):
        own = {os.getpid(), *(one.pid for one in psutil.Process().parents())}
        if found is None or found.pid in own:
            return None
        return found if caller.kind != "process" or component_of(found) == caller.component else None
    return None


class Holders:
    """The processes at the other end of connections, each looked for once."""

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[Connection, psutil.Process | None] = WeakKeyDictionary()

    async def find(self, scope: Message) -> psutil.Process | None:
        """The process that holds the client end of a request's connection."""
        connection = CONNECTION.get()
        if connection is None:
            return await asyncio.to_thread(holder, scope)
        if connection not in self._found:
            self._found[connection] = await asyncio.to_thread(holder, scope)
        return self._found[connection]


class LoopbackCallers:
    """Tells the callers of a proxy that sees calls, but no invocations.

    A function is known by its process at the other end of the connection, from the environment that the process was
    started with; its invocation by the tracing header. What the invocation handles is not known: it is found by what
    its calls carry. A function in a container, or one forked with another's environment, is a caller like any other.

    Args:
        rules: the aimed faults.
        tracer: gets to know the invocations.
    """

    def __init__(self, rules: RuleBook, tracer: Tracer) -> None:
        self._rules = rules
        self._tracer = tracer
        self._holders = Holders()
        self._functions: dict[tuple[int, float], str] = {}

    async def find(self, scope: Message, headers: dict[str, str]) -> Caller | None:
        """Who made a request; None when it is the harness itself."""
        root = trace_root(headers)
        invocation = self._tracer.by_root(root) if root else None
        if invocation is None:
            component = component_in(headers)
            if component:
                return Caller("process", component=component)
            agent = headers.get("user-agent", "")
            if OWN in agent:
                return None
            if not root and _ON_LAMBDA not in agent and not self._rules.wants_calls():
                return Caller("other")
            process = await self._holders.find(scope)
            function = self._function(process) if process is not None else ""
            if process is None or not function:
                component = component_of(process)
                return Caller("process", component=component) if component else Caller("other")
            root = root or f"{process.pid}/{process.create_time()}"  # a client that tells no trace: all its calls
            invocation = self._tracer.by_root(root)
            if invocation is None:
                invocation = self._tracer.begin(function, root, "")
                invocation.event_known = False
                invocation.process = process
                self._tracer.known_as(invocation, root)
        invocation.ended_seconds = time.time()  # as far as can be seen
        return Caller("function", invocation)

    async def process(self, scope: Message, caller: Caller) -> Process | None:
        """The process that waits for the answer to a request."""
        return await asyncio.to_thread(killable, scope, caller)

    def _function(self, process: psutil.Process) -> str:
        """The name of the function that a process runs; empty when it runs none."""
        with suppress(psutil.Error):
            identity = (process.pid, process.create_time())
            if identity not in self._functions:
                self._functions[identity] = process.environ().get(_FUNCTION, "")
            return self._functions[identity]
        return ""
