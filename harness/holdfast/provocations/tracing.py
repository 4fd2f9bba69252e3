"""One undisturbed command, followed through everything that handles it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.provocations.bench import Bench
from holdfast.stack.generate import Submission
from holdfast.targets.base import Interceptor, TracedCall, TracedInvocation

ANY_FUNCTION = ("",)
"""Follows a command into every function, whatever its name."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What one command caused.

    Attributes:
        invocations: of functions, and the handlings of services, in the order of their start.
        calls: their AWS calls, in the order of their end.
    """

    invocations: tuple[TracedInvocation, ...] = ()
    calls: tuple[TracedCall, ...] = ()

    @classmethod
    def of(cls, interceptor: Interceptor, key: str) -> Trace:
        """What has been seen of a key so far."""
        return cls(interceptor.invocations(key=key), interceptor.calls(key))


def follow(
    bench: Bench, functions: Iterable[str], role: str, settle: Callable[[Submission], None]
) -> tuple[Submission, Trace]:
    """Send one command without a fault, and trace it.

    Args:
        bench: where.
        functions: physical names of those it is followed into.
        role: of the operation.
        settle: waits until the command is done, or says that it never is.

    Raises:
        Inconclusive: the target has no interceptor, or ``settle`` found the command undone.
    """
    submission = bench.draw(1)[0]
    with bench.watched(functions, submission.key):
        bench.submit(submission, role)
        settle(submission)
        return submission, Trace.of(bench.interceptor, submission.key)


def first_handlings(invocations: Sequence[TracedInvocation]) -> dict[str, str]:
    """The request id of each function's first invocation that went well to its end, by physical name."""
    first: dict[str, str] = {}
    for invocation in invocations:
        if not invocation.failed and invocation.ended_seconds:
            first.setdefault(invocation.function, invocation.request_id)
    return first


def calls_of_one_handling(trace: Trace, functions: Mapping[str, str]) -> list[tuple[str, str, str, int]]:
    """The calls of each function's first invocation that went well: component, service, operation, which of its kind.

    A slow machine may have a function handle the request twice; the second time has the same fault points.

    Args:
        trace: of the request.
        functions: component names by physical name of the function.
    """
    first = first_handlings(trace.invocations)
    seen: Counter[tuple[str, str, str]] = Counter()
    points = []
    for call in trace.calls:
        if call.function in functions and first.get(call.function) == call.request_id:
            identity = (functions[call.function], call.service, call.operation)
            seen[identity] += 1
            points.append((*identity, seen[identity]))
    return points
