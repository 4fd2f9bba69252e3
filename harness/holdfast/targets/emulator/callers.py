"""Which invocation of the emulator a call belongs to.

The tracing header tells, which the SDKs copy from ``_X_AMZN_TRACE_ID`` (each invocation has its own, see
``patches.function_errors``). Requests without it, from other HTTP clients, are looked up by the loopback connection
among the live processes of functions, but only while a rule about calls is in force.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from holdfast.targets.clients import OWN
from holdfast.targets.interceptor.asgi import Message
from holdfast.targets.interceptor.connections import Holders, killable, trace_root
from holdfast.targets.interceptor.middleware import Caller
from holdfast.targets.interceptor.processes import component_in, component_of
from holdfast.targets.interceptor.rules import RuleBook
from holdfast.targets.interceptor.tracing import Invocation, Process, Tracer

_ROOT_USER = re.compile(r"Credential=\d{12}/")
"""Signed by the account's root user, as no function does."""

_SIGNED = "AWS4-"
"""In the authorization of every call of a service."""


class EmulatorCallers:
    """Tells the callers of an emulator that runs the functions itself.

    Args:
        rules: the aimed faults.
        tracer: knows the invocations.
    """

    def __init__(self, rules: RuleBook, tracer: Tracer) -> None:
        self._rules = rules
        self._tracer = tracer
        self._holders = Holders()

    async def find(self, scope: Message, headers: dict[str, str]) -> Caller | None:
        """Who made a request; None when it is the harness itself."""
        root = trace_root(headers)
        invocation = self._tracer.by_root(root) if root else None
        if invocation is not None:
            return Caller("function", invocation)
        component = component_in(headers)
        if component:
            return Caller("process", component=component)
        if OWN in headers.get("user-agent", ""):
            return None
        if not root and not _ROOT_USER.search(headers.get("authorization", "")) and self._rules.wants_calls():
            running = self._tracer.running()
            if running and scope.get("client"):
                invocation = await asyncio.to_thread(_by_connection, scope["client"][1], running)
        if invocation is not None:
            return Caller("function", invocation)
        if not root and _SIGNED in headers.get("authorization", "") and self._rules.wants_calls():
            component = component_of(await self._holders.find(scope))
        return Caller("process", component=component) if component else Caller("other")

    async def process(self, scope: Message, caller: Caller) -> Process | None:
        """The process that waits for the answer to a request."""
        if caller.invocation is not None:
            return caller.invocation.process
        return await asyncio.to_thread(killable, scope, caller)


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
