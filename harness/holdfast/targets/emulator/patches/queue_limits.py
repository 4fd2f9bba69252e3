"""The size of a message counts its attributes, and their text has the characters of a body.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html: "A message can include
only XML, JSON, and unformatted text", 1 MiB at most since August 2025
(https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html), and
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html: "Name, type,
value and the message body ... are part of the message size restriction". MiniStack counts the body alone.
"""

from __future__ import annotations

import base64
from typing import Any

from ministack.services import sqs

_DEFAULT_BYTES = 1_048_576


def apply() -> None:
    """Check a message before it is sent; after ``queue_store``, which knows the code that is wrapped."""
    send = sqs._act_send_message

    def checked(data: dict[str, Any], queue_url: str) -> dict[str, Any]:
        queue = sqs._get_q(data.get("QueueUrl", queue_url))
        most = int(queue["attributes"].get("MaximumMessageSize") or _DEFAULT_BYTES)
        attributes = data.get("MessageAttributes") or {}
        size = len((data.get("MessageBody") or "").encode("utf-8", "surrogatepass"))
        size += sum(_attribute_bytes(name, value) for name, value in attributes.items())
        if size > most:
            message = f"One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
            raise sqs._Err("InvalidParameterValue", message)
        if any(sqs._INVALID_SQS_CHARS_RE.search(str(value.get("StringValue") or "")) for value in attributes.values()):
            raise sqs._Err("InvalidMessageContents", "The message contains characters outside the allowed set.")
        result: dict[str, Any] = send(data, queue_url)
        return result

    sqs._act_send_message = checked
    sqs._HANDLERS["SendMessage"] = checked


def _attribute_bytes(name: str, value: dict[str, Any]) -> int:
    binary = value.get("BinaryValue")
    content = len(base64.b64decode(binary)) if isinstance(binary, str) else len(binary or b"")
    return (
        len(name.encode())
        + len(str(value.get("DataType", "")))
        + content
        + len(str(value.get("StringValue") or "").encode())
    )
