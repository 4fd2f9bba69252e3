"""Messages to a topic."""

from __future__ import annotations

from typing import Any

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.transports.aws import message_text, optional_texts, perform, string_attributes, success
from holdfast.stack.commands import SnsCall


def send(call: SnsCall, context: PortContext) -> Sent:
    """Publish one message with ``Publish``."""
    body = message_text(call.json_body, call.body, context)
    request: dict[str, Any] = {
        "TopicArn": context.resource(call.topic).arn,
        "Message": body,
        **optional_texts(context, MessageGroupId=call.group_id, MessageDeduplicationId=call.deduplication_id),
    }
    if call.attributes:
        request["MessageAttributes"] = string_attributes(call.attributes, context)
    return Sent(body, perform(lambda: success(context.client("sns").publish(**request))))
