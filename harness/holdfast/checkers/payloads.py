"""Whether what is larger than the declared limit is refused (SF-4)."""

from __future__ import annotations

from holdfast.history.model import History, Outcome
from holdfast.verdict.model import Finding


def accepted_over_limit(history: History, *, limit_bytes: int) -> tuple[Finding, ...]:
    """Acknowledged commands whose body is larger than the declared limit."""
    findings = []
    for operation in history.operations:
        size = len((operation.body or "").encode("utf-8", "surrogateescape"))
        if operation.outcome is Outcome.OK and size > limit_bytes:
            findings.append(
                Finding(
                    title="accepted over the limit",
                    sentence=f"a body of {size} bytes was acknowledged, the declared limit is {limit_bytes}",
                    key=operation.key,
                    witness=(operation,),
                )
            )
    return tuple(findings)
