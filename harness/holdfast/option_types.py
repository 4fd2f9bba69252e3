"""Numbers that options of a command line take, told in plain words where they are none."""

from __future__ import annotations

import argparse
from functools import partial


def positive(text: str) -> float:
    """A finite number above 0.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return number


def whole(text: str, *, least: int) -> int:
    """A whole number that is not below the least.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of {least} or more")
    return number


count = partial(whole, least=0)
at_least_one = partial(whole, least=1)
