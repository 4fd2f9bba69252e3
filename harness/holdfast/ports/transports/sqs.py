"""Messages to a queue."""

from __future__ import annotations

from typing import Any

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.transports.aws import AwsRequest, made, message_text, optional_texts, string_attributes
from holdfast.stack.commands import SqsCall


def request(call: SqsCall, context: PortContext) -> AwsRequest:
    """One message by ``SendMessage``."""
    body = message_text(call.json_body, call.body, context)
    parameters: dict[str, Any] = {
        "QueueUrl": context.resource(call.queue).url,
        "MessageBody": body,
        **optional_texts(context, MessageGroupId=call.group_id, MessageDeduplicationId=call.deduplication_id),
    }
    if call.attributes:
        parameters["MessageAttributes"] = string_attributes(call.attributes, context)
    return AwsRequest("sqs", "SendMessage", parameters, body)


def send(call: SqsCall, context: PortContext) -> Sent:
    """Send one message with ``SendMessage``."""
    return made(request(call, context), context)
