"""One aimed fault on a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

ChannelAction = Literal["delay", "drop", "cut", "hang", "bandwidth", "trickle"]
Direction = Literal["request", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedChannel:
    """One channel of a relay.

    Attributes:
        name: its name in the descriptor.
        listen: ``HOST:PORT``, or the path of a socket.
        upstream: the same, where it leads to.
        protocol: ``http`` or ``bytes``.
    """

    name: str
    listen: str
    upstream: str
    protocol: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRule:
    """One aimed fault on a channel; empty text and 0 match anything.

    On an ``http`` channel a message is one request, or its answer, and the key is looked for in the request (line,
    headers, body), for both directions. On a ``bytes`` channel a message is one chunk as it was read, the key is looked
    for in what its direction has carried so far, and a rule acts on the chunk in which the key came to be seen and on
    those after it.

    Attributes:
        id: unique; names the rule when hits are counted.
        channel: the channel, by its name in the descriptor.
        action: ``delay`` (held for ``delay_seconds``), ``drop`` (request: never delivered; answer: request delivered,
            answer lost; the connection is closed in order), ``cut`` (the connection is reset: a request before it is
            delivered, an answer in its middle), ``hang`` (request: never delivered; answer: delivered, but nothing
            comes back; the connection stays open until a side gives up), ``bandwidth`` (``bytes_per_second``),
            ``trickle`` (``piece_bytes`` at a time, ``delay_seconds`` apart).
        direction: ``request`` from the source to the destination, ``answer`` back.
        key: text that the message must contain.
        nth: which matching message, from 1; 0 for every one.
        times: how often the rule may hit; 0 for ever.
        delay_seconds: of ``delay``, and between the pieces of ``trickle``.
        bytes_per_second: of ``bandwidth``.
        piece_bytes: of ``trickle``.
        expires_seconds: wall clock, seconds since the epoch, from which on the rule is void; 0 for never.
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = {"extra": "forbid"}

    id: str
    action: ChannelAction
    channel: str = ""
    direction: Direction = "request"
    key: str = ""
    nth: int = 0
    times: int = 0
    delay_seconds: float = 0.0
    bytes_per_second: int = 0
    piece_bytes: int = 1
    expires_seconds: float = 0.0


def problems(rule: ChannelRule) -> tuple[str, ...]:
    """What is wrong with a rule, a sentence each."""
    found = []
    if not rule.id:
        found.append("the rule needs an id")
    if rule.nth < 0 or rule.times < 0:
        found.append("nth and times are counts from 1, or 0 for no limit")
    if rule.action in ("delay", "trickle") and rule.delay_seconds <= 0:
        found.append(f"{rule.action} needs delay_seconds above 0")
    if rule.action == "bandwidth" and rule.bytes_per_second <= 0:
        found.append("bandwidth needs bytes_per_second above 0")
    if rule.action == "trickle" and rule.piece_bytes <= 0:
        found.append("trickle needs piece_bytes above 0")
    return tuple(found)
