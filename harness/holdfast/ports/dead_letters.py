"""Dead letters: found where they lie, and moved back to where they came from."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.ports.expression import search
from holdfast.ports.queue import look
from holdfast.ports.sources.reading import subject
from holdfast.ports.sources.s3 import objects
from holdfast.ports.sources.sqs import body_json
from holdfast.ports.text import text_of
from holdfast.stack.aws_errors import translated
from holdfast.stack.base import Json
from holdfast.stack.effects import DeadLetters
from holdfast.stack.resolve import Stack


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One request that could not be processed.

    Attributes:
        id: message id, or object key.
        key: the idempotency key found in it; empty when there is none.
        original: the original payload found in it, as text; None when it is not there.
        body: the whole dead letter.
    """

    id: str
    key: str
    original: str | None
    body: str


def read_dead_letters(port: DeadLetters, stack: Stack, name: str) -> tuple[DeadLetter, ...]:
    """Every dead letter of a port, left where it is.

    Raises:
        ResourceError: the queue or bucket is missing or may not be read.
        TargetError: the target does not answer.
    """
    who = f"dead_letters {name}"
    if port.queue is not None:
        queue = stack.resource(port.queue)
        with translated(subject(who, queue), stack.target):
            messages = look(stack.target, queue.url)
        return tuple(letter(port, message.id, message.body, dict(message.attributes)) for message in messages)
    assert port.bucket is not None
    bucket = stack.resource(port.bucket)
    with translated(subject(who, bucket), stack.target):
        found = objects(stack.target.client("s3"), bucket.name)
    return tuple(letter(port, key, text, {"key": key}) for key, text in found)


def letter(port: DeadLetters, identity: str, body: str, attributes: dict[str, Json]) -> DeadLetter:
    """A dead letter with its key and original, by JMESPath on ``{body, json, attributes}``."""
    parsed = body_json(body)
    document = {"body": body, "json": None if parsed is body else parsed, "attributes": attributes}
    key = search(port.key, document)
    original = None if port.original is None else search(port.original, document)
    return DeadLetter(
        id=identity,
        key="" if key is None else text_of(key),
        original=None if original is None else text_of(original),
        body=body,
    )
