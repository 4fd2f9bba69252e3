"""What each arrival of a run submits: the plan and the arrival's number alone decide, so that it can be told again."""

from __future__ import annotations

import random

from holdfast.stack.descriptor import Descriptor
from holdfast.stack.generate import Submission, draw
from holdfast_load.plan import LoadPlan

_NUMBERS = 1 << 64


def key_of(plan: LoadPlan, number: int) -> str:
    """The key of an arrival."""
    return f"{plan.prefix}-{number}"


def number_of(plan: LoadPlan, key: str) -> int:
    """The arrival that has a key.

    Raises:
        ValueError: the key is none of the run's.
    """
    prefix, _, number = key.rpartition("-")
    if prefix != plan.prefix:
        raise ValueError(f"{key} is no key of {plan.prefix}")
    return int(number)


def command_of(plan: LoadPlan, number: int) -> str:
    """The name of the command that an arrival submits."""
    return plan.commands[number % len(plan.commands)]


class Drawing:
    """Draws submissions.

    Args:
        plan: of the run; its seed and prefix.
        descriptor: whose commands are drawn.
    """

    def __init__(self, plan: LoadPlan, descriptor: Descriptor) -> None:
        self._plan = plan
        self._commands = descriptor.commands
        self._random = random.Random()  # noqa: S311 - values of a test
        self._seed = plan.seed * _NUMBERS

    def submission(self, number: int, command: str = "") -> Submission:
        """What an arrival carries; the same for the same number, timestamps apart.

        Args:
            number: of the arrival.
            command: name of the command; empty for the one whose turn it is.
        """
        self._random.seed(self._seed + number)
        name = command or command_of(self._plan, number)
        return draw(self._commands[name], key_of(self._plan, number), self._random)
