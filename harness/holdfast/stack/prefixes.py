"""Prefixes by which a run's keys, and the stack it deploys, are told from those of every other run."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

RANDOM_BYTES = 2
"""Two runs may begin in one millisecond, as jobs of a pipeline do."""


def new_prefix(clock: Callable[[], float] = time.time, random_hex: Callable[[int], str] = secrets.token_hex) -> str:
    """A prefix that no other run uses and that sorts by time: base 36 of the time in milliseconds, and random digits.

    Args:
        clock: the time in seconds since 1970.
        random_hex: random hexadecimal digits, two for each of so many bytes.
    """
    number, digits = int(clock() * 1000), "0123456789abcdefghijklmnopqrstuvwxyz"
    text = ""
    while number:
        number, rest = divmod(number, 36)
        text = digits[rest] + text
    return f"hf{text}{random_hex(RANDOM_BYTES)}"
