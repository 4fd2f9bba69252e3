"""Messages on a queue that belong to a key."""

from __future__ import annotations

import json

from holdfast.ports.context import PortContext
from holdfast.ports.expression import search
from holdfast.ports.queue import look
from holdfast.ports.sources.reading import Entry, Reading, subject
from holdfast.ports.text import text_of
from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.effects import SqsMessagesSource
from holdfast.stack.templates import render_text


def read(source: SqsMessagesSource, context: PortContext, port: str) -> Reading:
    """Every message whose ``match`` equals the rendered ``equals``, in flight or not."""
    queue = context.resource(source.queue)
    wanted = render_text(source.equals, context.values)
    with translated(subject(port, queue), context.target):
        messages = look(context.target, queue.url)
    entries = (Entry(body_json(message.body), message.body) for message in messages)
    return Reading(tuple(entry for entry in entries if _matches(source.match, entry.data, wanted)))


def body_json(body: str) -> Json:
    """A message's JSON, or its text where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def _matches(expression: str, data: Json, wanted: str) -> bool:
    found = search(expression, data)
    return found is not None and text_of(found) == wanted
