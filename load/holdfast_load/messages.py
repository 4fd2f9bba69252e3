"""What a run's master, its workers and the command say to each other.

Master and workers speak through Locust's own messages; the command speaks with the Locust processes that it started
over one socket each, a JSON document a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

ASSIGN = "holdfast-assign"
"""Master to worker: ``assignment``, ``name``, ``index``, ``workers``."""
READY = "holdfast-ready"
"""Worker to master: ``problem``, empty when it can begin; ``costly``, what is not sent cheaply."""
PING = "holdfast-ping"
"""Worker to master: ``asked_ns``."""
PONG = "holdfast-pong"
"""Master to worker: ``asked_ns``, ``received_ns``, ``answered_ns``."""
START = "holdfast-start"
"""Master to worker: ``origin_unix_ns``."""
STOP = "holdfast-stop"
"""Master to worker: ``reason``."""
PROGRESS = "holdfast-progress"
"""Worker to master: its counts so far."""
DONE = "holdfast-done"
"""Worker to master: ``record``, ``stopped``, ``bytes`` of the file that it sends piece by piece, 0 for none."""
PIECE = "holdfast-piece"
"""Worker to master: ``offset``, ``data``."""
HELD = "holdfast-held"
"""Master to worker: ``bytes`` it holds, ``problem``."""

COUNTS = ("arrivals", "sent", "refused", "acknowledged", "failed", "unknown", "in_flight")
"""Counts in a worker's progress that the master adds up."""

CHANNEL = "HOLDFAST_LOAD_CHANNEL"
"""Environment variable: the socket to the command."""
DESCRIPTOR = "HOLDFAST_LOAD_DESCRIPTOR"
"""Environment variable: the descriptor on this machine."""
HISTORY = "HOLDFAST_LOAD_HISTORY"
"""Environment variable: the run's history folder, where worker and command are on one machine."""
SPOOL = "HOLDFAST_LOAD_SPOOL"
"""Environment variable: where a worker keeps its file when it is not on the command's machine."""


def line(**document: Any) -> bytes:
    """One document as a line."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


class Lines:
    """Puts documents together from whatever arrives."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """The documents that are whole now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for one in whole:
            if one:
                yield json.loads(one)
