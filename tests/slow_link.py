"""A slow network in front of an emulator: a request may still be on its way when who sent it is gone."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from urllib.parse import urlsplit

SLOW_SHARE = 0.05
SLOW_SECONDS = 0.3
"""So many of the pieces that a client sends arrive up to so much later; those of other connections overtake them."""


class SlowLink:
    """Passes bytes on to an endpoint; what it has taken arrives even after the sender has ended.

    Args:
        endpoint_url: where they go.
        seed: settles which pieces are slow.

    Attributes:
        url: where to send to instead.
        on_their_way: how many pieces wait to be passed on, or for the end of a connection whose sender is gone.
    """

    def __init__(self, endpoint_url: str, *, seed: int) -> None:
        parts = urlsplit(endpoint_url)
        self._place = parts.hostname, parts.port
        self._random = random.Random(seed)
        self.on_their_way = 0
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, with whatever is on its way."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._place
        there, answer_to = await asyncio.open_connection(host, port), writer
        answers = asyncio.create_task(_pass_on(there[0], answer_to))
        try:
            while data := await _read(reader):
                if self._random.random() < SLOW_SHARE:
                    await self._wait(self._random.uniform(0.0, SLOW_SECONDS))
                there[1].write(data)
                await there[1].drain()
            await self._wait(SLOW_SECONDS)  # an emulator may drop a request whose connection is closed
        except ConnectionError:
            return
        finally:
            there[1].close()
            await answers

    async def _wait(self, seconds: float) -> None:
        self.on_their_way += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.on_their_way -= 1


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await _read(reader):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionError):
        return await reader.read(65_536)
    return b""
