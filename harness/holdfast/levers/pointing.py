"""Pointing the functions of a stack at the interceptor's reverse proxy, and back."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from holdfast.history.recorder import Recorder
from holdfast.levers.function_variable import FunctionVariable
from holdfast.levers.journal import Journal
from holdfast.levers.pull import pulled

if TYPE_CHECKING:
    from holdfast.stack.resolve import Stack

ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
"""Where the SDKs of functions send every call:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html."""


@contextmanager
def pointed(
    stack: Stack, url: str, *, journal: Journal, recorder: Recorder, components: Collection[str] = ()
) -> Iterator[tuple[str, ...]]:
    """Have functions send their AWS calls to a URL for the length of a ``with`` block; whatever ends it, they go back.

    Meanwhile other faults may be put on the same functions: only the variable is locked.

    The change is a lever like others: guarded, locked, journalled before it is made, made and undone by
    compare-and-set, read back, and healed by ``holdfast heal`` if this process is killed. It gives the environments of
    the functions a cold start, and only ``$LATEST`` is changed. Not every call follows it: the SDK for JavaScript sends
    calls about a queue to the host in the queue's URL.

    Args:
        stack: whose functions.
        url: the proxy's, as the functions can reach it.
        journal: the run's journal.
        recorder: takes the window in which they were pointed there.
        components: which functions, by their names in the descriptor; all when empty.

    Returns:
        The names of the components that are pointed there, as the value of the ``with`` statement.

    Raises:
        GuardRailError: a component is no part of the stack; nothing was changed.
        Inconclusive: the target cannot do this, or a function is called through a published version.
        InjectionError: a function could not be pointed there; the others are pointed back.
        HealError: a function could not be pointed back; the remedy is the command to run by hand.
    """
    levers = pointing(stack, url, components)
    locks = [f"{lever.resource} {lever.variable}" for lever in levers]
    with pulled(levers, stack=stack, journal=journal, recorder=recorder, provocation="interceptor", locks=locks):
        yield tuple(lever.component for lever in levers)


def pointing(stack: Stack, url: str, components: Collection[str] = ()) -> list[FunctionVariable]:
    """The levers that point functions at a URL; nothing is changed yet."""
    return [
        FunctionVariable.on(stack, name, variable=ENDPOINT_VARIABLE, value=url)
        for name, resource in stack.resources.items()
        if resource.type == "function" and (not components or name in components)
    ]
