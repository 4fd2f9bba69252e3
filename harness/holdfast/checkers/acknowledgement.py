"""Whether acknowledgements go on while something else goes wrong (SF-3, ES-16)."""

from __future__ import annotations

from holdfast.history.model import History, Outcome
from holdfast.verdict.model import Finding


def withheld(*, calm: History, faulted: History, fault: str) -> tuple[Finding, ...]:
    """Commands that got no acknowledgement under a fault, although all did without it.

    Args:
        calm: operations while nothing was wrong.
        faulted: operations under the fault.
        fault: what was wrong, e.g. ``while processing was dead``.
    """
    if any(operation.outcome is not Outcome.OK for operation in calm.operations):
        return ()
    return tuple(
        Finding(
            title="acknowledgement withheld",
            sentence=f"{operation.key} was answered {operation.outcome} {operation.status} {fault}; "
            f"all {len(calm.operations)} commands before that were acknowledged",
            key=operation.key,
            witness=(operation,),
        )
        for operation in faulted.operations
        if operation.outcome is not Outcome.OK
    )
