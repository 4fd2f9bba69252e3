"""One connection through the relay, with the faults that are aimed at it."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from holdfast.relay.book import ChannelBook
from holdfast.relay.framing import NotHttp, RequestHead, Source, answer, request
from holdfast.relay.model import ChannelAction, ChannelRule, Direction

_SEEN_BYTES = 1024 * 1024
_TICK_SECONDS = 0.05


class Over(Exception):  # noqa: N818 - how a connection ends
    """A fault has ended the connection.

    Args:
        reset: whether it breaks instead of ending in order.
    """

    def __init__(self, *, reset: bool) -> None:
        super().__init__()
        self.reset = reset


class Side:
    """One end of the connection: the source that connected, or the destination.

    Args:
        reader: what comes from it.
        writer: what goes to it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.source = Source(reader)
        self._writer = writer

    async def send(self, content: bytes) -> None:
        """Pass bytes on to it."""
        self._writer.write(content)
        await self._writer.drain()

    def end_writing(self) -> None:
        """Tell it that nothing more comes."""
        with suppress(OSError, RuntimeError):
            if self._writer.can_write_eof():
                self._writer.write_eof()

    def close(self, *, reset: bool = False) -> None:
        """Close it, or break it, which the other end sees as a reset connection."""
        self.source.close()
        if not reset:
            self._writer.close()
            return
        with suppress(OSError, AttributeError):
            # with a linger time of zero closing sends RST (socket(7)); Unix sockets have no such word
            self._writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self._writer.transport.abort()


@dataclass(slots=True)
class Exchange:
    """What passes between two sides.

    Args:
        channel: name of the channel.
        protocol: ``http`` or ``bytes``.
        book: the rules.
        near: who connected.
        far: who was connected to.
    """

    channel: str
    protocol: str
    book: ChannelBook
    near: Side
    far: Side

    async def run(self) -> None:
        """Pass everything until both sides are done, or a fault ends it."""
        reset = False
        try:
            if self.protocol == "http":
                await self._http()
            else:
                await self._bytes()
        except Over as over:
            reset = over.reset
        except OSError:
            reset = True
        finally:
            self.near.close(reset=reset or self.far.source.broken)
            self.far.close(reset=reset or self.near.source.broken)

    async def _http(self) -> None:
        """Request by request, each with its answer."""
        while True:
            if not self.near.source.has_left:
                # a destination that closes an idle connection must be seen to
                await asyncio.wait(
                    {self.near.source.ahead(), self.far.source.ahead()}, return_when=asyncio.FIRST_COMPLETED
                )
                if not self.near.source.ahead().done():
                    break
            try:
                read = await request(self.near.source)
            except NotHttp as other:
                self.near.source.give_back(other.content)
                await self._bytes()
                return
            if read is None:
                break
            head, content, whole = read
            answering = self.book.claim(self.channel, "answer", content)
            await self._pass_request(content)
            if not whole:
                # the rest of the request, and whatever follows on this connection
                await self._bytes()
                return
            if not await self._pass_answer(head, answering):
                return

    async def _pass_request(self, content: bytes) -> None:
        rules = self.book.claim(self.channel, "request", content)
        await self._hold_up(rules)
        await self._strike(rules, self.far, content)
        await self._send(self.far, content, rules)

    async def _pass_answer(self, head: RequestHead, rules: tuple[ChannelRule, ...]) -> bool:
        """Pass an answer; whether further requests may come on this connection."""
        pieces = answer(self.far.source, head)
        lost = _first(rules, "drop", "hang")
        try:
            if lost is not None:
                async for _ in self._while_near_waits(pieces):
                    pass
                await self._lose(lost)
            first = True
            async for piece in self._while_near_waits(pieces):
                if first:
                    await self._hold_up(rules)
                    await self._strike(rules, self.near, piece)
                first = False
                await self._send(self.near, piece, rules)
        except NotHttp as other:
            await self.near.send(other.content)
            await self._bytes()
            return False
        return True

    async def _while_near_waits(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces of an answer; the destination is told when the source ends meanwhile."""
        told = False
        while True:
            next_piece = asyncio.ensure_future(anext(pieces, None))
            while not next_piece.done():
                waiting: set[asyncio.Future[bytes] | asyncio.Future[bytes | None]] = {next_piece}
                if not told and not self.near.source.has_left:
                    waiting.add(self.near.source.ahead())
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                near = self.near.source.ahead()
                if not told and near.done():
                    told = True
                    if not near.result():
                        self.far.end_writing()
            piece = next_piece.result()
            if piece is None:
                return
            yield piece

    async def _bytes(self) -> None:
        """Both directions on their own, chunk by chunk."""
        seen = _Seen()
        pumps = [
            asyncio.create_task(self._pump(self.near, self.far, "request", seen)),
            asyncio.create_task(self._pump(self.far, self.near, "answer", seen)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()

    async def _pump(self, here: Side, there: Side, direction: Direction, seen: _Seen) -> None:
        while chunk := await here.source.next():
            rules = self.book.claim(self.channel, direction, seen.with_chunk(direction, chunk))
            await self._hold_up(rules)
            await self._strike(rules, there, chunk)
            if (lost := _first(rules, "drop", "hang")) is not None:
                await self._lose(lost)
            await self._send(there, chunk, rules)
        there.end_writing()

    async def _hold_up(self, rules: tuple[ChannelRule, ...]) -> None:
        for rule in rules:
            if rule.action == "delay":
                self.book.hit(rule)
                await self.book.hold(rule, rule.delay_seconds)

    async def _strike(self, rules: tuple[ChannelRule, ...], there: Side, content: bytes) -> None:
        """Cut, or lose a request."""
        rule = _first(rules, "cut", "drop", "hang")
        if rule is None or (rule.direction == "answer" and rule.action != "cut"):
            return
        if rule.action != "cut":
            await self._lose(rule)
        if rule.direction == "answer":
            await there.send(content[: len(content) // 2])
        self.book.hit(rule)
        raise Over(reset=True)

    async def _lose(self, rule: ChannelRule) -> None:
        self.book.hit(rule)
        if rule.action == "hang":
            held = asyncio.ensure_future(self.book.hold(rule, None))
            ends = [asyncio.ensure_future(_ended(side.source)) for side in (self.near, self.far)]
            await asyncio.wait({held, *ends}, return_when=asyncio.FIRST_COMPLETED)
            for each in (held, *ends):
                each.cancel()
        raise Over(reset=False)

    async def _send(self, there: Side, content: bytes, rules: tuple[ChannelRule, ...]) -> None:
        """Pass bytes on at the pace that a rule allows, for as long as it is in force."""
        pace = _first(rules, "bandwidth", "trickle")
        if pace is None:
            await there.send(content)
            return
        piece_bytes, pause_seconds = pace.piece_bytes, pace.delay_seconds
        if pace.action == "bandwidth":
            piece_bytes = max(1, int(pace.bytes_per_second * _TICK_SECONDS))
            pause_seconds = piece_bytes / pace.bytes_per_second
        self.book.hit(pace)
        while content and self.book.in_force(pace):
            await there.send(content[:piece_bytes])
            content = content[piece_bytes:]
            if content or pace.action == "bandwidth":
                await self.book.hold(pace, pause_seconds)
        if content:
            await there.send(content)


@dataclass(slots=True)
class _Seen:
    """What a connection has carried since its direction last turned to the destination; keys are looked for in it."""

    content: bytes = b""
    last: Direction = "answer"

    def with_chunk(self, direction: Direction, chunk: bytes) -> bytes:
        """What was carried, with one more chunk."""
        if direction == "request" and self.last == "answer":
            self.content = b""
        self.last = direction
        self.content = (self.content + chunk)[-_SEEN_BYTES:]
        return self.content


def _first(rules: tuple[ChannelRule, ...], *actions: ChannelAction) -> ChannelRule | None:
    return next((rule for rule in rules if rule.action in actions), None)


async def _ended(source: Source) -> None:
    while await source.next():
        pass
