"""Messages to a topic."""

from __future__ import annotations

from typing import Any

from holdfast.ports.answer import Sent
from holdfast.ports.context import PortContext
from holdfast.ports.transports.aws import AwsRequest, made, message_text, optional_texts, string_attributes
from holdfast.stack.commands import SnsCall


def request(call: SnsCall, context: PortContext) -> AwsRequest:
    """One message by ``Publish``."""
    body = message_text(call.json_body, call.body, context)
    parameters: dict[str, Any] = {
        "TopicArn": context.resource(call.topic).arn,
        "Message": body,
        **optional_texts(context, MessageGroupId=call.group_id, MessageDeduplicationId=call.deduplication_id),
    }
    if call.attributes:
        parameters["MessageAttributes"] = string_attributes(call.attributes, context)
    return AwsRequest("sns", "Publish", parameters, body)


def send(call: SnsCall, context: PortContext) -> Sent:
    """Publish one message with ``Publish``."""
    return made(request(call, context), context)
