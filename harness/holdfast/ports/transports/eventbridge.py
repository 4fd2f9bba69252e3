"""Events on a bus."""

from __future__ import annotations

from typing import Any

from holdfast.ports.answer import Answer, Sent
from holdfast.ports.context import PortContext
from holdfast.ports.text import text_of
from holdfast.ports.transports.aws import perform, success
from holdfast.stack.commands import EventBridgeCall
from holdfast.stack.templates import render, render_text


def send(call: EventBridgeCall, context: PortContext) -> Sent:
    """Put one event with ``PutEvents``; a failed entry is a failure although the call answers 200."""
    detail = text_of(render(call.detail, context.values))
    entry: dict[str, Any] = {
        "Source": render_text(call.source, context.values),
        "DetailType": render_text(call.detail_type, context.values),
        "Detail": detail,
    }
    if call.bus is not None:
        entry["EventBusName"] = context.resource(call.bus).name
    return Sent(detail, perform(lambda: _put(context, entry)))


def _put(context: PortContext, entry: dict[str, Any]) -> Answer:
    response = context.client("events").put_events(Entries=[entry])
    if not response.get("FailedEntryCount"):
        return success(response)
    failed = (response.get("Entries") or [{}])[0]
    code = str(failed.get("ErrorCode") or "FailedEntry")
    # PutEvents documents InternalFailure and InternalException as the service's own errors, like a 5xx.
    status = 500 if code.startswith("Internal") else 400
    return Answer(status=status, code=code, text=str(failed.get("ErrorMessage") or ""))
