"""What several command lines take alike: numbers, told in plain words where they are none, and where a stack is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
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


def add_target_options(add: Callable[..., object], *, opt_in: str) -> None:
    """Add the options that say where a stack is and who deploys it.

    Args:
        add: takes what `argparse.ArgumentParser.add_argument` takes: that of a parser, of a group, or pytest's.
        opt_in: what ``--allow-aws`` allows.
    """
    add("--target", choices=("embedded", "localstack", "aws"), help="instead of the descriptor's default")
    add(
        "--deploy",
        action="store_true",
        default=None,
        help="deploy the template first, remove it afterwards (default on the embedded target only)",
    )
    add("--no-deploy", dest="deploy", action="store_false", help="the stack is deployed already")
    add("--cloudformation", metavar="NAME", help="the deployed CloudFormation stack to use")
    add("--allow-aws", action="store_true", help=f"opt in to {opt_in}")
