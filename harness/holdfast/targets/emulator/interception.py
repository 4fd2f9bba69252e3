"""The one rule book and the one trace of this emulator process, and which invocation a thread is serving."""

from __future__ import annotations

from contextvars import ContextVar

from holdfast.targets.interceptor.rules import RuleBook
from holdfast.targets.interceptor.tracing import Invocation, Tracer

RULES = RuleBook()
TRACER = Tracer()
CURRENT: ContextVar[Invocation | None] = ContextVar("holdfast_invocation", default=None)
REQUEST_ID: ContextVar[str] = ContextVar("holdfast_request_id", default="")
"""The request id that the next invocation of this context keeps: AWS keeps it over asynchronous retries."""
