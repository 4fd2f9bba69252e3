"""Messages to a queue."""

from __future__ import annotations

from typing import Any

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.transports.aws import message_text, optional_texts, perform, string_attributes, success
from holdfast.stack.commands import SqsCall


def send(call: SqsCall, context: PortContext) -> Sent:
    """Send one message with ``SendMessage``."""
    body = message_text(call.json_body, call.body, context)
    request: dict[str, Any] = {
        "QueueUrl": context.resource(call.queue).url,
        "MessageBody": body,
        **optional_texts(context, MessageGroupId=call.group_id, MessageDeduplicationId=call.deduplication_id),
    }
    if call.attributes:
        request["MessageAttributes"] = string_attributes(call.attributes, context)
    return Sent(body, perform(lambda: success(context.client("sqs").send_message(**request))))
