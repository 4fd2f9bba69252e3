"""A worker's file, carried to the master piece by piece while it grows.

The master answers every piece with how much it holds; the worker sends what comes after that. A piece that got lost, or
came twice, changes nothing, and what arrived before a worker was lost is there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

PIECE_BYTES = 512 * 1024
ANSWER_SECONDS = 5.0
"""A piece without an answer is sent again after so long."""


class Sender:
    """The worker's side.

    Args:
        path: the file; it only grows.
        send: sends an offset and the bytes from there on.
        clock: monotonic seconds.
    """

    def __init__(self, path: Path, send: Callable[[int, bytes], None], *, clock: Callable[[], float]) -> None:
        self.path = path
        self._send = send
        self._clock = clock
        self._held = 0
        self._sent_at: float | None = None

    def got(self, held: int) -> None:
        """The master holds so many bytes."""
        self._held = max(self._held, held)
        self._sent_at = None

    def step(self) -> bool:
        """Send the next piece, unless one is under way; False when the master holds all that is there."""
        now = self._clock()
        if self._sent_at is not None and now - self._sent_at < ANSWER_SECONDS:
            return True
        with self.path.open("rb") as file:
            file.seek(self._held)
            piece = file.read(PIECE_BYTES)
        if not piece:
            return False
        self._sent_at = now
        self._send(self._held, piece)
        return True


class Receiver:
    """The master's side of one file.

    Args:
        path: where it is written; it must not exist.

    Attributes:
        problem: why it cannot be written; empty while it can.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._held = 0
        self._file: BinaryIO | None = None

    def take(self, offset: int, piece: bytes) -> int:
        """Append a piece that comes next, and say how many bytes are held."""
        if offset != self._held or self.problem:
            return self._held
        try:
            if self._file is None:
                self._file = self.path.open("xb", buffering=0)
            self._file.write(piece)
        except OSError as error:
            self.problem = f"{self.path} cannot be written: {error.strerror}"
        else:
            self._held += len(piece)
        return self._held

    def close(self) -> None:
        """Nothing more comes."""
        if self._file is not None:
            self._file.close()
