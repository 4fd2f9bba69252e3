"""Whether acknowledgements go on while processing is dead (SF-3)."""

from __future__ import annotations

from holdfast.history.model import History, Outcome
from holdfast.verdict.model import Finding


def withheld(*, calm: History, faulted: History) -> tuple[Finding, ...]:
    """Commands that got no acknowledgement while processing was dead, although all did while it was not.

    Args:
        calm: operations while nothing was wrong.
        faulted: operations while processing was slow or dead.
    """
    if any(operation.outcome is not Outcome.OK for operation in calm.operations):
        return ()
    return tuple(
        Finding(
            title="acknowledgement withheld",
            sentence=f"{operation.key} was answered {operation.outcome} {operation.status} while processing was dead; "
            f"all {len(calm.operations)} commands were acknowledged while it was not",
            key=operation.key,
            witness=(operation,),
        )
        for operation in faulted.operations
        if operation.outcome is not Outcome.OK
    )
