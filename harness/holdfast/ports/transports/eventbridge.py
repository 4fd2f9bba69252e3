"""Events on a bus."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from holdfast.ports.answer import Answer, Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import text_of
from holdfast.ports.transports.aws import AwsRequest, made
from holdfast.stack.commands import EventBridgeCall
from holdfast.stack.templates import render, render_text


def request(call: EventBridgeCall, context: PortContext) -> AwsRequest:
    """One event by ``PutEvents``."""
    detail = text_of(render(call.detail, context.values))
    entry: dict[str, Any] = {
        "Source": render_text(call.source, context.values),
        "DetailType": render_text(call.detail_type, context.values),
        "Detail": detail,
    }
    if call.bus is not None:
        entry["EventBusName"] = context.resource(call.bus).name
    return AwsRequest("events", "PutEvents", {"Entries": [entry]}, detail)


def send(call: EventBridgeCall, context: PortContext) -> Sent:
    """Put one event with ``PutEvents``."""
    sent = made(request(call, context), context)
    return replace(sent, answer=entry_answer(sent.answer))


def entry_answer(answer: Answer) -> Answer:
    """The answer to the one entry of a call: a failed entry is a failure although the call answers 200."""
    found = None if answer.code or answer.error else answer.json
    if not isinstance(found, dict) or not found.get("FailedEntryCount"):
        return answer
    entries = found.get("Entries")
    failed: Any = entries[0] if isinstance(entries, list) and entries else {}
    code = str(failed.get("ErrorCode") or "FailedEntry")
    # PutEvents documents InternalFailure and InternalException as the service's own errors, like a 5xx.
    status = 500 if code.startswith("Internal") else 400
    return Answer(status=status, code=code, text=str(failed.get("ErrorMessage") or ""))
