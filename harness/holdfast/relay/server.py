"""``python -m holdfast.relay.server``: the relay, controlled by JSON lines on its standard input.

``{"listen": [channel...]}`` first, then ``{"add": rule}``, ``{"remove": id}``, ``{"rules": ""}``, ``{"hits": id}``.
Each is answered with ``{"answer": ...}`` or ``{"error": ..., "cause": ..., "remedy": ...}``. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from holdfast.errors import TargetError
from holdfast.relay.book import ChannelBook
from holdfast.relay.exchange import Exchange, Side
from holdfast.relay.model import ChannelRule, RelayedChannel, problems

_BACKLOG = 1024


class Server:
    """Listens for all channels.

    Args:
        book: the rules.
    """

    def __init__(self, book: ChannelBook) -> None:
        self._book = book
        self._sockets: list[Path] = []
        self._servers: list[asyncio.Server] = []
        self._open: set[asyncio.Task[None]] = set()

    async def answer(self, question: Mapping[str, Any]) -> Any:
        """What a control line asks for.

        Raises:
            TargetError: it cannot be done.
        """
        ((what, told),) = question.items()
        match what:
            case "listen":
                for channel in told:
                    await self._listen(RelayedChannel(**channel))
            case "add":
                rule = ChannelRule(**told)
                wrong = problems(rule)
                if wrong:
                    raise TargetError(f"the rule {rule.id} cannot be used", cause="; ".join(wrong))
                self._book.add(rule)
            case "remove":
                self._book.remove(told)
            case "rules":
                return [asdict(rule) for rule in self._book.all()]
            case "hits":
                return self._book.hits(told)
            case _:
                raise TargetError(f"{what} is unknown")
        return None

    def close(self) -> None:
        """Remove the sockets that it listens on."""
        for path in self._sockets:
            path.unlink(missing_ok=True)

    async def _listen(self, channel: RelayedChannel) -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._open.add(task)
            try:
                await self._connected(channel, Side(reader, writer))
            finally:
                self._open.discard(task)

        try:
            if _is_path(channel.listen):
                self._sockets.append(Path(channel.listen))
                server = await asyncio.start_unix_server(connected, channel.listen, backlog=_BACKLOG)
            else:
                host, port = _host_port(channel.listen)
                server = await asyncio.start_server(connected, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise TargetError(
                f"the channel {channel.name} cannot listen on {channel.listen}",
                cause=error.strerror or str(error),
                remedy=f"give channels.{channel.name} another listen, or leave it out",
            ) from error
        self._servers.append(server)

    async def _connected(self, channel: RelayedChannel, near: Side) -> None:
        try:
            far = Side(*await _connect(channel.upstream))
        except OSError:
            # nobody listens: the source must see its connection fail, as it would without a relay
            near.close(reset=True)
            return
        await Exchange(channel.name, channel.protocol, self._book, near, far).run()


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if _is_path(address):
        return await asyncio.open_unix_connection(address)
    host, port = _host_port(address)
    return await asyncio.open_connection(host, port)


def _is_path(address: str) -> bool:
    return "/" in address


def _host_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


async def serve() -> None:
    """Serve until the standard input ends."""
    loop = asyncio.get_running_loop()
    questions = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    server = Server(ChannelBook())
    try:
        while line := await questions.readline():
            try:
                told: dict[str, Any] = {"answer": await server.answer(json.loads(line))}
            except TargetError as error:
                told = {"error": error.what, "cause": error.cause, "remedy": error.remedy}
            except (ValueError, TypeError) as error:
                told = {"error": f"a control line cannot be used: {error}"}
            os.write(1, json.dumps(told).encode() + b"\n")
    finally:
        server.close()


def main() -> None:
    """Serve; connections that are held are not waited for."""
    with suppress(KeyboardInterrupt):
        asyncio.run(serve())
    os._exit(0)


if __name__ == "__main__":
    main()
