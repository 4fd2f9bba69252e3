"""Whether the original of a request is still there, unmodified, while its processing fails (ES-2)."""

from __future__ import annotations

from holdfast.history.model import History, Outcome
from holdfast.verdict.model import Finding


def missing_originals(history: History, *, port: str) -> tuple[Finding, ...]:
    """Acknowledged requests whose original was looked for while processing failed, and was not there.

    Args:
        history: operations, and observations of the store made inside the fault window.
        port: name under which the store was observed.
    """
    findings = []
    for operation in history.operations:
        if operation.outcome is not Outcome.OK:
            continue
        looks = [one for one in history.observations if one.port == port and one.key == operation.key and one.complete]
        for look in looks:
            if look.count == 0:
                findings.append(
                    Finding(
                        title="original gone",
                        sentence=f"the original of {operation.key} was acknowledged, its processing failed, and it is "
                        f"no longer in {port}: there is nothing to retry from",
                        key=operation.key,
                        witness=(operation, look),
                    )
                )
                break
    return tuple(findings)


def observed_originals(history: History, *, port: str) -> int:
    """How many keys' originals were seen in the store."""
    return len({one.key for one in history.observations if one.port == port and one.count > 0})
